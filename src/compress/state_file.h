// A file of named arrays with a checksum: what a checkpoint is made of.
//
// Before: checkpoint_store asks for a layer or the training state to be kept. After: the same
// program reads it when it resumes. Private to one version of the program (the fingerprint sees to
// that), so unlike .littlebit it has no document. Layout, little endian: magic, count, per array
// {name length, name, bytes, data}, XXH64 of all.
#ifndef LLMQ_COMPRESS_STATE_FILE_H_
#define LLMQ_COMPRESS_STATE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/file.h"

namespace llmq {

class StateWriter {
 public:
  // Appears at `path` complete or not at all. `count`: number of Add calls to come.
  StateWriter(const std::filesystem::path& path, uint32_t count);
  void Add(const std::string& name, std::span<const std::byte> bytes);
  void Commit();  // must be the last call

 private:
  void Append(std::span<const std::byte> bytes);

  AtomicFile file_;
  StreamingChecksum64 checksum_;
};

class StateReader {
 public:
  // Throws Error{kGeneral} if the file is damaged. Owns the mapping.
  explicit StateReader(const std::filesystem::path& path);

  // The array's bytes. Throws Error{kGeneral} if it is missing or has another size.
  std::span<const std::byte> Get(const std::string& name, uint64_t expected_bytes) const;
  // The array's bytes, whatever their number.
  std::span<const std::byte> Get(const std::string& name) const;

 private:
  MappedFile file_;
  std::map<std::string, std::span<const std::byte>> arrays_;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_STATE_FILE_H_
