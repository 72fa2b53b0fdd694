#include "compress/checkpoint_store.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

const Fingerprint kOne{{{"program", "0.1"}, {"learning rate", "0.001"}, {"seed", "1"}}};
const Fingerprint kOther{
    {{"program", "0.1"}, {"learning rate", "0.002"}, {"batch sequences", "8"}}};

std::string MessageOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCheckpointError);
    return error.message();
  }
  return "no error";
}

TEST(CheckpointStore, StartsEmptyKeepsFilesForResumeAndStartsOverWithout) {
  const testing::TemporaryDirectory directory;
  std::filesystem::path layer;
  {
    CheckpointStore store(directory / "ck", "out", kOne, false);
    layer = store.LayerPath(3);
    WriteFileAtomically(layer, "x");
    EXPECT_TRUE(std::filesystem::exists(store.directory() / "manifest.json"));
  }
  {
    CheckpointStore store(directory / "ck", "out", kOne, true);
    EXPECT_TRUE(std::filesystem::exists(layer));
  }
  {
    CheckpointStore store(directory / "ck", "out", kOne, false);
    EXPECT_FALSE(std::filesystem::exists(layer));
  }
}

TEST(CheckpointStore, SaysWhatItKeepsAndWhatItWasMadeFrom) {
  const testing::TemporaryDirectory directory;
  EXPECT_EQ(CheckpointBytesKept(directory / "ck", "out", kOne), 0u);
  EXPECT_EQ(RecordedPart(directory / "ck", "out", "seed"), std::nullopt);
  const CheckpointStore store(directory / "ck", "out", kOne, false);
  WriteFileAtomically(store.LayerPath(3), "four");
  WriteFileAtomically(store.TrainingPath(), "seventy");
  WriteFileAtomically(store.directory() / "training.state.77.tmp", "of a kill");
  EXPECT_EQ(CheckpointBytesKept(directory / "ck", "out", kOne), 11u);
  EXPECT_EQ(CheckpointBytesKept(directory / "ck", "out", kOther), 0u);
  EXPECT_EQ(RecordedPart(directory / "ck", "out", "seed"), "1");
  EXPECT_EQ(RecordedPart(directory / "ck", "out", "batch sequences"), std::nullopt);
  const CheckpointStore second(directory / "ck", "out", kOther, false);
  EXPECT_EQ(RecordedPart(directory / "ck", "out", "seed"), std::nullopt);  // of which of the two?
}

TEST(CheckpointStore, RemovesItselfAndAnEmptyParent) {
  const testing::TemporaryDirectory directory;
  CheckpointStore store(directory / "ck", "out", kOne, false);
  store.Remove();
  EXPECT_FALSE(std::filesystem::exists(directory / "ck"));
}

TEST(CheckpointStore, RefusesToResumeNothing) {
  const testing::TemporaryDirectory directory;
  EXPECT_NE(MessageOf([&] {
              CheckpointStore(directory / "ck", "out", kOne, true);
            }).find("no checkpoint"),
            std::string::npos);
}

TEST(CheckpointStore, NamesEveryDifferenceWithBothValues) {
  const testing::TemporaryDirectory directory;
  { CheckpointStore store(directory / "ck", "out", kOne, false); }
  const std::string message =
      MessageOf([&] { CheckpointStore(directory / "ck", "out", kOther, true); });
  EXPECT_NE(message.find("learning rate: 0.002 now, 0.001 in the checkpoint"), std::string::npos)
      << message;
  EXPECT_NE(message.find("batch sequences: 8 now, none in the checkpoint"), std::string::npos)
      << message;
  EXPECT_NE(message.find("seed: none now, 1 in the checkpoint"), std::string::npos) << message;
  EXPECT_EQ(message.find("program"), std::string::npos) << message;
  // Another output's checkpoint is none of ours.
  EXPECT_NE(MessageOf([&] {
              CheckpointStore(directory / "ck", "other", kOther, true);
            }).find("no checkpoint"),
            std::string::npos);
}

TEST(CheckpointStore, LetsOnlyOneRunIn) {
  const testing::TemporaryDirectory directory;
  CheckpointStore first(directory / "ck", "out", kOne, false);
  EXPECT_NE(
      MessageOf([&] { CheckpointStore(directory / "ck", "out", kOne, false); }).find("another run"),
      std::string::npos);
}

}  // namespace
}  // namespace llmq
