#include "compress/stages/plan_stage.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "compress/calibrate/loss_curve.h"
#include "compress/state_file.h"
#include "compress/torch_bridge.h"
#include "compress/train/data_loader.h"
#include "llmq/error.h"
#include "llmq/rank_allocation.h"

namespace llmq {
namespace {

// [N, T] i64: sequences drawn from all over the text.
at::Tensor CalibrationTokens(const RunContext& run) {
  const int64_t length = run.train.sequence_tokens;
  const int64_t available = static_cast<int64_t>(run.tokens.size()) / length;
  const int64_t count = std::min(run.options.calibration_sequences, available);
  return DataLoader(run.tokens, length, count, run.options.seed).Batch(0);
}

void Calibrate(RunContext& run) {
  const bool gradients = run.options.importance != ImportanceMode::kForward;
  const TrainableModel model(run.checkpoint.config(), run.train.sequence_tokens, run.device.device);
  const int64_t passes = model.num_blocks() * (gradients ? 2 : 1);
  run.observer.BeginStage("Calibrating", passes, 0, "blocks");
  run.statistics = CollectStatistics(run.checkpoint, model, CalibrationTokens(run),
                                     {gradients, run.options.seed, run.device.device}, run.workers,
                                     [&](int64_t done) {
                                       run.observer.Advance(done, "");
                                       return !run.observer.StopRequested();
                                     });
  if (run.statistics.empty()) run.ThrowStopped("part of the calibration");
  run.observer.EndStage();
}

// The rank of one path if all matrices had the same bits per weight.
int64_t MiddleRank(const RankPlan& plan, const LinearSpec& linear) {
  return std::max(kMinRank, RankForBpw(linear.d_out, linear.d_in, 1, plan.body_bpw));
}

std::vector<LossCurve> MeasureCurves(RunContext& run) {
  const size_t count = run.plan.layers.size();
  std::vector<LossCurve> curves(count);
  run.observer.BeginStage("Measuring", static_cast<int64_t>(count), 0, "matrices");
  int64_t done = 0;
  WorkerPool::Watcher watcher;
  watcher.done = [&](int64_t i) {
    run.observer.Advance(++done, run.plan.layers[static_cast<size_t>(i)].linear.name);
  };
  watcher.keep_going = [&] { return !run.observer.StopRequested(); };
  const bool complete = run.workers.Run(
      static_cast<int64_t>(count),
      [&](int64_t task) {
        const auto i = static_cast<size_t>(task);
        const PlannedLayer& planned = run.plan.layers[i];
        const TensorView& weight = run.checkpoint.Get(planned.linear.name + ".weight");
        curves[i] = MeasureLossCurve(weight, run.statistics[i],
                                     {.middle = MiddleRank(run.plan, planned.linear),
                                      .largest = LargestRank(planned.linear, run.options.rank)},
                                     run.options.seed, run.device.device);
        run.checkpoint.Release(weight);
      },
      watcher);
  if (!complete) run.ThrowStopped(fmt::format("measuring {} of {} matrices", done, count));
  run.observer.EndStage();
  return curves;
}

// A target of the whole file has become the ranks that it leaves to the body.
RankOptions Budget(const RunContext& run) {
  RankOptions budget = run.options.rank;
  budget.residual = run.plan.paths == 1 ? Residual::kOff : Residual::kOn;  // as planned
  if (run.options.budget_scope == BudgetScope::kFile) budget.target_bpw = run.plan.body_bpw;
  return budget;
}

// ---- What the checkpoint keeps: statistics and ranks ----

std::string InputName(size_t i) { return fmt::format("input{}", i); }
std::string GradientName(size_t i) { return fmt::format("gradient{}", i); }
constexpr const char* kRanksName = "ranks";

void SavePlan(const RunContext& run) {
  const bool gradients = run.statistics.front().gradient.defined();
  const auto arrays = static_cast<uint32_t>(run.statistics.size() * (gradients ? 2 : 1) + 1);
  StateWriter writer(run.store->PlanPath(), arrays);
  std::vector<int64_t> ranks;
  for (const PlannedLayer& layer : run.plan.layers) ranks.push_back(layer.shape.rank);
  writer.Add(kRanksName, std::as_bytes(std::span(ranks)));
  for (size_t i = 0; i < run.statistics.size(); ++i) {
    writer.Add(InputName(i), std::as_bytes(AsSpan(run.statistics[i].input)));
    if (gradients) {
      writer.Add(GradientName(i), std::as_bytes(AsSpan(run.statistics[i].gradient)));
    }
  }
  writer.Commit();
}

at::Tensor ReadFloats(const StateReader& reader, const std::string& name, int64_t size) {
  at::Tensor values = at::empty({size}, at::kFloat);
  std::memcpy(values.mutable_data_ptr(), reader.Get(name, values.nbytes()).data(), values.nbytes());
  return values;
}

// False if there is nothing usable; then nothing has changed.
bool LoadPlan(RunContext& run) {
  if (!run.store || !std::filesystem::exists(run.store->PlanPath())) return false;
  try {
    const StateReader reader(run.store->PlanPath());
    std::vector<int64_t> ranks(run.plan.layers.size());
    std::memcpy(ranks.data(), reader.Get(kRanksName, ranks.size() * sizeof(int64_t)).data(),
                ranks.size() * sizeof(int64_t));
    std::vector<ChannelStatistics> statistics;
    const bool gradients = run.options.importance != ImportanceMode::kForward;
    for (size_t i = 0; i < ranks.size(); ++i) {
      const LittleBitShape& shape = run.plan.layers[i].shape;
      statistics.push_back(
          {ReadFloats(reader, InputName(i), shape.d_in),
           gradients ? ReadFloats(reader, GradientName(i), shape.d_out) : at::Tensor()});
    }
    run.plan = MakeRankPlan(run.checkpoint.config(), run.plan.paths, ranks);
    run.statistics = std::move(statistics);
    return true;
  } catch (const Error& error) {
    run.observer.Warning(fmt::format("{}; calibrating again", error.message()));
    return false;
  }
}

}  // namespace

void Plan(RunContext& run) {
  if (!run.calibrates()) return;
  const Stopwatch watch;
  if (!LoadPlan(run)) {
    Calibrate(run);
    if (run.options.allocation == Allocation::kAuto && run.options.rank.manual_rank == 0) {
      run.plan = AllocateRanks(run.checkpoint.config(), Budget(run), MeasureCurves(run));
    }
    if (run.store) SavePlan(run);
  }
  run.report.calibrate_seconds = watch.seconds();
}

}  // namespace llmq
