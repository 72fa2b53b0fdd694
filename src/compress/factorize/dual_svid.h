// Dual-SVID: from a truncated SVD to signs and three scales (arXiv 2506.13771, section 3.2).
//
// Before: svd. After: residual subtracts what this stands for and repeats, and train/ learns from
// here on. No data is used. U' = U sqrt(S), V' = V sqrt(S) keep their signs; |U'| ~ h l_u^T and
// |V'| ~ g l_v^T by their leading singular pairs; l = l_u * l_v.
#ifndef LLMQ_COMPRESS_FACTORIZE_DUAL_SVID_H_
#define LLMQ_COMPRESS_FACTORIZE_DUAL_SVID_H_

#include <vector>

#include "compress/factorize/svd.h"
#include "compress/torch_headers.h"

namespace llmq {

// One path with its latents, f32, stored rank-major as in llmq/littlebit.h.
struct PathFactors {
  at::Tensor v;  // [r, d_in] latents: their signs are V^T
  at::Tensor u;  // [r, d_out] latents: their signs are U^T
  at::Tensor g;  // [d_in], >= 0, already rounded to fp16
  at::Tensor h;  // [d_out], likewise
  at::Tensor l;  // [r], likewise
};

PathFactors DualSvid(const TruncatedSvd& svd);

// The second half of it, for latents from elsewhere: u [d_out, r] and v [d_in, r], of any float
// type and device, with W ~ u v^T.
PathFactors FactorsOfLatents(const at::Tensor& u, const at::Tensor& v);

// Forward sign of the whole project: -1 for x < 0, +1 otherwise, zero included.
at::Tensor SignOf(const at::Tensor& latent);

// sum_p diag(h) sign(U) diag(l) sign(V)^T diag(g) -> [d_out, d_in] f32, computed on `device`
at::Tensor Reconstruct(const std::vector<PathFactors>& paths, at::Device device = at::kCPU);

// ||weight - approximation|| / ||weight|| (Frobenius); 0 if both are zero.
double RelativeError(const at::Tensor& weight, const at::Tensor& approximation);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_DUAL_SVID_H_
