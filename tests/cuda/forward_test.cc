// Whole models on the emulated GPU beside the CPU's forward pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "llmq/error.h"
#include "llmq/model.h"
#include "runtime/device_model.h"
#include "runtime/runtime_model.h"
#include "tests/cuda/emulated_gpu.h"
#include "tests/runtime/test_models.h"
#include "tests/support/relative_error.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

const std::filesystem::path kModels = LLMQ_TEST_MODEL_DIR;

// Logits [tokens, vocab] after every token, given in pieces of so many.
std::vector<float> LogitsOf(ForwardPass& forward, const std::vector<int32_t>& tokens, int64_t vocab,
                            size_t piece) {
  std::vector<float> logits(tokens.size() * static_cast<size_t>(vocab), NAN);
  for (size_t begin = 0; begin < tokens.size(); begin += piece) {
    const auto part = std::span(tokens).subspan(begin, std::min(piece, tokens.size() - begin));
    forward.Forward(part, static_cast<int64_t>(begin));
    forward.Logits(static_cast<int64_t>(part.size()), logits.data() + begin * vocab);
  }
  return logits;
}

std::vector<int32_t> SomeTokens(size_t count) {
  std::vector<int32_t> tokens(count);
  for (size_t i = 0; i < count; ++i) tokens[i] = static_cast<int32_t>((i * 89 + 3) % 512);
  return tokens;
}

std::filesystem::path ParityModel(const char* name) {
  return std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity" / name;
}

struct Case {
  RuntimeOptions options;
  testing::EmulatedGpuOptions gpu;
  size_t tokens;
  size_t piece = 1;
  double limit;
};

void ExpectAsOnCpu(const std::filesystem::path& path, const Case& one) {
  const RuntimeModel model(path, one.options);
  ASSERT_EQ(OnlyOnCpu(model.weights(), one.options), std::nullopt);
  const DeviceModel device(testing::MakeEmulatedGpu(one.gpu), model.weights(), one.options);
  const std::vector<int32_t> tokens = SomeTokens(one.tokens);
  const int64_t vocab = model.config().vocab_size;
  const auto capacity = static_cast<int64_t>(one.tokens);
  const auto cpu = LogitsOf(*model.MakeForwardPass(capacity), tokens, vocab, one.piece);
  const auto gpu = LogitsOf(*device.MakeForwardPass(capacity), tokens, vocab, one.piece);
  const double error = testing::RelativeError(gpu, cpu);
  EXPECT_LT(error, one.limit) << path << ", pieces of " << one.piece;  // not if it is NaN
}

// Biases, norms on queries and keys, rotations that are scaled or of some values only. No input is
// rounded, so only the order of sums differs.
TEST(DeviceForward, DenseModelsOfEachFamilyEqualTheCpu) {
  for (const char* name :
       {"llama-bias-linear", "llama-llama3", "llama-yarn", "phi3-partial", "qwen3-norms"})
    ExpectAsOnCpu(ParityModel(name), {.options = {.threads = 1}, .tokens = 4, .limit = 1e-5});
}

// A window of 16 positions, more tokens than one launch takes.
TEST(DeviceForward, WindowsAndLongPromptsEqualTheCpu) {
  for (const char* name : {"mistral-window", "qwen2-window"}) {
    ExpectAsOnCpu(ParityModel(name),
                  {.options = {.threads = 1}, .tokens = 19, .piece = 19, .limit = 1e-5});
  }
}

TEST(DeviceForward, CompressedModelsEqualTheCpu) {
  const testing::TemporaryDirectory directory;
  testing::TinyCheckpointOptions options;
  options.hidden_size = 72;
  options.vocab_size = 512;
  options.tokenizer_from = kModels / "stories260k" / "hf-f32";
  testing::WriteTinyCheckpoint(directory / "source", options);
  for (const int paths : {1, 2}) {
    const auto folder = directory / std::to_string(paths);
    const auto pair = testing::WriteCompressedPair(directory / "source", folder, 37, paths, 8);
    const KvType kv = paths == 1 ? KvType::kF16 : KvType::kF32;
    const RuntimeOptions runtime{.threads = 1, .exact = false, .kv = kv};
    // A value that is rounded to the next step is 0.4 % of the largest in its block.
    ExpectAsOnCpu(pair.littlebit, {runtime, {}, 20, 20, 0.02});
    ExpectAsOnCpu(pair.littlebit, {runtime, {.downwards = true}, 4, 1, 0.02});
    ExpectAsOnCpu(pair.littlebit, {runtime, {.meets = false}, 3, 3, 0.02});
  }
}

TEST(DeviceForward, SessionsOfSeveralThreadsTakeTurns) {
  const RuntimeOptions options{.threads = 1};
  const RuntimeModel model(ParityModel("llama-llama3"), options);
  const DeviceModel device(testing::MakeEmulatedGpu({}), model.weights(), options);
  const int64_t vocab = model.config().vocab_size;
  const std::vector<int32_t> tokens = SomeTokens(3);
  std::vector<std::vector<float>> logits(3);
  const auto run = [&](size_t i) {
    logits[i] = LogitsOf(*device.MakeForwardPass(4), tokens, vocab, 1);
  };
  run(0);
  std::thread first(run, 1);
  std::thread second(run, 2);
  first.join();
  second.join();
  EXPECT_EQ(logits[1], logits[0]);
  EXPECT_EQ(logits[2], logits[0]);
}

TEST(DeviceForward, ModelsWithPartsOfTheCpuOnlyAreNamed) {
  const auto why = [](const char* name) {
    const RuntimeOptions options{.threads = 1};
    const RuntimeModel model(ParityModel(name), options);
    return OnlyOnCpu(model.weights(), options).value_or("");
  };
  EXPECT_EQ(why("gemma"), "an activation that is not SiLU");
  EXPECT_EQ(why("gemma2"), "norms after attention and MLP");
  EXPECT_EQ(why("llama-dynamic"), "a rotation that depends on the text's length");
}

}  // namespace
}  // namespace llmq
