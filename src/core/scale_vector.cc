// Codes to fp16 and back; see the header.
//
// Before: littlebit.cc packs a layer. After: whoever reads a layer takes fp16 values from a view.
#include "llmq/scale_vector.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "core/code_stream.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int64_t kGridBytes = 4;       // base and step, a u16 each
constexpr uint32_t kInfinity = 0x7c00;  // fp16's bits
// Ranges that are tried: each less than the one before by this share.
constexpr int kRanges = 20;
constexpr int32_t kRangeShare = 8;

uint16_t ReadHalf(const std::byte* at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof(half));
  return half;
}

// The fp16 bits that codes count from and by.
struct Grid {
  int32_t base = 0;
  int32_t step = 1;
};

uint16_t Value(const Grid& grid, uint32_t code) {
  return code == 0 ? 0 : static_cast<uint16_t>(grid.base + grid.step * static_cast<int32_t>(code));
}

// Codes from `range` fp16 bits below the largest value, or from as far as 0, which has the last
// one.
Grid MakeGrid(int32_t largest, int32_t range, int bits) {
  const auto codes = static_cast<int32_t>(LargestCode(bits));
  const int32_t wanted = (range + codes - 2) / (codes - 1);
  const int32_t step = std::max(1, std::min(wanted, largest / codes));
  return {std::max(0, largest - step * codes), step};
}

// Of the nearest value; 0 for what is nearer to zero than to the smallest value.
uint32_t NearestCode(const Grid& grid, int32_t half, int bits) {
  const auto largest = static_cast<int32_t>(LargestCode(bits));
  const int32_t code = (half - grid.base + grid.step / 2) / grid.step;
  if (half > grid.base && code >= 1) return static_cast<uint32_t>(std::min(code, largest));
  const float least = HalfToFloat(static_cast<uint16_t>(grid.base + grid.step));
  return HalfToFloat(static_cast<uint16_t>(half)) * 2 > least ? 1 : 0;
}

double SquaredError(const Grid& grid, std::span<const uint16_t> magnitudes, int bits) {
  double sum = 0;
  for (const uint16_t half : magnitudes) {
    const double error =
        HalfToFloat(Value(grid, NearestCode(grid, half, bits))) - HalfToFloat(half);
    sum += error * error;
  }
  return sum;
}

// The best of some ranges: values far below the others are worth less than the fineness that
// reaching them costs.
Grid FitGrid(std::span<const uint16_t> magnitudes, int bits) {
  int32_t largest = 0, smallest = 0;  // of those that are not 0
  for (const int32_t half : magnitudes) {
    if (half == 0) continue;
    largest = std::max(largest, half);
    smallest = smallest == 0 ? half : std::min(smallest, half);
  }
  Grid best;
  double least_error = HUGE_VAL;
  int32_t range = largest - smallest;
  for (int i = 0; i < kRanges; ++i, range -= range / kRangeShare) {
    const Grid grid = MakeGrid(largest, range, bits);
    const double error = SquaredError(grid, magnitudes, bits);
    if (error >= least_error) continue;
    best = grid;
    least_error = error;
  }
  return best;
}

std::vector<uint16_t> ToHalves(std::span<const float> scales, const char* name) {
  std::vector<uint16_t> halves;
  halves.reserve(scales.size());
  for (const float scale : scales) {
    halves.push_back(FloatToHalf(scale));
    if ((halves.back() & kInfinity) != kInfinity) continue;
    throw Error(ErrorCode::kFactorizationFailed,
                fmt::format("scale {}[{}]: expected a finite fp16 value, found {}", name,
                            halves.size() - 1, scale),
                "Check the model's weights for NaN, Inf or extreme values");
  }
  return halves;
}

std::optional<std::string> FindCodeFault(const ScaleView& scales) {
  const std::byte* bytes = scales.bytes().data();
  const uint32_t base = ReadHalf(bytes), step = ReadHalf(bytes + 2);
  if (step == 0 || base + step * LargestCode(scales.bits()) >= kInfinity) {
    return fmt::format(": expected codes of finite fp16 values, found base {:#06x} and step {}",
                       base, step);
  }
  const int64_t used = scales.size() * scales.bits() % 8;  // bits of the last byte; 0: all
  if (used != 0 && scales.bytes().back() >> used != std::byte{0}) {
    return ": expected zero bits behind the last code, found others";
  }
  return std::nullopt;
}

}  // namespace

int64_t ScaleBytes(int64_t size, int bits) {
  return bits == kHalfScaleBits ? 2 * size : kGridBytes + (size * bits + 7) / 8;
}

ScaleView::ScaleView(std::span<const uint16_t> halves)
    : size_(static_cast<int64_t>(halves.size())), bytes_(std::as_bytes(halves)) {}

ScaleView::ScaleView(int64_t size, int bits, const std::byte* bytes)
    : size_(size), bits_(bits), bytes_(bytes, static_cast<size_t>(ScaleBytes(size, bits))) {
  if (bits == kHalfScaleBits) return;
  base_ = ReadHalf(bytes);
  step_ = ReadHalf(bytes + 2);
}

uint16_t ScaleView::half(int64_t i) const {
  if (bits_ == kHalfScaleBits) return ReadHalf(bytes_.data() + 2 * i);
  const uint32_t code = GetCode(bytes_.data() + kGridBytes, bits_, i);
  return code == 0 ? 0 : static_cast<uint16_t>(base_ + step_ * code);
}

float ScaleView::operator[](int64_t i) const { return HalfToFloat(half(i)); }

void ScaleView::CopyTo(uint16_t* out) const {
  if (bits_ == kHalfScaleBits) {
    std::memcpy(out, bytes_.data(), bytes_.size());
    return;
  }
  for (int64_t i = 0; i < size_; ++i) out[i] = half(i);
}

std::optional<std::string> FindScaleFault(const ScaleView& scales) {
  if (scales.bits() != kHalfScaleBits) return FindCodeFault(scales);
  for (int64_t i = 0; i < scales.size(); ++i) {
    const uint16_t half = scales.half(i);
    if ((half & kInfinity) == kInfinity)
      return fmt::format("[{}]: expected a finite fp16 value, found {:#06x}", i, half);
  }
  return std::nullopt;
}

void StoreScales(std::span<const float> scales, int bits, const char* name, std::byte* out) {
  std::vector<uint16_t> halves = ToHalves(scales, name);
  if (bits == kHalfScaleBits) {
    std::memcpy(out, halves.data(), halves.size() * sizeof(uint16_t));
    return;
  }
  for (uint16_t& half : halves) half &= 0x7fff;
  const Grid grid = FitGrid(halves, bits);
  const std::array<uint16_t, 2> head = {static_cast<uint16_t>(grid.base),
                                        static_cast<uint16_t>(grid.step)};
  std::memcpy(out, head.data(), sizeof(head));
  for (size_t i = 0; i < halves.size(); ++i) {
    PutCode(out + kGridBytes, bits, static_cast<int64_t>(i), NearestCode(grid, halves[i], bits));
  }
}

}  // namespace llmq
