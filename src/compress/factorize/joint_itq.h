// Joint-ITQ (LittleBit-2): the rotation that brings both factors of a product near +-1.
//
// Before: svd or the subspace of lb_admm gives U' and V'. After: dual_svid takes signs and
// magnitudes of the rotated ones. (U' R)(V' R)^T = U' V'^T for an orthogonal R, so rotating costs
// nothing; alternating B = sign([U'; V'] R) and the R that fits B best (Procrustes) makes the
// signs stand for more of the values.
#ifndef LLMQ_COMPRESS_FACTORIZE_JOINT_ITQ_H_
#define LLMQ_COMPRESS_FACTORIZE_JOINT_ITQ_H_

#include <cstdint>

#include "compress/torch_headers.h"

namespace llmq {

// Two factors of one matrix: u v^T.
struct FactorPair {
  at::Tensor u;  // [d_out, r] f32
  at::Tensor v;  // [d_in, r] f32, on the same device
};

// The rotated pair after `rounds` of alternation, from a random rotation by `seed`.
FactorPair JointItq(const FactorPair& pair, int rounds, uint64_t seed);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_FACTORIZE_JOINT_ITQ_H_
