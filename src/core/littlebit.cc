// The payload of a compressed layer: sizes, views and packing.
//
// Before: compress/export hands over float factors. After: formats/littlebit_writer stores the
// payload as it is, and runtime/linear multiplies with views of it. Source:
// docs/format/littlebit.md, "Payload of a LittleBit layer". Reconstruction to a dense matrix is in
// dense.cc.
#include "llmq/littlebit.h"

#include <cstring>

#include "base/bytes.h"

namespace llmq {
namespace {

// Where the five arrays of one path begin, in bytes from the path's begin.
struct PathLayout {
  int64_t v, u, g, h, l;
  int64_t last;  // behind the last array
  int64_t end;   // where another path begins

  explicit PathLayout(const LittleBitShape& shape) {
    const auto align = [](int64_t bytes) {
      return static_cast<int64_t>(AlignUp(static_cast<uint64_t>(bytes), kArrayAlignment));
    };
    v = 0;
    u = align(v + shape.rank * ((shape.d_in + 7) / 8));
    g = align(u + shape.rank * ((shape.d_out + 7) / 8));
    h = align(g + ScaleBytes(shape.d_in, shape.scale_bits));
    l = align(h + ScaleBytes(shape.d_out, shape.scale_bits));
    last = l + ScaleBytes(shape.rank, shape.scale_bits);
    end = align(last);
  }
};

// values [rows, cols] f32 -> bits at `out`, which are 0 before; turned where the row's or the
// column's scale is negative. Empty scales turn nothing.
void PackSigns(std::span<const float> values, std::span<const float> row_scales,
               std::span<const float> col_scales, int64_t rows, std::byte* out) {
  const int64_t cols = static_cast<int64_t>(values.size()) / rows;
  const int64_t row_bytes = (cols + 7) / 8;
  for (int64_t row = 0; row < rows; ++row) {
    const bool row_turns = !row_scales.empty() && row_scales[row] < 0;
    for (int64_t col = 0; col < cols; ++col) {
      const bool turns = row_turns != (!col_scales.empty() && col_scales[col] < 0);
      const bool negative = (values[row * cols + col] < 0) != turns;
      if (negative) out[row * row_bytes + col / 8] |= std::byte{1} << (col % 8);
    }
  }
}

void Copy(std::span<const std::byte> from, std::byte* to) {
  std::memcpy(to, from.data(), from.size());
}

SignMatrixView Signs(const std::byte* data, int64_t rows, int64_t cols) {
  SignMatrixView view{rows, cols, {}};
  view.bytes = {reinterpret_cast<const uint8_t*>(data),
                static_cast<size_t>(rows * view.row_bytes())};
  return view;
}

}  // namespace

int64_t LittleBitPayloadBytes(const LittleBitShape& shape) {
  const auto bytes = static_cast<uint64_t>(PathLayout(shape).end * shape.paths);
  return static_cast<int64_t>(AlignUp(bytes, kSectionAlignment));
}

int64_t LittleBitArrayBytes(const LittleBitShape& shape) {
  const PathLayout layout(shape);
  return (shape.paths - 1) * layout.end + layout.last;
}

std::vector<LittleBitPathView> ViewLittleBitPaths(const LittleBitShape& shape,
                                                  std::span<const std::byte> payload) {
  const PathLayout layout(shape);
  std::vector<LittleBitPathView> paths;
  for (int64_t p = 0; p < shape.paths; ++p) {
    const std::byte* begin = payload.data() + p * layout.end;
    paths.push_back({.v = Signs(begin + layout.v, shape.rank, shape.d_in),
                     .u = Signs(begin + layout.u, shape.rank, shape.d_out),
                     .g = {shape.d_in, shape.scale_bits, begin + layout.g},
                     .h = {shape.d_out, shape.scale_bits, begin + layout.h},
                     .l = {shape.rank, shape.scale_bits, begin + layout.l}});
  }
  return paths;
}

LittleBitLinear PackLittleBit(const LittleBitShape& shape,
                              std::span<const LittleBitPathValues> paths) {
  LittleBitLinear packed{shape, {}};
  packed.payload.resize(static_cast<size_t>(LittleBitPayloadBytes(shape)));
  const PathLayout layout(shape);
  std::byte* begin = packed.payload.data();
  // Codes have no sign, so a negative scale turns its row or column of signs.
  const auto signs_of = [&](std::span<const float> scales) {
    return shape.scale_bits == kHalfScaleBits ? std::span<const float>() : scales;
  };
  for (const LittleBitPathValues& path : paths) {
    PackSigns(path.v, signs_of(path.l), signs_of(path.g), shape.rank, begin + layout.v);
    PackSigns(path.u, {}, signs_of(path.h), shape.rank, begin + layout.u);
    StoreScales(path.g, shape.scale_bits, "g", begin + layout.g);
    StoreScales(path.h, shape.scale_bits, "h", begin + layout.h);
    StoreScales(path.l, shape.scale_bits, "l", begin + layout.l);
    begin += layout.end;
  }
  return packed;
}

LittleBitLinear PackLittleBit(const LittleBitShape& shape,
                              std::span<const LittleBitPathView> paths) {
  LittleBitLinear packed{shape, {}};
  packed.payload.resize(static_cast<size_t>(LittleBitPayloadBytes(shape)));
  const PathLayout layout(shape);
  std::byte* begin = packed.payload.data();
  for (const LittleBitPathView& path : paths) {
    std::memcpy(begin + layout.v, path.v.bytes.data(), path.v.bytes.size());
    std::memcpy(begin + layout.u, path.u.bytes.data(), path.u.bytes.size());
    Copy(path.g.bytes(), begin + layout.g);
    Copy(path.h.bytes(), begin + layout.h);
    Copy(path.l.bytes(), begin + layout.l);
    begin += layout.end;
  }
  return packed;
}

}  // namespace llmq
