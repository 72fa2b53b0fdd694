// Progress on disk, so that a run that was stopped or killed continues instead of starting over.
//
// Before: pipeline opens it for a fingerprint. After: pipeline keeps layers and training state in
// it and removes it after success. Directory: <checkpoint_dir>/<output stem>-<fingerprint>/ with
// manifest.json (the fingerprint in words), lock, one for the statistics and ranks, one per
// factorized layer, one per trained block and one per training state. Every file appears by rename,
// so a kill at any moment leaves the last complete state.
#ifndef LLMQ_COMPRESS_CHECKPOINT_STORE_H_
#define LLMQ_COMPRESS_CHECKPOINT_STORE_H_

#include <cstdint>
#include <filesystem>
#include <string>

#include "compress/fingerprint.h"

namespace llmq {

class CheckpointStore {
 public:
  // Makes or finds the directory and locks it. `resume`: throws Error{kCheckpointError} if there is
  // none, or if one of this stem is there with another fingerprint, naming what differs. Otherwise
  // what is there is deleted. Throws Error{kCheckpointError} if another run holds the lock.
  CheckpointStore(const std::filesystem::path& checkpoint_dir, const std::string& stem,
                  const Fingerprint& fingerprint, bool resume);
  ~CheckpointStore();
  CheckpointStore(const CheckpointStore&) = delete;
  CheckpointStore& operator=(const CheckpointStore&) = delete;

  std::filesystem::path LayerPath(int64_t index) const;
  std::filesystem::path BlockPath(int64_t block) const;
  std::filesystem::path PlanPath() const;
  std::filesystem::path TrainingPath() const;
  std::filesystem::path DistillationPath() const;
  const std::filesystem::path& directory() const { return directory_; }

  // Deletes the directory, and checkpoint_dir if that leaves it empty.
  void Remove();

 private:
  std::filesystem::path directory_;
  int lock_fd_ = -1;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CHECKPOINT_STORE_H_
