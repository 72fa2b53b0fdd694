// An input in 8 bits as all products with grouped rows read it.
//
// Before: PrepareGroupInput (group_kernels_scalar.cc), once per token, in plain code: beside the
// rows of an embedding it costs nothing. After: GroupProduct of every instruction set.
#ifndef LLMQ_KERNELS_GROUP_INPUT_H_
#define LLMQ_KERNELS_GROUP_INPUT_H_

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace llmq {

// Columns whose products are added as integers.
template <int bits>
inline constexpr int64_t kRun = bits == 4 ? 8 : 4;
inline constexpr int64_t kRunLanes = 16;
// Columns that go through all lanes once: 64 bytes of 8- or 4-bit codes, 48 of 6-bit codes.
template <int bits>
inline constexpr int64_t kStep = kRun<bits>* kRunLanes;
template <int bits>
inline constexpr int64_t kStepBytes = kStep<bits>* bits / 8;
template <int bits>
inline constexpr int64_t kStepGroups = kStep<bits> / kGroupValues<bits>;
// Scales of so many groups are read together.
inline constexpr int64_t kScaleGroups = 16;

template <int bits>
struct alignas(64) GroupStep {
  int8_t values[kStep<bits>];  // in order; for 4-bit codes the even columns, then the odd ones
  // What a run's sum begins with where codes are read as unsigned, 2^(bits - 1) more than they are.
  int32_t offsets[kRunLanes];
};

template <int bits>
struct GroupInput {
  const float* scales;           // [groups, padded with zeros to a multiple of 16], of the input
  const GroupStep<bits>* steps;  // padded with zeros
};

// Where PrepareGroupInput has put them. A macro's work without a macro: always inlined, because
// code of one instruction set may leave no symbol to another.
template <int bits>
[[gnu::always_inline]] inline GroupInput<bits> ViewGroupInput(const std::byte* input,
                                                              int64_t cols) {
  const int64_t groups = (cols + kGroupValues<bits> - 1) / kGroupValues<bits>;
  const int64_t scales = (groups + kScaleGroups - 1) / kScaleGroups * kScaleGroups;
  return {reinterpret_cast<const float*>(input),
          reinterpret_cast<const GroupStep<bits>*>(input + 4 * scales)};
}

}  // namespace llmq

#endif  // LLMQ_KERNELS_GROUP_INPUT_H_
