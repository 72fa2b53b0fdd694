// The cache that Python's huggingface_hub shares, of one repository; a data set's is called
// datasets--org--name:
//
//   models--org--name/refs/main                  40-digit commit, no newline
//   models--org--name/snapshots/<commit>/<file>  -> ../../blobs/<etag>
//   models--org--name/blobs/<etag>               complete bytes, appeared by rename
//   models--org--name/blobs/<etag>.incomplete    what has come so far
//   models--org--name/.no_exist/<commit>/<file>  the commit is known not to have this file
//   .locks/models--org--name/<etag>.lock         flock while a blob is being fetched
//
// A cache that cannot be written can be read: notes such as refs are left out then.
#ifndef LLMQ_HUB_HUB_CACHE_H_
#define LLMQ_HUB_HUB_CACHE_H_

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "llmq/hub.h"

namespace llmq {

class HubCache {
 public:
  HubCache(const std::filesystem::path& root, const HubRepository& repository);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path Snapshot(const std::string& commit) const;
  std::filesystem::path Blob(const std::string& etag) const;
  std::filesystem::path Lock(const std::string& etag) const;

  // The commit that `revision` was when last asked for, or `revision` itself if it is a commit.
  std::optional<std::string> Commit(const std::string& revision) const;
  void NoteCommit(const std::string& revision, const std::string& commit) const;
  void NoteAbsent(const std::string& commit, const std::string& name) const;
  // Makes snapshots/<commit>/<name> show the blob: by a relative link or, where there are none (or
  // `symlinks` is false), by moving it there.
  void Link(const std::string& etag, const std::string& commit, const std::string& name,
            bool symlinks) const;

 private:
  std::filesystem::path folder_;
  std::filesystem::path locks_;
};

// Exclusive among the programs that use the cache, by flock; waits, asking `cancelled` (then throws
// HttpCancelled). Where the file system has no locks there is none.
class BlobLock {
 public:
  BlobLock(const std::filesystem::path& path, const std::function<bool()>& cancelled,
           const std::function<void()>& waiting);
  ~BlobLock();
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;

  bool held() const { return held_; }

 private:
  int fd_ = -1;
  bool held_ = false;
};

}  // namespace llmq

#endif  // LLMQ_HUB_HUB_CACHE_H_
