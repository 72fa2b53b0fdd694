// Checks of option values, and of paths that must not be written.
#include "cli/compress_arguments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using Change = std::function<void(CompressArguments&)>;

std::optional<Error> ErrorOf(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

std::optional<Error> Check(const Change& change) {
  CompressArguments arguments;
  arguments.model = "model";
  change(arguments);
  return ErrorOf([&] { CheckCompressValues(arguments, CompressEnvironment()); });
}

TEST(CompressArguments, DefaultsAreAccepted) {
  EXPECT_FALSE(Check([](CompressArguments&) {}));
}

TEST(CompressArguments, BpwOutsideTheRangeIsTheContractsError) {
  const auto error = Check([](CompressArguments& a) { a.target_bpw = 0.05; });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->exit_code(), 22);
  EXPECT_EQ(error->message(), "Target BPW 0.05 is below minimum supported (0.1)");
  EXPECT_EQ(error->suggestion(), "Use target BPW between 0.1 and 2.0");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double bpw : {2.0001, -1.0, 0.0, 17.0, kInfinity, -kInfinity, std::nan("")}) {
    const auto refused = Check([bpw](CompressArguments& a) { a.target_bpw = bpw; });
    ASSERT_TRUE(refused) << bpw;
    EXPECT_EQ(refused->exit_code(), 22) << bpw;
  }
  for (const double bpw : {0.1, 2.0}) {
    EXPECT_FALSE(Check([bpw](CompressArguments& a) { a.target_bpw = bpw; })) << bpw;
  }
}

TEST(CompressArguments, OtherValuesOutOfRangeAreInvalidArguments) {
  const double nan = std::nan("");
  const std::vector<std::pair<const char*, Change>> refused = {
      {"--rank", [](CompressArguments& a) { a.rank = 0; }},
      {"--rank", [](CompressArguments& a) { a.rank = -5; }},
      {"--quality-threshold", [](CompressArguments& a) { a.quality_threshold = 0; }},
      {"--quality-threshold", [nan](CompressArguments& a) { a.quality_threshold = nan; }},
      {"--calibration-samples", [](CompressArguments& a) { a.text.samples = 63; }},
      {"--calibration-samples", [](CompressArguments& a) { a.text.samples = 1025; }},
      {"--train-tokens", [](CompressArguments& a) { a.recipe.train_tokens = -1; }},
      {"--train-lr", [](CompressArguments& a) { a.recipe.learning_rate = 0; }},
      {"--train-lr", [nan](CompressArguments& a) { a.recipe.learning_rate = nan; }},
      {"--train-batch", [](CompressArguments& a) { a.train.batch_sequences = 0; }},
      {"--kv-rank-factor", [nan](CompressArguments& a) { a.recipe.kv_rank_factor = nan; }},
      {"--kv-rank-factor", [](CompressArguments& a) { a.recipe.kv_rank_factor = -1; }},
      {"--block-tokens", [](CompressArguments& a) { a.recipe.block_tokens = -1; }},
      {"--kd-tokens", [](CompressArguments& a) { a.recipe.kd_tokens = -1; }},
      {"--threads", [](CompressArguments& a) { a.threads = -1; }},
      {"--device", [](CompressArguments& a) { a.device = "gpu"; }},
      {"--device", [](CompressArguments& a) { a.device = "cuda:"; }},
      {"--output-name", [](CompressArguments& a) { a.output_name = "../x"; }},
      {"--rank and --quality-threshold",
       [](CompressArguments& a) {
         a.rank = 8;
         a.quality_threshold = 20;
       }},
      {"--quality-threshold and --skip-validation",
       [](CompressArguments& a) {
         a.quality_threshold = 20;
         a.skip_validation = true;
       }},
      {"--resume and --no-checkpoints", [](CompressArguments& a) {
         a.resume = "checkpoint";
         a.no_checkpoints = true;
       }}};
  for (const auto& [option, change] : refused) {
    const auto error = Check(change);
    ASSERT_TRUE(error) << option;
    EXPECT_EQ(error->exit_code(), 2) << option;
    EXPECT_EQ(error->message().find(option), 0u) << error->message();
    EXPECT_FALSE(error->suggestion().empty()) << option;
  }
}

TEST(CompressArguments, OutputNames) {
  const auto path = [](const std::string& model, const std::string& name) {
    CompressArguments arguments;
    arguments.model = model;
    arguments.output_dir = "out";
    arguments.output_name = name;
    return OutputPath(arguments).string();
  };
  EXPECT_EQ(path("/models/Llama-2-7b-hf", ""), "out/Llama-2-7b-hf.littlebit");
  EXPECT_EQ(path("/models/Llama-2-7b-hf/", ""), "out/Llama-2-7b-hf.littlebit");
  EXPECT_EQ(path("m", "small"), "out/small.littlebit");
  EXPECT_EQ(path("m", "model-0.5bpw.littlebit"), "out/model-0.5bpw.littlebit");
  EXPECT_EQ(path("m", "model-0.5bpw"), "out/model-0.5bpw.littlebit");
  EXPECT_EQ(path("m", "model.bin"), "out/model.bin");
}

TEST(CompressArguments, NeverOverwritesAnInput) {
  const testing::TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "model");
  WriteFileAtomically(directory / "model/config.json", "{}");
  WriteFileAtomically(directory / "text.txt", "text");
  WriteFileAtomically(directory / "old.littlebit", "old");
  std::filesystem::create_hard_link(directory / "model/config.json", directory / "hard.littlebit");
  std::filesystem::create_symlink(directory / "text.txt", directory / "soft.littlebit");
  const TextArguments text = {.calibration_data = directory / "text.txt"};
  const auto refused = [&](const char* output) {
    return ErrorOf([&] { CheckOutputIsNoInput(directory / output, directory / "model", text); })
        .has_value();
  };
  EXPECT_TRUE(refused("model/config.json"));
  EXPECT_TRUE(refused("hard.littlebit"));
  EXPECT_TRUE(refused("soft.littlebit"));
  EXPECT_FALSE(refused("old.littlebit"));
  EXPECT_FALSE(refused("new.littlebit"));
}

TEST(CompressArguments, DiskSpace) {
  EXPECT_FALSE(ErrorOf([] { CheckDiskSpace("/tmp", 1); }));
  const auto error = ErrorOf([] { CheckDiskSpace("/tmp", uint64_t{1} << 60); });
  ASSERT_TRUE(error);
  EXPECT_EQ(error->exit_code(), 1);
}

}  // namespace
}  // namespace llmq
