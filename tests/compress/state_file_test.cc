#include "compress/state_file.h"

#include <gtest/gtest.h>

#include "llmq/error.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

std::string Written(const std::filesystem::path& path) {
  StateWriter writer(path, 2);
  writer.Add("first", AsBytes("some bytes"));
  writer.Add("empty", {});
  writer.Commit();
  return ReadTextFile(path);
}

TEST(StateFile, GivesBackWhatWasWritten) {
  const testing::TemporaryDirectory directory;
  Written(directory / "a.state");
  const StateReader reader(directory / "a.state");
  EXPECT_EQ(AsText(reader.Get("first", 10)), "some bytes");
  EXPECT_TRUE(reader.Get("empty").empty());
  EXPECT_THROW((void)reader.Get("first", 9), Error);
  EXPECT_THROW((void)reader.Get("second"), Error);
}

TEST(StateFile, NoticesEveryTruncationAndEveryFlippedByte) {
  const testing::TemporaryDirectory directory;
  const std::string whole = Written(directory / "a.state");
  for (size_t i = 0; i < whole.size(); ++i) {
    WriteFileAtomically(directory / "cut.state", whole.substr(0, i));
    EXPECT_THROW(StateReader{directory / "cut.state"}, Error) << i;
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    WriteFileAtomically(directory / "flip.state", flipped);
    EXPECT_THROW(StateReader{directory / "flip.state"}, Error) << i;
  }
}

}  // namespace
}  // namespace llmq
