#include "runtime/large_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <utility>

#include "llmq/error.h"

namespace llmq {

LargeMemory::LargeMemory(uint64_t bytes) : size_(bytes) {
  if (bytes == 0) return;
  void* data = bytes > PTRDIFF_MAX ? MAP_FAILED
                                   : mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("memory: expected {} bytes to be free, found less", bytes),
                "Use a smaller model or a shorter context.");
  }
  data_ = static_cast<std::byte*>(data);
  (void)madvise(data, size_, MADV_HUGEPAGE);  // advice: a refusal costs speed only
}

LargeMemory::~LargeMemory() {
  if (data_ != nullptr) munmap(data_, size_);
}

LargeMemory::LargeMemory(LargeMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      taken_(std::exchange(other.taken_, 0)) {}

LargeMemory& LargeMemory::operator=(LargeMemory&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(taken_, other.taken_);
  return *this;
}

std::span<std::byte> LargeMemory::Take(uint64_t bytes) {
  const std::span<std::byte> part(data_ + taken_, bytes);
  taken_ += (bytes + 63) / 64 * 64;
  return part;
}

}  // namespace llmq
