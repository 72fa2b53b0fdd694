// Perplexity against transformers on the same tokens and windows, its protocol, and its refusals.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"
#include "llmq/evaluate.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

const std::filesystem::path kModels = LLMQ_TEST_MODEL_DIR;
const std::filesystem::path kGolden = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity";

std::vector<int32_t> GoldenTokens() {
  const std::string bytes = ReadTextFile(kGolden / "stories-19m.tokens.i32");
  std::vector<int32_t> tokens(bytes.size() / 4);
  std::memcpy(tokens.data(), bytes.data(), tokens.size() * 4);
  return tokens;
}

TEST(Perplexity, EqualsTransformers) {
  const Json golden = ParseJson(ReadTextFile(kGolden / "stories-19m.json"), "golden")["perplexity"];
  const auto model = Model::Open(kModels / "stories-19m", 0);
  const auto tokens = GoldenTokens();
  int64_t last_done = -1;
  const auto result =
      MeasurePerplexity(*model, tokens, golden["window"], 0, [&](int64_t done, int64_t total) {
        EXPECT_GT(done, last_done);
        EXPECT_EQ(total, 9);
        last_done = done;
        return true;
      });
  EXPECT_EQ(last_done, 9);
  EXPECT_EQ(result.windows, 9);  // eight full ones and a short one
  EXPECT_EQ(result.window_tokens, 256);
  EXPECT_EQ(result.scored_tokens, golden["scored_tokens"].get<int64_t>());
  EXPECT_NEAR(result.mean_nll, golden["mean_nll"].get<double>(), 1e-5);
  EXPECT_NEAR(result.perplexity / golden["perplexity"].get<double>(), 1.0, 1e-5);
}

TEST(Perplexity, WindowsAreCutAsStated) {
  const auto model = Model::Open(kModels / "stories260k" / "hf-f32", 1);
  const std::vector<int32_t> tokens = {1, 403, 407, 261, 378, 300, 20, 77, 45, 9, 5};
  const auto measure = [&](size_t count, int64_t window, int64_t max_windows) {
    return MeasurePerplexity(*model, std::span(tokens).first(count), window, max_windows, nullptr);
  };
  EXPECT_EQ(measure(11, 5, 0).windows, 2);  // the last token alone is no window
  EXPECT_EQ(measure(11, 5, 0).scored_tokens, 8);
  EXPECT_EQ(measure(10, 4, 0).scored_tokens, 7);  // 3 + 3 + 1
  EXPECT_EQ(measure(11, 5, 1).scored_tokens, 4);
  EXPECT_EQ(measure(11, 1000, 0).scored_tokens, 10);
  // Windows know nothing of each other: the mean is that of both alone.
  const double first = measure(5, 5, 0).mean_nll;
  const double second =
      MeasurePerplexity(*model, std::span(tokens).subspan(5, 5), 5, 0, nullptr).mean_nll;
  EXPECT_NEAR(measure(10, 5, 0).mean_nll, (first + second) / 2, 1e-6);
  EXPECT_NEAR(measure(10, 5, 0).perplexity, std::exp((first + second) / 2), 1e-3);
}

template <typename Call>
void ExpectError(ErrorCode code, const Call& call) {
  try {
    call();
    ADD_FAILURE() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
  }
}

TEST(Perplexity, Refuses) {
  const auto model = Model::Open(kModels / "stories260k" / "hf-f32", 1);
  const std::vector<int32_t> tokens = {1, 2, 3};
  const auto measure = [&](size_t count, int64_t window) {
    MeasurePerplexity(*model, std::span(tokens).first(count), window, 0, nullptr);
  };
  ExpectError(ErrorCode::kValidationFailed, [&] { measure(0, 8); });
  ExpectError(ErrorCode::kValidationFailed, [&] { measure(1, 8); });
  ExpectError(ErrorCode::kInvalidArguments, [&] { measure(3, 1); });
  ExpectError(ErrorCode::kInvalidArguments, [&] { measure(3, -7); });
  ExpectError(ErrorCode::kInvalidArguments, [&] {
    MeasurePerplexity(*model, std::vector<int32_t>{1, 2, 512}, 2048, 0, nullptr);
  });
  ExpectError(ErrorCode::kUserCancelled, [&] {
    MeasurePerplexity(*model, tokens, 8, 0, [](int64_t, int64_t) { return false; });
  });
}

TEST(Perplexity, DamagedWeightsAreAnError) {
  const testing::TemporaryDirectory directory;
  testing::TinyCheckpointOptions options;
  options.vocab_size = 512;
  options.tokenizer_from = kModels / "stories260k" / "hf-f32";
  options.nan_tensor = "model.norm.weight";
  testing::WriteTinyCheckpoint(directory / "nan", options);
  const auto model = Model::Open(directory / "nan", 1);
  ExpectError(ErrorCode::kValidationFailed, [&] {
    MeasurePerplexity(*model, std::vector<int32_t>{1, 2, 3, 4}, 8, 0, nullptr);
  });
}

TEST(Perplexity, DefaultWindow) {
  ModelConfig config;
  config.max_position = 256;
  EXPECT_EQ(DefaultWindow(config), 256);
  config.max_position = 131072;
  EXPECT_EQ(DefaultWindow(config), 2048);
}

}  // namespace
}  // namespace llmq
