// Blocks of GGUF tensors -> values. Station before: gguf's mapped file; after: whoever wants
// floats.
//
// Every product and difference is rounded by itself in the order of ggml's reference functions, so
// that the values are theirs bit for bit. Any bytes are allowed: scales may be NaN or infinite.
#include <bit>
#include <cassert>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "llmq/ggml_type.h"
#include "quants/blocks.h"

namespace llmq {
namespace {

static_assert(std::endian::native == std::endian::little, "blocks are little endian");

void Dequantize(const BlockQ4_0& block, float* out) {
  const float d = HalfToFloat(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
    out[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
  }
}

void Dequantize(const BlockQ4_1& block, float* out) {
  const float d = HalfToFloat(block.d);
  const float m = HalfToFloat(block.m);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(block.qs[j] & 15) * d + m;
    out[j + 16] = static_cast<float>(block.qs[j] >> 4) * d + m;
  }
}

// Code j of a block of 32 with 5 bits per code.
int FiveBitCode(const uint8_t qs[16], uint32_t high_bits, int j) {
  const int low = j < 16 ? qs[j] & 15 : qs[j - 16] >> 4;
  return low | static_cast<int>((high_bits >> j & 1u) << 4);
}

void Dequantize(const BlockQ5_0& block, float* out) {
  const float d = HalfToFloat(block.d);
  uint32_t high_bits;
  std::memcpy(&high_bits, block.qh, sizeof(high_bits));
  for (int j = 0; j < kBlock32; ++j) {
    out[j] = static_cast<float>(FiveBitCode(block.qs, high_bits, j) - 16) * d;
  }
}

void Dequantize(const BlockQ5_1& block, float* out) {
  const float d = HalfToFloat(block.d);
  const float m = HalfToFloat(block.m);
  uint32_t high_bits;
  std::memcpy(&high_bits, block.qh, sizeof(high_bits));
  for (int j = 0; j < kBlock32; ++j) {
    out[j] = static_cast<float>(FiveBitCode(block.qs, high_bits, j)) * d + m;
  }
}

void Dequantize(const BlockQ8_0& block, float* out) {
  const float d = HalfToFloat(block.d);
  for (int j = 0; j < kBlock32; ++j) out[j] = static_cast<float>(block.qs[j]) * d;
}

void Dequantize(const BlockQ2_K& block, float* out) {
  const float d = HalfToFloat(block.d);
  const float dmin = HalfToFloat(block.dmin);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(block.scales[group] & 15);
    const float minimum = dmin * static_cast<float>(block.scales[group] >> 4);
    const uint8_t* qs = block.qs + group / 8 * 32 + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) {
      out[16 * group + l] = scale * static_cast<float>(qs[l] >> shift & 3) - minimum;
    }
  }
}

int Q3Scale(const uint8_t scales[12], int group) {
  const int low = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
  const int high = scales[8 + group % 4] >> (2 * (group / 4)) & 3;
  return (low | high << 4) - 32;
}

void Dequantize(const BlockQ3_K& block, float* out) {
  const float d = HalfToFloat(block.d);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(Q3Scale(block.scales, group));
    const uint8_t* qs = block.qs + group / 8 * 32 + group % 2 * 16;
    const uint8_t* hmask = block.hmask + group % 2 * 16;
    const int shift = group % 8 / 2 * 2;
    for (int l = 0; l < 16; ++l) {
      const int code = (qs[l] >> shift & 3) | (hmask[l] >> (group / 2) & 1) << 2;
      out[16 * group + l] = scale * static_cast<float>(code - 4);
    }
  }
}

// The 6-bit scale and minimum of one of 8 groups, as Q4_K and Q5_K pack them.
struct ScaleAndMinimum {
  int scale, minimum;
};

ScaleAndMinimum UnpackScale(const uint8_t scales[12], int group) {
  if (group < 4) return {scales[group] & 63, scales[group + 4] & 63};
  return {(scales[group + 4] & 15) | (scales[group - 4] >> 6) << 4,
          (scales[group + 4] >> 4) | (scales[group] >> 6) << 4};
}

// high_bits: BlockQ5_K::qh, or nullptr for Q4_K.
template <typename Block>
void DequantizeScaleMin(const Block& block, const uint8_t* high_bits, float* out) {
  const float d = HalfToFloat(block.d);
  const float dmin = HalfToFloat(block.dmin);
  for (int group = 0; group < 8; ++group) {
    const ScaleAndMinimum packed = UnpackScale(block.scales, group);
    const float scale = d * static_cast<float>(packed.scale);
    const float minimum = dmin * static_cast<float>(packed.minimum);
    const uint8_t* qs = block.qs + group / 2 * 32;
    for (int l = 0; l < 32; ++l) {
      const int high = high_bits == nullptr ? 0 : high_bits[l] >> group & 1;
      const int code = (qs[l] >> (group % 2 * 4) & 15) | high << 4;
      out[32 * group + l] = scale * static_cast<float>(code) - minimum;
    }
  }
}

void Dequantize(const BlockQ4_K& block, float* out) { DequantizeScaleMin(block, nullptr, out); }
void Dequantize(const BlockQ5_K& block, float* out) { DequantizeScaleMin(block, block.qh, out); }

void Dequantize(const BlockQ6_K& block, float* out) {
  const float d = HalfToFloat(block.d);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(block.scales[group]);
    const int quarter = group % 8 / 2;  // of 128 values
    const uint8_t* ql = block.ql + group / 8 * 64 + quarter % 2 * 32 + group % 2 * 16;
    const uint8_t* qh = block.qh + group / 8 * 32 + group % 2 * 16;
    for (int l = 0; l < 16; ++l) {
      const int code = (ql[l] >> (quarter / 2 * 4) & 15) | (qh[l] >> (2 * quarter) & 3) << 4;
      out[16 * group + l] = scale * static_cast<float>(code - 32);
    }
  }
}

template <typename Block, int kValues>
void DequantizeBlocks(std::span<const std::byte> bytes, float* out) {
  for (; bytes.size() >= sizeof(Block); bytes = bytes.subspan(sizeof(Block)), out += kValues) {
    Block block;  // a copy, because the bytes are not aligned
    std::memcpy(&block, bytes.data(), sizeof(Block));
    Dequantize(block, out);
  }
}

template <float (*kConvert)(uint16_t)>
void ConvertHalves(std::span<const std::byte> bytes, std::span<float> out) {
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t half;
    std::memcpy(&half, bytes.data() + 2 * i, sizeof(half));
    out[i] = kConvert(half);
  }
}

// True if the fp16 fields at `offsets` of every block are neither NaN nor infinite.
template <typename Block, typename... Offsets>
bool HalvesAreFinite(std::span<const std::byte> bytes, Offsets... offsets) {
  const auto finite = [&](size_t at) {
    uint16_t half;
    std::memcpy(&half, bytes.data() + at, sizeof(half));
    return (half & 0x7c00u) != 0x7c00u;
  };
  for (size_t at = 0; at + sizeof(Block) <= bytes.size(); at += sizeof(Block)) {
    if (!(finite(at + offsets) && ...)) return false;
  }
  return true;
}

template <typename Block>
bool ScaleIsFinite(std::span<const std::byte> bytes) {
  return HalvesAreFinite<Block>(bytes, offsetof(Block, d));
}

// All bits of a float's or a bf16's exponent set mean NaN or infinity.
template <typename Bits>
bool ExponentsAreFinite(std::span<const std::byte> bytes, Bits exponent) {
  for (size_t at = 0; at + sizeof(Bits) <= bytes.size(); at += sizeof(Bits)) {
    Bits bits;
    std::memcpy(&bits, bytes.data() + at, sizeof(bits));
    if ((bits & exponent) == exponent) return false;
  }
  return true;
}

}  // namespace

void DequantizeRow(GgmlType type, std::span<const std::byte> bytes, std::span<float> out) {
  assert(IsQuantizable(type) && GgmlBytes(type, out.size()) == bytes.size());
  switch (type) {
    case GgmlType::kF32:
      if (!bytes.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
      return;
    case GgmlType::kF16: return ConvertHalves<HalfToFloat>(bytes, out);
    case GgmlType::kBF16: return ConvertHalves<Bf16ToFloat>(bytes, out);
    case GgmlType::kQ4_0: return DequantizeBlocks<BlockQ4_0, kBlock32>(bytes, out.data());
    case GgmlType::kQ4_1: return DequantizeBlocks<BlockQ4_1, kBlock32>(bytes, out.data());
    case GgmlType::kQ5_0: return DequantizeBlocks<BlockQ5_0, kBlock32>(bytes, out.data());
    case GgmlType::kQ5_1: return DequantizeBlocks<BlockQ5_1, kBlock32>(bytes, out.data());
    case GgmlType::kQ8_0: return DequantizeBlocks<BlockQ8_0, kBlock32>(bytes, out.data());
    case GgmlType::kQ2_K: return DequantizeBlocks<BlockQ2_K, kBlock256>(bytes, out.data());
    case GgmlType::kQ3_K: return DequantizeBlocks<BlockQ3_K, kBlock256>(bytes, out.data());
    case GgmlType::kQ4_K: return DequantizeBlocks<BlockQ4_K, kBlock256>(bytes, out.data());
    case GgmlType::kQ5_K: return DequantizeBlocks<BlockQ5_K, kBlock256>(bytes, out.data());
    case GgmlType::kQ6_K: return DequantizeBlocks<BlockQ6_K, kBlock256>(bytes, out.data());
    default: return;
  }
}

bool ScalesAreFinite(GgmlType type, std::span<const std::byte> bytes) {
  assert(IsQuantizable(type));
  switch (type) {
    case GgmlType::kF32: return ExponentsAreFinite<uint32_t>(bytes, 0x7f800000u);
    case GgmlType::kF16: return ExponentsAreFinite<uint16_t>(bytes, 0x7c00u);
    case GgmlType::kBF16: return ExponentsAreFinite<uint16_t>(bytes, 0x7f80u);
    case GgmlType::kQ4_0: return ScaleIsFinite<BlockQ4_0>(bytes);
    case GgmlType::kQ4_1:
      return HalvesAreFinite<BlockQ4_1>(bytes, offsetof(BlockQ4_1, d), offsetof(BlockQ4_1, m));
    case GgmlType::kQ5_0: return ScaleIsFinite<BlockQ5_0>(bytes);
    case GgmlType::kQ5_1:
      return HalvesAreFinite<BlockQ5_1>(bytes, offsetof(BlockQ5_1, d), offsetof(BlockQ5_1, m));
    case GgmlType::kQ8_0: return ScaleIsFinite<BlockQ8_0>(bytes);
    case GgmlType::kQ2_K:
      return HalvesAreFinite<BlockQ2_K>(bytes, offsetof(BlockQ2_K, d), offsetof(BlockQ2_K, dmin));
    case GgmlType::kQ3_K: return ScaleIsFinite<BlockQ3_K>(bytes);
    case GgmlType::kQ4_K:
      return HalvesAreFinite<BlockQ4_K>(bytes, offsetof(BlockQ4_K, d), offsetof(BlockQ4_K, dmin));
    case GgmlType::kQ5_K:
      return HalvesAreFinite<BlockQ5_K>(bytes, offsetof(BlockQ5_K, d), offsetof(BlockQ5_K, dmin));
    case GgmlType::kQ6_K: return ScaleIsFinite<BlockQ6_K>(bytes);
    default: return true;
  }
}

}  // namespace llmq
