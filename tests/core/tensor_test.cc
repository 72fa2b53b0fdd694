// Element types, conversion from unaligned bytes, and the NaN scan.
#include "llmq/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace llmq {
namespace {

TEST(DType, NamesRoundTrip) {
  for (int value = 0; value <= static_cast<int>(DType::kF8E5M2); ++value) {
    const auto dtype = static_cast<DType>(value);
    EXPECT_EQ(DTypeFromName(DTypeName(dtype)), dtype);
    EXPECT_GE(DTypeBytes(dtype), 1u);
  }
  EXPECT_EQ(DTypeFromName("F4"), std::nullopt);
}

TEST(ToFloat, ReadsEachTypeFromAnUnalignedAddress) {
  std::vector<std::byte> bytes(33);
  TensorView tensor{.name = "t", .shape = {2}};
  const auto check = [&](DType dtype, auto first, auto second) {
    tensor.dtype = dtype;
    std::memcpy(bytes.data() + 1, &first, sizeof(first));
    std::memcpy(bytes.data() + 1 + sizeof(first), &second, sizeof(second));
    tensor.data = std::span(bytes).subspan(1, 2 * sizeof(first));
    EXPECT_EQ(ToFloat(tensor), (std::vector<float>{1.5f, -2.0f})) << DTypeName(dtype);
  };
  check(DType::kF32, 1.5f, -2.0f);
  check(DType::kF64, 1.5, -2.0);
  check(DType::kF16, uint16_t{0x3e00}, uint16_t{0xc000});
  check(DType::kBF16, uint16_t{0x3fc0}, uint16_t{0xc000});
}

TEST(CountNonFinite, TellsNanFromInf) {
  const std::vector<float> values = {1.0f, NAN, INFINITY, -INFINITY, -NAN, 3e38f};
  const TensorView tensor{"t", DType::kF32, {6}, std::as_bytes(std::span(values))};
  EXPECT_EQ(CountNonFinite(tensor).nan, 2);
  EXPECT_EQ(CountNonFinite(tensor).inf, 2);
  const std::vector<uint16_t> bf16 = {0x7f80, 0x7fc0, 0x7f7f, 0xff80};
  const TensorView small{"t", DType::kBF16, {4}, std::as_bytes(std::span(bf16))};
  EXPECT_EQ(CountNonFinite(small).nan, 1);
  EXPECT_EQ(CountNonFinite(small).inf, 2);
}

}  // namespace
}  // namespace llmq
