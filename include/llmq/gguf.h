// A GGUF file, version 3: typed keys and a table of tensors, read from a mapping and written in a
// stream. It does not know what a model is.
//
// Format: the specification in ggml's docs/gguf.md, as strictly as ggml's reader enforces it
// (docs/format/gguf.md, "Container").
#ifndef LLMQ_GGUF_H_
#define LLMQ_GGUF_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "llmq/ggml_type.h"

namespace llmq {

// Arrays of BOOL are GgufBools, so that they are not arrays of UINT8.
struct GgufBools {
  std::vector<uint8_t> values;  // 0 or 1
  bool operator==(const GgufBools&) const = default;
};
// The C++ type chooses the type in the file: uint32_t is UINT32, std::vector<std::string> is an
// ARRAY of STRING. Arrays of arrays do not exist in GGUF.
using GgufValue =
    std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool, std::string,
                 uint64_t, int64_t, double, std::vector<uint8_t>, std::vector<int8_t>,
                 std::vector<uint16_t>, std::vector<int16_t>, std::vector<uint32_t>,
                 std::vector<int32_t>, std::vector<float>, GgufBools, std::vector<std::string>,
                 std::vector<uint64_t>, std::vector<int64_t>, std::vector<double>>;

struct GgufKey {
  std::string name;
  GgufValue value;
};

// "UINT32", "ARRAY of STRING", ...: for messages and lists.
std::string GgufTypeName(const GgufValue& value);

struct GgufTensor {
  std::string name;
  GgmlType type = GgmlType::kF32;
  std::vector<int64_t> shape;  // row-major, outermost first, as in PyTorch: the reverse of the file
  std::span<const std::byte> data;  // borrowed from the mapping; empty in what a writer is told

  int64_t num_elements() const;
  uint64_t num_bytes() const;
};

class GgufFile {
 public:
  // Every rule of the format is checked before this returns, each size against the file before
  // memory is taken. Only the padding behind the last tensor may be missing, and other bytes may
  // follow: llama.cpp's loader takes such files too. `path` may be the first shard of a split file:
  // then all shards beside it are read as one. Throws Error: kModelNotFound if there is no such
  // file, kGeneral "path: part: expected .., found ..".
  explicit GgufFile(const std::filesystem::path& path);
  ~GgufFile();
  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;

  const std::filesystem::path& path() const;
  std::span<const GgufKey> keys() const;  // in file order
  const GgufValue* Find(std::string_view key) const;
  // The value if the key is there with exactly this type; nullptr if the key is absent. Throws
  // Error{kGeneral} naming key, expected and found type otherwise.
  template <typename T>
  const T* Get(std::string_view key) const;

  std::span<const GgufTensor> tensors() const;  // in file order
  const GgufTensor* FindTensor(std::string_view name) const;
  uint64_t file_bytes() const;  // of all shards
  uint32_t version() const;     // 2 or 3
  uint64_t alignment() const;
  // The tensor's pages may leave memory; the view stays valid.
  void Release(const GgufTensor& tensor) const;

 private:
  [[noreturn]] void FailType(std::string_view key, const GgufValue& expected,
                             const GgufValue& found) const;

  struct State;
  std::unique_ptr<State> state_;
};

template <typename T>
const T* GgufFile::Get(std::string_view key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return nullptr;
  if (const T* typed = std::get_if<T>(value)) return typed;
  FailType(key, T{}, *value);
}

// True if the file exists and begins with the GGUF magic.
bool LooksLikeGguf(const std::filesystem::path& path);

inline constexpr size_t kMaxGgufTensorName = 63;  // bytes
inline constexpr size_t kMaxGgufDimensions = 4;

struct GgufWriteOptions {
  uint64_t alignment = 32;  // bytes; written as general.alignment if it is not 32
  // 0: one file at the given path. Else "name.gguf" becomes "name-00001-of-00003.gguf", ...:
  // tensors in order, each shard with as many as stay within this many bytes of tensor data
  // (padding included), at least one.
  uint64_t max_shard_bytes = 0;
};

// Writes keys and table, then takes one tensor's bytes after the other: never more than one, or the
// part of one, in memory. All files appear under their names in Finish(), or none does.
class GgufWriter {
 public:
  // `keys` without general.alignment and split.*, which the writer adds. `tensors` (data unused) in
  // the order of the file. Throws Error{kGeneral} for what no reader accepts: a repeated or
  // malformed key, a name longer than 63 bytes or used twice, rows that are not whole blocks.
  GgufWriter(const std::filesystem::path& path, std::vector<GgufKey> keys,
             std::vector<GgufTensor> tensors, const GgufWriteOptions& options = {});
  ~GgufWriter();

  // The bytes of the next tensor. Throws Error{kGeneral} if their number is not num_bytes() or all
  // tensors are written.
  void Write(std::span<const std::byte> bytes);
  // Or of its next part: the tensor is written when all its bytes are. Throws Error{kGeneral} for
  // more than are missing.
  void WritePart(std::span<const std::byte> bytes);
  // Must be the last call; all tensors must have been written. Returns the bytes of all files.
  uint64_t Finish();
  // The files, in order of shards.
  const std::vector<std::filesystem::path>& paths() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// What GgufWriter::Finish() will return, without writing. Throws as the constructor does.
uint64_t PlannedGgufBytes(const std::filesystem::path& path, const std::vector<GgufKey>& keys,
                          const std::vector<GgufTensor>& tensors,
                          const GgufWriteOptions& options = {});

}  // namespace llmq

#endif  // LLMQ_GGUF_H_
