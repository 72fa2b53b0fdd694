// Products with sign matrices with AVX2: floats from tables of 16 sums, 8 rows at a time; 8-bit
// inputs bit by bit.
//
// Before: kernels_scalar.cc defines them. Compiled with its own flags; everything but the two
// tables is in an anonymous namespace and nothing of the standard library is called.
#include <immintrin.h>

#include "kernels/versions.h"

namespace llmq {
namespace {

constexpr int64_t kLanes = 8;
constexpr int64_t kGroups = kTileCols / 4;  // groups of four columns in a chunk

// All ones in the first n lanes.
__m256i First(int64_t n) {
  const int count = static_cast<int>(n < 0 ? 0 : n > kLanes ? kLanes : n);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// scale[j .. j + 8) * x[j .. j + 8), zeros from column `cols` on.
__m256 Scaled(const uint16_t* scale, const float* x, int64_t j, int64_t cols) {
  if (j >= cols) return _mm256_setzero_ps();
  const bool whole = j + kLanes <= cols;
  const __m256 values = whole ? _mm256_loadu_ps(x + j) : _mm256_maskload_ps(x + j, First(cols - j));
  if (scale == nullptr) return values;
  alignas(16) uint16_t rest[kLanes] = {};
  if (!whole) __builtin_memcpy(rest, scale + j, static_cast<size_t>(cols - j) * 2);
  const auto* halves = reinterpret_cast<const __m128i*>(whole ? scale + j : rest);
  return _mm256_mul_ps(_mm256_cvtph_ps(_mm_loadu_si128(halves)), values);
}

// The sign bit in the lanes whose bit is set.
__m256 Negative(int lanes) {
  const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(lanes), bit), bit);
  return _mm256_castsi256_ps(_mm256_slli_epi32(set, 31));
}

// Rows [begin, end) of whole blocks to `out`, which has room for those before `end` only.
void StoreRows(const float* block, int64_t row, int64_t end, float* out) {
  const int64_t n = end - row < kTileRows ? end - row : kTileRows;
  __builtin_memcpy(out, block, static_cast<size_t>(n) * 4);
}

// --- Float32 inputs. Prepared: a table of 16 floats per four columns: entry e has their sum with
// the signs of e's bits. -------------------------------------------------------------------------

int64_t ExactBytes(int64_t cols) noexcept { return TileChunks(cols) * kGroups * 64; }

void ExactPrepare(const uint16_t* scale, const float* x, int64_t cols,
                  std::byte* prepared) noexcept {
  auto* tables = reinterpret_cast<float*>(prepared);
  for (int64_t j = 0; j < TileChunks(cols) * kTileCols; j += kLanes) {
    alignas(32) float v[kLanes];
    _mm256_store_ps(v, Scaled(scale, x, j, cols));
    for (int64_t g = 0; g < kLanes; g += 4, tables += 16) {
      // Lanes are entries 0-7, then 8-15; bit k of an entry is the sign of the k-th value.
      const __m256 a = _mm256_xor_ps(_mm256_set1_ps(v[g]), Negative(0b10101010));
      const __m256 b = _mm256_xor_ps(_mm256_set1_ps(v[g + 1]), Negative(0b11001100));
      const __m256 c = _mm256_xor_ps(_mm256_set1_ps(v[g + 2]), Negative(0b11110000));
      const __m256 d = _mm256_set1_ps(v[g + 3]);
      const __m256 ab = _mm256_add_ps(a, b);
      _mm256_store_ps(tables, _mm256_add_ps(ab, _mm256_add_ps(c, d)));
      _mm256_store_ps(tables + 8, _mm256_add_ps(ab, _mm256_sub_ps(c, d)));
    }
  }
}

// 8 rows whose words begin at `words`, 16 words from chunk to chunk.
__m256 ExactRows(const uint32_t* words, const float* tables, int64_t chunks) {
  __m256 sum = _mm256_setzero_ps();
  for (int64_t chunk = 0; chunk < chunks; ++chunk, words += kTileRows) {
    const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    for (int g = 0; g < kGroups; ++g, tables += 16) {
      const __m256i index = _mm256_srli_epi32(word, 4 * g);
      const __m256 low = _mm256_permutevar8x32_ps(_mm256_load_ps(tables), index);
      const __m256 high = _mm256_permutevar8x32_ps(_mm256_load_ps(tables + 8), index);
      const __m256 fourth = _mm256_castsi256_ps(_mm256_slli_epi32(word, 28 - 4 * g));
      sum = _mm256_add_ps(sum, _mm256_blendv_ps(low, high, fourth));
    }
  }
  return sum;
}

void ExactSums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
               float* out) noexcept {
  const int64_t chunks = TileChunks(signs.cols);
  const auto* tables = reinterpret_cast<const float*>(prepared);
  for (int64_t row = begin; row < end; row += kTileRows) {
    const uint32_t* words = signs.words + row * chunks;
    alignas(32) float sums[kTileRows];
    _mm256_store_ps(sums, ExactRows(words, tables, chunks));
    _mm256_store_ps(sums + kLanes, ExactRows(words + kLanes, tables, chunks));
    StoreRows(sums, row, end, out + row - begin);
  }
}

// --- 8-bit inputs. Prepared: per block of 256 its scale, the sum of its values, and the values:
// for each chunk and bit the four values that this bit of the four bytes of a word stands for. ----

struct alignas(64) Int8Block {
  float scale;
  int32_t sum;
  alignas(64) int8_t values[kInputBlock / kTileCols][8][4];
};

int64_t Int8Bytes(int64_t cols) noexcept {
  return (cols + kInputBlock - 1) / kInputBlock * static_cast<int64_t>(sizeof(Int8Block));
}

float Largest(__m256i largest) {
  __m128i four =
      _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(four));
}

void Int8Prepare(const uint16_t* scale, const float* x, int64_t cols,
                 std::byte* prepared) noexcept {
  auto* block = reinterpret_cast<Int8Block*>(prepared);
  for (int64_t begin = 0; begin < cols; begin += kInputBlock, ++block) {
    alignas(32) float values[kInputBlock];
    __m256i largest = _mm256_setzero_si256();
    for (int64_t j = 0; j < kInputBlock; j += kLanes) {
      const __m256 v = Scaled(scale, x, begin + j, cols);
      _mm256_store_ps(values + j, v);
      largest = _mm256_max_epi32(
          largest, _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(INT32_MAX)));
    }
    const float limit = Largest(largest);
    const bool finite = limit < __builtin_inff();
    const bool zero = limit < 0x1p-100f;
    block->scale = zero ? 0.0f : finite ? limit / 127.0f : __builtin_nanf("");
    const __m256 inverse = _mm256_set1_ps(finite && !zero ? 127.0f / limit : 0.0f);
    const __m256 valid = _mm256_castsi256_ps(_mm256_set1_epi32(finite && !zero ? -1 : 0));
    __m256i sum = _mm256_setzero_si256();
    for (int64_t j = 0; j < kInputBlock; j += kLanes) {
      const __m256 scaled = _mm256_mul_ps(_mm256_load_ps(values + j), inverse);
      const __m256i whole = _mm256_cvtps_epi32(_mm256_and_ps(scaled, valid));
      sum = _mm256_add_epi32(sum, whole);
      alignas(32) int32_t rounded[kLanes];
      _mm256_store_si256(reinterpret_cast<__m256i*>(rounded), whole);
      for (int b = 0; b < kLanes; ++b)
        block->values[j / kTileCols][b][j % kTileCols / 8] = static_cast<int8_t>(rounded[b]);
    }
    alignas(32) int32_t sums[kLanes];
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums), sum);
    block->sum = 0;
    for (const int32_t part : sums) block->sum += part;
  }
}

// The values whose bit is set, of 8 rows and `chunks` chunks: 16-bit sums of two products cannot
// overflow within a block (8 chunks x 8 bits x 2 x 127).
__m256i SetSum(const uint32_t* words, const Int8Block& block, int64_t chunks) {
  __m256i sum = _mm256_setzero_si256();
  for (int64_t chunk = 0; chunk < chunks; ++chunk, words += kTileRows) {
    const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    for (int b = 0; b < 8; ++b) {
      int32_t four;
      __builtin_memcpy(&four, block.values[chunk][b], 4);
      const __m256i bits = _mm256_and_si256(_mm256_srli_epi32(word, b), _mm256_set1_epi8(1));
      sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(bits, _mm256_set1_epi32(four)));
    }
  }
  return _mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

void Int8Sums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
              float* out) noexcept {
  constexpr int64_t kBlockChunks = kInputBlock / kTileCols;
  const int64_t chunks = TileChunks(signs.cols);
  for (int64_t row = begin; row < end; row += kTileRows) {
    const auto* block = reinterpret_cast<const Int8Block*>(prepared);
    const uint32_t* words = signs.words + row * chunks;
    __m256 totals[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int64_t chunk = 0; chunk < chunks; chunk += kBlockChunks, ++block) {
      const int64_t n = chunks - chunk < kBlockChunks ? chunks - chunk : kBlockChunks;
      const __m256i all = _mm256_set1_epi32(block->sum);
      for (int half = 0; half < 2; ++half) {
        const __m256i set = SetSum(words + chunk * kTileRows + half * kLanes, *block, n);
        const __m256i sum = _mm256_sub_epi32(all, _mm256_add_epi32(set, set));
        totals[half] = _mm256_add_ps(
            totals[half], _mm256_mul_ps(_mm256_set1_ps(block->scale), _mm256_cvtepi32_ps(sum)));
      }
    }
    alignas(32) float sums[kTileRows];
    _mm256_store_ps(sums, totals[0]);
    _mm256_store_ps(sums + kLanes, totals[1]);
    StoreRows(sums, row, end, out + row - begin);
  }
}

}  // namespace

const SignProduct kExactAvx2 = {ExactBytes, ExactPrepare, ExactSums};
const SignProduct kInt8Avx2 = {Int8Bytes, Int8Prepare, Int8Sums};

}  // namespace llmq
