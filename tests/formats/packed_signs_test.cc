// Rows of words to rows of bytes, bit by bit, for every tail.
#include "formats/packed_signs.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

struct Bits {
  int64_t rows, cols;
  std::vector<bool> set;            // [rows, cols]
  std::vector<std::byte> in_words;  // [rows, WordsPerRow(cols)] i32
};

Bits RandomBits(int64_t rows, int64_t cols) {
  Bits bits{rows, cols, {}, {}};
  std::vector<uint32_t> words(static_cast<size_t>(rows * ((cols + 31) / 32)));
  const auto values = testing::RandomValues(static_cast<uint64_t>(rows * 1000 + cols),
                                            static_cast<size_t>(rows * cols), 1);
  for (int64_t i = 0; i < rows * cols; ++i) {
    bits.set.push_back(values[i] < 0);
    if (bits.set.back()) {
      words[i / cols * ((cols + 31) / 32) + i % cols / 32] |= uint32_t{1} << (i % cols % 32);
    }
  }
  bits.in_words.resize(words.size() * 4);
  std::memcpy(bits.in_words.data(), words.data(), bits.in_words.size());
  return bits;
}

bool Get(const std::vector<uint8_t>& rows_of_bytes, int64_t cols, int64_t row, int64_t col) {
  return (rows_of_bytes[row * ((cols + 7) / 8) + col / 8] >> (col % 8)) & 1;
}

TEST(PackedSignsTest, KeepsAndTransposesEveryBit) {
  for (const int64_t rows : {1, 2, 7, 8, 9, 16, 31, 33}) {
    for (int64_t cols = 1; cols <= 70; ++cols) {
      const Bits bits = RandomBits(rows, cols);
      ASSERT_FALSE(FindPaddingBit(bits.in_words, rows, cols));
      const auto kept = RowsOfBytes(bits.in_words, rows, cols);
      const auto transposed = TransposedRowsOfBytes(bits.in_words, rows, cols);
      ASSERT_EQ(kept.size(), rows * ((cols + 7) / 8));
      ASSERT_EQ(transposed.size(), cols * ((rows + 7) / 8));
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < cols; ++j) {
          ASSERT_EQ(Get(kept, cols, i, j), bits.set[i * cols + j]) << i << " " << j;
          ASSERT_EQ(Get(transposed, rows, j, i), bits.set[i * cols + j]) << i << " " << j;
        }
      }
      for (int64_t j = 0; j < cols && rows % 8 != 0; ++j) {  // zeros behind the last bit
        ASSERT_EQ(transposed[(j + 1) * ((rows + 7) / 8) - 1] >> (rows % 8), 0);
      }
    }
  }
}

TEST(PackedSignsTest, FindsEveryPaddingBit) {
  for (const int64_t cols : {1, 7, 8, 9, 24, 31, 33, 40, 63}) {
    const int64_t row_bits = (cols + 31) / 32 * 32;
    for (int64_t bit = 0; bit < row_bits; ++bit) {
      std::vector<std::byte> words(static_cast<size_t>(3 * row_bits / 8));
      words[static_cast<size_t>(2 * row_bits / 8 + bit / 8)] = std::byte{1} << (bit % 8);
      const auto found = FindPaddingBit(words, 3, cols);
      EXPECT_EQ(found, bit >= cols ? std::optional<int64_t>(2) : std::nullopt)
          << cols << " " << bit;
    }
  }
}

}  // namespace
}  // namespace llmq
