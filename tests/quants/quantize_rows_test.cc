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

class QuantizeRowsOf : public testing::TestWithParam<const char*> {
 protected:
  std::vector<std::byte> Quantized(int64_t rows, int64_t cols, const std::vector<float>& values,
                                   int threads) const {
    std::vector<std::byte> bytes(*GgmlBytes(info_.type, values.size()));
    QuantizeRows(info_.type, rows, cols, values, bytes, threads);
    return bytes;
  }
  std::vector<float> RoundTrip(const std::vector<float>& values) const {
    const int64_t cols = static_cast<int64_t>(values.size());
    std::vector<float> back(values.size());
    DequantizeRow(info_.type, Quantized(1, cols, values, 1), back);
    return back;
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

// sqrt(mean (x - back)^2 / mean x^2)
double RelativeError(const std::vector<float>& x, const std::vector<float>& back) {
  double error = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += std::pow(static_cast<double>(x[i]) - static_cast<double>(back[i]), 2);
    size += std::pow(static_cast<double>(x[i]), 2);
  }
  return std::sqrt(error / size);
}
}  // namespace
}  // namespace llmq
