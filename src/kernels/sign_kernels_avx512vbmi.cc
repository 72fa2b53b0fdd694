// Products of 8-bit inputs with sign matrices with AVX-512 VBMI and VNNI: sums of four columns
// looked up 64 at a time, added by the integer dot product.
//
// A byte of a word of signs holds two groups of four columns; one register holds the tables of 16
// sums of the four bytes' first groups, another those of the second. A sum of four 8-bit values
// does not fit a byte, so a value is 16 a + b, with tables of sums of a and of b; all fit.
// Before: kernels_scalar.cc defines the result. Compiled with its own flags; everything but the
// table is in an anonymous namespace and nothing of the standard library is called.
#include <immintrin.h>

#include "kernels/sign_rows_avx512.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

constexpr int64_t kBlockChunks = kInputBlock / kTileCols;

// Of a chunk. Byte 16 b + e: the sum of four columns with the signs of e's bits, columns 8 b and up
// (first) or 8 b + 4 and up (second).
struct Tables {
  __m512i low_first, low_second;    // of b, in [-60, 60]
  __m512i high_first, high_second;  // of a, in [-32, 32]
};

int64_t Blocks(int64_t cols) { return (cols + kInputBlock - 1) / kInputBlock; }
int64_t ScaleBytes(int64_t cols) { return (Blocks(cols) * 4 + 63) / 64 * 64; }

// Prepared: the scales of the blocks, then the tables of the chunks.
int64_t Int8Bytes(int64_t cols) noexcept {
  return ScaleBytes(cols) + TileChunks(cols) * static_cast<int64_t>(sizeof(Tables));
}

// v0 v1 v2 v3 ... -> for each pair (v0, v1) the sums v0 + v1, -v0 + v1, v0 - v1, -v0 - v1.
__m512i PairSums(__m512i values) {
  // The four bytes of a pair read its first value.
  const __m512i even = _mm512_mullo_epi32(
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30),
      _mm512_set1_epi32(0x01010101));
  const __m512i a = _mm512_permutexvar_epi8(even, values);
  const __m512i b = _mm512_permutexvar_epi8(_mm512_add_epi8(even, _mm512_set1_epi8(1)), values);
  const __m512i first = _mm512_mask_sub_epi8(a, 0xaaaaaaaaaaaaaaaa, _mm512_setzero_si512(), a);
  return _mm512_mask_sub_epi8(_mm512_add_epi8(first, b), 0xcccccccccccccccc, first, b);
}

// Tables of the first or second groups from the sums of pairs: group k of a byte of signs is pairs
// 4 k + 2 second and the next.
__m512i GroupTable(__m512i pair_sums, int second) {
  const __m128i low = _mm_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
  const __m128i high = _mm_setr_epi8(4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7);
  // Pair sums of byte k lie in the k-th 128 bits.
  const __m512i shift = _mm512_set1_epi8(static_cast<char>(8 * second));
  const __m512i first = _mm512_add_epi8(_mm512_broadcast_i32x4(low), shift);
  const __m512i last = _mm512_add_epi8(_mm512_broadcast_i32x4(high), shift);
  return _mm512_add_epi8(_mm512_shuffle_epi8(pair_sums, first),
                         _mm512_shuffle_epi8(pair_sums, last));
}

// values [32] of 8 bits, in the low half.
Tables MakeTables(__m512i values) {
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i eight = _mm512_set1_epi8(8);
  const __m512i low = PairSums(_mm512_and_si512(values, nibble));
  const __m512i stored = _mm512_and_si512(_mm512_srli_epi16(values, 4), nibble);
  const __m512i high = PairSums(_mm512_sub_epi8(_mm512_xor_si512(stored, eight), eight));
  return {GroupTable(low, 0), GroupTable(low, 1), GroupTable(high, 0), GroupTable(high, 1)};
}

// One block of inputs, scaled in `values` [256]: rounds them, makes their tables, gives the scale.
float PrepareBlock(const float* values, float limit, int64_t chunks, Tables* tables) {
  const bool finite = limit < __builtin_inff();
  const bool zero = limit < 0x1p-100f;
  const bool valid = finite && !zero;
  const __m512 inverse = _mm512_set1_ps(valid ? 127.0f / limit : 0.0f);
  const __mmask16 lanes = valid ? 0xffff : 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk, values += kTileCols) {
    const __m512i first =
        _mm512_cvtps_epi32(_mm512_maskz_mul_ps(lanes, _mm512_load_ps(values), inverse));
    const __m512i second =
        _mm512_cvtps_epi32(_mm512_maskz_mul_ps(lanes, _mm512_load_ps(values + 16), inverse));
    const __m256i bytes =
        _mm256_set_m128i(_mm512_cvtepi32_epi8(second), _mm512_cvtepi32_epi8(first));
    tables[chunk] = MakeTables(_mm512_castsi256_si512(bytes));
  }
  return zero ? 0.0f : finite ? limit / 127.0f : __builtin_nanf("");
}

void Int8Prepare(const uint16_t* scale, const float* x, int64_t cols,
                 std::byte* prepared) noexcept {
  auto* scales = reinterpret_cast<float*>(prepared);
  auto* tables = reinterpret_cast<Tables*>(prepared + ScaleBytes(cols));
  const __m512i magnitude = _mm512_set1_epi32(INT32_MAX);
  for (int64_t begin = 0; begin < cols; begin += kInputBlock, tables += kBlockChunks, ++scales) {
    const int64_t left = TileChunks(cols - begin);
    const int64_t chunks = left < kBlockChunks ? left : kBlockChunks;
    alignas(64) float values[kInputBlock];
    __m512i largest = _mm512_setzero_si512();
    for (int64_t j = 0; j < chunks * kTileCols; j += 16) {
      const __m512 v = Scaled(scale, x, begin + j, cols);
      _mm512_store_ps(values + j, v);
      largest = _mm512_max_epi32(largest, _mm512_and_si512(_mm512_castps_si512(v), magnitude));
    }
    const __m128i limit = _mm_cvtsi32_si128(_mm512_reduce_max_epi32(largest));
    *scales = PrepareBlock(values, _mm_cvtss_f32(_mm_castsi128_ps(limit)), chunks, tables);
  }
}

// kBlocks blocks of 16 rows together, so that tables are loaded once for all of them.
template <int kBlocks>
void Int8Blocks(const uint32_t* words, const std::byte* prepared, int64_t chunks, __m512* out) {
  const auto* scales = reinterpret_cast<const float*>(prepared);
  const auto* tables = reinterpret_cast<const Tables*>(prepared + ScaleBytes(chunks * kTileCols));
  const __m512i nibble = _mm512_set1_epi8(15);
  const __m512i table = _mm512_set1_epi32(0x30201000);  // byte b looks into table b
  const __m512i one = _mm512_set1_epi8(1);
  const __m512i sixteen = _mm512_set1_epi8(16);
  constexpr int kOr = 0xea;  // (a & b) | c
  __m512 totals[kBlocks];
  for (__m512& total : totals) total = _mm512_setzero_ps();
  for (int64_t begin = 0; begin < chunks; begin += kBlockChunks, ++scales) {
    const int64_t end = begin + kBlockChunks < chunks ? begin + kBlockChunks : chunks;
    __m512i low[kBlocks], high[kBlocks];
    for (int i = 0; i < kBlocks; ++i) low[i] = high[i] = _mm512_setzero_si512();
    for (int64_t chunk = begin; chunk < end; ++chunk, ++tables) {
      for (int i = 0; i < kBlocks; ++i) {
        const uint32_t* at = words + (i * chunks + chunk) * kTileRows;
        PrefetchAhead(at + kBlocks * chunks * kTileRows);
        const __m512i word = _mm512_loadu_si512(at);
        const __m512i first = _mm512_ternarylogic_epi32(word, nibble, table, kOr);
        const __m512i second =
            _mm512_ternarylogic_epi32(_mm512_srli_epi32(word, 4), nibble, table, kOr);
        const auto add = [](__m512i sum, __m512i factor, __m512i index, const __m512i& sums) {
          return _mm512_dpbusd_epi32(sum, factor, _mm512_permutexvar_epi8(index, sums));
        };
        low[i] = add(low[i], one, first, tables->low_first);
        high[i] = add(high[i], sixteen, first, tables->high_first);
        low[i] = add(low[i], one, second, tables->low_second);
        high[i] = add(high[i], sixteen, second, tables->high_second);
      }
    }
    for (int i = 0; i < kBlocks; ++i) {
      const __m512 sum = _mm512_cvtepi32_ps(_mm512_add_epi32(low[i], high[i]));
      totals[i] = _mm512_add_ps(totals[i], _mm512_mul_ps(_mm512_set1_ps(*scales), sum));
    }
  }
  for (int i = 0; i < kBlocks; ++i) out[i] = totals[i];
}

void Int8Sums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
              float* out) noexcept {
  ForEachBlocks<Int8Blocks<4>, Int8Blocks<3>, Int8Blocks<2>, Int8Blocks<1>>(signs, prepared, begin,
                                                                            end, out);
}

}  // namespace

const SignProduct kInt8Avx512Vbmi = {Int8Bytes, Int8Prepare, Int8Sums};

}  // namespace llmq
