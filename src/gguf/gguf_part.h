// One GGUF file by itself, whether it is a whole model or a shard of one.
//
// Before this: a path from anywhere. After this: GgufFile joins the parts.
#ifndef LLMQ_GGUF_GGUF_PART_H_
#define LLMQ_GGUF_GGUF_PART_H_

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "llmq/gguf.h"

namespace llmq {

struct GgufPart {
  MappedFile file;
  uint32_t version;
  uint64_t alignment;
  std::vector<GgufKey> keys;
  std::vector<GgufTensor> tensors;  // borrow from `file`

  const GgufValue* Find(std::string_view key) const;
};

// Throws as GgufFile's constructor does.
GgufPart ReadGgufPart(const std::filesystem::path& path);

// "path: key: expected TYPE, found TYPE".
[[noreturn]] void FailGgufKeyType(const std::filesystem::path& path, std::string_view key,
                                  const GgufValue& expected, const GgufValue& found);

// The value if it has this type, nullptr for nullptr. Throws FailGgufKeyType.
template <typename T>
const T* ExpectGgufType(const GgufValue* value, const std::filesystem::path& path,
                        std::string_view key) {
  if (value == nullptr) return nullptr;
  if (const T* typed = std::get_if<T>(value)) return typed;
  FailGgufKeyType(path, key, T{}, *value);
}

}  // namespace llmq

#endif  // LLMQ_GGUF_GGUF_PART_H_
