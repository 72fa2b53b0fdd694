// Truncated and damaged GGUF files: an Error or a file, never a crash, and no memory for bytes that
// are not there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <new>

#include "base/file.h"
#include "llmq/error.h"
#include "llmq/gguf.h"
#include "tests/gguf/gguf_draft.h"
#include "tests/support/temporary_directory.h"

namespace {

std::atomic<size_t> largest_allocation = 0;

}  // namespace

// The test program's own, to see what a reader asks for.
[[gnu::noinline]] void* operator new(size_t bytes) {
  size_t largest = largest_allocation.load();
  while (bytes > largest && !largest_allocation.compare_exchange_weak(largest, bytes)) {
  }
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace llmq {
namespace {

using testing::GgufDraft;
using testing::TemporaryDirectory;
using testing::U32;
using testing::U64;
using testing::U8;

// Every kind of value, and tensors whose last one fills its padding.
GgufDraft Mixed() {
  GgufDraft draft = GgufDraft::Small();
  const auto add = [&](uint32_t type, const std::string& value) {
    draft.AddKey(fmt::format("k{}", type), U32(type) + value);
    draft.AddKey(fmt::format("a{}", type), U32(9) + U32(type) + U64(2) + value + value);
  };
  add(0, U8(200));
  add(5, U32(1));
  add(6, U32(0x3f800000));
  add(7, U8(1));
  add(10, U64(1));
  draft.tensors.push_back({testing::Text("last"), 1, {32}, 24, 128});
  draft.data.resize(160, 'x');
  return draft;
}

// True if opened.
bool Open(const std::filesystem::path& path) {
  try {
    const GgufFile file(path);
    for (const GgufTensor& tensor : file.tensors()) {
      EXPECT_EQ(tensor.data.size(), tensor.num_bytes());
    }
    return true;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral) << error.message();
    return false;
  }
}

TEST(GgufDamageTest, EveryPrefixIsRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.gguf";
  const GgufDraft draft = Mixed();
  draft.Write(path);
  EXPECT_TRUE(Open(path));
  for (size_t bytes = draft.Bytes().size(); bytes-- > 0;) {
    std::filesystem::resize_file(path, bytes);
    EXPECT_FALSE(Open(path)) << bytes;
  }
}

TEST(GgufDamageTest, EveryPrefixOfAGoldenFileIsRefused) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.gguf";
  std::filesystem::copy_file(std::string(LLMQ_TEST_GOLDEN_DIR) + "/gguf/all-types.gguf", path);
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  ASSERT_TRUE(Open(path));
  // Its last tensor has 13 bytes, and 19 of padding, which may be missing.
  const uint64_t all_bytes = std::filesystem::file_size(path);
  for (uint64_t bytes = all_bytes; bytes-- > 0;) {
    std::filesystem::resize_file(path, bytes);
    EXPECT_EQ(Open(path), bytes >= all_bytes - 19) << bytes;
  }
}

TEST(GgufDamageTest, EveryByteOfTheHeadWithEveryValue) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.gguf";
  const GgufDraft draft = Mixed();
  draft.Write(path);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  const std::string head = draft.Head();
  size_t opened = 0;
  largest_allocation = 0;
  const auto put = [&](size_t at, char byte) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte).flush();
  };
  for (size_t at = 0; at < head.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      put(at, static_cast<char>(value));
      opened += Open(path);
    }
    put(at, head[at]);
  }
  // Some damage is invisible (another token, another number); most is not.
  EXPECT_GT(opened, head.size());
  EXPECT_LT(opened, head.size() * 128);
  EXPECT_LT(largest_allocation.load(), size_t{64} << 10);
}

TEST(GgufDamageTest, CountsAreCheckedBeforeMemoryIsTaken) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file.gguf";
  // Large enough for the count of elements, or of bytes, but not for both.
  for (const uint32_t type : {0u, 7u, 8u, 12u}) {
    GgufDraft draft = GgufDraft::Small();
    draft.AddKey("k", U32(9) + U32(type) + U64((64 << 20) / (type == 0 || type == 7 ? 1 : 8)));
    draft.Write(path);
    std::filesystem::resize_file(path, 64 << 20);  // a hole: zeros that take no disk
    largest_allocation = 0;
    EXPECT_FALSE(Open(path));
    EXPECT_LT(largest_allocation.load(), size_t{1} << 16) << type;
  }
  for (const bool of_keys : {true, false}) {
    GgufDraft draft = GgufDraft::Small();
    (of_keys ? draft.key_count : draft.tensor_count) = (64 << 20) / 26;
    draft.Write(path);
    std::filesystem::resize_file(path, 64 << 20);
    largest_allocation = 0;
    EXPECT_FALSE(Open(path));
    EXPECT_LT(largest_allocation.load(), size_t{1} << 16);
  }
}

}  // namespace
}  // namespace llmq
