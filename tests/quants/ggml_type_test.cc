#include "llmq/ggml_type.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace llmq {
namespace {

TEST(FindGgmlType, RemovedAndFutureTypesAreUnknown) {
  for (const uint32_t id : {4u, 5u, 31u, 32u, 33u, 36u, 37u, 38u, 43u, 142u, 0xffffffffu}) {
    EXPECT_EQ(FindGgmlType(id), nullptr) << id;
  }
}

TEST(FindGgmlType, NamesAreExact) {
  ASSERT_NE(FindGgmlType("Q4_K"), nullptr);
  EXPECT_EQ(FindGgmlType("Q4_K")->type, GgmlType::kQ4_K);
  EXPECT_EQ(FindGgmlType("q4_K"), nullptr);
  EXPECT_EQ(FindGgmlType("Q4_K_M"), nullptr);
  EXPECT_EQ(FindGgmlType(""), nullptr);
}

TEST(GgmlBytes, WholeBlocksOnly) {
  EXPECT_EQ(GgmlBytes(GgmlType::kF32, 7), 28u);
  EXPECT_EQ(GgmlBytes(GgmlType::kQ8_0, 64), 68u);
  EXPECT_EQ(GgmlBytes(GgmlType::kQ8_0, 65), std::nullopt);
  EXPECT_EQ(GgmlBytes(GgmlType::kQ4_K, 0), 0u);
  EXPECT_EQ(GgmlBytes(GgmlType::kQ4_K, 512), 288u);
  EXPECT_EQ(GgmlBytes(GgmlType::kQ4_K, 128), std::nullopt);
}

TEST(GgmlBytes, OverflowIsNoSize) {
  EXPECT_EQ(GgmlBytes(GgmlType::kF64, std::numeric_limits<uint64_t>::max()), std::nullopt);
  EXPECT_EQ(GgmlBytes(GgmlType::kF64, uint64_t{1} << 61), std::nullopt);
  EXPECT_EQ(GgmlBytes(GgmlType::kF64, (uint64_t{1} << 61) - 1),
            std::numeric_limits<uint64_t>::max() - 7);
  // Blocks are fewer bytes than values here: the largest whole number of blocks still fits.
  EXPECT_TRUE(GgmlBytes(GgmlType::kQ4_K, std::numeric_limits<uint64_t>::max() / 256 * 256));
}

TEST(IsQuantizable, ListedTypesAreNot) {
  EXPECT_TRUE(IsQuantizable(GgmlType::kF32));
  EXPECT_TRUE(IsQuantizable(GgmlType::kQ6_K));
  EXPECT_FALSE(IsQuantizable(GgmlType::kI32));
  EXPECT_FALSE(IsQuantizable(FindGgmlType("IQ4_NL")->type));
  EXPECT_FALSE(IsQuantizable(FindGgmlType("Q8_K")->type));
}

// One infinite or NaN scale at a known place of the second of two blocks.
struct ScalePlace {
  const char* type;
  size_t offset;
};

class ScalesAreFiniteAt : public testing::TestWithParam<ScalePlace> {};

TEST_P(ScalesAreFiniteAt, InfinityAndNanAreSeen) {
  const GgmlTypeInfo& info = *FindGgmlType(std::string_view(GetParam().type));
  const size_t size = static_cast<size_t>(info.block_bytes);
  std::vector<std::byte> bytes(2 * size);
  EXPECT_TRUE(ScalesAreFinite(info.type, bytes));
  std::byte& high = bytes[size + GetParam().offset + 1];  // the byte with the exponent
  for (const int infinite : {0x7c, 0xfc, 0x7e}) {
    high = static_cast<std::byte>(infinite);
    EXPECT_FALSE(ScalesAreFinite(info.type, bytes)) << infinite;
  }
  high = std::byte{0x7b};
  EXPECT_TRUE(ScalesAreFinite(info.type, bytes));
}

INSTANTIATE_TEST_SUITE_P(
    EveryField, ScalesAreFiniteAt,
    testing::Values(ScalePlace{"F16", 0}, ScalePlace{"Q4_0", 0}, ScalePlace{"Q4_1", 0},
                    ScalePlace{"Q4_1", 2}, ScalePlace{"Q5_0", 0}, ScalePlace{"Q5_1", 0},
                    ScalePlace{"Q5_1", 2}, ScalePlace{"Q8_0", 0}, ScalePlace{"Q2_K", 80},
                    ScalePlace{"Q2_K", 82}, ScalePlace{"Q3_K", 108}, ScalePlace{"Q4_K", 0},
                    ScalePlace{"Q4_K", 2}, ScalePlace{"Q5_K", 0}, ScalePlace{"Q5_K", 2},
                    ScalePlace{"Q6_K", 208}),
    [](const auto& test) {
      return std::string(test.param.type) + "_at_" + std::to_string(test.param.offset);
    });

TEST(ScalesAreFinite, PlainValuesCountAsScales) {
  const uint32_t f32[] = {0x7f7fffffu, 0x7f800000u};
  EXPECT_TRUE(ScalesAreFinite(GgmlType::kF32, std::as_bytes(std::span(f32).first(1))));
  EXPECT_FALSE(ScalesAreFinite(GgmlType::kF32, std::as_bytes(std::span(f32))));
  const uint16_t bf16[] = {0x7f7f, 0xff80};
  EXPECT_TRUE(ScalesAreFinite(GgmlType::kBF16, std::as_bytes(std::span(bf16).first(1))));
  EXPECT_FALSE(ScalesAreFinite(GgmlType::kBF16, std::as_bytes(std::span(bf16))));
}

}  // namespace
}  // namespace llmq
