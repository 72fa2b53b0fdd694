// Element types, conversion from unaligned bytes, and the NaN scan.
#include "llmq/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <utility>

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

// Rows 1 and 2 of the transpose of [3, 4]: a part of a larger matrix that lies column by column.
TEST(ToFloat, ReadsPartsOfTransposedMatrices) {
  std::vector<float> all = {NAN, 1, 4, INFINITY, NAN, 2, 5, NAN, NAN, 3, 6, NAN};
  const auto bytes = std::as_bytes(std::span(all)).subspan(4, 4 * 10);
  TensorView part{.name = "t", .shape = {2, 3}, .data = bytes, .column_stride = 4};
  EXPECT_EQ(ToFloat(part), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(CountNonFinite(part).nan, 0);
  all[5] = NAN;
  EXPECT_EQ(CountNonFinite(part).nan, 1);
}

TEST(RowMajorBytes, TransposesEveryShapeAndType) {
  for (const auto& [rows, cols] : {std::pair(1, 1), std::pair(1, 70), std::pair(70, 1),
                                   std::pair(33, 65), std::pair(64, 32)}) {
    std::vector<uint16_t> by_columns;
    for (int i = 0; i < rows * cols; ++i) by_columns.push_back(static_cast<uint16_t>(i));
    const TensorView tensor{.name = "t",
                            .dtype = DType::kBF16,
                            .shape = {rows, cols},
                            .data = std::as_bytes(std::span(by_columns)),
                            .column_stride = rows};
    const std::vector<std::byte> bytes = RowMajorBytes(tensor);
    ASSERT_EQ(bytes.size(), by_columns.size() * 2);
    for (int r = 0; r < rows; ++r) {
      for (int c = 0; c < cols; ++c) {
        uint16_t value;
        std::memcpy(&value, bytes.data() + 2 * (r * cols + c), 2);
        ASSERT_EQ(value, by_columns[static_cast<size_t>(c * rows + r)]) << r << ", " << c;
      }
    }
  }
}

}  // namespace
}  // namespace llmq
