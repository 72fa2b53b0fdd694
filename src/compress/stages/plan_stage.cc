#include "compress/stages/plan_stage.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "compress/calibrate/block_statistics.h"
#include "compress/calibrate/loss_curve.h"
#include "compress/state_file.h"
#include "compress/torch_bridge.h"
#include "compress/train/data_loader.h"
#include "llmq/error.h"
#include "llmq/rank_allocation.h"
#include "llmq/recipe.h"

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
  return std::max(kMinRank,
                  RankForBpw(linear.d_out, linear.d_in, 1, plan.body_bpw, plan.scale_bits));
}

// A target of the whole file has become the ranks that it leaves to the body.
int64_t BudgetBytes(const RunContext& run) {
  if (run.options.budget_scope == BudgetScope::kFile) return run.plan.body_bytes;
  const double bits = run.options.rank.target_bpw * static_cast<double>(run.plan.body_weights);
  return static_cast<int64_t>(bits / 8);
}

int64_t AllowedOvercompleteness(const RunContext& run) {
  return run.plan.body_bpw < kOvercompleteFromBpw ? 1 : run.options.rank.overcompleteness;
}

// The prediction takes every matrix by itself. Without training, which makes up for it, the error
// of a block goes through all behind it: there the first block counts for more, falling to 1 at the
// last (docs/results.md, "Depth").
void WeighByDepth(const RankPlan& plan, std::vector<LossCurve>& curves) {
  constexpr double kFirstBlock = 4.5;
  const auto last = static_cast<double>(plan.layers.back().linear.layer);
  for (size_t i = 0; i < curves.size(); ++i) {
    const auto layer = static_cast<double>(plan.layers[i].linear.layer);
    const double weight = std::pow(kFirstBlock, 1 - layer / std::max(last, 1.0));
    for (double& loss : curves[i].losses) loss *= weight;
  }
}

std::vector<LossCurve> MeasureCurves(RunContext& run, int64_t overcompleteness) {
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
                                      .largest = LargestRank(planned.linear, overcompleteness)},
                                     run.options.seed, run.device.device);
        run.checkpoint.Release(weight);
      },
      watcher);
  if (!complete) run.ThrowStopped(fmt::format("measuring {} of {} matrices", done, count));
  run.observer.EndStage();
  return curves;
}

// ---- What the checkpoint keeps: statistics and ranks ----

std::string InputName(size_t i) { return fmt::format("input{}", i); }
std::string GradientName(size_t i) { return fmt::format("gradient{}", i); }
constexpr const char* kRanksName = "ranks";
constexpr const char* kTokensName = "tokens";

void SaveStatistics(const RunContext& run) {
  const bool gradients = run.statistics.front().gradient.defined();
  const auto arrays = static_cast<uint32_t>(run.statistics.size() * (gradients ? 2 : 1) + 1);
  StateWriter writer(run.store->StatisticsPath(), arrays);
  std::vector<int64_t> tokens;
  for (const ChannelStatistics& one : run.statistics) tokens.push_back(one.tokens);
  writer.Add(kTokensName, std::as_bytes(std::span(tokens)));
  for (size_t i = 0; i < run.statistics.size(); ++i) {
    writer.Add(InputName(i), std::as_bytes(AsSpan(run.statistics[i].input)));
    if (gradients) {
      writer.Add(GradientName(i), std::as_bytes(AsSpan(run.statistics[i].gradient)));
    }
  }
  writer.Commit();
}

void SaveRanks(const RunContext& run) {
  StateWriter writer(run.store->RanksPath(), 1);
  std::vector<int64_t> ranks;
  for (const PlannedLayer& layer : run.plan.layers) ranks.push_back(layer.shape.rank);
  writer.Add(kRanksName, std::as_bytes(std::span(ranks)));
  writer.Commit();
}

at::Tensor ReadFloats(const StateReader& reader, const std::string& name, int64_t size) {
  at::Tensor values = at::empty({size}, at::kFloat);
  std::memcpy(values.mutable_data_ptr(), reader.Get(name, values.nbytes()).data(), values.nbytes());
  return values;
}

std::vector<int64_t> ReadIntegers(const StateReader& reader, const char* name, size_t count) {
  std::vector<int64_t> values(count);
  const uint64_t bytes = count * sizeof(int64_t);
  std::memcpy(values.data(), reader.Get(name, bytes).data(), bytes);
  return values;
}

// False if `load` finds nothing usable at `path`; then nothing has changed.
template <typename Load>
bool LoadKept(const RunContext& run, const std::filesystem::path& path, const char* otherwise,
              const Load& load) {
  if (!std::filesystem::exists(path)) return false;
  try {
    load(StateReader(path));
    return true;
  } catch (const Error& error) {
    run.observer.Warning(fmt::format("{}; {}", error.message(), otherwise));
    return false;
  }
}

bool LoadStatistics(RunContext& run) {
  if (!run.store) return false;
  return LoadKept(run, run.store->StatisticsPath(), "calibrating again", [&](const auto& reader) {
    const std::vector<PlannedLayer>& layers = run.plan.layers;
    const std::vector<int64_t> tokens = ReadIntegers(reader, kTokensName, layers.size());
    const bool gradients = run.options.importance != ImportanceMode::kForward;
    std::vector<ChannelStatistics> statistics;
    for (size_t i = 0; i < layers.size(); ++i) {
      const LittleBitShape& shape = layers[i].shape;
      statistics.push_back(
          {ReadFloats(reader, InputName(i), shape.d_in),
           gradients ? ReadFloats(reader, GradientName(i), shape.d_out) : at::Tensor(), tokens[i]});
    }
    run.statistics = std::move(statistics);
  });
}

bool LoadRanks(RunContext& run) {
  if (!run.store) return false;
  return LoadKept(run, run.store->RanksPath(), "measuring again", [&](const auto& reader) {
    const std::vector<int64_t> ranks = ReadIntegers(reader, kRanksName, run.plan.layers.size());
    run.plan = MakeRankPlan(run.checkpoint.config(), run.plan.paths, run.plan.scale_bits, ranks);
  });
}

// Ranks that differ, from what the statistics say of an error in each matrix.
void Allocate(RunContext& run) {
  const int64_t overcompleteness = AllowedOvercompleteness(run);
  std::vector<LossCurve> curves = MeasureCurves(run, overcompleteness);
  if (!run.trains() && !run.trains_blocks()) WeighByDepth(run.plan, curves);
  run.plan =
      AllocateRanks(run.checkpoint.config(), run.plan, overcompleteness, BudgetBytes(run), curves);
}

// ---- Experts that calibration hardly saw ----

void ReportRareExperts(RunContext& run) {
  constexpr size_t kShown = 5;
  const ModelConfig& config = run.checkpoint.config();
  std::vector<RareExpert>& rare = run.report.rarely_routed_experts;
  std::string shown;
  int64_t experts = 0;
  for (size_t i = 0; i < run.plan.layers.size(); ++i) {
    const LinearSpec& linear = run.plan.layers[i].linear;
    const bool is_expert = linear.projection == Projection::kDown &&
                           config.IsSparse(linear.layer) && linear.mlp < config.experts.count;
    experts += is_expert ? 1 : 0;
    const int64_t tokens = run.statistics[i].tokens;
    if (!is_expert || tokens >= kFewTokens) continue;
    rare.push_back({linear.layer, linear.mlp, tokens});
    if (rare.size() > kShown) continue;
    shown += fmt::format("{}layer {} expert {} ({})", shown.empty() ? "" : ", ", linear.layer,
                         linear.mlp, tokens);
  }
  if (rare.empty()) return;
  run.observer.Warning(fmt::format(
      "{} of {} experts were reached by fewer than {} of {} calibration tokens: {}{}; the "
      "weights of their channels are taken from the other experts of the layer. More or other text "
      "may help",
      rare.size(), experts, kFewTokens, run.statistics.front().tokens, shown,
      rare.size() > kShown ? ", ..." : ""));
}

}  // namespace

void Plan(RunContext& run) {
  if (!run.calibrates()) return;
  const Stopwatch watch;
  if (!LoadStatistics(run)) {
    Calibrate(run);
    if (run.store) SaveStatistics(run);
  }
  const bool allocates =
      run.options.allocation == Allocation::kAuto && run.options.rank.manual_rank == 0;
  if (allocates && !LoadRanks(run)) {
    Allocate(run);
    if (run.store) SaveRanks(run);
  }
  ReportRareExperts(run);
  run.report.calibrate_seconds = watch.seconds();
}

}  // namespace llmq
