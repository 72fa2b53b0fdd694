// Ranks and table bits within a budget of the body or of the whole file.
//
// Before: the command line has a target. After: compress/pipeline factorizes to the ranks and
// writes the sections of the plan. The size of a file is what its sections say, exactly: payloads
// are multiples of the sections' alignment, so the body's bytes and the others' just add up.
#include "llmq/file_budget.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kBisectionSteps = 30;

uint64_t TableBytes(const OutputPlan& plan) {
  uint64_t bytes = 0;
  for (const SectionPlan& section : plan.sections) {
    if (section.name == kEmbeddingName || section.name == kHeadName) bytes += section.data_bytes;
  }
  return bytes;
}

// What to try in turn.
std::vector<TableBits> Candidates(const ModelConfig& config, const TableBits& wanted) {
  std::vector<TableBits> candidates;
  for (const int bits : {8, 6, 4}) {
    TableBits one = wanted;
    if (one.embedding == kAutoBits) one.embedding = bits;
    if (one.head == kAutoBits) one.head = bits;
    if (config.tie_word_embeddings) one.head = one.embedding;
    if (candidates.empty() || candidates.back() != one) candidates.push_back(one);
  }
  return candidates;
}

class Budget {
 public:
  Budget(const ModelConfig& config, const ModelFiles& files, std::span<const TensorView> tensors,
         const BudgetOptions& options)
      : config_(config), files_(files), tensors_(tensors), options_(options) {
    whole_file_ = options.scope == BudgetScope::kFile && options.rank.manual_rank == 0;
  }

  // nullopt if no ranks fit beside such tables.
  std::optional<FilePlan> PlanWith(const TableBits& bits) const {
    FilePlan plan{.table_bits = bits};
    if (whole_file_) {
      std::optional<RankPlan> ranks = RanksBeside(bits);
      if (!ranks) return std::nullopt;
      plan.ranks = std::move(*ranks);
    } else {
      plan.ranks = PlanRanks(config_, options_.rank);
    }
    plan.output = PlanOutput(config_, files_, plan.ranks, bits, tensors_);
    return plan;
  }

  [[noreturn]] void ThrowInfeasible(const TableBits& bits) const {
    const OutputPlan empty = WithSmallestRanks(bits);
    const SmallestFeasible smallest = FindSmallestFeasible(config_, options_.rank);
    const double body = std::ceil(smallest.bpw * body_weights() / 8);
    // Rounded up to four decimals, so that the number a user copies from the message works.
    const double bpw = std::ceil(8e4 * (static_cast<double>(BytesBesideBody(empty)) + body) /
                                 static_cast<double>(empty.original_parameters)) /
                       1e4;
    throw Error(
        ErrorCode::kRankSelectionFailed,
        fmt::format("--budget-scope file: expected room for {} bytes beside the compressed "
                    "matrices and {} for these, found {} bytes in all at {} BPW; smallest feasible "
                    "for this model: {:.4f} BPW of the whole file, set by {}",
                    BytesBesideBody(empty), static_cast<uint64_t>(body), Limit(empty),
                    options_.rank.target_bpw, bpw, smallest.layer),
        fmt::format("Use --target-bpw {:.4f} or higher{}", bpw,
                    std::max(bits.embedding, bits.head) > 4 ? ", or fewer --embedding-bits" : ""));
  }

 private:
  double body_weights() const {
    double weights = 0;
    for (const LinearSpec& linear : BlockLinears(config_)) {
      weights += static_cast<double>(linear.d_out) * static_cast<double>(linear.d_in);
    }
    return weights;
  }

  OutputPlan WithSmallestRanks(const TableBits& bits) const {
    const RankPlan ranks = PlanRanks(config_, {.manual_rank = 1, .residual = Residual::kOff});
    return PlanOutput(config_, files_, ranks, bits, tensors_);
  }

  static uint64_t BytesBesideBody(const OutputPlan& plan) {
    uint64_t body = 0;
    for (const SectionPlan& section : plan.sections) {
      if (section.kind == StorageKind::kLittleBit) body += section.data_bytes;
    }
    return plan.file_bytes - body;
  }

  // Most bytes that the file may have.
  uint64_t Limit(const OutputPlan& plan) const {
    return static_cast<uint64_t>(options_.rank.target_bpw *
                                 static_cast<double>(plan.original_parameters) / 8);
  }

  std::optional<RankPlan> TryRanks(double body_bpw) const {
    RankOptions options = options_.rank;
    options.target_bpw = body_bpw;
    try {
      return PlanRanks(config_, options);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kRankSelectionFailed) throw;
      return std::nullopt;
    }
  }

  std::optional<RankPlan> RanksBeside(const TableBits& bits) const {
    const OutputPlan empty = WithSmallestRanks(bits);
    const uint64_t limit = Limit(empty), beside = BytesBesideBody(empty);
    if (limit <= beside) return std::nullopt;
    const auto room = static_cast<int64_t>(limit - beside);
    double low = 8 * static_cast<double>(room) / body_weights();
    std::optional<RankPlan> best = TryRanks(low);
    if (!best) return std::nullopt;
    // Ranks are rounded down layer by layer: a target somewhat higher may fit too.
    double high = 2 * low;
    for (int step = 0; step < kBisectionSteps; ++step) {
      const double middle = (low + high) / 2;
      std::optional<RankPlan> plan = TryRanks(middle);
      const bool fits = plan && plan->body_bytes <= room;
      (fits ? low : high) = middle;
      if (fits && plan->body_bytes > best->body_bytes) best = std::move(plan);
    }
    return best;
  }

  const ModelConfig& config_;
  const ModelFiles& files_;
  std::span<const TensorView> tensors_;
  const BudgetOptions& options_;
  bool whole_file_ = false;
};

}  // namespace

FilePlan PlanFile(const ModelConfig& config, const ModelFiles& files,
                  std::span<const TensorView> tensors, const BudgetOptions& options) {
  const Budget budget(config, files, tensors, options);
  const std::vector<TableBits> candidates = Candidates(config, options.table_bits);
  for (const TableBits& bits : candidates) {
    std::optional<FilePlan> plan = budget.PlanWith(bits);
    const bool last = bits == candidates.back();
    if (last && !plan) budget.ThrowInfeasible(bits);
    if (!plan) continue;
    const double share = static_cast<double>(TableBytes(plan->output)) /
                         static_cast<double>(plan->output.file_bytes);
    if (last || share <= kMostTableShare) return std::move(*plan);
  }
  throw Error(ErrorCode::kGeneral, "PlanFile: expected a candidate, found none");
}

}  // namespace llmq
