// HellaSwag and ARC on stories-19m, item by item, against transformers with the protocol of
// lm-evaluation-harness (scripts/golden/make_benchmark_golden.py): items made from stories, and
// fifty real ones of each data set (tests/golden/benchmarks/real/SOURCES.md).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "llmq/evaluate.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LLMQ_TEST_GOLDEN_DIR) / "benchmarks";

// How many choices are those of transformers.
size_t Agreeing(const std::vector<int32_t>& found, const std::vector<int32_t>& expected) {
  size_t count = 0;
  for (size_t i = 0; i < expected.size(); ++i) count += found[i] == expected[i] ? 1 : 0;
  return count;
}

double ShareRight(const std::vector<int32_t>& chosen, const std::vector<int32_t>& right) {
  return static_cast<double>(Agreeing(chosen, right)) / static_cast<double>(right.size());
}

// Every item's log-likelihoods, and its choices unless it is a tie but for rounding.
void ExpectGolden(const fs::path& folder, const std::string& name, size_t least_items) {
  const auto model = Model::Open(fs::path(LLMQ_TEST_MODEL_DIR) / "stories-19m", 0);
  const Json golden = ParseJson(ReadTextFile(folder / (name + ".json")), name);
  const auto expected = golden["log_likelihoods"].get<std::vector<std::vector<double>>>();
  const auto chosen = golden["chosen"].get<std::vector<int32_t>>();
  const auto chosen_norm = golden["chosen_norm"].get<std::vector<int32_t>>();
  const auto right = golden["right"].get<std::vector<int32_t>>();
  const auto ties = golden["ties"].get<std::vector<size_t>>();
  const Benchmark benchmark = name.starts_with("arc") ? Benchmark::kArc : Benchmark::kHellaSwag;
  const auto result = RunBenchmark(*model, benchmark, {folder / (name + ".jsonl")}, 0, nullptr);
  ASSERT_EQ(result.log_likelihoods.size(), expected.size());
  ASSERT_GE(expected.size(), least_items);
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(result.log_likelihoods[i].size(), expected[i].size()) << "item " << i;
    for (size_t j = 0; j < expected[i].size(); ++j) {
      EXPECT_NEAR(result.log_likelihoods[i][j], expected[i][j], 1e-3) << "item " << i;
    }
    if (std::ranges::count(ties, i) > 0) continue;
    EXPECT_EQ(result.chosen[i], chosen[i]) << "item " << i;
    EXPECT_EQ(result.chosen_norm[i], chosen_norm[i]) << "item " << i;
  }
  EXPECT_EQ(result.accuracy, ShareRight(result.chosen, right));
  EXPECT_EQ(result.value, ShareRight(result.chosen_norm, right));
  std::cout << name << ": " << expected.size() << " items, " << ties.size()
            << " nearly ties; equal by acc " << Agreeing(result.chosen, chosen) << ", by acc_norm "
            << Agreeing(result.chosen_norm, chosen_norm) << "; acc " << result.accuracy << " ("
            << ShareRight(chosen, right) << "), acc_norm " << result.value << " ("
            << ShareRight(chosen_norm, right) << ")\n";
}

TEST(BenchmarkGolden, HellaSwag) { ExpectGolden(kGolden, "hellaswag", 200); }
TEST(BenchmarkGolden, Arc) { ExpectGolden(kGolden, "arc", 200); }

TEST(BenchmarkGolden, ExcerptsOfTheDataSets) {
  for (const char* name : {"hellaswag_val", "arc_easy", "arc_challenge"}) {
    ExpectGolden(kGolden / "real", name, 50);
  }
}

TEST(BenchmarkGolden, RealDataSets) {
  const char* folder = std::getenv("LLM_QUANTIZE_BENCHMARKS_DIR");
  if (folder == nullptr) GTEST_SKIP() << "LLM_QUANTIZE_BENCHMARKS_DIR is not set";
  size_t sets = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    ExpectGolden(folder, entry.path().stem(), 200);
    ++sets;
  }
  EXPECT_GT(sets, 0u);
}

}  // namespace
}  // namespace llmq
