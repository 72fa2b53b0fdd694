// Puts GGUF files together by hand; see the header.
#include "tests/gguf/gguf_draft.h"

#include <fstream>

namespace llmq::testing {
namespace {

std::string LittleEndian(uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

}  // namespace

std::string U8(uint8_t value) { return LittleEndian(value, 1); }
std::string U16(uint16_t value) { return LittleEndian(value, 2); }
std::string U32(uint32_t value) { return LittleEndian(value, 4); }
std::string U64(uint64_t value) { return LittleEndian(value, 8); }
std::string Text(const std::string& text) { return U64(text.size()) + text; }

GgufDraft GgufDraft::Small() {
  GgufDraft draft;
  draft.AddKey("general.architecture", U32(8) + Text("llama"));
  draft.AddKey("tokens", U32(9) + U32(8) + U64(3) + Text("a") + Text("") + Text("bc"));
  draft.tensors = {{Text("embedding"), 2, {3, 2}, 0, 0},
                   {Text("blocks"), 2, {32, 2}, 2, 32},
                   {Text("bytes"), 1, {5}, 24, 96}};
  for (int i = 0; i < 128; ++i) draft.data += static_cast<char>(i);
  return draft;
}

void GgufDraft::AddKey(const std::string& name, const std::string& value) {
  keys.push_back({Text(name), value});
}

std::string GgufDraft::Head() const {
  std::string head = magic + U32(version) + U64(tensor_count.value_or(tensors.size())) +
                     U64(key_count.value_or(keys.size()));
  for (const DraftKey& key : keys) head += key.name + key.value;
  for (const DraftTensor& tensor : tensors) {
    head += tensor.name + U32(tensor.dimensions);
    for (const uint64_t dimension : tensor.shape) head += U64(dimension);
    head += U32(tensor.type) + U64(tensor.offset);
  }
  return head;
}

std::string GgufDraft::Bytes() const {
  std::string bytes = Head();
  bytes.resize((bytes.size() + alignment - 1) / alignment * alignment, '\0');
  return bytes + data;
}

void GgufDraft::Write(const std::filesystem::path& path) const {
  const std::string bytes = Bytes();
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::streamsize(bytes.size()));
}

}  // namespace llmq::testing
