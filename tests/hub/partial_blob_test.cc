#include "hub/partial_blob.h"

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/file.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

constexpr const char* kSha256OfAbc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

class PartialBlobTest : public ::testing::Test {
 protected:
  const testing::TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_ / "x.incomplete";
};

TEST_F(PartialBlobTest, StaysAndGoesOn) {
  {
    PartialBlob blob(path_, 3, DigestKind::kSha256);
    blob.Append(AsBytes("ab"));
  }
  EXPECT_EQ(ReadTextFile(path_), "ab");
  PartialBlob blob(path_, 3, DigestKind::kSha256);
  EXPECT_EQ(blob.bytes(), 2u);
  blob.Append(AsBytes("c"));
  EXPECT_EQ(blob.Finish(), kSha256OfAbc);
  blob.Commit(directory_ / "x");
  EXPECT_EQ(ReadTextFile(directory_ / "x"), "abc");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(PartialBlobTest, BeginsAnew) {
  WriteFileAtomically(path_, "longer than the file");
  PartialBlob blob(path_, 3, DigestKind::kSha256);
  EXPECT_EQ(blob.bytes(), 0u);
  blob.Append(AsBytes("xyz"));
  blob.Restart();
  blob.Append(AsBytes("abc"));
  EXPECT_EQ(blob.Finish(), kSha256OfAbc);
  EXPECT_EQ(ReadTextFile(path_), "abc");
}

}  // namespace
}  // namespace llmq
