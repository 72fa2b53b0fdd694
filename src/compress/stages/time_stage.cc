#include "compress/stages/time_stage.h"

#include <fmt/core.h>

#include <algorithm>

#include "llmq/error.h"

namespace llmq {
namespace {

// Of the budget: the rest is for measuring quality and writing, which come last.
constexpr double kWorkShare = 0.92;
constexpr int64_t kProbeSize = 1024;
constexpr int kProbeRounds = 8;
// Operations per second of a stage over those of the probe's matrix products. Rough: they make the
// plan that is announced; training then goes by the clock.
constexpr double kTransformerEfficiency = 0.45;
constexpr double kFactorizeEfficiency = 0.9;
constexpr double kWritingEfficiency = 0.2;
// Iterations of the default effort, with refinement; of a loss curve, with its three ranks.
constexpr double kFactorizeIterations = 18;
constexpr double kMeasureIterations = 25;

struct Estimate {
  double before_training = 0;  // seconds
  double per_token = 0;
};

// Multiply-adds per second of all workers together.
double ProbeSpeed(RunContext& run) {
  const at::Tensor a = at::ones({kProbeSize, kProbeSize}, run.device.device);
  const auto round = [&] {
    run.workers.Run(run.workers.size(), [&](int64_t) {
      const at::NoGradGuard no_grad;
      (void)at::mm(a, a).sum().item<float>();  // a device works until its result is read
    });
  };
  round();  // the first one starts threads and libraries
  const Stopwatch watch;
  for (int i = 0; i < kProbeRounds; ++i) round();
  const double operations = static_cast<double>(kProbeSize) * kProbeSize * kProbeSize;
  return operations * kProbeRounds * run.workers.size() / watch.seconds();
}

// Multiply-adds per iteration: products with the matrix and with the means, Gram matrices.
double IterationOperations(const RankPlan& plan) {
  double sum = 0;
  for (const PlannedLayer& layer : plan.layers) {
    const auto m = static_cast<double>(layer.shape.d_out),
               n = static_cast<double>(layer.shape.d_in);
    const auto rank = static_cast<double>(layer.shape.rank * layer.shape.paths);
    sum += 2 * m * n * rank + 2 * rank * rank * (m + n);
  }
  return sum;
}

Estimate EstimateTime(RunContext& run) {
  const double speed = ProbeSpeed(run);
  const ModelConfig& config = run.checkpoint.config();
  const double head =
      static_cast<double>(config.vocab_size) * static_cast<double>(config.EmbeddingWidth());
  double dense = 0, factored = 0;
  for (const PlannedLayer& layer : run.plan.layers) {
    const LittleBitShape& shape = layer.shape;
    const double share = TokenShare(config, layer.linear);
    dense += share * static_cast<double>(shape.d_out * shape.d_in);
    factored += share * static_cast<double>(shape.paths * shape.rank * (shape.d_out + shape.d_in));
  }
  Estimate estimate;
  if (run.calibrates()) {
    const double passes = run.options.importance == ImportanceMode::kForward ? 1 : 4;
    const auto tokens =
        static_cast<double>(run.options.calibration_sequences * run.train.sequence_tokens);
    estimate.before_training +=
        tokens * (passes * dense + 3 * head) / (kTransformerEfficiency * speed);
  }
  const double iteration = IterationOperations(run.plan) / (kFactorizeEfficiency * speed);
  estimate.before_training += kFactorizeIterations * iteration;
  if (run.options.allocation == Allocation::kAuto) {
    estimate.before_training += kMeasureIterations * iteration;
  }
  const double written = run.train.own_text * (dense + head) / (kWritingEfficiency * speed);
  // Teacher forward; student forward and backward.
  estimate.per_token =
      (dense + 3 * factored + 4 * head) / (kTransformerEfficiency * speed) + written;
  return estimate;
}

}  // namespace

void PlanTime(RunContext& run) {
  const double budget = run.options.time_budget_seconds;
  if (budget <= 0) return;
  const Estimate estimate = EstimateTime(run);
  const double left = budget * kWorkShare - estimate.before_training;
  if (left <= 0) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--time-budget: expected at least {:.0f} s for the stages before "
                            "training, found {:.0f} s",
                            estimate.before_training / kWorkShare + 1, budget),
                "Give more time, or use --effort quick or --allocation uniform");
  }
  const int64_t step_tokens = run.train.batch_sequences * run.train.sequence_tokens;
  const auto steps =
      static_cast<int64_t>(left / (estimate.per_token * static_cast<double>(step_tokens)));
  run.train.tokens = std::max<int64_t>(1, steps) * step_tokens;
  run.observer.Info(fmt::format(
      "Time budget {:.0f} s: calibrating and factorizing about {:.0f} s, then training about {} "
      "tokens in {:.0f} s",
      budget, estimate.before_training, run.train.tokens, left));
}

int64_t StepsWithin(const RunContext& run, int64_t done, int64_t measured, double seconds) {
  const double left = run.options.time_budget_seconds * kWorkShare - run.watch.seconds();
  const double per_step = seconds / static_cast<double>(std::max<int64_t>(measured, 1));
  return done + std::max<int64_t>(0, static_cast<int64_t>(left / per_step));
}

}  // namespace llmq
