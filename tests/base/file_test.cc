// Outputs appear complete or not at all; inputs that are not files are refused with a code.
#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/bytes.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    directory_ = fs::path(testing::TempDir()) / (std::string("llmq_file_") + test->name());
    fs::remove_all(directory_);
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  int64_t EntryCount() const {
    return std::distance(fs::directory_iterator(directory_), fs::directory_iterator());
  }
  static ErrorCode CodeOf(const std::function<void()>& action) {
    try {
      action();
    } catch (const Error& e) {
      return e.code();
    }
    return ErrorCode{0};
  }

  fs::path directory_;
};

TEST_F(FileTest, OutputAppearsOnlyOnCommit) {
  const fs::path path = directory_ / "out";
  AtomicFile file(path);
  file.Append("hello ");
  file.Append("world");
  file.WriteAt(0, AsBytes("J"));
  EXPECT_FALSE(fs::exists(path));
  file.Commit();
  EXPECT_EQ(ReadTextFile(path), "Jello world");
  EXPECT_EQ(EntryCount(), 1);
}

TEST_F(FileTest, FlushKeepsTheNameBack) {
  AtomicFile file(directory_ / "out");
  file.Append("text");
  file.Flush();
  EXPECT_FALSE(fs::exists(directory_ / "out"));
  file.Append(" and more");
  file.Commit();
  EXPECT_EQ(ReadTextFile(directory_ / "out"), "text and more");
}

TEST_F(FileTest, NothingIsLeftWithoutCommit) {
  { AtomicFile(directory_ / "out").Append("half"); }
  EXPECT_EQ(EntryCount(), 0);
}

TEST_F(FileTest, AnOldFileSurvivesAnAbandonedWrite) {
  WriteFileAtomically(directory_ / "out", "old");
  { AtomicFile(directory_ / "out").Append("new"); }
  EXPECT_EQ(ReadTextFile(directory_ / "out"), "old");
}

TEST_F(FileTest, ALinkStaysAndItsTargetIsReplaced) {
  fs::create_directory(directory_ / "far");
  WriteFileAtomically(directory_ / "far" / "target", "old");
  fs::create_symlink("far/target", directory_ / "link");
  fs::create_symlink("link", directory_ / "chain");
  fs::create_symlink("far/none", directory_ / "dangling");
  WriteFileAtomically(directory_ / "chain", "new");
  WriteFileAtomically(directory_ / "dangling", "first");
  EXPECT_TRUE(fs::is_symlink(directory_ / "chain"));
  EXPECT_TRUE(fs::is_symlink(directory_ / "link"));
  EXPECT_EQ(ReadTextFile(directory_ / "far" / "target"), "new");
  EXPECT_EQ(ReadTextFile(directory_ / "far" / "none"), "first");
}

TEST_F(FileTest, ALinkToItselfIsAnError) {
  fs::create_symlink("loop", directory_ / "loop");
  EXPECT_EQ(CodeOf([&] { WriteFileAtomically(directory_ / "loop", "x"); }), ErrorCode::kGeneral);
  EXPECT_TRUE(fs::is_symlink(directory_ / "loop"));
}

TEST_F(FileTest, APipeIsWrittenNotReplaced) {
  const fs::path pipe = directory_ / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_FALSE(CanHoldFile(pipe));
  EXPECT_TRUE(IsStream(pipe));
  EXPECT_EQ(CodeOf([&] { AtomicFile{pipe}; }), ErrorCode::kGeneral);
  std::string read;
  std::thread reader([&] { std::ifstream(pipe) >> read; });
  WriteTextOutput(pipe, "text");
  reader.join();
  EXPECT_EQ(read, "text");
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST_F(FileTest, ADirectoryIsNeitherFileNorStream) {
  EXPECT_FALSE(CanHoldFile(directory_));
  EXPECT_FALSE(IsStream(directory_));
  EXPECT_FALSE(IsStream(directory_ / "none"));
  EXPECT_TRUE(CanHoldFile(directory_ / "none"));
  EXPECT_EQ(CodeOf([&] { WriteTextOutput(directory_, "x"); }), ErrorCode::kGeneral);
}

TEST_F(FileTest, MissingFileIsModelNotFound) {
  EXPECT_EQ(CodeOf([&] { MappedFile(directory_ / "none"); }), ErrorCode::kModelNotFound);
}

TEST_F(FileTest, DirectoryIsNotAFile) {
  EXPECT_EQ(CodeOf([&] { MappedFile{directory_}; }), ErrorCode::kGeneral);
}

TEST_F(FileTest, FilesAreKnownByTheirBeginning) {
  const std::filesystem::path path = directory_ / "file";
  WriteFileAtomically(path, "GGUF and more");
  EXPECT_TRUE(FileBeginsWith(path, "GGUF"));
  EXPECT_FALSE(FileBeginsWith(path, "GGML"));
  EXPECT_FALSE(FileBeginsWith(path, "GGUF and more than that"));
  EXPECT_FALSE(FileBeginsWith(directory_, ""));
  EXPECT_FALSE(FileBeginsWith(directory_ / "none", ""));
}

TEST_F(FileTest, EmptyFileHasNoBytes) {
  WriteFileAtomically(directory_ / "empty", "");
  EXPECT_TRUE(MappedFile(directory_ / "empty").bytes().empty());
}

TEST_F(FileTest, ReleasedPagesReadTheSameAgain) {
  WriteFileAtomically(directory_ / "big", std::string(1 << 20, 'a'));
  const MappedFile file(directory_ / "big");
  file.Release(file.bytes().subspan(100, 900000));
  EXPECT_TRUE(std::ranges::all_of(AsText(file.bytes()), [](char c) { return c == 'a'; }));
}

TEST_F(FileTest, FileInPlaceOfDirectoryIsNotWritable) {
  WriteFileAtomically(directory_ / "file", "x");
  EXPECT_EQ(CodeOf([&] { EnsureWritableDirectory(directory_ / "file" / "sub"); }),
            ErrorCode::kGeneral);
  EXPECT_EQ(CodeOf([&] { AtomicFile(directory_ / "file" / "out"); }), ErrorCode::kGeneral);
}

TEST_F(FileTest, EnsuredDirectoryIsLeftEmpty) {
  EnsureWritableDirectory(directory_ / "a" / "b");
  EXPECT_TRUE(fs::is_empty(directory_ / "a" / "b"));
  EXPECT_GT(FreeDiskBytes(directory_ / "a"), 0u);
}

TEST_F(FileTest, TextLargerThanTheLimitIsRefused) {
  WriteFileAtomically(directory_ / "text", "12345");
  EXPECT_EQ(CodeOf([&] { ReadTextFile(directory_ / "text", 4); }), ErrorCode::kGeneral);
}

TEST_F(FileTest, AReservedFileHasItsAddressesBeforeItsBytes) {
  const fs::path path = directory_ / "late";
  const MappedFile file = MappedFile::Reserve(path, 5);
  const std::byte* address = file.bytes().data();
  EXPECT_EQ(file.bytes().size(), 5u);
  EXPECT_EQ(CodeOf([&] { file.Fill(); }), ErrorCode::kModelNotFound);
  WriteFileAtomically(path, "longer");
  EXPECT_EQ(CodeOf([&] { file.Fill(); }), ErrorCode::kGeneral);
  WriteFileAtomically(path, "right");
  file.Fill();
  EXPECT_EQ(AsText(file.bytes()), "right");
  EXPECT_EQ(file.bytes().data(), address);
  EXPECT_EQ(CodeOf([&] { MappedFile::Reserve(path, uint64_t{1} << 60); }), ErrorCode::kGeneral);
}

TEST_F(FileTest, AReservedFileCannotBeReadBefore) {
  const MappedFile file = MappedFile::Reserve(directory_ / "late", 5);
  EXPECT_DEATH((void)(*static_cast<const volatile std::byte*>(file.bytes().data())), "");
}

}  // namespace
}  // namespace llmq
