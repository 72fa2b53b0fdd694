// Products with sign matrices with NEON: tables of 16 sums of four columns, floats for 4 rows at a
// time, bytes for 16.
//
// Before: kernels_scalar.cc defines them. A sum of four 8-bit values needs ten bits: values are
// split as 16 a + b, whose sums fit a signed byte each (docs/decisions/0008-kernels.md).
#include <arm_neon.h>

#include "base/half.h"
#include "kernels/int8_block.h"
#include "kernels/versions.h"

namespace llmq {
namespace {

constexpr int kGroups = kTileCols / 4;  // groups of four columns in a chunk
constexpr int kQuads = kTileRows / 4;   // vectors of a block's rows

float Scaled(const uint16_t* scale, const float* x, int64_t j, int64_t cols) {
  if (j >= cols) return 0.0f;
  return scale == nullptr ? x[j] : HalfToFloat(scale[j]) * x[j];
}

// Rows [row, end) of a whole block to `out`, which has room for those before `end` only.
void StoreRows(const float32x4_t* sums, int64_t row, int64_t end, float* out) {
  float block[kTileRows];
  for (int i = 0; i < kQuads; ++i) vst1q_f32(block + 4 * i, sums[i]);
  const int64_t n = end - row < kTileRows ? end - row : kTileRows;
  __builtin_memcpy(out, block, static_cast<size_t>(n) * 4);
}

// --- Float32 inputs. Prepared: a table of 16 floats per four columns: entry e has their sum with
// the signs of e's bits. -------------------------------------------------------------------------

int64_t ExactBytes(int64_t cols) noexcept { return TileChunks(cols) * kGroups * 64; }

void ExactPrepare(const uint16_t* scale, const float* x, int64_t cols,
                  std::byte* prepared) noexcept {
  auto* table = reinterpret_cast<float*>(prepared);
  for (int64_t j = 0; j < TileChunks(cols) * kTileCols; j += 4, table += 16) {
    float v[4];
    for (int k = 0; k < 4; ++k) v[k] = Scaled(scale, x, j + k, cols);
    for (int e = 0; e < 16; ++e) {
      table[e] = ((e & 1 ? -v[0] : v[0]) + (e & 2 ? -v[1] : v[1])) +
                 ((e & 4 ? -v[2] : v[2]) + (e & 8 ? -v[3] : v[3]));
    }
  }
}

void ExactSums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
               float* out) noexcept {
  const int64_t chunks = TileChunks(signs.cols);
  const uint32x4_t four_times = vdupq_n_u32(0x04040404);
  const uint32x4_t bytes = vdupq_n_u32(0x03020100);  // of a float
  for (int64_t row = begin; row < end; row += kTileRows) {
    const uint32_t* words = signs.words + row * chunks;
    const auto* tables = reinterpret_cast<const uint8_t*>(prepared);
    float32x4_t sums[kQuads];
    for (float32x4_t& sum : sums) sum = vdupq_n_f32(0);
    for (int64_t chunk = 0; chunk < chunks; ++chunk, words += kTileRows) {
      uint32x4_t word[kQuads];
      for (int i = 0; i < kQuads; ++i) word[i] = vld1q_u32(words + 4 * i);
      for (int g = 0; g < kGroups; ++g, tables += 64) {
        const uint8x16x4_t table = vld1q_u8_x4(tables);
        for (int i = 0; i < kQuads; ++i) {
          const uint32x4_t entry = vandq_u32(word[i], vdupq_n_u32(15));
          word[i] = vshrq_n_u32(word[i], 4);
          const uint32x4_t index = vmlaq_u32(bytes, entry, four_times);
          const uint8x16_t looked_up = vqtbl4q_u8(table, vreinterpretq_u8_u32(index));
          sums[i] = vaddq_f32(sums[i], vreinterpretq_f32_u8(looked_up));
        }
      }
    }
    StoreRows(sums, row, end, out + row - begin);
  }
}

// --- 8-bit inputs. Prepared: the scales of the blocks, then the tables of the chunks. ------------

constexpr int64_t kBlockChunks = kInputBlock / kTileCols;

// Of a chunk: entry e of a group has the sum of its four columns with the signs of e's bits.
struct Tables {
  int8x16_t low[kGroups];   // of b, in [-60, 60]
  int8x16_t high[kGroups];  // of a, in [-32, 32]
};

int64_t Blocks(int64_t cols) { return (cols + kInputBlock - 1) / kInputBlock; }
int64_t ScaleBytes(int64_t cols) { return (Blocks(cols) * 4 + 63) / 64 * 64; }

int64_t Int8Bytes(int64_t cols) noexcept {
  return ScaleBytes(cols) + TileChunks(cols) * static_cast<int64_t>(sizeof(Tables));
}

int8x16_t SumsOfFour(const int8_t* v) {
  const int8x16_t first = {1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1};
  const int8x16_t second = {1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1};
  const int8x16_t third = {1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1};
  const int8x16_t fourth = {1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1};
  int8x16_t sum = vmulq_s8(first, vdupq_n_s8(v[0]));
  sum = vmlaq_s8(sum, second, vdupq_n_s8(v[1]));
  sum = vmlaq_s8(sum, third, vdupq_n_s8(v[2]));
  return vmlaq_s8(sum, fourth, vdupq_n_s8(v[3]));
}

void Int8Prepare(const uint16_t* scale, const float* x, int64_t cols,
                 std::byte* prepared) noexcept {
  auto* scales = reinterpret_cast<float*>(prepared);
  auto* tables = reinterpret_cast<Tables*>(prepared + ScaleBytes(cols));
  for (int64_t begin = 0; begin < cols; begin += kInputBlock, ++scales) {
    const int64_t left = TileChunks(cols - begin) * kTileCols;
    const int64_t n = left < kInputBlock ? left : kInputBlock;
    float inputs[kInputBlock];
    for (int64_t j = 0; j < n; ++j) inputs[j] = Scaled(scale, x, begin + j, cols);
    int8_t values[kInputBlock];
    *scales = RoundToInt8(
        n, [&](int64_t j) { return inputs[j]; }, values);
    for (int64_t j = 0; j < n; j += kTileCols, ++tables) {
      for (int g = 0; g < kGroups; ++g) {
        int8_t low[4], high[4];
        for (int k = 0; k < 4; ++k) {
          const int8_t value = values[j + 4 * g + k];
          low[k] = static_cast<int8_t>(value & 15);
          high[k] = static_cast<int8_t>(value >> 4);
        }
        tables->low[g] = SumsOfFour(low);
        tables->high[g] = SumsOfFour(high);
      }
    }
  }
}

// 16-bit sums of 16 rows; those of a block of inputs fit.
struct Sums16 {
  int16x8_t rows[2] = {vdupq_n_s16(0), vdupq_n_s16(0)};

  void Add(int8x16_t values) {
    rows[0] = vaddw_s8(rows[0], vget_low_s8(values));
    rows[1] = vaddw_high_s8(rows[1], values);
  }
};

// Adds a chunk: byte k of the 16 words has groups 2 k and 2 k + 1.
void AddChunk(const uint32_t* words, const Tables& tables, Sums16& low, Sums16& high) {
  const uint8x16x4_t bytes = vld4q_u8(reinterpret_cast<const uint8_t*>(words));
  for (int k = 0; k < 4; ++k) {
    const uint8x16_t first = vandq_u8(bytes.val[k], vdupq_n_u8(15));
    const uint8x16_t second = vshrq_n_u8(bytes.val[k], 4);
    low.Add(
        vaddq_s8(vqtbl1q_s8(tables.low[2 * k], first), vqtbl1q_s8(tables.low[2 * k + 1], second)));
    high.Add(vaddq_s8(vqtbl1q_s8(tables.high[2 * k], first),
                      vqtbl1q_s8(tables.high[2 * k + 1], second)));
  }
}

void Int8Sums(const SignTiles& signs, const std::byte* prepared, int64_t begin, int64_t end,
              float* out) noexcept {
  const int64_t chunks = TileChunks(signs.cols);
  for (int64_t row = begin; row < end; row += kTileRows) {
    const uint32_t* words = signs.words + row * chunks;
    const auto* scales = reinterpret_cast<const float*>(prepared);
    const auto* tables = reinterpret_cast<const Tables*>(prepared + ScaleBytes(signs.cols));
    float32x4_t totals[kQuads];
    for (float32x4_t& total : totals) total = vdupq_n_f32(0);
    for (int64_t block = 0; block < chunks; block += kBlockChunks, ++scales) {
      Sums16 low, high;
      for (int64_t chunk = block; chunk < chunks && chunk < block + kBlockChunks; ++chunk)
        AddChunk(words + chunk * kTileRows, *tables++, low, high);
      for (int i = 0; i < kQuads; ++i) {
        const auto half = [&](const Sums16& sums) {
          const int16x8_t rows = sums.rows[i / 2];
          return vmovl_s16(i % 2 == 0 ? vget_low_s16(rows) : vget_high_s16(rows));
        };
        const int32x4_t sum = vaddq_s32(half(low), vshlq_n_s32(half(high), 4));
        totals[i] = vaddq_f32(totals[i], vmulq_f32(vdupq_n_f32(*scales), vcvtq_f32_s32(sum)));
      }
    }
    StoreRows(totals, row, end, out + row - begin);
  }
}

}  // namespace

const SignProduct kExactNeon = {ExactBytes, ExactPrepare, ExactSums};
const SignProduct kInt8Neon = {Int8Bytes, Int8Prepare, Int8Sums};

}  // namespace llmq
