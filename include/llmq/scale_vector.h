// The scale vectors of a compressed layer as they are stored: fp16, or codes of 8, 6 or 4 bits.
//
// A product of signs misses a matrix by tens of percents, so its scales need not be true to a
// thousandth, and in a small layer 16 bits each are a fifth of everything. Codes count steps of
// fp16's own bits, which are nearly logarithms: code c stands for the fp16 number whose bits are
// base + step * c, and 0 for zero. There are no negative ones: a sign is worth more as a sign of U
// or V. Reference: docs/format/littlebit.md, "Scale vectors".
#ifndef LLMQ_SCALE_VECTOR_H_
#define LLMQ_SCALE_VECTOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace llmq {

inline constexpr int kHalfScaleBits = 16;

constexpr bool IsScaleBits(int bits) {
  return bits == kHalfScaleBits || bits == 8 || bits == 6 || bits == 4;
}

// Bytes of a vector of `size` scales.
int64_t ScaleBytes(int64_t size, int bits);

// A stored vector; borrows its bytes.
class ScaleView {
 public:
  // fp16 values, in place.
  ScaleView(std::span<const uint16_t> halves);  // NOLINT: every fp16 vector is one
  // `bytes`: ScaleBytes(size, bits) of them, at a multiple of 2.
  ScaleView(int64_t size, int bits, const std::byte* bytes);

  int64_t size() const { return size_; }
  int bits() const { return bits_; }
  std::span<const std::byte> bytes() const { return bytes_; }

  // fp16, i in [0, size).
  uint16_t half(int64_t i) const;
  float operator[](int64_t i) const;
  // All of them, out [size] fp16.
  void CopyTo(uint16_t* out) const;

 private:
  int64_t size_ = 0;
  int bits_ = kHalfScaleBits;
  std::span<const std::byte> bytes_;
  // With codes only.
  uint32_t base_ = 0;
  uint32_t step_ = 0;
};

// What no writer makes: "[3]: expected a finite fp16 value, found 0x7c00", or the like.
std::optional<std::string> FindScaleFault(const ScaleView& scales);

// scales [n] f32 -> `out` [ScaleBytes(n, bits)], which is 0 before. Codes are those of the nearest
// magnitudes on a grid down from the largest, of some ranges the one of least squared error. `name`
// is for Error{kFactorizationFailed}, thrown if a scale is not finite in fp16.
void StoreScales(std::span<const float> scales, int bits, const char* name, std::byte* out);

}  // namespace llmq

#endif  // LLMQ_SCALE_VECTOR_H_
