#include "hub/partial_blob.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "llmq/error.h"

namespace llmq {
namespace {

[[noreturn]] void ThrowErrno(const std::filesystem::path& path, const char* doing) {
  const int reason = errno;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: cannot {}: {}", path.string(), doing,
                          std::generic_category().message(reason)),
              "Free disk space, or choose another cache with HF_HUB_CACHE or HF_HOME");
}

}  // namespace

PartialBlob::PartialBlob(std::filesystem::path path, uint64_t size, std::optional<DigestKind> kind)
    : path_(std::move(path)) {
  std::error_code failure;
  std::filesystem::create_directories(path_.parent_path(), failure);
  fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) ThrowErrno(path_, "write");
  struct stat status = {};
  if (fstat(fd_, &status) != 0) ThrowErrno(path_, "read");
  if (kind) digest_.emplace(*kind, size);
  bytes_ = static_cast<uint64_t>(status.st_size);
  if (bytes_ > size) Restart();
  SumOldBytes();
}

PartialBlob::~PartialBlob() {
  if (fd_ >= 0) close(fd_);
}

void PartialBlob::SumOldBytes() {
  if (!digest_) return;
  std::vector<std::byte> buffer(size_t{1} << 20);
  for (uint64_t offset = 0; offset < bytes_;) {
    const ssize_t got = pread(fd_, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) ThrowErrno(path_, "read");
    digest_->Update(std::span(buffer).first(static_cast<size_t>(got)));
    offset += static_cast<uint64_t>(got);
  }
}

void PartialBlob::Append(std::span<const std::byte> bytes) {
  if (digest_) digest_->Update(bytes);
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(bytes_));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) ThrowErrno(path_, "write");
    bytes_ += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void PartialBlob::Restart() {
  if (ftruncate(fd_, 0) != 0) ThrowErrno(path_, "write");
  bytes_ = 0;
  if (digest_) digest_->Restart();
}

std::string PartialBlob::Finish() { return digest_ ? digest_->Finish() : std::string(); }

void PartialBlob::Commit(const std::filesystem::path& blob) {
  if (fsync(fd_) != 0) ThrowErrno(path_, "write");
  if (rename(path_.c_str(), blob.c_str()) != 0) ThrowErrno(blob, "write");
}

void PartialBlob::Remove() { unlink(path_.c_str()); }

}  // namespace llmq
