// The bytes of one block of each quantized type, as they lie in GGUF files (little endian, no
// padding). On disk means frozen: do not reorder.
//
// Scales named d, m and dmin are fp16 bits. A code is what stands for a value: value = d * code - m
// in one form or another, which dequantize.cc spells out.
#ifndef LLMQ_QUANTS_BLOCKS_H_
#define LLMQ_QUANTS_BLOCKS_H_

#include <cstdint>

namespace llmq {

inline constexpr int kBlock32 = 32;
inline constexpr int kBlock256 = 256;

// 32 values. qs: codes j and j + 16 in the low and high nibble of byte j.
struct BlockQ4_0 {
  uint16_t d;
  uint8_t qs[16];
};
struct BlockQ4_1 {
  uint16_t d, m;
  uint8_t qs[16];
};
// qh: bit j is bit 4 of code j.
struct BlockQ5_0 {
  uint16_t d;
  uint8_t qh[4], qs[16];
};
struct BlockQ5_1 {
  uint16_t d, m;
  uint8_t qh[4], qs[16];
};
struct BlockQ8_0 {
  uint16_t d;
  int8_t qs[32];
};

// 256 values in 16 groups of 16. scales: 4 bits scale, 4 bits minimum per group.
// qs: per 128 values 32 bytes; byte l holds codes l, l + 32, l + 64, l + 96, 2 bits each.
struct BlockQ2_K {
  uint8_t scales[16], qs[64];
  uint16_t d, dmin;
};
// hmask: bit i / 32 of byte i % 32 is bit 2 of code i; qs as in Q2_K. scales: 6 bits per group, low
// nibbles in bytes 0 to 7, top pairs of bits in bytes 8 to 11.
struct BlockQ3_K {
  uint8_t hmask[32], qs[64], scales[12];
  uint16_t d;
};
// 256 values in 8 groups of 32. scales: 6 bits scale and 6 bits minimum per group.
// qs: per 64 values 32 bytes; byte l holds codes l and l + 32.
struct BlockQ4_K {
  uint16_t d, dmin;
  uint8_t scales[12], qs[128];
};
// qh: bit i / 32 of byte i % 32 is bit 4 of code i.
struct BlockQ5_K {
  uint16_t d, dmin;
  uint8_t scales[12], qh[32], qs[128];
};
// 16 groups of 16. Per 128 values 64 bytes of ql (low nibbles of codes l and l + 64) and 32 of qh
// (top pairs of bits of codes l, l + 32, l + 64, l + 96).
struct BlockQ6_K {
  uint8_t ql[128], qh[64];
  int8_t scales[16];
  uint16_t d;
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34);
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144);
static_assert(sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

}  // namespace llmq

#endif  // LLMQ_QUANTS_BLOCKS_H_
