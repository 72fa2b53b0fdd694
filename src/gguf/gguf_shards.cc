// Joins the shards of a split file; see the header.
//
// The names and the keys are those of llama.cpp's gguf-split. The keys of the first shard count;
// the others have no more than split.*.
#include "gguf/gguf_shards.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "gguf/gguf_layout.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr std::string_view kExtension = ".gguf";

std::string Suffix(uint64_t number, uint64_t count) {
  return fmt::format("-{:05}-of-{:05}{}", number + 1, count, kExtension);
}

std::string WithoutSuffix(const std::filesystem::path& path, size_t suffix_bytes) {
  const std::string text = path.string();
  return text.substr(0, text.size() - suffix_bytes);
}

[[noreturn]] void Fail(const std::filesystem::path& path, const std::string& what,
                       const std::string& suggestion) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", path.string(), what), suggestion);
}

// Must be there: without it nobody can tell which shard this is.
template <typename T>
T Require(const GgufPart& part, std::string_view key) {
  const T* value = ExpectGgufType<T>(part.Find(key), part.file.path(), key);
  if (value == nullptr) {
    Fail(part.file.path(), fmt::format("key {}: expected in every shard, found none", key),
         "Split the model again");
  }
  return *value;
}

// The path of the whole file: "dir/name.gguf".
std::filesystem::path CheckFirstShard(const GgufPart& part, uint64_t count) {
  const std::filesystem::path& path = part.file.path();
  const uint64_t number = Require<uint16_t>(part, gguf_layout::kSplitNumberKey);
  const std::string suffix = Suffix(number, count);
  const bool named = path.filename().string().ends_with(suffix);
  const std::filesystem::path whole =
      named ? WithoutSuffix(path, suffix.size()) + std::string(kExtension) : "";
  if (number != 0) {
    const std::string first =
        named ? GgufShardPath(whole, 0, count).string() : "the file ending in " + Suffix(0, count);
    Fail(path,
         fmt::format("expected the first shard ({}), found shard {} of {}", first, number + 1,
                     count),
         "Give the first shard");
  }
  if (!named) {
    Fail(path, fmt::format("file name: expected an ending \"{}\", found another", suffix),
         "Give the shards the names they were written with");
  }
  return whole;
}

GgufPart ReadShard(const std::filesystem::path& whole, uint64_t number, uint64_t count) {
  GgufPart part = ReadGgufPart(GgufShardPath(whole, number, count));
  const std::filesystem::path& path = part.file.path();
  const uint64_t found = Require<uint16_t>(part, gguf_layout::kSplitNumberKey);
  if (found != number) {
    Fail(path,
         fmt::format("key {}: expected {}, found {}", gguf_layout::kSplitNumberKey, number, found),
         "Fetch or split the model again");
  }
  const uint64_t found_count = Require<uint16_t>(part, gguf_layout::kSplitCountKey);
  if (found_count != count) {
    Fail(path,
         fmt::format("key {}: expected {}, found {}", gguf_layout::kSplitCountKey, count,
                     found_count),
         "Fetch or split the model again");
  }
  return part;
}

}  // namespace

std::filesystem::path GgufShardPath(const std::filesystem::path& path, uint64_t number,
                                    uint64_t count) {
  const bool has_extension = path.filename().string().ends_with(kExtension);
  return WithoutSuffix(path, has_extension ? kExtension.size() : 0) + Suffix(number, count);
}

std::vector<GgufPart> ReadGgufParts(const std::filesystem::path& path) {
  std::vector<GgufPart> parts;
  parts.push_back(ReadGgufPart(path));
  const auto* stored_count = ExpectGgufType<uint16_t>(parts[0].Find(gguf_layout::kSplitCountKey),
                                                      path, gguf_layout::kSplitCountKey);
  if (stored_count == nullptr || *stored_count <= 1) return parts;
  const uint64_t count = *stored_count;
  const std::filesystem::path whole = CheckFirstShard(parts[0], count);
  const int64_t expected = Require<int32_t>(parts[0], gguf_layout::kSplitTensorsKey);
  auto found = static_cast<int64_t>(parts[0].tensors.size());
  for (uint64_t number = 1; number < count; ++number) {
    parts.push_back(ReadShard(whole, number, count));
    found += static_cast<int64_t>(parts.back().tensors.size());
  }
  if (found != expected) {
    Fail(path,
         fmt::format("key {}: expected {}, the tensors of all shards, found {}",
                     gguf_layout::kSplitTensorsKey, found, expected),
         "Fetch or split the model again");
  }
  return parts;
}

}  // namespace llmq
