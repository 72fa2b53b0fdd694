// Annealed signs: from matrix to signs through values in [-1, 1] that are driven to its ends.
//
// Before: path_factorizer has the (weighted) matrix. After: refine fits scales and the last signs.
// Alternating, row by row, over M = U and V in ||W - diag(h) M diag(g) V^T||^2, where V counts as
// random signs with the means found so far: each entry moves to clamp(gain / (t * curvature)).
// With a temperature t > 1 that is ridge regression in a box, which is convex; as t falls the box's
// corners become the only minima. Measurements and what was tried: docs/decisions/0005.
#ifndef LLMQ_COMPRESS_FACTORIZE_ANNEAL_H_
#define LLMQ_COMPRESS_FACTORIZE_ANNEAL_H_

#include <cstdint>

#include "compress/factorize/dual_svid.h"
#include "compress/torch_headers.h"

namespace llmq {

// Measured on Gaussian matrices: docs/results.md, "Initialization".
inline constexpr int kAnnealIterations = 16;

// matrix [d_out, d_in] f32, not zero, entries of about 1 -> a path on its device, with unrounded
// scales; 1 <= rank. Latents are the gains: their size is what turning the sign would cost.
// Deterministic for a seed.
PathFactors Anneal(const at::Tensor& matrix, int64_t rank, int iterations, uint64_t seed);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_ANNEAL_H_
