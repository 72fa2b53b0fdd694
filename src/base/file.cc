#include "base/file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

std::string Reason() { return std::generic_category().message(errno); }

[[noreturn]] void ThrowOpenError(const std::filesystem::path& path) {
  const bool missing = errno == ENOENT || errno == ENOTDIR;
  throw Error(missing ? ErrorCode::kModelNotFound : ErrorCode::kGeneral,
              fmt::format("{}: expected a readable file, found: {}", path.string(), Reason()),
              missing ? "Check the path" : "Check the file's type and permissions");
}

[[noreturn]] void ThrowWriteError(const std::filesystem::path& path) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: cannot write: {}", path.string(), Reason()),
              errno == ENOSPC ? "Free disk space or choose another --output-dir"
                              : "Check that the directory exists and is writable");
}

// Writes all of `bytes` by `write_some`, which returns what write(2) does for what is left.
template <typename WriteSome>
void WriteAll(const std::filesystem::path& path, std::span<const std::byte> bytes,
              WriteSome write_some) {
  while (!bytes.empty()) {
    const ssize_t written = write_some(bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) ThrowWriteError(path);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

// stdout is open on the file of this status.
bool IsStdout(const struct stat& status) {
  struct stat stdout_status;
  return fstat(STDOUT_FILENO, &stdout_status) == 0 && status.st_dev == stdout_status.st_dev &&
         status.st_ino == stdout_status.st_ino;
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int fd() const { return fd_; }

 private:
  int fd_;
};

// A regular file, open for reading.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path)
      : file_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {  // a pipe: not to wait
    if (fd() < 0) ThrowOpenError(path);
    struct stat status;
    if (fstat(fd(), &status) != 0 || !S_ISREG(status.st_mode)) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected a regular file, found something else", path.string()),
                  "Give the path of a file");
    }
    size_ = static_cast<size_t>(status.st_size);
  }

  int fd() const { return file_.fd(); }
  size_t size() const { return size_; }

 private:
  Descriptor file_;
  size_t size_ = 0;
};

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const InputFile file(path);
  size_ = file.size();
  if (size_ == 0) return;
  void* mapping = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (mapping == MAP_FAILED) ThrowOpenError(path);
  data_ = static_cast<const std::byte*>(mapping);
}

MappedFile::MappedFile(const std::filesystem::path& path, uint64_t bytes)
    : path_(path), size_(bytes) {
  void* addresses =
      mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (addresses == MAP_FAILED) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected addresses for {} bytes, found: {}", path.string(), bytes,
                            Reason()),
                "Raise the limit of virtual memory (ulimit -v)");
  }
  data_ = static_cast<const std::byte*>(addresses);
}

MappedFile MappedFile::Reserve(const std::filesystem::path& path, uint64_t bytes) {
  return MappedFile(path, bytes);
}

void MappedFile::Fill() const {
  const InputFile file(path_);
  if (file.size() != size_) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected {} bytes, found {}", path_.string(), size_, file.size()),
                "Fetch the file again");
  }
  void* mapping =
      mmap(const_cast<std::byte*>(data_), size_, PROT_READ, MAP_PRIVATE | MAP_FIXED, file.fd(), 0);
  if (mapping == MAP_FAILED) ThrowOpenError(path_);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::Release(std::span<const std::byte> part) const {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = AlignUp(static_cast<uint64_t>(part.data() - data_), page);
  const uint64_t end = static_cast<uint64_t>(part.data() - data_) + part.size();
  if (end < begin + page) return;
  // Advice only: a refusal changes nothing but memory use.
  (void)madvise(const_cast<std::byte*>(data_) + begin, (end - begin) / page * page, MADV_DONTNEED);
}

std::filesystem::path FollowLinks(const std::filesystem::path& path) {
  constexpr int kMostLinks = 40;  // as Linux has it
  std::filesystem::path place = path;
  std::error_code none;
  for (int link = 0; link < kMostLinks && std::filesystem::is_symlink(place, none); ++link) {
    place = place.parent_path() / std::filesystem::read_symlink(place, none);
  }
  return place;
}

bool CanHoldFile(const std::filesystem::path& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return errno != ELOOP;
  return S_ISREG(status.st_mode);
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), target_(FollowLinks(path_)) {
  if (!CanHoldFile(path_)) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a file to write, found a directory, pipe or device",
                            path_.string()),
                "Choose another path");
  }
  temporary_ = target_;
  temporary_ += fmt::format(".{}.tmp", getpid());
  fd_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) ThrowWriteError(path_);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

void AtomicFile::Append(std::span<const std::byte> bytes) {
  WriteAt(size_, bytes);
  size_ += bytes.size();
}

void AtomicFile::Append(std::string_view text) { Append(AsBytes(text)); }

void AtomicFile::WriteAt(uint64_t offset, std::span<const std::byte> bytes) {
  WriteAll(path_, bytes, [&](std::span<const std::byte> left) {
    const uint64_t place = offset + bytes.size() - left.size();
    return pwrite(fd_, left.data(), left.size(), static_cast<off_t>(place));
  });
}

void AtomicFile::Flush() {
  if (fsync(fd_) != 0) ThrowWriteError(path_);
}

void AtomicFile::Commit() {
  Flush();
  close(fd_);
  fd_ = -1;
  if (rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int rename_errno = errno;
    unlink(temporary_.c_str());
    errno = rename_errno;
    ThrowWriteError(path_);
  }
}

std::string ReadTextFile(const std::filesystem::path& path, uint64_t max_bytes) {
  const MappedFile file(path);
  if (file.bytes().size() > max_bytes) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected at most {} bytes, found {}",
                                                 path.string(), max_bytes, file.bytes().size()));
  }
  return std::string(AsText(file.bytes()));
}

bool FileBeginsWith(const std::filesystem::path& path, std::string_view bytes) {
  try {
    const MappedFile file(path);
    return AsText(file.bytes()).starts_with(bytes);
  } catch (const Error&) {
    return false;
  }
}

void WriteFileAtomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.Append(text);
  file.Commit();
}

bool IsStream(const std::filesystem::path& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return false;
  return !S_ISREG(status.st_mode) || IsStdout(status);
}

void WriteTextOutput(const std::filesystem::path& path, std::string_view text) {
  if (!IsStream(path)) return WriteFileAtomically(path, text);
  struct stat status;
  // stdout's own descriptor, so that what is printed later follows and does not overwrite.
  const bool is_stdout = stat(path.c_str(), &status) == 0 && IsStdout(status);
  const Descriptor stream(is_stdout ? dup(STDOUT_FILENO)
                                    : open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (stream.fd() < 0) ThrowWriteError(path);
  WriteAll(path, AsBytes(text), [&](std::span<const std::byte> left) {
    return write(stream.fd(), left.data(), left.size());
  });
}

void EnsureWritableDirectory(const std::filesystem::path& directory) {
  std::error_code failure;
  std::filesystem::create_directories(directory, failure);
  if (failure || !std::filesystem::is_directory(directory)) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a directory to write to, found: {}", directory.string(),
                            failure ? failure.message() : "something else"),
                "Choose another directory");
  }
  // Opening and dropping the temporary proves that a file can be made here.
  AtomicFile probe(directory / ".llm-quantize-probe");
}

bool OnSameFileSystem(const std::filesystem::path& a, const std::filesystem::path& b) {
  struct stat of_a;
  struct stat of_b;
  return stat(a.c_str(), &of_a) == 0 && stat(b.c_str(), &of_b) == 0 && of_a.st_dev == of_b.st_dev;
}

uint64_t FreeDiskBytes(const std::filesystem::path& directory) {
  struct statvfs status;
  if (statvfs(directory.c_str(), &status) != 0) ThrowOpenError(directory);
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace llmq
