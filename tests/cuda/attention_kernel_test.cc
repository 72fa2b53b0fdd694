// Attention on the emulated GPU beside sums in double, written from its formula.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "cuda/gpu.h"
#include "tests/cuda/emulated_gpu.h"
#include "tests/support/relative_error.h"

namespace llmq {
namespace {

using cuda::AttentionParams;
using cuda::DeviceMemory;

struct Case {
  int64_t position;  // of the first token
  int tokens = 1;
  int part_positions = 8;
  int window = 0;
  bool half = true;
  int heads = 4;
  int kv_heads = 2;
  int head_dim = 40;
  bool downwards = false;

  int64_t capacity() const { return position + tokens + 3; }
};

std::vector<float> RandomFloats(int64_t n, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = static_cast<float>(NextRandom(seed) >> 40) * 0x1p-23f - 1.0f;
  return values;
}

// Queries [T, heads, head_dim]; keys and values [kv_heads, capacity, head_dim], not a number at
// positions that no token may see.
struct Inputs {
  std::vector<float> q, keys, values;

  explicit Inputs(const Case& one)
      : q(RandomFloats(int64_t{one.tokens} * one.heads * one.head_dim, 1)),
        keys(Rows(one, 2)),
        values(Rows(one, 3)) {}

  static std::vector<float> Rows(const Case& one, uint64_t seed) {
    const int64_t positions = one.kv_heads * one.capacity();
    auto rows = RandomFloats(positions * one.head_dim, seed);
    for (int64_t i = 0; i < positions; ++i) {
      const bool seen = i % one.capacity() < one.position + one.tokens;
      for (int d = 0; d < one.head_dim; ++d) {
        float& value = rows[static_cast<size_t>(i * one.head_dim + d)];
        value = !seen ? NAN : one.half ? HalfToFloat(FloatToHalf(value)) : value;
      }
    }
    return rows;
  }
};

// softmax(q K^T / sqrt(head_dim)) V, [T, heads, head_dim].
std::vector<float> Reference(const Case& one, const Inputs& in) {
  std::vector<float> out;
  for (int row = 0; row < one.tokens * one.heads; ++row) {
    const int64_t last = one.position + row / one.heads;
    const int64_t first = one.window > 0 ? std::max<int64_t>(0, last + 1 - one.window) : 0;
    const int64_t head = row % one.heads / (one.heads / one.kv_heads) * one.capacity();
    std::vector<double> sums(static_cast<size_t>(one.head_dim), 0.0);
    double total = 0;
    for (int64_t position = first; position <= last; ++position) {
      const auto at = static_cast<size_t>((head + position) * one.head_dim);
      double score = 0;
      for (int d = 0; d < one.head_dim; ++d)
        score += double{in.q[static_cast<size_t>(row * one.head_dim + d)]} * in.keys[at + d];
      const double weight = std::exp(score / std::sqrt(one.head_dim));
      total += weight;
      for (int d = 0; d < one.head_dim; ++d)
        sums[static_cast<size_t>(d)] += weight * in.values[at + d];
    }
    for (const double sum : sums) out.push_back(static_cast<float>(sum / total));
  }
  return out;
}

template <typename T>
DeviceMemory OnDevice(cuda::Gpu& gpu, const std::vector<T>& host) {
  const auto bytes = static_cast<int64_t>(host.size() * sizeof(T));
  DeviceMemory memory(gpu, bytes);
  gpu.Upload(memory.as<void>(), host.data(), bytes);
  return memory;
}

DeviceMemory CacheOnDevice(cuda::Gpu& gpu, const std::vector<float>& rows, bool half) {
  if (!half) return OnDevice(gpu, rows);
  std::vector<uint16_t> halves;
  for (const float value : rows) halves.push_back(FloatToHalf(value));
  return OnDevice(gpu, halves);
}

// The kernel's result of the second of two launches.
std::vector<float> OnGpu(const Case& one, const Inputs& in) {
  const auto gpu = testing::MakeEmulatedGpu({.downwards = one.downwards});
  const int rows = one.tokens * one.heads;
  const int num_parts = cuda::CeilDivide(static_cast<int>(one.capacity()), one.part_positions);
  const DeviceMemory q = OnDevice(*gpu, in.q);
  const DeviceMemory keys = CacheOnDevice(*gpu, in.keys, one.half);
  const DeviceMemory values = CacheOnDevice(*gpu, in.values, one.half);
  const cuda::StepState state = {.position = static_cast<int32_t>(one.position), .tokens = {}};
  const DeviceMemory step = OnDevice(*gpu, std::vector{state});
  const DeviceMemory parts(*gpu, int64_t{4} * rows * num_parts * (one.head_dim + cuda::kPartExtra));
  const DeviceMemory arrived = OnDevice(*gpu, std::vector<unsigned>(static_cast<size_t>(rows), 0u));
  const DeviceMemory out(*gpu, static_cast<int64_t>(4 * in.q.size()));
  for (int launch = 0; launch < 2; ++launch) {
    gpu->Run(AttentionParams{.step = step.as<cuda::StepState>(),
                             .q = q.as<float>(),
                             .keys = keys.as<void>(),
                             .values = values.as<void>(),
                             .out = out.as<float>(),
                             .scale = 1.0f / std::sqrt(static_cast<float>(one.head_dim)),
                             .heads = one.heads,
                             .kv_heads = one.kv_heads,
                             .head_dim = one.head_dim,
                             .capacity = one.capacity(),
                             .window = one.window,
                             .half = one.half,
                             .tokens = one.tokens,
                             .part_positions = one.part_positions,
                             .num_parts = num_parts,
                             .parts = parts.as<float>(),
                             .arrived = arrived.as<unsigned>()});
  }
  std::vector<float> result(in.q.size());
  gpu->Download(result.data(), out.as<void>(), static_cast<int64_t>(4 * result.size()));
  return result;
}

void ExpectAsReference(const Case& one) {
  const Inputs in(one);
  const double error = testing::RelativeError(OnGpu(one, in), Reference(one, in));
  EXPECT_LT(error, 1e-5) << "position " << one.position << ", window " << one.window;
}

TEST(AttentionKernel, OnePartAndManyAreTheFormula) {
  for (const int64_t position : {0, 7, 8, 9, 100}) {
    ExpectAsReference({.position = position});
    ExpectAsReference({.position = position, .half = false, .downwards = true});
    ExpectAsReference({.position = position, .part_positions = 256});
  }
  ExpectAsReference({.position = 700, .part_positions = 256, .heads = 2, .head_dim = 256});
}

TEST(AttentionKernel, TokensOfOneLaunchEndInDifferentParts) {
  ExpectAsReference({.position = 0, .tokens = 16});
  ExpectAsReference({.position = 21, .tokens = 5, .head_dim = 128});
}

TEST(AttentionKernel, WindowsBeginInTheMiddleOfAPart) {
  for (const int window : {1, 5, 8, 30}) {
    ExpectAsReference({.position = 50, .tokens = 3, .window = window});
    ExpectAsReference({.position = 2, .window = window});
  }
}

TEST(AttentionKernel, OrderOfBlocksDoesNotShow) {
  Case one{.position = 90, .tokens = 2};
  const Inputs in(one);
  const std::vector<float> upwards = OnGpu(one, in);
  one.downwards = true;
  EXPECT_EQ(OnGpu(one, in), upwards);
}

TEST(AttentionKernel, PartsHoldEveryCapacity) {
  for (const int64_t capacity : {1, 256, 257, 8192, 8193, 131072, 1 << 20}) {
    const int64_t positions = cuda::PartPositions(capacity);
    const int64_t parts = (capacity + positions - 1) / positions;
    EXPECT_LE(parts, cuda::kMostParts) << capacity;
    EXPECT_GE(positions, cuda::kFewestPartPositions) << capacity;
  }
}

}  // namespace
}  // namespace llmq
