// Progress on disk, so that a run that was stopped or killed continues instead of starting over.
//
// Before: pipeline opens it for a fingerprint. After: pipeline keeps layers and training state in
// it and removes it after success. Directory: <checkpoint_dir>/<output stem>-<fingerprint>/ with
// manifest.json (the fingerprint in words), lock, one for the statistics, the ranks and the text
// of the model's own, one per factorized layer, per trained block and per training state. Every
// file appears by rename, so a kill at any moment leaves the last complete state.
#ifndef LLMQ_COMPRESS_CHECKPOINT_STORE_H_
#define LLMQ_COMPRESS_CHECKPOINT_STORE_H_

#include <cstdint>
#include <filesystem>
#include <optional>
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
  std::filesystem::path StatisticsPath() const;
  std::filesystem::path RanksPath() const;
  std::filesystem::path OwnTextPath() const;
  std::filesystem::path TrainingPath() const;
  std::filesystem::path DistillationPath() const;
  const std::filesystem::path& directory() const { return directory_; }

  // Deletes the directory, and checkpoint_dir if that leaves it empty.
  void Remove();

 private:
  std::filesystem::path directory_;
  int lock_fd_ = -1;
};

// Bytes of the files that a run's checkpoint has so far; 0 if there is none. The same run, resumed
// or begun anew, needs no other room for them.
uint64_t CheckpointBytesKept(const std::filesystem::path& checkpoint_dir, const std::string& stem,
                             const Fingerprint& fingerprint);

// The value of a Fingerprint's part in the manifest of the only checkpoint of this stem; nullopt if
// there is none or several, or it has no such part.
std::optional<std::string> RecordedPart(const std::filesystem::path& checkpoint_dir,
                                        const std::string& stem, const std::string& part);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_CHECKPOINT_STORE_H_
