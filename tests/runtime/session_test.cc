// Sessions and models under hostile use, text written greedily, and where writing stops.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"
#include "llmq/model.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

const std::filesystem::path kModels = LLMQ_TEST_MODEL_DIR;

template <typename Call>
void ExpectError(ErrorCode code, const std::string& part, const Call& call) {
  try {
    call();
    ADD_FAILURE() << "expected an error: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
  }
}

class SessionTest : public ::testing::Test {
 protected:
  std::unique_ptr<Model> model_ = Model::Open(kModels / "stories260k" / "hf-f32", 1);
  const std::vector<int32_t> prompt_ = {1, 403, 407, 261, 378};
};

TEST_F(SessionTest, RefusesWhatItCannotRunAndGoesOn) {
  const auto session = Session::Create(*model_, 8);
  EXPECT_EQ(session->capacity(), 8);
  const auto first = session->Append(prompt_);
  const std::vector<float> expected(first.begin(), first.end());

  ExpectError(ErrorCode::kInvalidArguments, "found none", [&] { session->Append({}); });
  ExpectError(ErrorCode::kInvalidArguments, "found none", [&] { session->AppendAll({}); });
  for (const int32_t id :
       {-1, 512, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    ExpectError(ErrorCode::kInvalidArguments, "token id: expected 0 to 511", [&] {
      session->Append(std::vector<int32_t>{5, id});
    });
  }
  ExpectError(ErrorCode::kInvalidArguments, "at most 3 more tokens, found 4", [&] {
    session->Append(std::vector<int32_t>{1, 2, 3, 4});
  });
  EXPECT_EQ(session->position(), 5);  // nothing of that has happened

  session->Append(std::vector<int32_t>{1, 2, 3});
  EXPECT_EQ(session->position(), 8);
  ExpectError(ErrorCode::kInvalidArguments, "at most 0 more",
              [&] { session->Append(std::vector<int32_t>{1}); });
  session->Rewind(100);  // cannot go forward
  EXPECT_EQ(session->position(), 8);
  session->Reset();
  const auto again = session->Append(prompt_);
  EXPECT_EQ(std::vector<float>(again.begin(), again.end()), expected);
}

TEST_F(SessionTest, CapacityIsTheContextOrWhatIsAskedFor) {
  EXPECT_EQ(Session::Create(*model_, 0)->capacity(), 512);
  EXPECT_EQ(Session::Create(*model_, 1)->capacity(), 1);
  ExpectError(ErrorCode::kInvalidArguments, "found -1", [&] { Session::Create(*model_, -1); });
  ExpectError(ErrorCode::kOutOfMemory, "key-value cache",
              [&] { Session::Create(*model_, std::numeric_limits<int64_t>::max()); });
}

TEST(LearnedPositions, AreTheLongestContext) {
  const auto model = Model::Open(std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity" / "opt", 1);
  ExpectError(ErrorCode::kInvalidArguments, "expected at most 96 tokens",
              [&] { Session::Create(*model, 97); });
  const auto session = Session::Create(*model, 0);
  const std::vector<int32_t> tokens(96, 7);
  session->Append(tokens);  // up to the last row of the table
  ExpectError(ErrorCode::kInvalidArguments, "context: expected at most 0 more tokens", [&] {
    session->Append({tokens.data(), 1});
  });
}

TEST_F(SessionTest, LongPromptEqualsItsPieces) {  // longer than the chunks a prompt is cut into
  std::vector<int32_t> tokens(500);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<int32_t>((i * 37 + 11) % 512);
  const auto whole = Session::Create(*model_, 0);
  const auto pieces = Session::Create(*model_, 0);
  const auto expected = whole->Append(tokens);
  pieces->Append(std::span(tokens).first(100));
  const auto found = pieces->Append(std::span(tokens).subspan(100));
  for (size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(found[i], expected[i], 1e-4);
}

TEST_F(SessionTest, WritingStopsAtTheEndTokenTheLimitTheContextAndOnRequest) {
  const auto session = Session::Create(*model_, 0);
  const auto free = Generate(*session, prompt_, 20, {}, {}, nullptr);
  ASSERT_EQ(free.tokens.size(), 20u);
  EXPECT_FALSE(free.reached_end);

  session->Reset();
  const std::vector<int64_t> end_ids = {-5, free.tokens[7]};
  const auto ended = Generate(*session, prompt_, 20, {}, end_ids, nullptr);
  const auto first_end = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[7]);
  EXPECT_TRUE(ended.reached_end);
  EXPECT_EQ(ended.tokens, std::vector<int32_t>(free.tokens.begin(), first_end));

  const auto tight = Session::Create(*model_, 9);  // room for four tokens after the prompt's five
  const auto full = Generate(*tight, prompt_, 20, {}, {}, nullptr);
  EXPECT_EQ(full.tokens, std::vector<int32_t>(free.tokens.begin(), free.tokens.begin() + 5));
  EXPECT_EQ(tight->position(), 9);

  const auto small = Session::Create(*model_, 4);
  ExpectError(ErrorCode::kInvalidArguments, "at most 4 more tokens, found 5",
              [&] { Generate(*small, prompt_, 20, {}, {}, nullptr); });

  session->Reset();
  std::vector<int32_t> seen;
  const auto stopped = Generate(*session, prompt_, 20, {}, {}, [&](int32_t id) {
    seen.push_back(id);
    return seen.size() < 3;
  });
  EXPECT_EQ(stopped.tokens, seen);
  EXPECT_EQ(seen.size(), 3u);

  session->Reset();
  EXPECT_TRUE(Generate(*session, prompt_, 0, {}, {}, nullptr).tokens.empty());
}

TEST(Generate, GreedyTextEqualsTransformers) {
  const auto golden_path =
      std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity" / "stories-19m.json";
  const Json golden = ParseJson(ReadTextFile(golden_path), golden_path.string())["greedy"];
  const auto model = Model::Open(kModels / "stories-19m", 0);
  const auto prompt = golden["prompt"].get<std::vector<int32_t>>();
  EXPECT_EQ(model->tokenizer().Encode("Once upon a time, there was a", true), prompt);
  const auto expected = golden["tokens"].get<std::vector<int32_t>>();
  const auto session = Session::Create(*model, 0);
  const auto result = Generate(*session, prompt, static_cast<int64_t>(expected.size()), {},
                               model->config().eos_token_ids, nullptr);
  EXPECT_EQ(result.tokens, expected);
  EXPECT_EQ(model->tokenizer().Decode(result.tokens, true), golden["text"].get<std::string>());
}

TEST(ModelOpen, NamesWhatIsWrong) {
  const testing::TemporaryDirectory directory;
  ExpectError(ErrorCode::kModelNotFound, "nowhere", [&] { Model::Open(directory / "nowhere", 1); });
  std::ofstream(directory / "garbage.littlebit") << "no model";
  ExpectError(ErrorCode::kGeneral, "garbage.littlebit",
              [&] { Model::Open(directory / "garbage.littlebit", 1); });
  setenv("LLM_QUANTIZE_ISA", "abacus", 1);
  ExpectError(ErrorCode::kInvalidArguments, "LLM_QUANTIZE_ISA",
              [&] { Model::Open(kModels / "stories260k" / "hf-f32", 1); });
  unsetenv("LLM_QUANTIZE_ISA");
}

}  // namespace
}  // namespace llmq
