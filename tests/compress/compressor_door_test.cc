// Compress() as the executable reaches it: through the module, errors included. No LibTorch in this
// program.
#include <gtest/gtest.h>

#include <cstdlib>

#include "llmq/compress.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "tests/compress/recording_observer.h"
#include "tests/compress/tiny_run.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

class CompressorDoor : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef LLMQ_TEST_MODULE
    setenv("LLM_QUANTIZE_COMPRESSOR", LLMQ_TEST_MODULE, 1);
#endif
    testing::WriteTinyCheckpoint(directory_ / "model", testing::TinyModelOptions());
    options_ = testing::TinyRunOptions(directory_.path());
  }

  testing::TemporaryDirectory directory_;
  CompressOptions options_;
  testing::RecordingObserver observer_;
};

#ifdef LLMQ_TEST_MODULE
// First, while nothing has been opened yet.
TEST_F(CompressorDoor, SaysWhereItLookedForTheModule) {
  setenv("LLM_QUANTIZE_COMPRESSOR", "/nowhere/module.so", 1);
  try {
    (void)Compress(options_, observer_);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find("nothing at /nowhere/module.so"), std::string::npos)
        << error.message();
  }
}
#endif

TEST_F(CompressorDoor, CompressesAndReports) {
  EXPECT_TRUE(CompressorBuiltIn());
  const CompressReport report = Compress(options_, observer_);
  EXPECT_EQ(report.file_bytes, LittleBitFile(options_.output).file_bytes());
  EXPECT_EQ(report.layers.size(), 14u);
  EXPECT_EQ(report.device, "cpu");
  EXPECT_EQ(observer_.layers.size(), 14u);
}

TEST_F(CompressorDoor, CarriesErrorsWithCodeMessageAndSuggestion) {
  options_.model = directory_ / "missing";
  try {
    (void)Compress(options_, observer_);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kModelNotFound);
    EXPECT_NE(error.message().find("missing"), std::string::npos);
    EXPECT_FALSE(error.suggestion().empty());
  }
}

}  // namespace
}  // namespace llmq
