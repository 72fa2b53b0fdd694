// Budgets of the whole file: the bytes of real files against the target, and what is said when
// nothing fits.
#include "llmq/file_budget.h"

#include <gtest/gtest.h>

#include <cmath>
#include <regex>

#include "llmq/error.h"

namespace llmq {
namespace {

const std::filesystem::path kModel = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories-19m";

struct Source {
  explicit Source(const std::filesystem::path& directory)
      : files(ReadModelFiles(directory)), config(ParseModelConfig(files, directory.string())) {}
  ModelFiles files;
  ModelConfig config;
};

FilePlan Plan(const Source& source, double bpw, TableBits bits,
              BudgetScope scope = BudgetScope::kFile, Residual residual = Residual::kAuto) {
  return PlanFile(
      source.config, source.files, {},
      {.rank = {.target_bpw = bpw, .residual = residual}, .scope = scope, .table_bits = bits});
}

double FileBpw(const FilePlan& plan) {
  return 8 * static_cast<double>(plan.output.file_bytes) /
         static_cast<double>(plan.output.original_parameters);
}

TEST(FileBudgetTest, FillsTheFileAndNeverMore) {
  const Source source(kModel);
  for (const TableBits bits : {TableBits{8, 8}, TableBits{6, 6}, TableBits{4, 4}}) {
    for (double bpw = 0.7; bpw <= 2.0; bpw += 0.0613) {
      const FilePlan plan = Plan(source, bpw, bits);
      EXPECT_LE(FileBpw(plan), bpw);
      // One rank more in every matrix is what a plan may leave: some 0.012 bits per weight here.
      EXPECT_GT(FileBpw(plan), bpw - 0.02) << bits.embedding;
      EXPECT_EQ(plan.table_bits, bits);
    }
  }
}

TEST(FileBudgetTest, IsWithinHalfAPercentOnASevenBillionModel) {
  const Source source(std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "shapes" / "llama-2-7b");
  for (const double bpw : {0.35, 0.5, 0.55, 0.8, 1.0}) {
    for (const TableBits bits : {TableBits{8, 8}, TableBits{4, 6}, TableBits{}}) {
      const FilePlan plan = Plan(source, std::max(bpw, 0.5), bits);
      EXPECT_LE(FileBpw(plan), std::max(bpw, 0.5));
      EXPECT_GT(FileBpw(plan), 0.995 * std::max(bpw, 0.5));
    }
  }
}

// Whoever copies the number from the message gets a file, and there is none below it.
TEST(FileBudgetTest, NamesTheSmallestFeasibleTarget) {
  const Source source(kModel);
  for (const TableBits bits : {TableBits{8, 8}, TableBits{4, 4}, TableBits{kAutoBits, kAutoBits}}) {
    for (const Residual residual : {Residual::kAuto, Residual::kOn}) {
      std::string message;
      try {
        Plan(source, 0.1, bits, BudgetScope::kFile, residual);
        FAIL();
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::kRankSelectionFailed);
        message = error.message();
      }
      std::smatch found;
      ASSERT_TRUE(
          std::regex_search(message, found, std::regex("model: ([0-9.]+) BPW of the whole")))
          << message;
      const double smallest = std::stod(found[1]);
      const FilePlan plan = Plan(source, smallest, bits, BudgetScope::kFile, residual);
      EXPECT_LE(FileBpw(plan), smallest);
      EXPECT_THROW(Plan(source, smallest - 0.02, bits, BudgetScope::kFile, residual), Error);
    }
  }
}

TEST(FileBudgetTest, AutoTakesTheMostBitsWithinTheShare) {
  Source source(kModel);
  source.config.vocab_size = 200;  // tables of about 5 % of the file
  int before = 4;
  for (double bpw = 0.5; bpw <= 2.0; bpw += 0.05) {
    const FilePlan plan = Plan(source, bpw, {kAutoBits, kAutoBits});
    const int bits = plan.table_bits.embedding;
    EXPECT_GE(bits, before);  // more room never means fewer bits
    before = bits;
    EXPECT_LE(FileBpw(plan), bpw);
    const double table = static_cast<double>(
        GroupQuantBytes({source.config.vocab_size, source.config.hidden_size, bits}));
    const double share = table / static_cast<double>(plan.output.file_bytes);
    EXPECT_TRUE(bits == 4 || share <= kMostTableShare) << bpw << " " << share;
  }
  EXPECT_EQ(before, 8);
  const auto body = [&](double bpw) {
    return Plan(source, bpw, {kAutoBits, kAutoBits}, BudgetScope::kBody).table_bits.embedding;
  };
  EXPECT_EQ(body(2.0), 8);
  EXPECT_EQ(body(0.3), 4);
}

TEST(FileBudgetTest, AHeadMayDiffer) {
  const Source untied(std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "shapes" / "llama-2-7b");
  EXPECT_EQ(Plan(untied, 1.0, {4, 8}).table_bits, (TableBits{4, 8}));
  const TableBits chosen = Plan(untied, 0.45, {kAutoBits, 6}).table_bits;
  EXPECT_EQ(chosen.head, 6);
  EXPECT_NE(chosen.embedding, kAutoBits);
  const Source tied(kModel);  // the head is the embedding
  EXPECT_EQ(Plan(tied, 1.0, {6, 8}).table_bits, (TableBits{6, 6}));
}

TEST(FileBudgetTest, BodyScopeAndManualRanksAreThoseOfPlanRanks) {
  const Source source(kModel);
  const RankPlan expected = PlanRanks(source.config, {.target_bpw = 0.55});
  EXPECT_EQ(Plan(source, 0.55, {8, 8}, BudgetScope::kBody).ranks.body_bytes, expected.body_bytes);
  const FilePlan manual = PlanFile(source.config, source.files, {},
                                   {.rank = {.manual_rank = 16}, .scope = BudgetScope::kFile});
  EXPECT_EQ(manual.ranks.layers[0].shape.rank, 16);
}

}  // namespace
}  // namespace llmq
