#include "hub/hub_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "hub/http.h"
#include "hub/hub_api.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxRefBytes = 4096;

std::string FolderName(const HubRepository& repository) {
  std::string id = repository.id;
  if (const size_t slash = id.find('/'); slash != std::string::npos) id.replace(slash, 1, "--");
  return (repository.kind == HubKind::kModel ? "models--" : "datasets--") + id;
}

// Notes are conveniences: a cache on a read-only disk serves without them.
template <typename Write>
void TryNote(const fs::path& path, Write write) {
  std::error_code failure;
  fs::create_directories(path.parent_path(), failure);
  try {
    if (!failure) write();
  } catch (const Error& error) {
    LogDebug(error.message());
  }
}

[[noreturn]] void ThrowUnwritable(const fs::path& path, const std::error_code& failure) {
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: cannot write: {}", path.string(), failure.message()),
              "Free disk space, or choose another cache with HF_HUB_CACHE or HF_HOME");
}

}  // namespace

HubCache::HubCache(const fs::path& root, const HubRepository& repository)
    : folder_(root / FolderName(repository)), locks_(root / ".locks" / FolderName(repository)) {}

fs::path HubCache::Snapshot(const std::string& commit) const {
  return folder_ / "snapshots" / commit;
}
fs::path HubCache::Blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
fs::path HubCache::Lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }

std::optional<std::string> HubCache::Commit(const std::string& revision) const {
  if (IsHex(revision, 40)) return revision;
  const fs::path path = folder_ / "refs" / revision;
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return std::nullopt;
  const std::string commit = ReadTextFile(path, kMaxRefBytes);
  return IsHex(commit, 40) ? std::optional(commit) : std::nullopt;
}

void HubCache::NoteCommit(const std::string& revision, const std::string& commit) const {
  if (revision == commit || Commit(revision) == commit) return;
  const fs::path path = folder_ / "refs" / revision;
  TryNote(path, [&] { WriteFileAtomically(path, commit); });
}

void HubCache::NoteAbsent(const std::string& commit, const std::string& name) const {
  const fs::path path = folder_ / ".no_exist" / commit / name;
  std::error_code ignored;
  if (fs::exists(path, ignored)) return;
  TryNote(path, [&] { WriteFileAtomically(path, ""); });
}

void HubCache::Link(const std::string& etag, const std::string& commit, const std::string& name,
                    bool symlinks) const {
  const fs::path shown = Snapshot(commit) / name;
  std::error_code failure;
  fs::create_directories(shown.parent_path(), failure);
  if (failure) ThrowUnwritable(shown.parent_path(), failure);
  if (symlinks) {
    // By rename, so that an old link is replaced and never missing.
    const fs::path fresh =
        shown.parent_path() / fmt::format(".{}.{}.tmp", shown.filename().string(), getpid());
    fs::remove(fresh, failure);
    fs::create_symlink(Blob(etag).lexically_relative(shown.parent_path()), fresh, failure);
    if (!failure) {
      fs::rename(fresh, shown, failure);
      if (failure) ThrowUnwritable(shown, failure);
      return;
    }
  }
  fs::rename(Blob(etag), shown, failure);
  if (failure) ThrowUnwritable(shown, failure);
}

BlobLock::BlobLock(const fs::path& path, const std::function<bool()>& cancelled,
                   const std::function<void()>& waiting) {
  std::error_code failure;
  fs::create_directories(path.parent_path(), failure);
  fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) ThrowUnwritable(path, std::error_code(errno, std::generic_category()));
  bool said = false;
  while (flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return;  // no locks here
    if (cancelled()) {
      close(fd_);
      throw HttpCancelled();
    }
    if (!said) waiting();
    said = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  held_ = true;
}

BlobLock::~BlobLock() { close(fd_); }  // which unlocks

}  // namespace llmq
