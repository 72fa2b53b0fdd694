// The latent cache beside the ordinary one, over everything that stands between a projection and
// attention: paths, grouped queries, biases, norms of heads, windows, rotations, pieces, rewinding.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "llmq/error.h"
#include "llmq/model.h"
#include "llmq/speed.h"
#include "tests/runtime/test_models.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

struct Case {
  std::string name;
  std::string architecture = "LlamaForCausalLM";
  std::string model_type = "llama";
  std::string overrides = "{}";
  int64_t kv_heads = 2;
  int64_t head_dim = 24;
  int64_t rank = 19;
  int64_t paths = 1;
  bool bias = false;
};

const Case kCases[] = {
    {.name = "grouped_queries"},
    {.name = "two_paths", .kv_heads = 4, .head_dim = 16, .rank = 21, .paths = 2, .bias = true},
    {.name = "odd_heads", .kv_heads = 4, .head_dim = 10, .rank = 17, .bias = true},
    {.name = "norms_of_heads",
     .architecture = "Qwen3ForCausalLM",
     .model_type = "qwen3",
     .overrides = R"({"attention_bias": false})"},
    {.name = "window",
     .architecture = "MistralForCausalLM",
     .model_type = "mistral",
     .overrides = R"({"sliding_window": 7})"},
    {.name = "changing_rotation",  // keys keep the rotation of their time
     .overrides = R"({"max_position_embeddings": 16,
                      "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}})"},
};

class LatentTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const Case& c = GetParam();
    testing::TinyCheckpointOptions options;
    options.architecture = c.architecture;
    options.model_type = c.model_type;
    options.config_overrides = c.overrides;
    options.hidden_size = 64;
    options.num_heads = 4;
    options.num_kv_heads = c.kv_heads;
    options.head_dim = c.head_dim;
    options.vocab_size = 512;
    options.attention_bias = c.bias;
    options.tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
    testing::WriteTinyCheckpoint(directory_ / "source", options);
    path_ = testing::WriteCompressedPair(directory_ / "source", directory_.path(), c.rank, c.paths,
                                         /*embedding_bits=*/8)
                .littlebit;
    tokens_.resize(40);
    for (size_t i = 0; i < tokens_.size(); ++i)
      tokens_[i] = static_cast<int32_t>((i * 89 + 3) % 512);
  }
  std::unique_ptr<Session> NewSession(KvType kv, bool exact, int threads = 1) {
    models_.push_back(Model::Open(path_, {.threads = threads, .exact = exact, .kv = kv}));
    return Session::Create(*models_.back(), static_cast<int64_t>(tokens_.size()));
  }
  // Logits after every token from the session's position on.
  std::vector<float> Read(Session& session, size_t piece) {
    std::vector<float> logits;
    for (auto begin = static_cast<size_t>(session.position()); begin < tokens_.size();
         begin += piece) {
      const auto rows = session.AppendAll(
          std::span(tokens_).subspan(begin, std::min(piece, tokens_.size() - begin)));
      logits.insert(logits.end(), rows.begin(), rows.end());
    }
    return logits;
  }

  const testing::TemporaryDirectory directory_;
  std::filesystem::path path_;
  std::vector<int32_t> tokens_;
  std::vector<std::unique_ptr<Model>> models_;
};

TEST_P(LatentTest, EqualsTheOrdinaryCache) {
  for (const size_t piece : {1, 3, 40}) {
    // Exact: f32 latents, and not a bit differs.
    const auto expected = Read(*NewSession(KvType::kF32, true), piece);
    ASSERT_GT(*std::max_element(expected.begin(), expected.end()), 0.5);
    EXPECT_EQ(Read(*NewSession(KvType::kLatent, true), piece), expected) << piece;
    EXPECT_EQ(Read(*NewSession(KvType::kLatent, true, 3), piece), expected) << piece;
    // 8-bit activations: f16 latents fall on other 8-bit steps here and there.
    const auto rounded = Read(*NewSession(KvType::kF32, false), piece);
    const auto latent = Read(*NewSession(KvType::kLatent, false), piece);
    EXPECT_EQ(Read(*NewSession(KvType::kLatent, false, 3), piece), latent) << piece;
    EXPECT_NE(latent, rounded);
    double difference = 0, magnitude = 0;
    for (size_t i = 0; i < latent.size(); ++i) {
      difference = std::max(difference, std::fabs(static_cast<double>(latent[i]) - rounded[i]));
      magnitude = std::max(magnitude, std::fabs(static_cast<double>(rounded[i])));
    }
    EXPECT_LT(difference, 5e-2 * magnitude);
  }
}

TEST_P(LatentTest, ForgetsWhatIsRewound) {
  const auto session = NewSession(KvType::kLatent, true);
  const auto expected = Read(*session, 1);
  session->Rewind(12);
  session->Append(std::vector<int32_t>(20, 7));  // other tokens
  session->Rewind(12);
  const auto again = Read(*session, 1);
  EXPECT_EQ(again, std::vector<float>(expected.end() - static_cast<int64_t>(again.size()),
                                      expected.end()));
  session->Reset();
  EXPECT_EQ(Read(*session, 1), expected);
}

TEST_P(LatentTest, CountsItsBytes) {
  const Case& c = GetParam();
  const auto bytes = [&](KvType kv, bool exact) {
    return KvBytesPerToken(*Model::Open(path_, {.threads = 1, .exact = exact, .kv = kv}));
  };
  const int64_t numbers = 2 * 2;  // layers, K and V
  EXPECT_EQ(bytes(KvType::kF32, true), numbers * 4 * c.kv_heads * c.head_dim);
  EXPECT_EQ(bytes(KvType::kLatent, true), numbers * 4 * c.rank * c.paths);
  EXPECT_EQ(bytes(KvType::kLatent, false), numbers * 2 * c.rank * c.paths);
}

INSTANTIATE_TEST_SUITE_P(EveryKind, LatentTest, ::testing::ValuesIn(kCases),
                         [](const auto& parameter) { return parameter.param.name; });

void ExpectRefused(const std::filesystem::path& path, const std::string& part) {
  const auto model = Model::Open(path, {.threads = 1, .kv = KvType::kLatent});
  try {
    Session::Create(*model, 8);
    ADD_FAILURE() << "expected an error: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments);
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
  }
}

TEST(LatentCache, IsRefusedWhereItSavesNothing) {
  const testing::TemporaryDirectory directory;
  testing::TinyCheckpointOptions options;  // keys of 2 heads of 8
  options.vocab_size = 512;
  options.tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
  testing::WriteTinyCheckpoint(directory / "source", options);
  const auto pair = testing::WriteCompressedPair(directory / "source", directory.path(), 8, 2, 8);
  ExpectRefused(pair.littlebit, "fewer latents than keys and values, which are 64 numbers");
  ExpectRefused(pair.dense, "compressed K and V");
}

}  // namespace
}  // namespace llmq
