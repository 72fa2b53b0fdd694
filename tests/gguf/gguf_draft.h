// A GGUF file put together by hand, field by field, so that any field can be a lie. It shares no
// code with the writer.
#ifndef LLMQ_TESTS_GGUF_GGUF_DRAFT_H_
#define LLMQ_TESTS_GGUF_GGUF_DRAFT_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace llmq::testing {

std::string U8(uint8_t value);
std::string U16(uint16_t value);
std::string U32(uint32_t value);
std::string U64(uint64_t value);
std::string Text(const std::string& text);  // with its length

struct DraftKey {
  std::string name;   // with its length
  std::string value;  // type and value
};

struct DraftTensor {
  std::string name;             // with its length
  uint32_t dimensions;          // as the file says
  std::vector<uint64_t> shape;  // innermost first
  uint32_t type;
  uint64_t offset;
};

struct GgufDraft {
  // Two keys (a STRING, an ARRAY of STRING) and three tensors: F32 [2, 3], Q4_0 [2, 32], I8 [5].
  static GgufDraft Small();

  std::string magic = "GGUF";
  uint32_t version = 3;
  std::optional<uint64_t> tensor_count;  // if not that of `tensors`
  std::optional<uint64_t> key_count;
  std::vector<DraftKey> keys;
  std::vector<DraftTensor> tensors;
  uint64_t alignment = 32;
  std::string data;

  void AddKey(const std::string& name, const std::string& value);
  std::string Head() const;  // up to the table's end, without padding
  std::string Bytes() const;
  void Write(const std::filesystem::path& path) const;
};

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_GGUF_GGUF_DRAFT_H_
