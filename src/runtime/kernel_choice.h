// Which kernels this process uses.
#ifndef LLMQ_RUNTIME_KERNEL_CHOICE_H_
#define LLMQ_RUNTIME_KERNEL_CHOICE_H_

#include "kernels/kernels.h"

namespace llmq {

// The best set of the machine, or the one that the environment variable LLM_QUANTIZE_ISA names
// (scalar, avx2, avx512, avx512vbmi, neon). Throws Error{kInvalidArguments} if it names none or one
// that is not available.
const KernelTable& ChooseKernels();

}  // namespace llmq

#endif  // LLMQ_RUNTIME_KERNEL_CHOICE_H_
