// Local refinement of one path: scales by least squares, signs by coordinate descent.
//
// Before: joint_itq or lb_admm gives latents. After: residual subtracts the path, train/ learns
// from it. Each step minimises ||W - diag(h) U diag(l) V^T diag(g)|| over one of h, l, g, or one
// column of U or V, and none can increase it.
#ifndef LLMQ_COMPRESS_FACTORIZE_REFINE_H_
#define LLMQ_COMPRESS_FACTORIZE_REFINE_H_

#include "compress/factorize/dual_svid.h"
#include "compress/torch_headers.h"

namespace llmq {

inline constexpr int kRefineSweeps = 2;

// Refines `path` (tensors on the device of `weight`; its scales need not be rounded) in place.
// weight [d_out, d_in] f32. Scales stay >= 0: their signs move to U and V. Latents of flipped signs
// become small. 0 sweeps fit the scales alone.
void Refine(const at::Tensor& weight, int sweeps, PathFactors& path);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_REFINE_H_
