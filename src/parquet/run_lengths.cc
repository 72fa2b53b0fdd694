#include "parquet/run_lengths.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kMaxBits = 32;

uint32_t ReadVarint(ByteReader& reader, const std::string& where) {
  uint64_t value = 0;
  for (int shift = 0; shift <= 28; shift += 7) {
    const auto byte = reader.Read<uint8_t>();
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80 && value <= UINT32_MAX) return static_cast<uint32_t>(value);
  }
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected a run's length of 32 bits, found more", where));
}

// Appends `count` numbers of `bits` bits from `bytes`, which hold that many.
void AppendBits(std::span<const std::byte> bytes, int bits, size_t count,
                std::vector<uint32_t>& out) {
  const uint64_t mask = (uint64_t{1} << bits) - 1;
  uint64_t window = 0;
  int held = 0;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    for (; held < bits; held += 8) window |= static_cast<uint64_t>(bytes[at++]) << held;
    out.push_back(static_cast<uint32_t>(window & mask));
    window >>= bits;
    held -= bits;
  }
}

void CheckBits(int bits, const std::string& where) {
  if (bits >= 0 && bits <= kMaxBits) return;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected numbers of 0 to {} bits, found {}", where, kMaxBits, bits));
}

}  // namespace

std::vector<uint32_t> UnpackBits(std::span<const std::byte> bytes, int bits, size_t count,
                                 const std::string& where) {
  CheckBits(bits, where);
  ByteReader reader(bytes, where);
  const auto packed =
      reader.Take((static_cast<uint64_t>(count) * static_cast<uint64_t>(bits) + 7) / 8);
  std::vector<uint32_t> numbers;
  numbers.reserve(count);
  AppendBits(packed, bits, count, numbers);
  return numbers;
}

std::vector<uint32_t> DecodeRunLengths(std::span<const std::byte> bytes, int bits, size_t count,
                                       const std::string& where) {
  CheckBits(bits, where);
  ByteReader reader(bytes, where);
  std::vector<uint32_t> numbers;
  numbers.reserve(count);
  while (numbers.size() < count) {
    const uint32_t header = ReadVarint(reader, where);
    const size_t missing = count - numbers.size();
    const size_t length = header >> 1;
    if (header & 1) {  // groups of eight numbers; the last may hold more than are meant
      const auto packed = reader.Take(static_cast<uint64_t>(length) * static_cast<uint64_t>(bits));
      AppendBits(packed, bits, std::min(length * 8, missing), numbers);
    } else {
      uint32_t value = 0;
      for (int i = 0; i < (bits + 7) / 8; ++i) {
        value |= static_cast<uint32_t>(reader.Read<uint8_t>()) << (8 * i);
      }
      numbers.insert(numbers.end(), std::min(length, missing), value);
    }
  }
  return numbers;
}

}  // namespace llmq
