#include "compress/stages/train_stage.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "compress/stages/own_text_stage.h"
#include "compress/stages/time_stage.h"
#include "compress/train/load_frame.h"
#include "compress/train/trainer.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr double kSaveIntervalSeconds = 30;
constexpr double kSaveShare = 0.05;  // of the time at most goes to saving
constexpr int64_t kFirstFit = 5;     // steps until the first look at the clock
constexpr int64_t kFits = 20;        // looks in all, about
constexpr size_t kLossWindow = 10;   // steps that the reported losses are means over
// Tokens per position that the original's answers are remembered of.
constexpr int64_t kTopAnswers = 64;

double Mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// The frame that training starts from: tables as stored, norms and biases as the blocks' training
// left them.
FrameWeights FirstFrame(const RunContext& run, const FrameWeights& original) {
  const at::Device device = run.device.device;
  FrameWeights frame = StoredFrame(run.checkpoint, original, run.table_bits, device);
  const auto replace = [&](const std::string& name, at::Tensor& tensor) {
    const auto found = run.frame.find(name);
    if (found != run.frame.end()) tensor = found->second.to(device);
  };
  for (const NormSpec& spec : BlockNorms(run.checkpoint.config())) {
    NormTensors& norm = frame.norms[NormIndex(spec.layer, spec.norm)];
    replace(spec.name, norm.weight);
    replace(spec.bias, norm.bias);
  }
  const std::vector<LinearSpec> linears = BlockLinears(run.checkpoint.config());
  for (size_t i = 0; i < linears.size(); ++i) replace(linears[i].name + ".bias", frame.biases[i]);
  return frame;
}

// Of what the stages before have left.
std::unique_ptr<Student> MakeStudent(RunContext& run, const FrameWeights& original,
                                     TrainedPart part) {
  std::vector<LayerFactors> factors;
  for (size_t i = 0; i < run.layers.size(); ++i) {
    factors.push_back(run.student ? run.student->Factors(i)
                                  : std::exchange(run.layers[i].factors, {}));
  }
  const FrameWeights frame =
      run.student ? run.student->Frame(run.student->leaves()) : FirstFrame(run, original);
  auto student = std::make_unique<Student>(run.checkpoint.config(), std::move(factors), frame,
                                           run.device.device, part);
  if (!run.train.latent_scale) student->HoldLatentScales();
  return student;
}

using StatePath = std::optional<std::filesystem::path>;  // none: checkpoints are off

struct Round {
  const char* stage;
  TrainOptions options;
  uint64_t seed = 0;                   // of the sequences' order
  bool fills_budget = false;           // of time, if there is one
  std::vector<int32_t> own_text = {};  // that the original has written, to be mixed in
  StatePath path = std::nullopt;
};

void LoadTraining(RunContext& run, const StatePath& path, Trainer& trainer) {
  if (!path || !std::filesystem::exists(*path)) return;
  try {
    trainer.Load(*path);
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

void RunSteps(RunContext& run, const Round& round, Trainer& trainer) {
  const Stopwatch watch;
  const int64_t begin = trainer.step();
  Stopwatch saved;
  double interval = kSaveIntervalSeconds;
  while (trainer.step() < trainer.total_steps()) {
    const bool stop = run.observer.StopRequested();
    if (round.path && (stop || saved.seconds() >= interval)) {
      const Stopwatch saving;
      trainer.Save(*round.path);
      interval = std::max(kSaveIntervalSeconds, saving.seconds() / kSaveShare);
      saved = {};
    }
    if (stop) {
      run.ThrowStopped(
          fmt::format("{} of {} training steps", trainer.step(), trainer.total_steps()));
    }
    const double loss = trainer.Step();
    if (round.fills_budget) FitIntoBudget(run, trainer, begin, watch.seconds());
    run.observer.Advance(trainer.step(), fmt::format("loss {:.4f}", loss));
  }
  // So that a kill while the file is being written costs nothing but the writing.
  if (round.path) trainer.Save(*round.path);
}

DataLoader RoundData(const RunContext& run, const Round& round) {
  DataLoader data(run.tokens, round.options.sequence_tokens, round.options.batch_sequences,
                  round.seed);
  if (!round.own_text.empty()) data.MixIn(round.own_text, run.train.own_text);
  return data;
}

// Trains run.student.
void RunRound(RunContext& run, const TrainableModel& model, Trainer::Teaching teaching,
              const Round& round) {
  DataLoader data = RoundData(run, round);
  Trainer trainer(model, round.options, std::move(teaching), *run.student, data, run.workers);
  LoadTraining(run, round.path, trainer);
  run.observer.BeginStage(round.stage, trainer.total_steps(), trainer.step(), "steps");
  RunSteps(run, round, trainer);
  run.observer.EndStage();
  const std::span<const double> losses = trainer.losses();
  const size_t window = std::min(kLossWindow, losses.size());
  if (run.report.trained_tokens == 0) run.report.first_loss = Mean(losses.first(window));
  run.report.last_loss = Mean(losses.last(window));
  run.report.trained_tokens += trainer.trained_tokens();
}

Round TrainingRound(const RunContext& run) {
  return {.stage = "Training",
          .options = run.train,
          .seed = run.options.seed,
          .fills_budget = run.options.time_budget_seconds > 0,
          .path = run.store ? StatePath(run.store->TrainingPath()) : std::nullopt};
}

// Everything, with the original model beside it.
void TrainAll(RunContext& run, const TrainableModel& model) {
  Round round = TrainingRound(run);
  const Teacher teacher = LoadTeacher(run.checkpoint, run.device.device);
  round.own_text = WriteOwnText(run, model, teacher);
  run.student = MakeStudent(run, teacher.frame, TrainedPart::kAll);
  const auto ask = [&](int64_t, const at::Tensor& tokens) {
    return Ask(model, teacher, tokens, round.options.precision);
  };
  RunRound(run, model, ask, round);
}

// Of scales, and on other sequences than training saw first.
Round DistillationRound(const RunContext& run) {
  Round round{.stage = "Distilling",
              .options = run.train,
              .seed = run.options.seed + 1,
              .path = run.store ? StatePath(run.store->DistillationPath()) : std::nullopt};
  round.options.tokens = run.train.kd_tokens;
  round.options.part = TrainedPart::kScales;
  return round;
}

// The original's answers to all sequences of the round, [N, T, k].
TopAnswers CollectAnswers(RunContext& run, const TrainableModel& model, const Round& round) {
  DataLoader data = RoundData(run, round);
  const int64_t per_step = round.options.batch_sequences * round.options.sequence_tokens;
  std::vector<at::Tensor> batches;
  for (int64_t step = 0; step * per_step < round.options.tokens; ++step) {
    batches.push_back(data.Batch(step));
  }
  run.observer.BeginStage("Asking", model.num_blocks(), 0, "blocks");
  TopAnswers answers = AskForTop(run.checkpoint, model, at::cat(batches), kTopAnswers,
                                 run.device.device, run.workers, [&](int64_t done) {
                                   run.observer.Advance(done, "");
                                   return !run.observer.StopRequested();
                                 });
  if (!answers.tokens.defined()) run.ThrowStopped("asking the original model");
  run.observer.EndStage();
  return answers;
}

// Scales, norms and biases, with the original's answers instead of itself.
void Distill(RunContext& run, const TrainableModel& model) {
  const Round round = DistillationRound(run);
  const TopAnswers answers = CollectAnswers(run, model, round);
  const at::Device device = run.device.device;
  run.student = MakeStudent(run, LoadFrame(run.checkpoint, device), TrainedPart::kScales);
  const auto remember = [&](int64_t first, const at::Tensor& tokens) {
    const auto rows = [&](const at::Tensor& all) {
      return all.narrow(0, first, tokens.size(0)).to(device);
    };
    return Answers{.top = {rows(answers.tokens), rows(answers.log_p)}};
  };
  RunRound(run, model, remember, round);
}

}  // namespace

void Train(RunContext& run) {
  const Stopwatch watch;
  const TrainableModel model(run.checkpoint.config(), run.train.sequence_tokens, run.device.device);
  if (run.train.tokens > 0) TrainAll(run, model);
  if (run.train.kd_tokens > 0) Distill(run, model);
  run.report.train_seconds = watch.seconds();
}

}  // namespace llmq
