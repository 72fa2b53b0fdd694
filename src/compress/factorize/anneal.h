// Annealed signs: a path whose signs begin as means in [-1, 1] and are driven to the ends.
//
// Before: path_factorizer has the (weighted) matrix. After: refine fits scales and the last signs.
// Minimised is E||W - diag(h) U V^T diag(g)||^2 over U and V in turn, their entries random signs
// with the means M. Given the others an entry's best mean is clamp(gain / temperature), the gain
// being what is left over for it, in units of the curvature. At a temperature above 1 that solves
// a ridge regression in a box, which is convex; below, only corners are stable.
// What was tried, with numbers: docs/decisions/0005-annealed-signs.md.
#ifndef LLMQ_COMPRESS_FACTORIZE_ANNEAL_H_
#define LLMQ_COMPRESS_FACTORIZE_ANNEAL_H_

#include <cstdint>

#include "compress/factorize/dual_svid.h"
#include "compress/torch_headers.h"

namespace llmq {

// Measured with a sweep of refine: docs/results.md, "Initialization".
inline constexpr int kAnnealIterations = 16;
inline constexpr int kAnnealSweeps = 1;

// matrix [d_out, d_in] f32, not zero, entries of at most about 1 -> a path on its device whose
// scales are not rounded. The latents are the last gains: a small one is a sign that hardly
// matters. Deterministic for a seed.
PathFactors Anneal(const at::Tensor& matrix, int64_t rank, int iterations, uint64_t seed);

// The inner step, over rows of means [w, d], w <= kStripRows, one after the other. gains [w, d]
// come without the changes that the step makes and leave with those of earlier rows;
// weights [w, w] f32 say how much a change of row j takes from the gain of row i > j.
inline constexpr int64_t kStripRows = 8;
void RelaxStrip(const at::Tensor& weights, double relaxation, at::Tensor& gains, at::Tensor& means);
// The same by LibTorch's operators, which any device has.
void RelaxStripByOperators(const at::Tensor& weights, double relaxation, at::Tensor& gains,
                           at::Tensor& means);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_ANNEAL_H_
