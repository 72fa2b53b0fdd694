// The payload of a compressed layer: sizes, views and packing.
//
// Before: compress/export hands over float factors. After: formats/littlebit_writer stores the
// payload as it is, and runtime/linear multiplies with views of it. Source:
// docs/format/littlebit.md, "Payload of a LittleBit layer". Reconstruction to a dense matrix is in
// dense.cc.
#include "llmq/littlebit.h"

#include <fmt/core.h>

#include <cstring>

#include "base/bytes.h"
#include "base/half.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// Where the five arrays of one path begin, in bytes from the path's begin.
struct PathLayout {
  int64_t v, u, g, h, l, end;

  explicit PathLayout(const LittleBitShape& shape) {
    const auto align = [](int64_t bytes) {
      return static_cast<int64_t>(AlignUp(static_cast<uint64_t>(bytes), kArrayAlignment));
    };
    v = 0;
    u = align(v + shape.rank * ((shape.d_in + 7) / 8));
    g = align(u + shape.rank * ((shape.d_out + 7) / 8));
    h = align(g + shape.d_in * 2);
    l = align(h + shape.d_out * 2);
    end = align(l + shape.rank * 2);
  }
};

// values [rows, cols] f32 -> bits at `out`, which are 0 before.
void PackSigns(std::span<const float> values, int64_t rows, int64_t cols, std::byte* out) {
  const int64_t row_bytes = (cols + 7) / 8;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col) {
      if (values[row * cols + col] < 0) out[row * row_bytes + col / 8] |= std::byte{1} << (col % 8);
    }
  }
}

// scales [n] f32 -> fp16 at `out`.
void PackScales(std::span<const float> scales, const char* name, std::byte* out) {
  for (size_t i = 0; i < scales.size(); ++i) {
    const uint16_t half = FloatToHalf(scales[i]);
    if ((half & 0x7c00u) == 0x7c00u) {
      throw Error(
          ErrorCode::kFactorizationFailed,
          fmt::format("scale {}[{}]: expected a finite fp16 value, found {}", name, i, scales[i]),
          "Check the model's weights for NaN, Inf or extreme values");
    }
    std::memcpy(out + i * 2, &half, 2);
  }
}

std::span<const uint16_t> Halves(const std::byte* data, int64_t count) {
  return {reinterpret_cast<const uint16_t*>(data), static_cast<size_t>(count)};
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
  return (shape.paths - 1) * layout.end + layout.l + shape.rank * 2;
}

std::vector<LittleBitPathView> ViewLittleBitPaths(const LittleBitShape& shape,
                                                  std::span<const std::byte> payload) {
  const PathLayout layout(shape);
  std::vector<LittleBitPathView> paths;
  for (int64_t p = 0; p < shape.paths; ++p) {
    const std::byte* begin = payload.data() + p * layout.end;
    paths.push_back({.v = Signs(begin + layout.v, shape.rank, shape.d_in),
                     .u = Signs(begin + layout.u, shape.rank, shape.d_out),
                     .g = Halves(begin + layout.g, shape.d_in),
                     .h = Halves(begin + layout.h, shape.d_out),
                     .l = Halves(begin + layout.l, shape.rank)});
  }
  return paths;
}

LittleBitLinear PackLittleBit(const LittleBitShape& shape,
                              std::span<const LittleBitPathValues> paths) {
  LittleBitLinear packed{shape, {}};
  packed.payload.resize(static_cast<size_t>(LittleBitPayloadBytes(shape)));
  const PathLayout layout(shape);
  std::byte* begin = packed.payload.data();
  for (const LittleBitPathValues& path : paths) {
    PackSigns(path.v, shape.rank, shape.d_in, begin + layout.v);
    PackSigns(path.u, shape.rank, shape.d_out, begin + layout.u);
    PackScales(path.g, "g", begin + layout.g);
    PackScales(path.h, "h", begin + layout.h);
    PackScales(path.l, "l", begin + layout.l);
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
    std::memcpy(begin + layout.g, path.g.data(), path.g.size_bytes());
    std::memcpy(begin + layout.h, path.h.data(), path.h.size_bytes());
    std::memcpy(begin + layout.l, path.l.data(), path.l.size_bytes());
    begin += layout.end;
  }
  return packed;
}

}  // namespace llmq
