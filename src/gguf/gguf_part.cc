// Header and keys of one file, checked before they are believed; see the header.
#include "gguf/gguf_part.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/bytes.h"
#include "gguf/gguf_layout.h"
#include "gguf/gguf_rules.h"
#include "gguf/gguf_table.h"
#include "gguf/gguf_values.h"

namespace llmq {
namespace {

// A file of the other byte order has its version in the upper bytes.
void CheckVersion(uint32_t version, const std::string& where) {
  const std::string expected =
      fmt::format("version: expected {} or {}", gguf_layout::kOldestVersion, gguf_layout::kVersion);
  if (version != 0 && (version & 0xffff) == 0) {
    FailGguf(where, fmt::format("{}, found {:#010x}: a big-endian file", expected, version),
             "Convert the file to little endian");
  }
  if (version < gguf_layout::kOldestVersion || version > gguf_layout::kVersion) {
    FailGguf(where, fmt::format("{}, found {}", expected, version),
             version > gguf_layout::kVersion
                 ? "Use a version of llm-quantize that knows this format version"
                 : "Convert the model again with a current llama.cpp");
  }
}

struct Header {
  uint32_t version;
  uint64_t tensor_count;
  uint64_t key_count;
};

Header ReadHeader(ByteReader& reader, const std::string& path) {
  const std::string where = path + ": header";
  if (AsText(reader.Take(gguf_layout::kMagic.size())) != gguf_layout::kMagic) {
    FailGguf(where, "expected the magic \"GGUF\", found something else", "Give a .gguf file");
  }
  Header header;
  header.version = reader.Read<uint32_t>();
  CheckVersion(header.version, where);
  header.tensor_count = reader.Read<uint64_t>();
  header.key_count = reader.Read<uint64_t>();
  const uint64_t limit = reader.remaining() / gguf_layout::kMinKeyBytes;
  if (header.key_count > limit) {
    FailGguf(where, fmt::format("keys: expected at most {}, found {}", limit, header.key_count));
  }
  return header;
}

std::vector<GgufKey> ReadKeys(ByteReader& reader, uint64_t count, const std::string& path) {
  std::vector<GgufKey> keys;  // not reserved: the count is not yet proven
  for (uint64_t i = 0; i < count; ++i) {
    const std::string numbered = fmt::format("{}: key {}", path, i);
    const std::string_view name = ReadGgufString(reader, numbered + ": name");
    if (const auto fault = KeyNameFault(name)) FailGguf(numbered, *fault);
    const std::string where = fmt::format("{}: key {}", path, Shorten(name));
    keys.push_back({std::string(name), ReadGgufValue(reader, where)});
  }
  std::unordered_set<std::string_view> names;
  for (const GgufKey& key : keys) {
    if (!names.insert(key.name).second) {
      FailGguf(path, fmt::format("key {}: expected once, found twice", Shorten(key.name)));
    }
  }
  return keys;
}

uint64_t ReadAlignment(const GgufPart& part) {
  const std::filesystem::path& path = part.file.path();
  const GgufValue* value = part.Find(gguf_layout::kAlignmentKey);
  const auto* alignment = ExpectGgufType<uint32_t>(value, path, gguf_layout::kAlignmentKey);
  if (alignment == nullptr) return gguf_layout::kDefaultAlignment;
  if (const auto fault = AlignmentFault(*alignment)) {
    FailGguf(fmt::format("{}: key {}", path.string(), gguf_layout::kAlignmentKey), *fault);
  }
  return *alignment;
}

}  // namespace

const GgufValue* GgufPart::Find(std::string_view key) const {
  const auto it =
      std::find_if(keys.begin(), keys.end(), [&](const GgufKey& k) { return k.name == key; });
  return it == keys.end() ? nullptr : &it->value;
}

GgufPart ReadGgufPart(const std::filesystem::path& path) {
  GgufPart part{.file = MappedFile(path), .version = 0, .alignment = 0, .keys = {}, .tensors = {}};
  const auto bytes = part.file.bytes();
  ByteReader reader(bytes, path.string() + ": header");
  const Header header = ReadHeader(reader, path.string());
  part.version = header.version;
  part.keys = ReadKeys(reader, header.key_count, path.string());
  part.alignment = ReadAlignment(part);
  part.tensors = ReadGgufTensors(reader, bytes, header.tensor_count, part.alignment, path.string());
  return part;
}

void FailGgufKeyType(const std::filesystem::path& path, std::string_view key,
                     const GgufValue& expected, const GgufValue& found) {
  FailGguf(fmt::format("{}: key {}", path.string(), Shorten(key)),
           fmt::format("expected {}, found {}", GgufTypeName(expected), GgufTypeName(found)),
           "Write the file again with a program that follows the GGUF specification");
}

}  // namespace llmq
