#include "compress/stages/memory_stage.h"

#include <fmt/core.h>

#include <algorithm>

#include "compress/checkpoint_store.h"
#include "compress/fingerprint.h"
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
    if (TrainsEverything() && run_.train.may_go_by_blocks && WantsBlocks()) GoByBlocks();
    if (!TrainsEverything()) run_.train.own_text = 0;  // nothing reads it
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

  // What the resumed run began with, whatever memory is free now; nullopt: it begins here.
  std::optional<bool> Began(const char* part) const {
    if (!run_.options.resume) return std::nullopt;
    const std::optional<std::string> value =
        RecordedPart(run_.options.checkpoint_dir, run_.options.output.stem().string(), part);
    return value ? std::optional(*value != "0") : std::nullopt;
  }

  bool WantsBlocks() {
    if (const std::optional<bool> began = Began(fingerprint_part::kBlockTokens)) {
      if (*began) run_.observer.Info("Training block by block, as the run began");
      return *began;
    }
    if (Fits(TrainedPart::kAll)) return false;
    run_.observer.Info(fmt::format(
        "Training the whole model needs {:.1f} GB of memory, {:.1f} GB are free: training block by "
        "block instead",
        static_cast<double>(Least(TrainedPart::kAll)) / 1e9,
        static_cast<double>(*available_) / 1e9));
    return true;
  }

  bool WantsScales() {
    if (const std::optional<bool> began = Began(fingerprint_part::kKdTokens)) return *began;
    if (Fits(TrainedPart::kScales)) return true;
    run_.observer.Info(fmt::format("No training of scales at the end, which needs {:.1f} GB",
                                   static_cast<double>(Least(TrainedPart::kScales)) / 1e9));
    return false;
  }

  void GoByBlocks() {
    run_.train.tokens = 0;
    run_.train.block_tokens = kBlockTokens;
    run_.train.kd_tokens = WantsScales() ? kDistillationTokens : 0;
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
