// What a compressed layer IS: LittleBit's factors and scales, and how they lie in memory and on
// disk.
//
//   W ~ sum_p diag(h_p) U_p diag(l_p) V_p^T diag(g_p)     (arXiv 2506.13771, eq. 4 and 6), p in {1}
//   or {1, 2} y = sum_p (((x * g_p) V_p) * l_p) U_p^T * h_p
//
// with U_p in {+1,-1}^[d_out, r], V_p in {+1,-1}^[d_in, r], h_p [d_out], l_p [r], g_p [d_in] in
// fp16 or fewer bits (scale_vector.h). The payload of a layer, one contiguous piece of bytes, is
// the same in memory and in the file (section "Payload of a LittleBit layer" of
// docs/format/littlebit.md), so a mapped file is used in place.
#ifndef LLMQ_LITTLEBIT_H_
#define LLMQ_LITTLEBIT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "llmq/scale_vector.h"

namespace llmq {

// Bits as rows of whole bytes: bit c of a row is bit c%8 of byte c/8. 1 means -1, 0 means +1.
// Bits past `cols` in a row's last byte are 0. Borrows `bytes`.
struct SignMatrixView {
  int64_t rows = 0;
  int64_t cols = 0;
  std::span<const uint8_t> bytes;  // [rows, row_bytes()]

  int64_t row_bytes() const { return (cols + 7) / 8; }
  const uint8_t* row(int64_t r) const { return bytes.data() + r * row_bytes(); }
  bool negative(int64_t r, int64_t c) const { return (row(r)[c / 8] >> (c % 8)) & 1; }
};

// One path. Both factors are stored rank-major, so no rank needs padding.
struct LittleBitPathView {
  SignMatrixView v;  // [r, d_in], the transpose of the paper's V
  SignMatrixView u;  // [r, d_out], the transpose of the paper's U
  ScaleView g;       // [d_in], column scale
  ScaleView h;       // [d_out], row scale
  ScaleView l;       // [r], latent scale
};

struct LittleBitShape {
  int64_t d_out = 0;
  int64_t d_in = 0;
  int64_t rank = 0;                 // of each path
  int64_t paths = 1;                // 1 or 2
  int scale_bits = kHalfScaleBits;  // or 8, 6, 4

  bool operator==(const LittleBitShape&) const = default;
};

inline constexpr int64_t kMaxPaths = 2;
inline constexpr int64_t kSectionAlignment = 64;  // bytes; payloads are padded to it with zeros
inline constexpr int64_t kArrayAlignment =
    8;  // bytes; each array of a payload begins at a multiple

// Bytes of a layer's payload, padding included: the one definition of a compressed layer's size.
// Precondition: positive dimensions below 2^31, paths 1 or 2.
int64_t LittleBitPayloadBytes(const LittleBitShape& shape);
// The same without the zeros behind the last array.
int64_t LittleBitArrayBytes(const LittleBitShape& shape);

// Views into `payload`, which must be at least LittleBitArrayBytes(shape) long, 2-byte aligned, and
// outlive them.
std::vector<LittleBitPathView> ViewLittleBitPaths(const LittleBitShape& shape,
                                                  std::span<const std::byte> payload);

// A compressed layer that owns its payload.
struct LittleBitLinear {
  LittleBitShape shape;
  std::vector<std::byte> payload;

  std::vector<LittleBitPathView> paths() const { return ViewLittleBitPaths(shape, payload); }
};

// Float values of one path, before packing. Signs are taken as sign(x) with sign(0) = +1.
struct LittleBitPathValues {
  std::span<const float> v;  // [r, d_in] row-major
  std::span<const float> u;  // [r, d_out] row-major
  std::span<const float> g;  // [d_in]
  std::span<const float> h;  // [d_out]
  std::span<const float> l;  // [r]
};
// Packs and rounds the scales to fp16, or to shape.scale_bits; then their signs become signs of U
// and V. Throws Error{kFactorizationFailed} if a scale is not finite in fp16.
LittleBitLinear PackLittleBit(const LittleBitShape& shape,
                              std::span<const LittleBitPathValues> paths);
// Copies signs and fp16 scales that exist already. A path may have a smaller rank than
// shape.rank: latent dimensions with l = 0 fill it up, which adds nothing to W. Precondition: the
// other dimensions agree with `shape`, and scales have 16 bits.
LittleBitLinear PackLittleBit(const LittleBitShape& shape,
                              std::span<const LittleBitPathView> paths);

// out [d_out, d_in] f32 row-major: the matrix that the factors stand for.
void ReconstructDense(const LittleBitShape& shape, std::span<const std::byte> payload,
                      std::span<float> out);

}  // namespace llmq

#endif  // LLMQ_LITTLEBIT_H_
