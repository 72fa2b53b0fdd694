// HellaSwag and ARC on stories-19m, item by item, against transformers with the protocol of
// lm-evaluation-harness (scripts/golden/make_benchmark_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "llmq/evaluate.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

// Every item's log-likelihoods, and its choices unless it is a tie but for rounding.
void ExpectGolden(const fs::path& folder, const std::string& name, Benchmark benchmark) {
  const auto model = Model::Open(fs::path(LLMQ_TEST_MODEL_DIR) / "stories-19m", 0);
  const Json golden = ParseJson(ReadTextFile(folder / (name + ".json")), name);
  const auto expected = golden["log_likelihoods"].get<std::vector<std::vector<double>>>();
  const auto chosen = golden["chosen"].get<std::vector<int32_t>>();
  const auto chosen_norm = golden["chosen_norm"].get<std::vector<int32_t>>();
  const auto ties = golden["ties"].get<std::vector<size_t>>();
  const auto result = RunBenchmark(*model, benchmark, {folder / (name + ".jsonl")}, 0, nullptr);
  ASSERT_EQ(result.log_likelihoods.size(), expected.size());
  EXPECT_GE(expected.size(), 200u);
  for (size_t i = 0; i < expected.size(); ++i) {
    ASSERT_EQ(result.log_likelihoods[i].size(), expected[i].size()) << "item " << i;
    for (size_t j = 0; j < expected[i].size(); ++j) {
      EXPECT_NEAR(result.log_likelihoods[i][j], expected[i][j], 1e-3) << "item " << i;
    }
    if (std::ranges::count(ties, i) > 0) continue;
    EXPECT_EQ(result.chosen[i], chosen[i]) << "item " << i;
    EXPECT_EQ(result.chosen_norm[i], chosen_norm[i]) << "item " << i;
  }
}

TEST(BenchmarkGolden, HellaSwag) {
  ExpectGolden(fs::path(LLMQ_TEST_GOLDEN_DIR) / "benchmarks", "hellaswag", Benchmark::kHellaSwag);
}

TEST(BenchmarkGolden, Arc) {
  ExpectGolden(fs::path(LLMQ_TEST_GOLDEN_DIR) / "benchmarks", "arc", Benchmark::kArc);
}

TEST(BenchmarkGolden, RealDataSets) {
  const char* folder = std::getenv("LLM_QUANTIZE_BENCHMARKS_DIR");
  if (folder == nullptr) GTEST_SKIP() << "LLM_QUANTIZE_BENCHMARKS_DIR is not set";
  ExpectGolden(folder, "hellaswag", Benchmark::kHellaSwag);
  ExpectGolden(folder, "arc", Benchmark::kArc);
}

}  // namespace
}  // namespace llmq
