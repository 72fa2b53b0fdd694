// A file on its way: "<etag>.incomplete", which stays when a download ends early and becomes the
// blob when it is whole.
#ifndef LLMQ_HUB_PARTIAL_BLOB_H_
#define LLMQ_HUB_PARTIAL_BLOB_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "base/digest.h"

namespace llmq {

class PartialBlob {
 public:
  // Opens what an earlier run left at `path`, or an empty file. Bytes are summed as they come, the
  // old ones now. `size` is that of the whole file; a longer remnant is dropped.
  // `kind` absent: no sum.
  PartialBlob(std::filesystem::path path, uint64_t size, std::optional<DigestKind> kind);
  ~PartialBlob();  // leaves the file
  PartialBlob(const PartialBlob&) = delete;
  PartialBlob& operator=(const PartialBlob&) = delete;

  uint64_t bytes() const { return bytes_; }  // that are there
  void Append(std::span<const std::byte> bytes);
  void Restart();  // from the first byte
  // The digest of what is there; empty without a sum.
  std::string Finish();
  // To the disk, and renamed. Must be the last call.
  void Commit(const std::filesystem::path& blob);
  void Remove();

 private:
  void SumOldBytes();

  std::filesystem::path path_;
  int fd_ = -1;
  uint64_t bytes_ = 0;
  std::optional<Digest> digest_;
};

}  // namespace llmq

#endif  // LLMQ_HUB_PARTIAL_BLOB_H_
