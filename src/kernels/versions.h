// All versions of the kernels, for dispatch.cc. Those of x86-64 are built for x86-64 only, those of
// NEON for aarch64 only.
#ifndef LLMQ_KERNELS_VERSIONS_H_
#define LLMQ_KERNELS_VERSIONS_H_

#include "kernels/kernels.h"

namespace llmq {

extern const SignProduct kExactScalar;
extern const SignProduct kExactAvx2;
extern const SignProduct kExactAvx512;

extern const SignProduct kExactNeon;

extern const SignProduct kInt8Scalar;
extern const SignProduct kInt8Avx2;
extern const SignProduct kInt8Avx512Vbmi;
extern const SignProduct kInt8Neon;

extern const GroupKernels kGroupsScalar;
extern const GroupKernels kGroupsAvx2;
extern const GroupKernels kGroupsAvx512Vbmi;
extern const GroupKernels kGroupsNeon;

extern const FloatKernels kFloatsScalar;
extern const FloatKernels kFloatsAvx2;
extern const FloatKernels kFloatsAvx512;

void MatrixProductScalar(const MatrixProduct& product);
void MatrixProductAvx2(const MatrixProduct& product);
void MatrixProductAvx512(const MatrixProduct& product);

}  // namespace llmq

#endif  // LLMQ_KERNELS_VERSIONS_H_
