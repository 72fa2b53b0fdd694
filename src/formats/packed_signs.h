// Sign bits from rows of 32-bit words to the rows of bytes of a payload.
//
// Before this: the words of a packed checkpoint as they lie in the file. After this: the sign
// matrices of formats/packed_linear. In both bit c of a row is bit c%8 of byte c/8 and 1 means -1;
// only the padding differs, and U lies the other way round.
#ifndef LLMQ_FORMATS_PACKED_SIGNS_H_
#define LLMQ_FORMATS_PACKED_SIGNS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llmq {

constexpr int64_t WordsPerRow(int64_t cols) { return (cols + 31) / 32; }

// words [rows, WordsPerRow(cols)] i32, little endian. The first row with a bit set behind its last
// column.
std::optional<int64_t> FindPaddingBit(std::span<const std::byte> words, int64_t rows, int64_t cols);

// words as above, no padding bit set -> [rows, ceil(cols/8)] bytes.
std::vector<uint8_t> RowsOfBytes(std::span<const std::byte> words, int64_t rows, int64_t cols);

// words as above -> the transpose, [cols, ceil(rows/8)] bytes.
std::vector<uint8_t> TransposedRowsOfBytes(std::span<const std::byte> words, int64_t rows,
                                           int64_t cols);

}  // namespace llmq

#endif  // LLMQ_FORMATS_PACKED_SIGNS_H_
