// Truncated singular value decompositions: the leading `rank` triplets of a matrix.
//
// Before: torch_bridge delivers a weight. After: dual_svid takes signs and magnitudes. Two methods:
// exact, by the eigenvectors of the smaller Gram matrix, and randomized (Halko, Martinsson, Tropp
// 2011, algorithms 4.4 and 5.1). Their use and measurements: docs/decisions/0002-libtorch.md.
#ifndef LLMQ_COMPRESS_FACTORIZE_SVD_H_
#define LLMQ_COMPRESS_FACTORIZE_SVD_H_

#include <cstdint>
#include <string>

#include "compress/torch_headers.h"
#include "llmq/compress.h"

namespace llmq {

// W ~ u diag(s) v^T with the largest s first. Triplets whose s is lost in rounding have s = 0 and v
// = 0.
struct TruncatedSvd {
  at::Tensor u;  // [d_out, k] of the dtype and device of W
  at::Tensor s;  // [k]
  at::Tensor v;  // [d_in, k]

  TruncatedSvd Leading(int64_t rank) const;  // the first `rank` triplets, borrowing memory
};

// Precondition for both: finite matrix, 1 <= rank <= min(d_out, d_in).
// Throws c10::Error if the eigensolver does not converge. `jitter`, relative to the mean
// eigenvalue, is added to the diagonal of the Gram matrix; 0 in the first place.
TruncatedSvd ExactSvd(const at::Tensor& matrix, int64_t rank, double jitter = 0);
TruncatedSvd RandomizedSvd(const at::Tensor& matrix, int64_t rank, uint64_t seed);

enum class SvdMethod { kExact, kRandomized };
// Exact up to a smaller side of 1024 or for more than a quarter of its triplets; there it is also
// the faster.
SvdMethod ChooseSvdMethod(int64_t d_out, int64_t d_in, int64_t rank);

// How a layer's decompositions are made. `seed` is already mixed with the layer's name (MixSeed),
// so the order of work does not matter.
struct SvdSettings {
  SvdPrecision precision = SvdPrecision::kFloat64;
  uint64_t seed = 0;
};
uint64_t MixSeed(uint64_t seed, const std::string& name);

// The method by ChooseSvdMethod in the precision of the settings. If that fails or gives numbers
// that are not finite: float64, then with jitter, then Error{kFactorizationFailed} naming `layer`.
TruncatedSvd RobustSvd(const at::Tensor& matrix, int64_t rank, const SvdSettings& settings,
                       const std::string& layer);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_SVD_H_
