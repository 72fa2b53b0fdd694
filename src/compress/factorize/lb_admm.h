// LB-ADMM (NanoQuant): two factors that fit a matrix while each nears signs times two scales.
//
// Before: path_factorizer has the (weighted) matrix. After: refine fits scales and signs of the
// latents. Alternating ridge regressions for the two factors, each pulled toward its projection on
// the form sign(X) * rank-1(|X|) with a weight rho that grows to 1, and a dual that sums what the
// projection took away.
#ifndef LLMQ_COMPRESS_FACTORIZE_LB_ADMM_H_
#define LLMQ_COMPRESS_FACTORIZE_LB_ADMM_H_

#include <cstdint>

#include "compress/factorize/joint_itq.h"
#include "compress/torch_headers.h"

namespace llmq {

// Measured with two sweeps of refine on Gaussian matrices: docs/results.md, "Initialization".
inline constexpr int kAdmmIterations = 32;

// matrix [d_out, d_in] f32, not zero -> latents; 1 <= rank <= min(d_out, d_in). Deterministic for a
// seed.
FactorPair LbAdmm(const at::Tensor& matrix, int64_t rank, int iterations, uint64_t seed);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_LB_ADMM_H_
