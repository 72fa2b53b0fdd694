// The second path: Dual-SVID once more, on what the first left over (arXiv 2506.13771,
// section 3.3).
//
// Before: dual_svid makes one path. After: layer packs or trains the paths.
#ifndef LLMQ_COMPRESS_FACTORIZE_RESIDUAL_H_
#define LLMQ_COMPRESS_FACTORIZE_RESIDUAL_H_

#include <functional>
#include <vector>

#include "compress/factorize/dual_svid.h"
#include "llmq/littlebit.h"

namespace llmq {

using SvdFunction = std::function<TruncatedSvd(const at::Tensor& matrix, int64_t rank)>;

// weight [d_out, d_in] f32 -> shape.paths paths of shape.rank. `svd` is called once per path. The
// residual is taken from fp16-rounded scales, so that the second path also mends the rounding of
// the first.
std::vector<PathFactors> DualSvidPaths(const at::Tensor& weight, const LittleBitShape& shape,
                                       const SvdFunction& svd);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_RESIDUAL_H_
