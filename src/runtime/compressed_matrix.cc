#include "runtime/compressed_matrix.h"

#include <algorithm>

#include "kernels/sign_tiles.h"

namespace llmq {
namespace {

// As LargeMemory::Take rounds.
uint64_t Rounded(int64_t bytes) { return (static_cast<uint64_t>(bytes) + 63) / 64 * 64; }

SignBits Bits(const SignMatrixView& view) { return {view.bytes.data(), view.rows, view.cols}; }

// Layout hands out const views of memory that is ours to fill.
uint32_t* Words(const SignTiles& tiles) { return const_cast<uint32_t*>(tiles.words); }
void Copy(const ScaleView& from, const uint16_t* to) { from.CopyTo(const_cast<uint16_t*>(to)); }

}  // namespace

uint64_t CompressedBytes(const LittleBitShape& shape) {
  const uint64_t path = Rounded(4 * SignTileWords(shape.rank, shape.d_in)) +
                        Rounded(4 * SignTileWords(shape.d_out, shape.rank)) +
                        Rounded(2 * shape.d_in) + Rounded(2 * shape.d_out) +
                        Rounded(2 * shape.rank);
  return path * static_cast<uint64_t>(shape.paths);
}

std::vector<CompressedPath> Layout(const LittleBitShape& shape, LargeMemory& memory) {
  const auto words = [&](int64_t rows, int64_t cols) {
    const auto bytes = memory.Take(static_cast<uint64_t>(4 * SignTileWords(rows, cols)));
    return SignTiles{reinterpret_cast<const uint32_t*>(bytes.data()), rows, cols};
  };
  const auto halves = [&](int64_t n) {
    return reinterpret_cast<const uint16_t*>(memory.Take(static_cast<uint64_t>(2 * n)).data());
  };
  std::vector<CompressedPath> paths(static_cast<size_t>(shape.paths));
  for (CompressedPath& path : paths) {
    path.g = halves(shape.d_in);
    path.v = words(shape.rank, shape.d_in);
    path.l = halves(shape.rank);
    path.u = words(shape.d_out, shape.rank);
    path.h = halves(shape.d_out);
  }
  return paths;
}

void Fill(const LittleBitPathView& from, const CompressedPath& to) {
  PackRows(Bits(from.v), Words(to.v));
  PackColumns(Bits(from.u), Words(to.u));
  Copy(from.g, to.g);
  Copy(from.h, to.h);
  Copy(from.l, to.l);
}

}  // namespace llmq
