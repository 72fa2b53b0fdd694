// A compressed model against the dense model that it stands for, and all ways through a linear
// layer against each other: few tokens (kernels) and many (matrix product), every kind of storage,
// any number of threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/kernels.h"
#include "llmq/model.h"
#include "tests/runtime/test_models.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

using testing::CompressedPair;

std::vector<float> LogitsInPieces(const Model& model, const std::vector<int32_t>& tokens,
                                  size_t piece) {
  const auto session = Session::Create(model, static_cast<int64_t>(tokens.size()));
  std::vector<float> logits;
  for (size_t begin = 0; begin < tokens.size(); begin += piece) {
    const auto rows = session->AppendAll(
        std::span(tokens).subspan(begin, std::min(piece, tokens.size() - begin)));
    logits.insert(logits.end(), rows.begin(), rows.end());
  }
  return logits;
}

double LargestDifference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::fabs(static_cast<double>(a[i]) - b[i]));
  return largest;
}

// ISA, paths, bits of embedding and head.
class CompressedModelTest : public ::testing::TestWithParam<std::tuple<Isa, int64_t, int>> {};

TEST_P(CompressedModelTest, EqualsTheDenseModelThatItStandsFor) {
  const auto [isa, paths, bits] = GetParam();
  if (!IsaAvailable(isa)) GTEST_SKIP() << "not available on this machine";
  setenv("LLM_QUANTIZE_ISA", IsaName(isa), 1);
  const testing::TemporaryDirectory directory;
  testing::TinyCheckpointOptions options;
  options.hidden_size = 72;  // neither these nor the ranks are multiples of a vector
  options.intermediate_size = 150;
  options.vocab_size = 512;
  options.attention_bias = options.mlp_bias = true;
  options.tied = bits == 4;
  options.tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
  testing::WriteTinyCheckpoint(directory / "source", options);
  const CompressedPair pair = testing::WriteCompressedPair(directory / "source", directory.path(),
                                                           /*rank=*/37, paths, bits);

  std::vector<int32_t> tokens(40);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>((i * 89 + 3) % 512);
  const auto dense = LogitsInPieces(*Model::Open(pair.dense, 1), tokens, 40);
  const auto compressed = LogitsInPieces(*Model::Open(pair.littlebit, 1), tokens, 40);
  const double magnitude = std::fabs(*std::max_element(dense.begin(), dense.end()));
  ASSERT_GT(magnitude, 0.5);  // a model that computes something
  EXPECT_LT(LargestDifference(dense, compressed), 1e-4 * magnitude);
  for (const size_t piece : {1, 3, 7, 9}) {
    const auto pieces = LogitsInPieces(*Model::Open(pair.littlebit, 1), tokens, piece);
    EXPECT_LT(LargestDifference(dense, pieces), 1e-4 * magnitude) << piece;
    for (const int threads : {2, 3}) {
      EXPECT_EQ(LogitsInPieces(*Model::Open(pair.littlebit, threads), tokens, piece), pieces)
          << piece;
    }
  }
  unsetenv("LLM_QUANTIZE_ISA");
}

INSTANTIATE_TEST_SUITE_P(EveryIsa, CompressedModelTest,
                         ::testing::Combine(::testing::ValuesIn(kAllIsas), ::testing::Values(1, 2),
                                            ::testing::Values(8, 6, 4)),
                         [](const auto& parameter) {
                           return std::string(IsaName(std::get<0>(parameter.param))) + "_" +
                                  std::to_string(std::get<1>(parameter.param)) + "paths_" +
                                  std::to_string(std::get<2>(parameter.param)) + "bits";
                         });

// Everything a compressed model computes with its own kernels: with float32 inputs tokens one by
// one, so that no product is Eigen's; with 8-bit inputs however many at a time.
class CompressedModelBits : public ::testing::TestWithParam<int> {};  // of embedding and head

TEST_P(CompressedModelBits, AreTheSameOnEveryInstructionSet) {
  const testing::TemporaryDirectory directory;
  testing::TinyCheckpointOptions options;
  options.hidden_size = 328;  // two blocks of inputs, the second a part
  options.intermediate_size = 600;
  options.vocab_size = 512;
  options.attention_bias = true;
  options.tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
  testing::WriteTinyCheckpoint(directory / "source", options);
  const CompressedPair pair = testing::WriteCompressedPair(directory / "source", directory.path(),
                                                           /*rank=*/77, /*paths=*/2, GetParam());
  std::vector<int32_t> tokens(12);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>((i * 89 + 3) % 512);
  std::vector<std::vector<float>> by_arithmetic;
  for (const bool exact : {true, false}) {
    for (const KvType kv : {KvType::kF32, KvType::kF16, KvType::kQ8}) {
      std::vector<float> expected;
      for (const Isa isa : kAllIsas) {
        if (!IsaAvailable(isa)) continue;
        setenv("LLM_QUANTIZE_ISA", IsaName(isa), 1);
        for (const int threads : {1, 3}) {
          const auto model =
              Model::Open(pair.littlebit, {.threads = threads, .exact = exact, .kv = kv});
          const auto logits = LogitsInPieces(*model, tokens, 1);
          if (expected.empty()) expected = logits;
          ASSERT_EQ(logits, expected) << IsaName(isa) << " " << exact;
          if (exact) continue;
          for (const size_t piece : {3, 12})
            ASSERT_EQ(LogitsInPieces(*model, tokens, piece), expected) << IsaName(isa);
        }
        unsetenv("LLM_QUANTIZE_ISA");
      }
      by_arithmetic.push_back(expected);
    }
  }
  const auto dense = LogitsInPieces(*Model::Open(pair.dense, 1), tokens, 12);
  const double magnitude = std::fabs(*std::max_element(dense.begin(), dense.end()));
  ASSERT_GT(magnitude, 0.5);
  // What rounding costs on a random model: exact f32, f16 and q8 keys and values; 8-bit inputs.
  const double limits[] = {1e-4, 1e-2, 5e-2, 5e-2, 5e-2, 5e-2};
  for (size_t i = 0; i < by_arithmetic.size(); ++i) {
    EXPECT_LT(LargestDifference(by_arithmetic[i], dense), limits[i] * magnitude) << i;
    for (size_t j = 0; j < i; ++j) EXPECT_NE(by_arithmetic[i], by_arithmetic[j]) << i << j;
  }
}
INSTANTIATE_TEST_SUITE_P(EveryTable, CompressedModelBits, ::testing::Values(8, 6, 4));

// Batches of tokens go through the kernels together, and give what each gives alone.
TEST(CompressedModel, PiecesOfTokensChangeNothingInHiddenLayers) {
  const testing::TemporaryDirectory directory;
  testing::TinyCheckpointOptions options;
  options.hidden_size = 72;
  options.vocab_size = 512;
  options.tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
  testing::WriteTinyCheckpoint(directory / "source", options);
  const CompressedPair pair =
      testing::WriteCompressedPair(directory / "source", directory.path(), 37, 2, 8);
  std::vector<int32_t> tokens(40);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>((i * 89 + 3) % 512);
  for (const bool exact : {true, false}) {
    const auto model = Model::Open(pair.littlebit, {.threads = 2, .exact = exact});
    std::vector<float> expected;
    for (const size_t piece : {40, 1, 2, 7, 17}) {
      const auto session = Session::Create(*model, 40);
      std::vector<float> last;
      for (size_t begin = 0; begin < tokens.size(); begin += piece) {
        const auto logits = session->Append(
            std::span(tokens).subspan(begin, std::min(piece, tokens.size() - begin)));
        last.assign(logits.begin(), logits.end());
      }
      if (expected.empty()) expected = last;
      EXPECT_EQ(last, expected) << piece;
    }
  }
}

TEST(LinearRunner, EveryElementTypeOfACheckpoint) {
  const testing::TemporaryDirectory directory;
  std::vector<int32_t> tokens = {1, 5, 300, 2, 9, 77, 511};
  std::vector<float> reference;
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    testing::TinyCheckpointOptions options;
    options.vocab_size = 512;
    options.dtype = dtype;
    options.tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
    const auto path = directory / DTypeName(dtype);
    testing::WriteTinyCheckpoint(path, options);
    const auto logits = LogitsInPieces(*Model::Open(path, 1), tokens, 7);
    if (reference.empty()) reference = logits;
    // The same weights but for their rounding: 11 bits in F16, 8 in BF16.
    const double limit = dtype == DType::kBF16 ? 0.1 : dtype == DType::kF16 ? 0.02 : 1e-6;
    EXPECT_LT(LargestDifference(logits, reference), limit) << DTypeName(dtype);
  }
  ASSERT_GT(std::fabs(*std::max_element(reference.begin(), reference.end())), 0.1);
}

}  // namespace
}  // namespace llmq
