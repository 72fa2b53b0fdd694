// From a target to ranks and table bits when the target may count every byte of the file.
//
// A thin layer: bit_budget.h owns the ranks, output_plan.h the bytes; here is only what the tables
// may take of the file, and which target of the body the rest of the file leaves.
#ifndef LLMQ_FILE_BUDGET_H_
#define LLMQ_FILE_BUDGET_H_

#include <span>

#include "llmq/bit_budget.h"
#include "llmq/checkpoint.h"
#include "llmq/group_quant.h"
#include "llmq/model_config.h"
#include "llmq/output_plan.h"
#include "llmq/tensor.h"

namespace llmq {

// In TableBits: the most of 8, 6 and 4 with which the tables take at most kMostTableShare of the
// file, or 4. Below that the bits saved help the body less than they hurt the tables: measured in
// docs/results.md, "Embeddings and head".
inline constexpr int kAutoBits = 0;
inline constexpr double kMostTableShare = 0.05;

struct BudgetOptions {
  RankOptions rank;  // target_bpw counts what `scope` says
  BudgetScope scope = BudgetScope::kBody;
  TableBits table_bits;  // kAutoBits: chosen here; both, if both are
};

struct FilePlan {
  RankPlan ranks;
  TableBits table_bits;  // of a tied head: the embedding's
  OutputPlan output;
};

// With BudgetScope::kFile (and no manual rank) 8 * file bytes / original parameters is the highest
// that is not above the target. Throws Error{kRankSelectionFailed} naming the smallest feasible
// target, Error{kInvalidArguments} for table bits that there are not.
FilePlan PlanFile(const ModelConfig& config, const ModelFiles& files,
                  std::span<const TensorView> tensors, const BudgetOptions& options);

}  // namespace llmq

#endif  // LLMQ_FILE_BUDGET_H_
