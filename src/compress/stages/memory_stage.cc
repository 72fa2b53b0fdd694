#include "compress/stages/memory_stage.h"

#include <fmt/core.h>

#include <algorithm>

#include "compress/memory_check.h"
#include "compress/stages/text_stage.h"
#include "compress/train/precision.h"

namespace llmq {
namespace {

// docs/results.md, "Block by block".
constexpr int64_t kBlockTokens = 16384;
constexpr int64_t kDistillationTokens = 65536;

class MemoryFit {
 public:
  explicit MemoryFit(RunContext& run)
      : run_(run), available_(FreeMemoryBytes(run.device.device)), train_(run.train) {
    train_.sequence_tokens = SequenceTokens(run.checkpoint.config(), run.train);
  }

  void Run() {
    run_.train.precision = ResolvePrecision(run_.train.precision, run_.device.device);
    if (!run_.trains()) return;
    if (TrainsEverything() && !Fits(TrainedPart::kAll) && run_.train.may_go_by_blocks) GoByBlocks();
    if (TrainsEverything()) Settle(TrainedPart::kAll);
    if (run_.train.kd_tokens > 0) Settle(TrainedPart::kScales);
  }

 private:
  bool TrainsEverything() const {
    return run_.train.tokens > 0 || run_.options.time_budget_seconds > 0;
  }

  uint64_t Needed(TrainedPart part, GradientCheckpointing checkpointing) const {
    TrainOptions options = train_;
    options.part = part;
    options.gradient_checkpointing = checkpointing;
    return EstimateTrainingBytes(run_.checkpoint.config(), run_.plan, options, run_.workers.size());
  }

  // The least that it can be made to need.
  uint64_t Least(TrainedPart part) const {
    const bool never = run_.train.gradient_checkpointing == GradientCheckpointing::kOff;
    return Needed(part, never ? GradientCheckpointing::kOff : GradientCheckpointing::kOn);
  }

  bool Fits(TrainedPart part) const { return !available_ || Least(part) <= *available_; }

  void GoByBlocks() {
    run_.observer.Info(fmt::format(
        "Training the whole model needs {:.1f} GB of memory, {:.1f} GB are free: training block by "
        "block instead",
        static_cast<double>(Least(TrainedPart::kAll)) / 1e9,
        static_cast<double>(*available_) / 1e9));
    run_.train.tokens = 0;
    run_.train.block_tokens = kBlockTokens;
    if (Fits(TrainedPart::kScales)) {
      run_.train.kd_tokens = kDistillationTokens;
      return;
    }
    run_.train.kd_tokens = 0;
    run_.observer.Info(fmt::format("No training of scales at the end, which needs {:.1f} GB",
                                   static_cast<double>(Least(TrainedPart::kScales)) / 1e9));
  }

  void Settle(TrainedPart part) {
    GradientCheckpointing& checkpointing = run_.train.gradient_checkpointing;
    if (checkpointing == GradientCheckpointing::kAuto) {
      const bool needs = available_ && Needed(part, GradientCheckpointing::kOff) > *available_;
      checkpointing = needs ? GradientCheckpointing::kOn : GradientCheckpointing::kOff;
      if (needs) run_.observer.Info("Gradient checkpointing: on, to fit into memory");
    }
    ExpectMemory(Needed(part, checkpointing), available_);
  }

  RunContext& run_;
  std::optional<uint64_t> available_;  // nullopt: not known, everything fits
  TrainOptions train_;                 // with a sequence length
};

}  // namespace

void FitIntoMemory(RunContext& run) { MemoryFit(run).Run(); }

}  // namespace llmq
