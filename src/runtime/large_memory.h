// Zeroed memory for what is read from end to end again and again: in large pages where the system
// has them, so that reading does not stop at every small one.
#ifndef LLMQ_RUNTIME_LARGE_MEMORY_H_
#define LLMQ_RUNTIME_LARGE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <span>

namespace llmq {

class LargeMemory {
 public:
  // Throws Error{kOutOfMemory} if it cannot be had. The system gives it page by page, when it is
  // first written.
  explicit LargeMemory(uint64_t bytes);
  ~LargeMemory();
  LargeMemory(LargeMemory&& other) noexcept;
  LargeMemory& operator=(LargeMemory&& other) noexcept;

  std::span<std::byte> bytes() { return {data_, size_}; }
  const std::byte* data() const { return data_; }
  // The next `bytes` that were not taken yet, aligned to 64. Precondition: they are there.
  std::span<std::byte> Take(uint64_t bytes);

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t taken_ = 0;
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_LARGE_MEMORY_H_
