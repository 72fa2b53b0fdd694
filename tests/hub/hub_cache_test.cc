#include "hub/hub_cache.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/file.h"
#include "hub/http.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
const std::string kCommit(40, 'c');

class HubCacheTest : public ::testing::Test {
 protected:
  const testing::TemporaryDirectory directory_;
  const HubCache cache_{directory_.path(), HubRepository{.id = "org/name"}};
};

TEST_F(HubCacheTest, Places) {
  const fs::path folder = directory_ / "models--org--name";
  EXPECT_EQ(cache_.folder(), folder);
  EXPECT_EQ(cache_.Blob("abc"), folder / "blobs/abc");
  EXPECT_EQ(cache_.Snapshot(kCommit), folder / "snapshots" / kCommit);
  EXPECT_EQ(cache_.Lock("abc"), directory_ / ".locks/models--org--name/abc.lock");
}

TEST_F(HubCacheTest, Refs) {
  EXPECT_EQ(cache_.Commit("main"), std::nullopt);
  EXPECT_EQ(cache_.Commit(kCommit), kCommit);
  cache_.NoteCommit("main", kCommit);
  cache_.NoteCommit("refs/pr/1", kCommit);
  EXPECT_EQ(ReadTextFile(cache_.folder() / "refs/main"), kCommit);  // no newline
  EXPECT_EQ(cache_.Commit("refs/pr/1"), kCommit);
  cache_.NoteCommit(kCommit, kCommit);
  EXPECT_FALSE(fs::exists(cache_.folder() / "refs" / kCommit));
  WriteFileAtomically(cache_.folder() / "refs/bad", "../../../etc");
  EXPECT_EQ(cache_.Commit("bad"), std::nullopt);
}

TEST_F(HubCacheTest, LinksAreRelativeAndReplaceOldOnes) {
  fs::create_directories(cache_.folder() / "blobs");
  for (const char* etag : {"one", "two"}) {
    WriteFileAtomically(cache_.Blob(etag), etag);
    cache_.Link(etag, kCommit, "config.json", true);
    const fs::path shown = cache_.Snapshot(kCommit) / "config.json";
    EXPECT_EQ(fs::read_symlink(shown), fs::path("../../blobs") / etag);
    EXPECT_EQ(ReadTextFile(shown), etag);
  }
  cache_.Link("two", kCommit, "other.json", false);
  EXPECT_FALSE(fs::is_symlink(cache_.Snapshot(kCommit) / "other.json"));
  EXPECT_EQ(ReadTextFile(cache_.Snapshot(kCommit) / "other.json"), "two");
}

TEST_F(HubCacheTest, NotesOnAReadOnlyPlaceAreLeftOut) {
  WriteFileAtomically(directory_ / "file", "");
  const HubCache blocked(directory_ / "file",
                         HubRepository{.id = "org/name"});  // root may write anywhere else
  blocked.NoteCommit("main", kCommit);
  blocked.NoteAbsent(kCommit, "vocab.json");
  EXPECT_EQ(blocked.Commit("main"), std::nullopt);
}

TEST_F(HubCacheTest, TheLockExcludesAndCanBeGivenUpWaitingFor) {
  const auto never = [] { return false; };
  int waited = 0;
  auto first = std::make_unique<BlobLock>(cache_.Lock("abc"), never, [&] { ++waited; });
  EXPECT_TRUE(first->held());
  EXPECT_THROW(BlobLock(
                   cache_.Lock("abc"), [] { return true; }, [] {}),
               HttpCancelled);
  std::thread second([&] {
    const BlobLock lock(cache_.Lock("abc"), never, [&] {
      ++waited;
      first.reset();
    });
    EXPECT_TRUE(lock.held());
  });
  second.join();
  EXPECT_EQ(waited, 1);
}

}  // namespace
}  // namespace llmq
