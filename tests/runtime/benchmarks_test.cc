// Multiple-choice benchmarks against transformers with the harness's wording, and malformed files.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"
#include "llmq/evaluate.h"
#include "runtime/benchmark_items.h"
#include "runtime/python_text.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

const std::filesystem::path kModels = LLMQ_TEST_MODEL_DIR;
const std::filesystem::path kGolden = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity";

void ExpectGolden(const BenchmarkResult& result, const char* name) {
  const Json golden = ParseJson(ReadTextFile(kGolden / "stories-19m.json"), "golden")[name];
  EXPECT_EQ(result.name, name);
  EXPECT_EQ(result.metric, "acc_norm");
  EXPECT_EQ(result.items, 6);
  EXPECT_EQ(result.chosen, golden["chosen"].get<std::vector<int32_t>>());
  EXPECT_EQ(result.chosen_norm, golden["chosen_norm"].get<std::vector<int32_t>>());
  EXPECT_DOUBLE_EQ(result.accuracy, golden["accuracy"].get<double>());
  EXPECT_DOUBLE_EQ(result.value, golden["acc_norm"].get<double>());
}

TEST(Benchmarks, ChooseAsTransformersDoes) {
  const auto model = Model::Open(kModels / "stories-19m", 0);
  ExpectGolden(
      RunBenchmark(*model, Benchmark::kHellaSwag, {kGolden / "hellaswag.jsonl"}, 0, nullptr),
      "hellaswag");
  ExpectGolden(RunBenchmark(*model, Benchmark::kArc, {kGolden / "arc.jsonl"}, 0, nullptr), "arc");
  const auto some = RunBenchmark(*model, Benchmark::kArc, {kGolden / "arc.jsonl"}, 2, nullptr);
  EXPECT_EQ(some.items, 2);
  EXPECT_EQ(some.chosen.size(), 2u);
}

// As the Hub has the same items: other columns, Parquet.
TEST(BenchmarkItems, ParquetHasTheItemsOfTheLines) {
  const std::filesystem::path parquet = kGolden.parent_path() / "parquet";
  const auto expect_same = [](const ChoiceItem& item, const ChoiceItem& line, size_t row) {
    EXPECT_EQ(item.context, line.context);
    EXPECT_EQ(item.choices, line.choices);
    EXPECT_EQ(item.gold, line.gold);
    EXPECT_NE(item.where.find("row " + std::to_string(row)), std::string::npos) << item.where;
  };
  const auto hellaswag = ReadHellaSwag(parquet / "hub_hellaswag.parquet");
  const auto hellaswag_lines = ReadHellaSwag(kGolden / "hellaswag.jsonl");
  ASSERT_EQ(hellaswag.size(), hellaswag_lines.size());
  for (size_t i = 0; i < hellaswag.size(); ++i) expect_same(hellaswag[i], hellaswag_lines[i], i);

  const auto easy = ReadArc(parquet / "hub_arc_easy.parquet");
  const auto challenge = ReadArc(parquet / "hub_arc_challenge.parquet");
  const auto arc_lines = ReadArc(kGolden / "arc.jsonl");
  ASSERT_EQ(easy.size() + challenge.size(), arc_lines.size());
  for (size_t i = 0; i < arc_lines.size(); ++i) {
    const bool is_easy = i < easy.size();
    const size_t row = is_easy ? i : i - easy.size();
    expect_same(is_easy ? easy[row] : challenge[row], arc_lines[i], row);
  }
  EXPECT_THROW(ReadArc(parquet / "hub_hellaswag.parquet"), Error);
  EXPECT_THROW(ReadHellaSwag(parquet / "hub_wikitext.parquet"), Error);
}

// The papers' text is "\n\n".join(rows), whatever holds the rows.
TEST(Benchmarks, WikitextJoinsAllRowsEmptyOnesToo) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory / "joined.txt")
      << "\n\n = A day = \n\n\n\n\n"
         " Once upon a time there was a little girl . She had a dog @-@ and a ball . "
         "\n\n\n\n\n\n\n = = The end = = \n";
  const auto model = Model::Open(kModels / "stories260k" / "hf-f32", 1);
  const auto measure = [&](const std::filesystem::path& data) {
    return RunBenchmark(*model, Benchmark::kWikitext, {data}, 0, nullptr).value;
  };
  EXPECT_EQ(measure(kGolden.parent_path() / "parquet/hub_wikitext.parquet"),
            measure(directory / "joined.txt"));
}

TEST(Benchmarks, WikitextIsPerplexityOfTheFile) {
  const testing::TemporaryDirectory directory;
  std::string text = "Once upon a time there was a little girl. She had a dog and a ball. ";
  for (int i = 0; i < 4; ++i) text += text;
  std::ofstream(directory / "text.txt") << text;
  const auto model = Model::Open(kModels / "stories260k" / "hf-f32", 1);
  const auto result =
      RunBenchmark(*model, Benchmark::kWikitext, {directory / "text.txt"}, 0, nullptr);
  const auto tokens = TokenizeJoined(LoadTextDataset(directory / "text.txt"), model->tokenizer());
  const auto expected = MeasurePerplexity(*model, tokens, 512, 0, nullptr);
  EXPECT_EQ(result.metric, "perplexity");
  EXPECT_EQ(result.items, expected.windows);
  EXPECT_EQ(result.value, expected.perplexity);
}

// A pair longer than the context is cut from the left, as in the harness.
TEST(Benchmarks, LongContextsAreCut) {
  const testing::TemporaryDirectory directory;
  std::string stem;
  for (int i = 0; i < 400; ++i) stem += "The dog ran. ";
  std::ofstream(directory / "long.jsonl")
      << Json{{"query", stem}, {"choices", {"The cat sat down.", "zzz qqq"}}, {"gold", 0}}.dump()
      << "\n";
  const auto model = Model::Open(kModels / "stories260k" / "hf-f32", 1);
  const auto result = RunBenchmark(*model, Benchmark::kArc, {directory / "long.jsonl"}, 0, nullptr);
  EXPECT_EQ(result.accuracy, 1.0);
}

TEST(BenchmarkItems, AreWordedAsTheHarnessDoes) {
  const testing::TemporaryDirectory directory;
  std::ofstream(directory / "h.jsonl")
      << R"({"activity_label": "Cooking", "ctx_a": "A man [header] cooks [step] soup. [title] Next", "ctx_b": "hE Eats",)"
      << R"( "endings": [" slowly [substeps] now. ", "fast"], "label": 1})"
      << "\r\n\n";
  const auto hellaswag = ReadHellaSwag(directory / "h.jsonl");
  ASSERT_EQ(hellaswag.size(), 1u);
  EXPECT_EQ(hellaswag[0].context, "Cooking: A man cooks soup.. Next He eats");
  EXPECT_EQ(hellaswag[0].choices, (std::vector<std::string>{"slowly now.", "fast"}));
  EXPECT_EQ(hellaswag[0].gold, 1);

  std::ofstream(directory / "a.jsonl")
      << R"({"question": {"stem": "Why?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]},)"
      << R"( "answerKey": "B"})";
  const auto arc = ReadArc(directory / "a.jsonl");
  ASSERT_EQ(arc.size(), 1u);
  EXPECT_EQ(arc[0].context, "Question: Why?\nAnswer:");
  EXPECT_EQ(arc[0].choices, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(arc[0].gold, 1);
}

TEST(BenchmarkItems, WhiteSpaceIsPythons) {
  EXPECT_EQ(Strip(" \u00a0\u3000\x1c x y\u2003\n"), "x y");
  EXPECT_EQ(Strip(" \u00a0"), "");
  EXPECT_EQ(LengthWithoutSpacesBehind("a \u00e9\u00a0 "), 4u);
  EXPECT_EQ(Capitalize("he MET \u00c9VA"), "He met \u00e9va");
  EXPECT_EQ(Capitalize(""), "");
}

TEST(BenchmarkItems, MalformedLinesAreNamed) {
  const testing::TemporaryDirectory directory;
  const std::string good = R"({"context": "a", "endings": ["b", "c"], "label": "0"})";
  const std::string bad_lines[] = {
      "{",
      "17",
      "[]",
      R"({"context": 1, "endings": ["b"], "label": 0})",
      R"({"context": "a", "endings": [], "label": 0})",
      R"({"context": "a", "endings": ["b", 2], "label": 0})",
      R"({"context": "a", "endings": ["b"], "label": 1})",
      R"({"context": "a", "endings": ["b"], "label": -1})",
      R"({"context": "a", "endings": ["b"], "label": "99999999999999999999"})",
      R"({"context": "a", "endings": ["b"], "label": null})",
      R"({"context": "a", "endings": ["b"]})",
      R"({"activity_label": "a", "ctx_a": "b", "endings": ["b"], "label": 0})",
  };
  for (const std::string& bad : bad_lines) {
    std::ofstream(directory / "x.jsonl") << good << "\n" << bad << "\n" << good << "\n";
    try {
      ReadHellaSwag(directory / "x.jsonl");
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments);
      EXPECT_NE(error.message().find("x.jsonl: line 2: "), std::string::npos) << error.message();
    }
  }
  for (
      const char* bad :
      {R"({"question": {"stem": "s", "choices": [{"text": "x", "label": "A"}]}, "answerKey": "C"})",
       R"({"question": {"stem": "s", "choices": ["x"]}, "answerKey": "A"})",
       R"({"question": "s", "answerKey": "A"})",
       R"({"query": "s", "choices": ["x"], "gold": 3})"}) {
    std::ofstream(directory / "x.jsonl") << bad;
    EXPECT_THROW(ReadArc(directory / "x.jsonl"), Error) << bad;
  }
  std::ofstream(directory / "empty.jsonl") << "\n \n";
  EXPECT_THROW(ReadArc(directory / "empty.jsonl"), Error);
  EXPECT_THROW(ReadArc(directory / "nowhere.jsonl"), Error);
}

}  // namespace
}  // namespace llmq
