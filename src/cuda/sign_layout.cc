#include "cuda/sign_layout.h"

#include <algorithm>

namespace llmq::cuda {

void LayOutSigns(const SignTiles& tiles, std::span<uint32_t> words) {
  std::fill(words.begin(), words.end(), 0u);
  const int64_t chunks = TileChunks(tiles.cols);
  for (int64_t row = 0; row < tiles.rows; ++row) {
    for (int64_t word = 0; word < chunks; ++word) {
      const int64_t from = (row / kTileRows * chunks + word) * kTileRows + row % kTileRows;
      words[static_cast<size_t>(SignWordIndex(tiles.cols, row, word))] = tiles.words[from];
    }
  }
}

}  // namespace llmq::cuda
