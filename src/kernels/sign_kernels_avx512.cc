// Products of float32 inputs with sign matrices with AVX-512: 16 rows at a time look their sums of
// four columns up in a table of 16 that fits one register.
//
// Before: kernels_scalar.cc defines them. Compiled with its own flags; everything but the table is
// in an anonymous namespace and nothing of the standard library is called.
#include <immintrin.h>

#include "kernels/sign_rows_avx512.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

constexpr int64_t kGroups = kTileCols / 4;  // groups of four columns in a chunk

int64_t ExactBytes(int64_t cols) noexcept { return TileChunks(cols) * kGroups * 64; }

// A table per four columns: entry e has their sum with the signs of e's bits.
void ExactPrepare(const uint16_t* scale, const float* x, int64_t cols,
                  std::byte* prepared) noexcept {
  auto* tables = reinterpret_cast<float*>(prepared);
  const __m512 negative = _mm512_castsi512_ps(_mm512_set1_epi32(INT32_MIN));
  for (int64_t j = 0; j < TileChunks(cols) * kTileCols; j += 16) {
    alignas(64) float v[16];
    _mm512_store_ps(v, Scaled(scale, x, j, cols));
    for (int g = 0; g < 16; g += 4, tables += 16) {
      const __m512 four = _mm512_broadcast_f32x4(_mm_load_ps(v + g));
      const __m512 a = _mm512_mask_xor_ps(_mm512_permute_ps(four, 0x00), 0xaaaa,
                                          _mm512_permute_ps(four, 0x00), negative);
      const __m512 b = _mm512_mask_xor_ps(_mm512_permute_ps(four, 0x55), 0xcccc,
                                          _mm512_permute_ps(four, 0x55), negative);
      const __m512 c = _mm512_mask_xor_ps(_mm512_permute_ps(four, 0xaa), 0xf0f0,
                                          _mm512_permute_ps(four, 0xaa), negative);
      const __m512 d = _mm512_permute_ps(four, 0xff);
      const __m512 cd = _mm512_mask_sub_ps(_mm512_add_ps(c, d), 0xff00, c, d);
      _mm512_store_ps(tables, _mm512_add_ps(_mm512_add_ps(a, b), cd));
    }
  }
}

// kBlocks blocks of rows together, so that a table is loaded once for all of them.
template <int kBlocks>
void ExactBlocks(const uint32_t* words, const std::byte* prepared, int64_t chunks, __m512* out) {
  const auto* tables = reinterpret_cast<const float*>(prepared);
  __m512 sums[kBlocks];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (int64_t chunk = 0; chunk < chunks; ++chunk, tables += 16 * kGroups) {
    __m512i index[kBlocks];
    for (int i = 0; i < kBlocks; ++i) {
      const uint32_t* at = words + (i * chunks + chunk) * kTileRows;
      PrefetchAhead(at + kBlocks * chunks * kTileRows);
      index[i] = _mm512_loadu_si512(at);
    }
    for (int g = 0; g < kGroups; ++g) {
      const __m512 table = _mm512_load_ps(tables + 16 * g);
      for (int i = 0; i < kBlocks; ++i) {
        // Only the low four bits of a lane choose.
        sums[i] = _mm512_add_ps(sums[i], _mm512_permutexvar_ps(index[i], table));
        index[i] = _mm512_srli_epi32(index[i], 4);
      }
    }
  }
  for (int i = 0; i < kBlocks; ++i) out[i] = sums[i];
}

void ExactSums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
               float* out) noexcept {
  ForEachBlocks<ExactBlocks<4>, ExactBlocks<3>, ExactBlocks<2>, ExactBlocks<1>>(signs, prepared,
                                                                                begin, end, out);
}

}  // namespace

const SignProduct kExactAvx512 = {ExactBytes, ExactPrepare, ExactSums};

}  // namespace llmq
