// Codes of at most 8 bits one after another: code i is bits `bits * i` and up of the bytes, the
// lowest first. Reference: docs/format/littlebit.md, "Grouped tensors" and "Scale vectors".
#ifndef LLMQ_CORE_CODE_STREAM_H_
#define LLMQ_CORE_CODE_STREAM_H_

#include <cstddef>
#include <cstdint>

namespace llmq {

constexpr uint32_t LargestCode(int bits) { return (1u << bits) - 1; }

inline uint32_t GetCode(const std::byte* codes, int bits, int64_t i) {
  const int64_t byte = i * bits / 8;
  const int shift = static_cast<int>(i * bits % 8);
  uint32_t window = static_cast<uint32_t>(codes[byte]) >> shift;
  if (shift + bits > 8) window |= static_cast<uint32_t>(codes[byte + 1]) << (8 - shift);
  return window & LargestCode(bits);
}

// Where the bits are 0 before. Precondition: code <= LargestCode(bits).
inline void PutCode(std::byte* codes, int bits, int64_t i, uint32_t code) {
  const int64_t byte = i * bits / 8;
  const int shift = static_cast<int>(i * bits % 8);
  codes[byte] |= static_cast<std::byte>(code << shift);
  if (shift + bits > 8) codes[byte + 1] |= static_cast<std::byte>(code >> (8 - shift));
}

}  // namespace llmq

#endif  // LLMQ_CORE_CODE_STREAM_H_
