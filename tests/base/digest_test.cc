#include "base/digest.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace llmq {
namespace {

// FIPS 180-4's example, and what `git hash-object` prints.
TEST(Digest, KnownValues) {
  Digest sha(DigestKind::kSha256, 3);
  sha.Update(AsBytes("a"));
  sha.Update(AsBytes("bc"));
  EXPECT_EQ(sha.Finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Digest git(DigestKind::kGitBlob, 6);
  git.Update(AsBytes("hello\n"));
  EXPECT_EQ(git.Finish(), "ce013625030ba8dba906f756967f9e9ca394464a");
  EXPECT_EQ(Digest(DigestKind::kGitBlob, 0).Finish(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

TEST(Digest, OfATextAtOnce) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Digest, RestartForgets) {
  Digest git(DigestKind::kGitBlob, 6);
  git.Update(AsBytes("wrong"));
  git.Restart();
  git.Update(AsBytes("hello\n"));
  EXPECT_EQ(git.Finish(), "ce013625030ba8dba906f756967f9e9ca394464a");
}

}  // namespace
}  // namespace llmq
