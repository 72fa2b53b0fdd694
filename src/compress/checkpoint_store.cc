#include "compress/checkpoint_store.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr const char* kManifestName = "manifest.json";
constexpr const char* kLockName = "lock";
constexpr const char* kStateExtension = ".state";
constexpr size_t kHashDigits = 16;

void WriteManifest(const std::filesystem::path& directory, const Fingerprint& fingerprint) {
  Json parts = Json::object();
  for (const auto& [name, value] : fingerprint.parts) parts[name] = value;
  Json manifest = {{"fingerprint", fingerprint.HashText()}, {"made_from", parts}};
  WriteFileAtomically(directory / kManifestName, DumpJson(manifest, 2) + "\n");
}

std::filesystem::path DirectoryOf(const std::filesystem::path& checkpoint_dir,
                                  const std::string& stem, const Fingerprint& fingerprint) {
  return checkpoint_dir / (stem + "-" + fingerprint.HashText());
}

// Directories "<stem>-<16 hex digits>" that hold a manifest, sorted.
std::vector<std::filesystem::path> FindOthers(const std::filesystem::path& checkpoint_dir,
                                              const std::string& stem) {
  std::vector<std::filesystem::path> found;
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(checkpoint_dir, failure)) {
    const std::string name = entry.path().filename().string();
    const bool ours = name.size() == stem.size() + 1 + kHashDigits && name.starts_with(stem + "-");
    if (ours && std::filesystem::exists(entry.path() / kManifestName, failure)) {
      found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

// The parts of a checkpoint's fingerprint, by their names.
Json MadeFrom(const std::filesystem::path& directory) {
  const std::filesystem::path path = directory / kManifestName;
  const Json manifest = ParseJson(ReadTextFile(path), path.string());
  return manifest.contains("made_from") ? manifest["made_from"] : Json::object();
}

// "learning rate: 0.0005 now, 0.001 in the checkpoint; ..."
std::string Differences(const std::filesystem::path& other, const Fingerprint& fingerprint) {
  const std::string where = (other / kManifestName).string();
  const Json made_from = MadeFrom(other);
  std::string text;
  const auto add = [&](const std::string& name, const std::string& now, const std::string& then) {
    if (now == then) return;
    text += fmt::format("{}{}: {} now, {} in the checkpoint", text.empty() ? "" : "; ", name, now,
                        then);
  };
  for (const auto& [name, value] : fingerprint.parts) {
    add(name, value, GetString(made_from, name.c_str(), "none", where));
  }
  for (const auto& [name, value] : made_from.items()) {
    const auto known = std::any_of(fingerprint.parts.begin(), fingerprint.parts.end(),
                                   [&](const auto& part) { return part.first == name; });
    if (!known) add(name, "none", GetString(made_from, name.c_str(), "none", where));
  }
  return text;
}

[[noreturn]] void ThrowNothingToResume(const std::filesystem::path& checkpoint_dir,
                                       const std::string& stem, const Fingerprint& fingerprint) {
  const std::vector<std::filesystem::path> others = FindOthers(checkpoint_dir, stem);
  if (others.empty()) {
    throw Error(ErrorCode::kCheckpointError,
                fmt::format("{}: expected a checkpoint of {}, found no checkpoint",
                            checkpoint_dir.string(), stem),
                "Start without --resume, or check --resume, --output-dir and --output-name");
  }
  throw Error(ErrorCode::kCheckpointError,
              fmt::format("{}: expected a checkpoint of the same run, found a different one: {}",
                          others.front().string(), Differences(others.front(), fingerprint)),
              "Repeat the options of the interrupted run, or start without --resume");
}

// A lock is given up by the kernel when its process ends, however it ends.
int Lock(const std::filesystem::path& directory) {
  const int fd = open((directory / kLockName).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) {
    throw Error(ErrorCode::kCheckpointError,
                fmt::format("{}: cannot write: {}", (directory / kLockName).string(),
                            std::generic_category().message(errno)),
                "Check that the checkpoint directory is writable");
  }
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    close(fd);
    throw Error(
        ErrorCode::kCheckpointError,
        fmt::format("{}: expected to be alone, found another run using it", directory.string()),
        "Wait for the other run, or choose another --output-name or --checkpoint-dir");
  }
  return fd;
}

void DeleteContents(const std::filesystem::path& directory) {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().filename() != kLockName) std::filesystem::remove_all(entry.path());
  }
}

}  // namespace

CheckpointStore::CheckpointStore(const std::filesystem::path& checkpoint_dir,
                                 const std::string& stem, const Fingerprint& fingerprint,
                                 bool resume)
    : directory_(DirectoryOf(checkpoint_dir, stem, fingerprint)) {
  std::error_code failure;
  const bool exists = std::filesystem::exists(directory_ / kManifestName, failure);
  if (resume && !exists) ThrowNothingToResume(checkpoint_dir, stem, fingerprint);
  EnsureWritableDirectory(directory_);
  lock_fd_ = Lock(directory_);
  if (resume) return;
  DeleteContents(directory_);
  WriteManifest(directory_, fingerprint);
}

CheckpointStore::~CheckpointStore() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

std::filesystem::path CheckpointStore::LayerPath(int64_t index) const {
  return directory_ / fmt::format("layer-{:05}.state", index);
}

std::filesystem::path CheckpointStore::BlockPath(int64_t block) const {
  return directory_ / fmt::format("block-{:05}.state", block);
}

std::filesystem::path CheckpointStore::StatisticsPath() const {
  return directory_ / "statistics.state";
}

std::filesystem::path CheckpointStore::RanksPath() const { return directory_ / "ranks.state"; }

std::filesystem::path CheckpointStore::OwnTextPath() const { return directory_ / "own_text.state"; }

std::filesystem::path CheckpointStore::TrainingPath() const {
  return directory_ / "training.state";
}

std::filesystem::path CheckpointStore::DistillationPath() const {
  return directory_ / "distillation.state";
}

void CheckpointStore::Remove() {
  std::error_code ignored;  // a leftover is harmless: the next run starts over
  std::filesystem::remove_all(directory_, ignored);
  std::filesystem::remove(directory_.parent_path(), ignored);  // only if empty
}

uint64_t CheckpointBytesKept(const std::filesystem::path& checkpoint_dir, const std::string& stem,
                             const Fingerprint& fingerprint) {
  uint64_t bytes = 0;
  std::error_code failure;  // none is there, or it cannot be read: nothing is kept
  const auto directory = DirectoryOf(checkpoint_dir, stem, fingerprint);
  for (const auto& entry : std::filesystem::directory_iterator(directory, failure)) {
    const bool is_state = entry.path().extension() == kStateExtension;
    const uint64_t size = is_state ? entry.file_size(failure) : 0;
    if (!failure) bytes += size;
  }
  return bytes;
}

std::optional<std::string> RecordedPart(const std::filesystem::path& checkpoint_dir,
                                        const std::string& stem, const std::string& part) {
  const std::vector<std::filesystem::path> found = FindOthers(checkpoint_dir, stem);
  if (found.size() != 1) return std::nullopt;
  const Json made_from = MadeFrom(found.front());
  const auto value = made_from.find(part);
  if (value == made_from.end() || !value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

}  // namespace llmq
