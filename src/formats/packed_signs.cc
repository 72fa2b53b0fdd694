// See the header.
#include "formats/packed_signs.h"

#include <algorithm>
#include <cstring>

namespace llmq {
namespace {

constexpr int64_t BytesPerRow(int64_t cols) { return (cols + 7) / 8; }

// An 8x8 matrix of bits, row i in byte i -> its transpose. Swaps the off-diagonal quarters of
// blocks of 2, 4 and 8.
uint64_t Transpose8x8(uint64_t bits) {
  const auto swap = [&bits](uint64_t mask, int distance) {
    const uint64_t difference = (bits ^ (bits >> distance)) & mask;
    bits ^= difference ^ (difference << distance);
  };
  swap(0x00aa00aa00aa00aau, 7);
  swap(0x0000cccc0000ccccu, 14);
  swap(0x00000000f0f0f0f0u, 28);
  return bits;
}

}  // namespace

std::optional<int64_t> FindPaddingBit(std::span<const std::byte> words, int64_t rows,
                                      int64_t cols) {
  const int64_t row_bytes = WordsPerRow(cols) * 4;
  for (int64_t row = 0; row < rows; ++row) {
    const std::byte* bytes = words.data() + row * row_bytes;
    const bool in_last_byte = cols % 8 != 0 && (bytes[cols / 8] >> (cols % 8)) != std::byte{0};
    const bool behind = std::any_of(bytes + BytesPerRow(cols), bytes + row_bytes,
                                    [](std::byte b) { return b != std::byte{0}; });
    if (in_last_byte || behind) return row;
  }
  return std::nullopt;
}

std::vector<uint8_t> RowsOfBytes(std::span<const std::byte> words, int64_t rows, int64_t cols) {
  const int64_t source_bytes = WordsPerRow(cols) * 4;
  const int64_t row_bytes = BytesPerRow(cols);
  std::vector<uint8_t> out(static_cast<size_t>(rows * row_bytes));
  for (int64_t row = 0; row < rows; ++row) {
    std::memcpy(out.data() + row * row_bytes, words.data() + row * source_bytes,
                static_cast<size_t>(row_bytes));
  }
  return out;
}

std::vector<uint8_t> TransposedRowsOfBytes(std::span<const std::byte> words, int64_t rows,
                                           int64_t cols) {
  const int64_t source_bytes = WordsPerRow(cols) * 4;
  const int64_t out_bytes = BytesPerRow(rows);
  std::vector<uint8_t> out(static_cast<size_t>(cols * out_bytes));
  for (int64_t col = 0; col < cols; col += 8) {
    for (int64_t row = 0; row < rows; row += 8) {
      uint64_t block = 0;  // rows row..row+7, columns col..col+7
      for (int64_t i = 0; i < std::min<int64_t>(8, rows - row); ++i) {
        const std::byte byte = words[static_cast<size_t>((row + i) * source_bytes + col / 8)];
        block |= std::to_integer<uint64_t>(byte) << (8 * i);
      }
      block = Transpose8x8(block);
      for (int64_t i = 0; i < std::min<int64_t>(8, cols - col); ++i) {
        out[static_cast<size_t>((col + i) * out_bytes + row / 8)] =
            static_cast<uint8_t>(block >> (8 * i));
      }
    }
  }
  return out;
}

}  // namespace llmq
