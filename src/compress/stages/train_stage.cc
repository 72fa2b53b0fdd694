#include "compress/stages/train_stage.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "compress/stages/time_stage.h"
#include "compress/train/load_frame.h"
#include "compress/train/trainer.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr double kSaveIntervalSeconds = 30;
constexpr int64_t kFirstFit = 5;    // steps until the first look at the clock
constexpr int64_t kFits = 20;       // looks in all, about
constexpr size_t kLossWindow = 10;  // steps that the reported losses are means over

double Mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::unique_ptr<Student> MakeStudent(RunContext& run, const Teacher& teacher) {
  std::vector<LayerFactors> factors;
  for (LayerState& layer : run.layers) factors.push_back(std::exchange(layer.factors, {}));
  return std::make_unique<Student>(
      run.checkpoint.config(), std::move(factors),
      StoredFrame(run.checkpoint, teacher.frame, run.table_bits, run.device.device),
      run.device.device, run.train.part);
}

void LoadTraining(RunContext& run, Trainer& trainer) {
  if (!run.store || !std::filesystem::exists(run.store->TrainingPath())) return;
  try {
    trainer.Load(run.store->TrainingPath());
  } catch (const Error& error) {
    run.observer.Warning(fmt::format("{}; training from the start", error.message()));
  }
}

// The end follows the speed that steps have had so far. Now and then only: the schedule of the
// learning rate should not tremble.
void FitIntoBudget(RunContext& run, Trainer& trainer, int64_t begin, double seconds) {
  const int64_t measured = trainer.step() - begin;
  if (measured != kFirstFit && measured % std::max(kFirstFit, trainer.total_steps() / kFits) != 0) {
    return;
  }
  trainer.Retarget(StepsWithin(run, trainer.step(), measured, seconds));
  run.observer.SetTotal(trainer.total_steps());
}

void RunSteps(RunContext& run, Trainer& trainer) {
  const Stopwatch watch;
  const int64_t begin = trainer.step();
  Stopwatch saved;
  while (trainer.step() < trainer.total_steps()) {
    const bool stop = run.observer.StopRequested();
    if (run.store && (stop || saved.seconds() >= kSaveIntervalSeconds)) {
      trainer.Save(run.store->TrainingPath());
      saved = {};
    }
    if (stop) {
      run.ThrowStopped(
          fmt::format("{} of {} training steps", trainer.step(), trainer.total_steps()));
    }
    const double loss = trainer.Step();
    if (run.options.time_budget_seconds > 0) FitIntoBudget(run, trainer, begin, watch.seconds());
    run.observer.Advance(trainer.step(), fmt::format("loss {:.4f}", loss));
  }
  // So that a kill while the file is being written costs nothing but the writing.
  if (run.store) trainer.Save(run.store->TrainingPath());
}

}  // namespace

void Train(RunContext& run) {
  const Stopwatch watch;
  const Teacher teacher = LoadTeacher(run.checkpoint, run.device.device);
  run.student = MakeStudent(run, teacher);
  const TrainableModel model(run.checkpoint.config(), run.train.sequence_tokens, run.device.device);
  DataLoader data(std::move(run.tokens), run.train.sequence_tokens, run.train.batch_sequences,
                  run.options.seed);
  Trainer trainer(model, run.train, teacher, *run.student, data, run.workers);
  LoadTraining(run, trainer);
  run.observer.BeginStage("Training", trainer.total_steps(), trainer.step(), "steps");
  RunSteps(run, trainer);
  run.observer.EndStage();
  const std::span<const double> losses = trainer.losses();
  const size_t window = std::min(kLossWindow, losses.size());
  run.report.first_loss = Mean(losses.first(window));
  run.report.last_loss = Mean(losses.last(window));
  run.report.trained_tokens = trainer.trained_tokens();
  run.report.train_seconds = watch.seconds();
}

}  // namespace llmq
