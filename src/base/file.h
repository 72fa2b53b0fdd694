// Files as the rest of the program sees them: read-only mappings in, atomic writes out.
//
// Nothing here knows a format. An output exists at its path complete or not at all: AtomicFile
// writes to a temporary beside it and renames. Inputs are mapped read-only and never modified. A
// symbolic link stays one: what it points to is replaced.
#ifndef LLMQ_BASE_FILE_H_
#define LLMQ_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace llmq {

// A read-only mapping of a whole regular file. Owns the mapping; views into bytes() must not
// outlive it. An empty file gives empty bytes.
class MappedFile {
 public:
  // Throws Error{kModelNotFound} if the path does not exist, Error{kGeneral} if it cannot be read.
  explicit MappedFile(const std::filesystem::path& path);
  // Addresses for a file of `bytes` bytes that is still to come to `path`: nobody may read them
  // before Fill(). Throws Error{kGeneral} if there are not that many.
  static MappedFile Reserve(const std::filesystem::path& path, uint64_t bytes);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  // The file that Reserve() expected has come: bytes() are its bytes, at the same addresses. Throws
  // as the constructor, and Error{kGeneral} if its size is another.
  void Fill() const;
  // Tells the kernel that these bytes (inside bytes()) will not be needed soon: they leave the
  // resident set.
  void Release(std::span<const std::byte> part) const;

 private:
  MappedFile(const std::filesystem::path& path, uint64_t bytes);  // Reserve()

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// Where `path` leads: itself, or behind the last of its symbolic links, which may point to nothing.
std::filesystem::path FollowLinks(const std::filesystem::path& path);

// A file can appear at `path`: there is none or a regular one (behind links), not a directory, a
// pipe, a device or a link to itself.
bool CanHoldFile(const std::filesystem::path& path);

// Writes a file so that it appears at `path` complete or not at all. The temporary lies beside it
// and is removed if Commit() was not reached.
class AtomicFile {
 public:
  // Throws Error{kGeneral} if the directory is missing or not writable, or if not
  // CanHoldFile(path).
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Appends. Throws Error{kGeneral} naming the path and the reason (disk full, for one).
  void Append(std::span<const std::byte> bytes);
  void Append(std::string_view text);
  // Overwrites bytes already appended; the position for Append stays at the end.
  void WriteAt(uint64_t offset, std::span<const std::byte> bytes);
  // Everything appended is on the disk: what could fail for lack of space has failed. For several
  // files that shall appear together, before the first Commit().
  void Flush();
  // Flushes to the disk and renames onto path(). Must be the last call.
  void Commit();

  uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::filesystem::path target_;  // path_ behind links
  std::filesystem::path temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// The whole file as text. Throws as MappedFile does, and Error{kGeneral} if it is larger than
// `max_bytes`.
std::string ReadTextFile(const std::filesystem::path& path, uint64_t max_bytes = uint64_t{1} << 30);

// A regular file at `path` can be read and begins with `bytes`.
bool FileBeginsWith(const std::filesystem::path& path, std::string_view bytes);

// AtomicFile in one call.
void WriteFileAtomically(const std::filesystem::path& path, std::string_view text);

// `path` names a pipe, a device or what stdout goes to (a shell's >(...), /dev/stdout): something
// that text can be written to but no file can replace.
bool IsStream(const std::filesystem::path& path);

// Text to a place that the user named: into a stream as it stands, else as WriteFileAtomically.
void WriteTextOutput(const std::filesystem::path& path, std::string_view text);

// Creates `directory` and its parents if needed and proves that a file can be made there.
// Throws Error{kGeneral} naming the directory and the reason.
void EnsureWritableDirectory(const std::filesystem::path& directory);

// Both exist; what is written to one leaves less room for the other.
bool OnSameFileSystem(const std::filesystem::path& a, const std::filesystem::path& b);

// Bytes available to this user on the file system that holds `directory` (which exists).
uint64_t FreeDiskBytes(const std::filesystem::path& directory);

}  // namespace llmq

#endif  // LLMQ_BASE_FILE_H_
