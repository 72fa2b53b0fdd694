// Bounded reading of untrusted bytes and arithmetic that notices overflow.
//
// Every binary reader in src/formats and src/text walks its input through ByteReader: a count or a
// length taken from a file is checked against the bytes that remain before anything is allocated
// for it.
#ifndef LLMQ_BASE_BYTES_H_
#define LLMQ_BASE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace llmq {

// nullopt on overflow.
std::optional<uint64_t> CheckedMul(uint64_t a, uint64_t b);
std::optional<uint64_t> CheckedAdd(uint64_t a, uint64_t b);

// value rounded up to a multiple of `alignment` (a power of two). Precondition: no overflow.
constexpr uint64_t AlignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

inline std::string_view AsText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// A cursor over borrowed bytes, which must outlive it. Reads little-endian values in order. A read
// that would pass the end throws Error{kGeneral} "where: expected N bytes at offset O, found R".
class ByteReader {
 public:
  // `where` begins every message, usually the path and the part being read.
  ByteReader(std::span<const std::byte> bytes, std::string where);

  template <typename T>
  T Read() {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, Take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  // The next `count` bytes, borrowed from the input.
  std::span<const std::byte> Take(uint64_t count);
  // Throws unless everything has been read.
  void ExpectEnd() const;

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

 private:
  std::span<const std::byte> bytes_;
  uint64_t offset_ = 0;
  std::string where_;
};

// XXH64 with seed 0, the checksum of the .littlebit format and of checkpoints.
uint64_t Checksum64(std::span<const std::byte> bytes);

// Checksum64 of a stream of pieces: the same value as of their concatenation.
class StreamingChecksum64 {
 public:
  StreamingChecksum64();
  ~StreamingChecksum64();
  StreamingChecksum64(const StreamingChecksum64&) = delete;
  StreamingChecksum64& operator=(const StreamingChecksum64&) = delete;
  void Update(std::span<const std::byte> bytes);
  uint64_t Digest() const;

 private:
  void* state_;  // owned XXH64_state_t
};

}  // namespace llmq

#endif  // LLMQ_BASE_BYTES_H_
