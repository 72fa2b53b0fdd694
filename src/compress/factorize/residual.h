// The second path: the factorization once more, on what the first left over (arXiv 2506.13771,
// section 3.3).
//
// Before: path_factorizer or dual_svid makes one path. After: layer packs or trains the paths.
#ifndef LLMQ_COMPRESS_FACTORIZE_RESIDUAL_H_
#define LLMQ_COMPRESS_FACTORIZE_RESIDUAL_H_

#include <functional>
#include <vector>

#include "compress/factorize/dual_svid.h"
#include "llmq/littlebit.h"

namespace llmq {

using SvdFunction = std::function<TruncatedSvd(const at::Tensor& matrix, int64_t rank)>;
// part [d_out, d_in] f32 -> one path that stands for it.
using PathFunction = std::function<PathFactors(const at::Tensor& part, int64_t rank)>;

// weight [d_out, d_in] f32 -> shape.paths paths of shape.rank. `factorize` is called once per path.
// The residual is taken from fp16-rounded scales, so that the second path also mends the rounding
// of the first.
std::vector<PathFactors> ResidualPaths(const at::Tensor& weight, const LittleBitShape& shape,
                                       const PathFunction& factorize);

// The same with Dual-SVID; `svd` is called once per path.
std::vector<PathFactors> DualSvidPaths(const at::Tensor& weight, const LittleBitShape& shape,
                                       const SvdFunction& svd);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_RESIDUAL_H_
