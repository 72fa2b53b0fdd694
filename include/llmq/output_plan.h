// Which sections a compressed file will have, in order, and its exact size: what --dry-run prints
// and what the compressor writes are the same list.
#ifndef LLMQ_OUTPUT_PLAN_H_
#define LLMQ_OUTPUT_PLAN_H_

#include <cstdint>
#include <span>
#include <vector>

#include "llmq/bit_budget.h"
#include "llmq/checkpoint.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit_file.h"
#include "llmq/model_config.h"
#include "llmq/tensor.h"

namespace llmq {

struct OutputPlan {
  std::vector<SectionPlan> sections;  // one Add call of LittleBitWriter each, in this order
  uint64_t file_bytes = 0;            // with metadata, directory and header
  uint64_t original_fp16_bytes = 0;
  int64_t original_parameters = 0;
};

// `tensors` are all tensors of the checkpoint; empty if only its config.json is at hand: then those
// of the architecture count, in the type that config.json names (BF16 if none).
//   linears of blocks       kLittleBit, in the shapes of `ranks`; kDense if `ranks` lacks it
//   embedding, untied head  kGroupQuant with table_bits 8, 6 or 4; with 16, kDense in its own type
//   everything else         kDense in its own type; only a stored copy of a tied head is dropped
// Throws Error{kInvalidArguments} for other numbers of table_bits.
OutputPlan PlanOutput(const ModelConfig& config, const ModelFiles& files, const RankPlan& ranks,
                      const TableBits& table_bits, std::span<const TensorView> tensors);

}  // namespace llmq

#endif  // LLMQ_OUTPUT_PLAN_H_
