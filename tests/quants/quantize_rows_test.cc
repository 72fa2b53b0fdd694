// What does not change the bytes (threads, instruction sets, alignment, tails) and how far values
// move.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "llmq/ggml_type.h"
#include "quants/quantize_blocks.h"
#include "tests/quants/test_rows.h"

namespace llmq {
namespace {

constexpr const char* kQuantizable[] = {"F32",  "F16",  "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0",
                                        "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"};

std::vector<float> RoundTrip(GgmlType type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(*GgmlBytes(type, values.size()));
  QuantizeRows(type, 1, static_cast<int64_t>(values.size()), values, bytes, 1);
  std::vector<float> back(values.size());
  DequantizeRow(type, bytes, back);
  return back;
}

class QuantizeRowsOf : public testing::TestWithParam<const char*> {
 protected:
  std::vector<std::byte> Quantized(int64_t rows, int64_t cols, const std::vector<float>& values,
                                   int threads) const {
    std::vector<std::byte> bytes(*GgmlBytes(info_.type, values.size()));
    QuantizeRows(info_.type, rows, cols, values, bytes, threads);
    return bytes;
  }
  const GgmlTypeInfo& info_ = *FindGgmlType(std::string_view(GetParam()));
};

// One long row, many short ones and one of them per thread: all the same blocks.
TEST_P(QuantizeRowsOf, ThreadsAndRowsDoNotChangeTheBytes) {
  constexpr int64_t kCount = 32768 * 5 + 768;  // no multiple of a thread's share
  const std::vector<float> values = RowSource("mixed_groups", 77).Take(kCount);
  const std::vector<std::byte> expected = Quantized(1, kCount, values, 1);
  for (const int threads : {1, 2, 5, 0}) {
    EXPECT_EQ(Quantized(1, kCount, values, threads), expected) << threads;
    EXPECT_EQ(Quantized(kCount / 256, 256, values, threads), expected) << threads;
  }
}

TEST_P(QuantizeRowsOf, NoRowsOrColumnsAreNoBytes) {
  EXPECT_TRUE(Quantized(0, 256, {}, 2).empty());
  EXPECT_TRUE(Quantized(3, 0, {}, 2).empty());
}

// Every number of blocks up to two of the widest vectors, and output at an odd address.
TEST_P(QuantizeRowsOf, InstructionSetsGiveTheSameBytesAtEveryLength) {
  for (int64_t blocks = 1; blocks <= 9; ++blocks) {
    for (const std::string_view kind : kRowKinds) {
      const std::vector<float> values =
          RowSource(kind, static_cast<uint64_t>(blocks)).Take(blocks * info_.block_values);
      const size_t size = *GgmlBytes(info_.type, values.size());
      std::vector<std::byte> expected(size);
      QuantizeBlocks(info_.type, GroupFitsFor(FitPath::kScalar), values.data(), blocks,
                     expected.data());
      for (const FitPath path : {FitPath::kAvx2, FitPath::kAvx512}) {
        if (!FitPathAvailable(path)) continue;
        std::vector<std::byte> found(1 + size);
        QuantizeBlocks(info_.type, GroupFitsFor(path), values.data(), blocks, found.data() + 1);
        EXPECT_TRUE(std::equal(expected.begin(), expected.end(), found.begin() + 1))
            << kind << ", " << blocks << " blocks, path " << static_cast<int>(path);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, QuantizeRowsOf, testing::ValuesIn(kQuantizable),
                         [](const auto& test) { return std::string(test.param); });

// Blocks of 32: no value moves further than half a step (a whole one where the code of the other
// end is missing) and what fp16 loses on scale and minimum.
struct Step {
  const char* type;
  bool symmetric;
  double steps;  // from 0 to the largest magnitude, or from minimum to maximum
  double move;   // in steps
};

class RoundTripOfBlocks32 : public testing::TestWithParam<Step> {};

TEST_P(RoundTripOfBlocks32, NoValueMovesFar) {
  const GgmlType type = FindGgmlType(std::string_view(GetParam().type))->type;
  for (const std::string_view kind : {"gaussian", "cubed", "outliers", "positive", "steps"}) {
    const std::vector<float> x = RowSource(kind, 5).Take(8192);
    const std::vector<float> back = RoundTrip(type, x);
    for (size_t block = 0; block < x.size(); block += 32) {
      const auto [low, high] = std::minmax_element(&x[block], &x[block] + 32);
      const double largest = std::max(std::fabs(*low), std::fabs(*high));
      const double range = GetParam().symmetric ? largest : *high - *low;
      const double bound =
          range / GetParam().steps * GetParam().move + (largest + range) * 0x1p-11 + 0x1p-25;
      for (size_t i = block; i < block + 32; ++i) {
        ASSERT_LE(std::fabs(x[i] - back[i]), bound) << kind << " " << i << ": " << x[i];
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, RoundTripOfBlocks32,
                         testing::Values(Step{"Q4_0", true, 8, 1.0}, Step{"Q4_1", false, 15, 0.5},
                                         Step{"Q5_0", true, 16, 1.0}, Step{"Q5_1", false, 31, 0.5},
                                         Step{"Q8_0", true, 127, 0.5}),
                         [](const auto& test) { return std::string(test.param.type); });

// sqrt(sum (x - back)^2 / sum x^2)
double RelativeError(const std::vector<float>& x, const std::vector<float>& back) {
  double error = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(back[i]);
    error += difference * difference;
    size += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return std::sqrt(error / size);
}

// Each further bit about halves the error of Gaussian values. The limits are about a tenth above
// what ggml's bytes give.
TEST(RoundTripOfBlocks256, ErrorOfGaussianValues) {
  const std::vector<float> x = RowSource("gaussian", 6).Take(1 << 16);
  const std::pair<GgmlType, double> limits[] = {{GgmlType::kQ2_K, 0.32},
                                                {GgmlType::kQ3_K, 0.16},
                                                {GgmlType::kQ4_K, 0.08},
                                                {GgmlType::kQ5_K, 0.04},
                                                {GgmlType::kQ6_K, 0.02}};
  for (const auto& [type, limit] : limits) {
    const double error = RelativeError(x, RoundTrip(type, x));
    EXPECT_LT(error, limit) << InfoOf(type).name;
    EXPECT_GT(error, limit / 2) << InfoOf(type).name;
  }
}

}  // namespace
}  // namespace llmq
