// THE DEFINITION of products of grouped rows with inputs in 8 bits, and the inputs themselves.
//
// Before: runtime/linear has a token's activations. After: versions of other instruction sets,
// which read the same prepared input and give the same bits.
#include "kernels/group_input.h"
#include "kernels/group_rows.h"
#include "kernels/int8_block.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

int64_t RoundUp(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

template <int bits>
int64_t ScaleCount(int64_t cols) {
  return RoundUp(RoundUp(cols, kGroupValues<bits>) / kGroupValues<bits>, kScaleGroups);
}
template <int bits>
int64_t InputBytes(int64_t cols) {
  return 4 * ScaleCount<bits>(cols) +
         RoundUp(cols, kStep<bits>) / kStep<bits> * static_cast<int64_t>(sizeof(GroupStep<bits>));
}

// Where in a step's values column j is.
template <int bits>
int64_t ValueIndex(int64_t j) {
  return bits == 4 ? j % 2 * (kStep<bits> / 2) + j / 2 : j;
}

template <int bits>
void PrepareInput(const float* x, int64_t cols, std::byte* input) {
  std::memset(input, 0, static_cast<size_t>(InputBytes<bits>(cols)));
  auto* scales = reinterpret_cast<float*>(input);
  auto* steps = reinterpret_cast<GroupStep<bits>*>(scales + ScaleCount<bits>(cols));
  for (int64_t begin = 0; begin < cols; begin += kInputBlock) {
    const int64_t n = cols - begin < kInputBlock ? cols - begin : kInputBlock;
    int8_t values[kInputBlock];
    const float scale = RoundToInt8(
        n, [&](int64_t j) { return x[begin + j]; }, values);
    for (int64_t j = 0; j < n; ++j) {
      GroupStep<bits>& step = steps[(begin + j) / kStep<bits>];
      const int64_t at = (begin + j) % kStep<bits>;
      step.values[ValueIndex<bits>(at)] = values[j];
      step.offsets[at / kRun<bits>] -= values[j] * (1 << (bits - 1));
      scales[(begin + j) / kGroupValues<bits>] = scale;
    }
  }
}

template <int bits>
float Dot(const std::byte* row, int64_t row_bytes, int64_t cols, const GroupInput<bits>& input) {
  float lanes[kRunLanes] = {};
  // The last group is added to its end: zeros, but not if its scale is infinite.
  for (int64_t j = 0; j < RoundUp(cols, kGroupValues<bits>); j += kRun<bits>) {
    const GroupStep<bits>& step = input.steps[j / kStep<bits>];
    int32_t sum = 0;
    for (int64_t k = j; k < j + kRun<bits> && k < cols; ++k)
      sum += GroupCode<bits>(row, k) * step.values[ValueIndex<bits>(k % kStep<bits>)];
    const float scale =
        GroupScale<bits>(row, row_bytes, cols, j) * input.scales[j / kGroupValues<bits>];
    lanes[j / kRun<bits> % kRunLanes] += scale * static_cast<float>(sum);
  }
  for (int64_t half = kRunLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

template <int bits>
void Dots(const GroupRows& w, const std::byte* input, int64_t begin, int64_t end,
          float* y) noexcept {
  const auto view = ViewGroupInput<bits>(input, w.cols);
  for (int64_t i = begin; i < end; ++i)
    y[i] = Dot<bits>(w.bytes + i * w.row_bytes, w.row_bytes, w.cols, view);
}

}  // namespace

int64_t GroupInputBytes(int bits, int64_t cols) noexcept {
  return bits == 8 ? InputBytes<8>(cols) : bits == 6 ? InputBytes<6>(cols) : InputBytes<4>(cols);
}

void PrepareGroupInput(int bits, const float* x, int64_t cols, std::byte* input) noexcept {
  const auto prepare = bits == 8 ? PrepareInput<8> : bits == 6 ? PrepareInput<6> : PrepareInput<4>;
  prepare(x, cols, input);
}

const GroupKernels kGroupsScalar = {Dots<8>, Dots<6>, Dots<4>};

}  // namespace llmq
