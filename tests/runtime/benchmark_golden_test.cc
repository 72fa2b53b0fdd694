// HellaSwag and ARC on stories-19m, item by item, against transformers with the protocol of
// lm-evaluation-harness (scripts/golden/make_benchmark_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "llmq/evaluate.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

// Every item's log-likelihoods, and its choices unless it is a tie but for rounding.
void ExpectGolden(const fs::path& folder) {
  const auto model = Model::Open(fs::path(LLMQ_TEST_MODEL_DIR) / "stories-19m", 0);
  for (const auto& [name, benchmark] :
       {std::pair("hellaswag", Benchmark::kHellaSwag), std::pair("arc", Benchmark::kArc)}) {
    const Json golden = ParseJson(ReadTextFile(folder / (std::string(name) + ".json")), name);
    const auto expected = golden["log_likelihoods"].get<std::vector<std::vector<double>>>();
    const auto chosen = golden["chosen"].get<std::vector<int32_t>>();
    const auto chosen_norm = golden["chosen_norm"].get<std::vector<int32_t>>();
    const auto ties = golden["ties"].get<std::vector<size_t>>();
    const auto result =
        RunBenchmark(*model, benchmark, {folder / (std::string(name) + ".jsonl")}, 0, nullptr);
    ASSERT_EQ(result.log_likelihoods.size(), expected.size());
    EXPECT_GE(expected.size(), 200u);
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(result.log_likelihoods[i].size(), expected[i].size()) << name << " item " << i;
      for (size_t j = 0; j < expected[i].size(); ++j) {
        EXPECT_NEAR(result.log_likelihoods[i][j], expected[i][j], 1e-3) << name << " item " << i;
      }
      if (std::ranges::count(ties, i) > 0) continue;
      EXPECT_EQ(result.chosen[i], chosen[i]) << name << " item " << i;
      EXPECT_EQ(result.chosen_norm[i], chosen_norm[i]) << name << " item " << i;
    }
  }
}

TEST(BenchmarkGolden, EveryItemAsTransformers) {
  ExpectGolden(fs::path(LLMQ_TEST_GOLDEN_DIR) / "benchmarks");
}

TEST(BenchmarkGolden, EveryItemOfTheRealDataSets) {
  const char* folder = std::getenv("LLM_QUANTIZE_BENCHMARKS_DIR");
  if (folder == nullptr) GTEST_SKIP() << "LLM_QUANTIZE_BENCHMARKS_DIR is not set";
  ExpectGolden(folder);
}

}  // namespace
}  // namespace llmq
