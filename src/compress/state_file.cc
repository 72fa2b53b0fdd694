#include "compress/state_file.h"

#include <fmt/core.h>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr uint64_t kStateMagic = 0x31305453514d4c4cu;  // "LLMQST01"

template <typename T>
std::span<const std::byte> BytesOf(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

[[noreturn]] void ThrowDamaged(const std::filesystem::path& path, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", path.string(), what));
}

}  // namespace

StateWriter::StateWriter(const std::filesystem::path& path, uint32_t count) : file_(path) {
  Append(BytesOf(kStateMagic));
  Append(BytesOf(count));
}

void StateWriter::Append(std::span<const std::byte> bytes) {
  checksum_.Update(bytes);
  file_.Append(bytes);
}

void StateWriter::Add(const std::string& name, std::span<const std::byte> bytes) {
  Append(BytesOf(static_cast<uint32_t>(name.size())));
  Append(AsBytes(name));
  Append(BytesOf(static_cast<uint64_t>(bytes.size())));
  Append(bytes);
}

void StateWriter::Commit() {
  const uint64_t digest = checksum_.Digest();
  file_.Append(BytesOf(digest));
  file_.Commit();
}

StateReader::StateReader(const std::filesystem::path& path) : file_(path) {
  const std::span<const std::byte> bytes = file_.bytes();
  if (bytes.size() < sizeof(uint64_t))
    ThrowDamaged(path, "expected a saved state, found too few bytes");
  const std::span<const std::byte> body = bytes.first(bytes.size() - sizeof(uint64_t));
  ByteReader tail(bytes.subspan(body.size()), path.string());
  if (tail.Read<uint64_t>() != Checksum64(body))
    ThrowDamaged(path, "expected its checksum, found another");
  ByteReader reader(body, path.string());
  if (reader.Read<uint64_t>() != kStateMagic)
    ThrowDamaged(path, "expected a saved state, found another file");
  const auto count = reader.Read<uint32_t>();
  for (uint32_t i = 0; i < count; ++i) {
    const std::string name(AsText(reader.Take(reader.Read<uint32_t>())));
    arrays_[name] = reader.Take(reader.Read<uint64_t>());
  }
  reader.ExpectEnd();
}

std::span<const std::byte> StateReader::Get(const std::string& name) const {
  const auto it = arrays_.find(name);
  if (it == arrays_.end()) ThrowDamaged(file_.path(), fmt::format("expected {}, found none", name));
  return it->second;
}

std::span<const std::byte> StateReader::Get(const std::string& name,
                                            uint64_t expected_bytes) const {
  const std::span<const std::byte> bytes = Get(name);
  if (bytes.size() != expected_bytes) {
    ThrowDamaged(file_.path(), fmt::format("{}: expected {} bytes, found {}", name, expected_bytes,
                                           bytes.size()));
  }
  return bytes;
}

}  // namespace llmq
