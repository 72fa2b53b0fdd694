// What a compression would give, without doing it: ranks and sizes (--dry-run, and the disk-space
// check).
#ifndef LLMQ_CLI_COMPRESS_PLAN_H_
#define LLMQ_CLI_COMPRESS_PLAN_H_

#include <filesystem>
#include <string>

#include "base/json.h"
#include "cli/compress_arguments.h"
#include "llmq/bit_budget.h"
#include "llmq/checkpoint.h"
#include "llmq/output_plan.h"

namespace llmq {

struct CompressPlan {
  ModelConfig config;
  TableBits table_bits;
  RankPlan ranks;
  OutputPlan file;

  double ratio() const {
    return static_cast<double>(file.original_fp16_bytes) / static_cast<double>(file.file_bytes);
  }
};

CompressPlan PlanFromCheckpoint(const CompressArguments& arguments, const Checkpoint& checkpoint);
// Of a directory without weights: the tensors are those of config.json's architecture.
CompressPlan PlanFromConfig(const CompressArguments& arguments,
                            const std::filesystem::path& directory);

Json PlanJson(const CompressArguments& arguments, const CompressPlan& plan);
// A row per kind of projection, or per matrix if `every_matrix`.
std::string PlanText(const CompressArguments& arguments, const CompressPlan& plan,
                     bool every_matrix);

}  // namespace llmq

#endif  // LLMQ_CLI_COMPRESS_PLAN_H_
