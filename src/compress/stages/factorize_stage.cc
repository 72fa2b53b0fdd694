#include "compress/stages/factorize_stage.h"

#include <fmt/core.h>

#include "compress/calibrate/importance.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// Layers found complete in the store. A damaged file costs its layer's work, not the run.
std::vector<int64_t> LoadLayers(RunContext& run) {
  std::vector<int64_t> missing;
  for (size_t i = 0; i < run.layers.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    if (!run.store || !std::filesystem::exists(run.store->LayerPath(index))) {
      missing.push_back(index);
      continue;
    }
    try {
      run.layers[i] =
          LoadLayer(run.store->LayerPath(index), run.plan.layers[i].shape, !run.trains());
      run.report.layers[i].from_checkpoint = true;
      run.report.layers[i].relative_error = run.layers[i].factors.relative_error;
    } catch (const Error& error) {
      run.observer.Warning(fmt::format("{}; factorizing this layer again", error.message()));
      missing.push_back(index);
    }
  }
  return missing;
}

void FactorizeOne(RunContext& run, size_t index) {
  const Stopwatch watch;
  const PlannedLayer& planned = run.plan.layers[index];
  const TensorView& weight = run.checkpoint.Get(planned.linear.name + ".weight");
  LayerState& layer = run.layers[index];
  layer.factors = FactorizeLayer(weight, planned.shape, FactorizationOf(run, index));
  if (!run.trains()) {
    layer.packed = PackFactors(layer.factors, weight.name);
    layer.factors.paths.clear();
  }
  run.checkpoint.Release(weight);
  run.report.layers[index].relative_error = layer.factors.relative_error;
  run.report.layers[index].milliseconds = watch.seconds() * 1e3;
}

}  // namespace

FactorizeSettings FactorizationOf(const RunContext& run, size_t index) {
  const CompressOptions& options = run.options;
  FactorizeSettings settings{.precision = options.svd_precision,
                             .seed = options.seed,
                             .device = run.device.device,
                             .init = options.init,
                             .iterations = options.factorize_iterations,
                             .latent_scale = run.train.latent_scale};
  if (options.importance != ImportanceMode::kOff) {
    settings.importance = ImportanceOf(run.statistics[index]);
  }
  return settings;
}

void Factorize(RunContext& run) {
  const Stopwatch watch;
  const size_t count = run.plan.layers.size();
  run.layers.resize(count);
  const std::vector<int64_t> missing = LoadLayers(run);
  int64_t done = static_cast<int64_t>(count - missing.size());
  run.observer.BeginStage("Factorizing", static_cast<int64_t>(count), done, "layers");
  const auto index_of = [&](int64_t task) { return missing[static_cast<size_t>(task)]; };
  WorkerPool::Watcher watcher;
  watcher.done = [&](int64_t task) {
    const auto index = static_cast<size_t>(index_of(task));
    if (run.store) SaveLayer(run.layers[index], run.store->LayerPath(index_of(task)));
    run.observer.LayerDone(run.report.layers[index]);
    run.observer.Advance(++done, run.report.layers[index].name);
  };
  watcher.keep_going = [&] { return !run.observer.StopRequested(); };
  const bool complete = run.workers.Run(
      static_cast<int64_t>(missing.size()),
      [&](int64_t task) { FactorizeOne(run, static_cast<size_t>(index_of(task))); }, watcher);
  if (!complete || run.observer.StopRequested()) {
    run.ThrowStopped(fmt::format("{} of {} layers", done, count));
  }
  run.observer.EndStage();
  run.report.factorize_seconds = watch.seconds();
}

}  // namespace llmq
