#include "base/bytes.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <new>
#include <utility>

#include "llmq/error.h"

namespace llmq {

std::optional<uint64_t> CheckedMul(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

ByteReader::ByteReader(std::span<const std::byte> bytes, std::string where)
    : bytes_(bytes), where_(std::move(where)) {}

std::span<const std::byte> ByteReader::Take(uint64_t count) {
  if (count > remaining()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected {} bytes at offset {}, found {}", where_, count, offset_,
                            remaining()),
                "The file is truncated or damaged; fetch or write it again");
  }
  const auto piece = bytes_.subspan(offset_, count);
  offset_ += count;
  return piece;
}

void ByteReader::ExpectEnd() const {
  if (remaining() == 0) return;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected the end at offset {}, found {} more bytes", where_, offset_,
                          remaining()),
              "The file is damaged or was written by another program");
}

uint64_t Checksum64(std::span<const std::byte> bytes) {
  return XXH64(bytes.data(), bytes.size(), 0);
}

StreamingChecksum64::StreamingChecksum64() : state_(XXH64_createState()) {
  if (state_ == nullptr) throw std::bad_alloc();
  XXH64_reset(static_cast<XXH64_state_t*>(state_), 0);
}
StreamingChecksum64::~StreamingChecksum64() {
  XXH64_freeState(static_cast<XXH64_state_t*>(state_));
}
void StreamingChecksum64::Update(std::span<const std::byte> bytes) {
  XXH64_update(static_cast<XXH64_state_t*>(state_), bytes.data(), bytes.size());
}
uint64_t StreamingChecksum64::Digest() const {
  return XXH64_digest(static_cast<const XXH64_state_t*>(state_));
}

}  // namespace llmq
