// GgufFile: all parts of a file under one roof, with an index of keys and tensors.
//
// Before this: gguf_part, which checks one file, and gguf_shards, which finds the others. After
// this: whoever knows what the keys mean.
#include <fmt/format.h>

#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "gguf/gguf_layout.h"
#include "gguf/gguf_part.h"
#include "gguf/gguf_shards.h"
#include "llmq/error.h"
#include "llmq/gguf.h"

namespace llmq {

struct GgufFile::State {
  std::vector<GgufPart> parts;      // at least one; their tensors have moved to `tensors`
  std::vector<GgufTensor> tensors;  // of all parts
  std::unordered_map<std::string_view, const GgufValue*> keys_by_name;
  std::unordered_map<std::string_view, const GgufTensor*> tensors_by_name;

  void JoinTensors();
  void IndexNames();
};

void GgufFile::State::JoinTensors() {
  for (GgufPart& part : parts) {
    for (GgufTensor& tensor : part.tensors) tensors.push_back(std::move(tensor));
    part.tensors.clear();
  }
}

void GgufFile::State::IndexNames() {
  for (const GgufKey& key : parts[0].keys) keys_by_name.emplace(key.name, &key.value);
  for (const GgufTensor& tensor : tensors) {
    if (!tensors_by_name.emplace(tensor.name, &tensor).second) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: tensor {}: expected once, found twice",
                              parts[0].file.path().string(), tensor.name),
                  "The file is damaged; fetch or write it again");
    }
  }
}

GgufFile::GgufFile(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
  state_->parts = ReadGgufParts(path);
  state_->JoinTensors();
  state_->IndexNames();
}

GgufFile::~GgufFile() = default;
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;

const std::filesystem::path& GgufFile::path() const { return state_->parts[0].file.path(); }
std::span<const GgufKey> GgufFile::keys() const { return state_->parts[0].keys; }
std::span<const GgufTensor> GgufFile::tensors() const { return state_->tensors; }
uint32_t GgufFile::version() const { return state_->parts[0].version; }
uint64_t GgufFile::alignment() const { return state_->parts[0].alignment; }

const GgufValue* GgufFile::Find(std::string_view key) const {
  const auto it = state_->keys_by_name.find(key);
  return it == state_->keys_by_name.end() ? nullptr : it->second;
}

const GgufTensor* GgufFile::FindTensor(std::string_view name) const {
  const auto it = state_->tensors_by_name.find(name);
  return it == state_->tensors_by_name.end() ? nullptr : it->second;
}

uint64_t GgufFile::file_bytes() const {
  uint64_t bytes = 0;
  for (const GgufPart& part : state_->parts) bytes += part.file.bytes().size();
  return bytes;
}

void GgufFile::Release(const GgufTensor& tensor) const {
  for (const GgufPart& part : state_->parts) {
    const auto bytes = part.file.bytes();
    const bool inside =
        tensor.data.data() >= bytes.data() && tensor.data.data() < bytes.data() + bytes.size();
    if (inside) return part.file.Release(tensor.data);
  }
}

void GgufFile::FailType(std::string_view key, const GgufValue& expected,
                        const GgufValue& found) const {
  FailGgufKeyType(path(), key, expected, found);
}

bool LooksLikeGguf(const std::filesystem::path& path) {
  return FileBeginsWith(path, gguf_layout::kMagic);
}

}  // namespace llmq
