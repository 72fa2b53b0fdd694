// Routing, and compressed models with experts: the same bits however tokens are grouped. That the
// logits are right is tests/parity's.
#include "runtime/experts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <vector>

#include "llmq/model.h"
#include "llmq/speed.h"
#include "tests/runtime/test_models.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

const std::filesystem::path kGolden = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity";

std::vector<ChosenExpert> Choose(std::vector<float> logits, int64_t per_token, bool normalized) {
  ExpertConfig experts;
  experts.count = static_cast<int64_t>(logits.size());
  experts.per_token = per_token;
  experts.normalized = normalized;
  std::vector<ChosenExpert> chosen(static_cast<size_t>(per_token));
  ChooseExperts(experts, logits, chosen);
  return chosen;
}

TEST(ChooseExperts, TakesTheMostProbable) {
  const float two = std::log(2.0f), four = std::log(4.0f);
  const auto chosen = Choose({0, four, 0, two}, 2, false);  // of 8 parts: 1, 4, 1, 2
  EXPECT_EQ(chosen[0].expert, 1);
  EXPECT_NEAR(chosen[0].weight, 4.0 / 8, 1e-6);
  EXPECT_EQ(chosen[1].expert, 3);
  EXPECT_NEAR(chosen[1].weight, 2.0 / 8, 1e-6);
  const auto normalized = Choose({two, four, 0, 0}, 2, true);
  EXPECT_EQ(normalized[0].expert, 0);  // in the order of their numbers
  EXPECT_NEAR(normalized[0].weight, 1.0 / 3, 1e-6);
  EXPECT_NEAR(normalized[1].weight, 2.0 / 3, 1e-6);
}

TEST(ChooseExperts, OfEqualOnesTheFirst) {
  const auto chosen = Choose({1, 3, 3, 3, 2}, 2, false);
  EXPECT_EQ(chosen[0].expert, 1);
  EXPECT_EQ(chosen[1].expert, 2);
}

TEST(ChooseExperts, LargeLogitsAndNoNumbersChooseSomething) {
  EXPECT_EQ(Choose({1e30f, -1e30f}, 1, true)[0].expert, 0);
  EXPECT_NEAR(Choose({1e4f, 1e4f}, 2, false)[1].weight, 0.5, 1e-6);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const ChosenExpert& choice : Choose({nan, nan, nan}, 2, true)) {
    EXPECT_TRUE(choice.expert >= 0 && choice.expert < 3);
  }
}

class CompressedExperts : public ::testing::TestWithParam<const char*> {};

TEST_P(CompressedExperts, SameBitsHoweverTokensAreGrouped) {
  const testing::TemporaryDirectory directory;
  const testing::CompressedPair pair = testing::WriteCompressedPair(
      kGolden / GetParam(), directory.path(), /*rank=*/13, /*paths=*/2, 8);
  std::vector<int32_t> tokens(40);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>((i * 89 + 3) % 512);
  for (const bool exact : {true, false}) {
    std::vector<float> expected;
    for (const Isa isa : kAllIsas) {
      if (!IsaAvailable(isa)) continue;
      setenv("LLM_QUANTIZE_ISA", IsaName(isa), 1);
      for (const size_t piece : {40, 1, 2, 7, 17}) {
        const int threads = piece == 7 ? 3 : 1;
        const auto model = Model::Open(pair.littlebit, {.threads = threads, .exact = exact});
        const auto session = Session::Create(*model, 40);
        std::vector<float> last;
        for (size_t begin = 0; begin < tokens.size(); begin += piece) {
          const auto logits = session->Append(
              std::span(tokens).subspan(begin, std::min(piece, tokens.size() - begin)));
          last.assign(logits.begin(), logits.end());
        }
        if (expected.empty()) expected = last;
        ASSERT_EQ(last, expected) << IsaName(isa) << " " << piece << " " << exact;
      }
      unsetenv("LLM_QUANTIZE_ISA");
    }
    const auto dense = Model::Open(pair.dense, 1);
    const auto session = Session::Create(*dense, 40);
    const auto logits = session->Append(tokens);
    for (size_t i = 0; exact && i < expected.size(); ++i) {
      ASSERT_NEAR(expected[i], logits[i], 1e-3) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, CompressedExperts,
                         ::testing::Values("mixtral", "qwen2-moe", "qwen2-moe-mixed", "qwen3-moe"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST(RandomModel, HasExperts) {
  const auto shape = Model::Open(kGolden / "qwen2-moe-mixed", 1)->config();
  for (const double bpw : {0.0, 4.0}) {
    const auto model = MakeRandomModel(shape, {.bpw = bpw}, {.threads = 2});
    const auto session = Session::Create(*model, 8);
    for (const float logit : session->Append(std::vector<int32_t>{1, 2, 3, 299, 5})) {
      ASSERT_TRUE(std::isfinite(logit));
    }
  }
}

}  // namespace
}  // namespace llmq
