// The runtime's logits against those of Hugging Face transformers
// (scripts/golden/make_parity_golden.py), for every instruction set of this machine: in one call,
// token by token, and in uneven pieces.
//
// Tolerance 1e-4 absolute on float32 logits of magnitude up to 22: rounding, not a wrong formula,
// which shows in the first digit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/kernels.h"
#include "llmq/model.h"
#include "tests/support/read_array.h"

namespace llmq {
namespace {

using llmq::testing::ReadArray;

constexpr float kTolerance = 1e-4f;
const std::filesystem::path kGolden = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity";
const std::filesystem::path kModels = LLMQ_TEST_MODEL_DIR;

struct Case {
  const char* name;   // folder in tests/golden/parity
  const char* model;  // in models/, or empty: in the same folder
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class ParityTest : public ::testing::TestWithParam<std::tuple<Case, Isa>> {
 protected:
  void SetUp() override {
    const auto& [golden, isa] = GetParam();
    if (!IsaAvailable(isa)) GTEST_SKIP() << "not available on this machine";
    setenv("LLM_QUANTIZE_ISA", IsaName(isa), 1);
    const std::string own = golden.model;
    model_ = Model::Open(own.empty() ? kGolden / golden.name : kModels / own, 2);
    unsetenv("LLM_QUANTIZE_ISA");
    tokens_ = ReadArray<int32_t>(kGolden / golden.name / "tokens.i32");
    ASSERT_GE(tokens_.size(), 64u);
  }

  std::vector<float> Golden(const char* file) const {
    auto logits = ReadArray<float>(kGolden / std::get<0>(GetParam()).name / file);
    EXPECT_EQ(logits.size(), tokens_.size() * model_->config().vocab_size);
    return logits;
  }
  bool dynamic() const { return DependsOnLength(model_->config().rope.scaling); }

  // Compares rows [first, first + count) of the golden logits with `found`.
  void ExpectRows(const std::vector<float>& golden, size_t first,
                  std::span<const float> found) const {
    const size_t begin = first * model_->config().vocab_size;
    ASSERT_LE(begin + found.size(), golden.size());
    for (size_t i = 0; i < found.size(); ++i) {
      ASSERT_NEAR(found[i], golden[begin + i], kTolerance)
          << "token " << (begin + i) / model_->config().vocab_size;
    }
  }

  std::unique_ptr<Model> model_;
  std::vector<int32_t> tokens_;
};

TEST_P(ParityTest, OneCall) {
  const auto session = Session::Create(*model_, static_cast<int64_t>(tokens_.size()));
  ExpectRows(Golden("logits.f32"), 0, session->AppendAll(tokens_));
  session->Reset();
  ExpectRows(Golden("logits.f32"), tokens_.size() - 1, session->Append(tokens_));
}

TEST_P(ParityTest, TokenByToken) {
  // With dynamic scaling the frequencies grow with the sequence, in transformers as here.
  const auto golden = Golden(dynamic() ? "logits_decode.f32" : "logits.f32");
  const auto session = Session::Create(*model_, static_cast<int64_t>(tokens_.size()));
  for (size_t t = 0; t < tokens_.size(); ++t) {
    ASSERT_EQ(session->position(), static_cast<int64_t>(t));
    ExpectRows(golden, t, session->Append({&tokens_[t], 1}));
  }
}

TEST_P(ParityTest, UnevenPieces) {
  if (dynamic()) GTEST_SKIP() << "the answer depends on the pieces";
  const auto golden = Golden("logits.f32");
  const auto session = Session::Create(*model_, static_cast<int64_t>(tokens_.size()));
  size_t begin = 0;
  for (const size_t wanted : {3, 1, 17, 2, 4, 5, 8, 9, 100}) {
    const size_t count = std::min(wanted, tokens_.size() - begin);
    ExpectRows(golden, begin, session->AppendAll(std::span(tokens_).subspan(begin, count)));
    begin += count;
  }
  // Taking tokens back and writing them again changes nothing.
  session->Rewind(10);
  ExpectRows(golden, 10, session->AppendAll(std::span(tokens_).subspan(10)));
}

TEST_P(ParityTest, ThreadsDoNotChangeABit) {
  setenv("LLM_QUANTIZE_ISA", IsaName(std::get<1>(GetParam())), 1);
  std::vector<float> first;
  for (const int threads : {1, 2, 3}) {
    const auto model = Model::Open(model_->path(), threads);
    const auto session = Session::Create(*model, 0);
    const auto all = session->AppendAll(std::span(tokens_).first(40));
    std::vector<float> logits(all.begin(), all.end());
    const auto one = session->Append({&tokens_[40], 1});
    logits.insert(logits.end(), one.begin(), one.end());
    if (first.empty()) first = logits;
    EXPECT_EQ(logits, first) << threads;
  }
  unsetenv("LLM_QUANTIZE_ISA");
}

const Case kCases[] = {
    {"stories260k-hf-f32", "stories260k/hf-f32"},
    {"stories260k-hf-f16", "stories260k/hf-f16"},
    {"stories260k-hf-bf16", "stories260k/hf-bf16"},
    {"llama-bias-linear", ""},
    {"llama-llama3", ""},
    {"llama-yarn", ""},
    {"llama-dynamic", ""},
    {"mistral-window", ""},
    {"qwen2-bias", ""},
    {"qwen2-window", ""},
    {"qwen3-norms", ""},
    {"gemma", ""},
    {"gemma2", ""},
    {"gemma3", ""},
    {"phi3-partial", ""},
    {"phi3-longrope", ""},
    {"opt", ""},
    {"opt-plain-linears", ""},
    {"gpt2", ""},
    {"gpt2-published", ""},
    {"gpt2-unscaled", ""},
    {"mixtral", ""},
    {"mixtral-fused", ""},
    {"qwen2-moe", ""},
    {"qwen2-moe-mixed", ""},
    {"qwen3-moe", ""},
    {"qwen3-moe-window", ""},
    {"llama-longrope", ""},
    {"phi4-mini", ""},
    {"opt-350m", ""},
    {"opt-narrow", ""},
    {"gemma3-vision", ""},
    {"gemma3-vision-new", ""},
};
INSTANTIATE_TEST_SUITE_P(Models, ParityTest,
                         ::testing::Combine(::testing::ValuesIn(kCases),
                                            ::testing::ValuesIn(kAllIsas)),
                         [](const auto& parameter) {
                           std::string name = std::get<0>(parameter.param).name;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name + "_" + IsaName(std::get<1>(parameter.param));
                         });

}  // namespace
}  // namespace llmq
