// Plan, factorize, train, write: the order of work, the progress on disk, and what is reported.
//
// Before: the command has checked its options and loaded the training text. After: a .littlebit
// file and a CompressReport. The arithmetic is elsewhere: factorize/ and train/.
#include "compress/pipeline.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"
#include "compress/checkpoint_store.h"
#include "compress/device.h"
#include "compress/export.h"
#include "compress/fingerprint.h"
#include "compress/layer_state.h"
#include "compress/memory_check.h"
#include "compress/stored_table.h"
#include "compress/torch_bridge.h"
#include "compress/train/load_frame.h"
#include "compress/train/precision.h"
#include "compress/train/trainer.h"
#include "compress/worker_pool.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "llmq/output_plan.h"
#include "llmq/tokenizer.h"

namespace llmq {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kTrainingSaveInterval(30);
constexpr int64_t kDefaultSequenceTokens = 256;
constexpr int64_t kLossWindow = 10;  // steps that the reported losses are means over

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t PeakMemoryBytes() {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) * 1024 : 0;
}

double Mean(std::span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

class Pipeline {
 public:
  Pipeline(const CompressOptions& options, CompressObserver& observer)
      : options_(options),
        observer_(observer),
        device_(ChooseDevice(options.device)),
        checkpoint_(options.model),
        plan_(PlanRanks(checkpoint_.config(), options.rank)),
        output_plan_(PlanOutput(checkpoint_.config(), checkpoint_.files(), plan_,
                                options.embedding_bits, checkpoint_.tensors())),
        workers_(device_.device.is_cuda() ? 1 : ResolveThreadCount(options.threads)) {}

  CompressReport Run() {
    BeginReport();
    CheckDisk();
    OpenStore();
    if (trains()) PrepareText();
    Factorize();
    if (trains()) Train();
    Write();
    if (store_) store_->Remove();
    report_.peak_memory_bytes = PeakMemoryBytes();
    return std::move(report_);
  }

 private:
  bool trains() const { return options_.train.tokens > 0; }
  size_t layer_count() const { return plan_.layers.size(); }

  void BeginReport() {
    report_.plan = plan_;
    report_.device = device_.description;
    report_.original_fp16_bytes = output_plan_.original_fp16_bytes;
    report_.original_parameters = output_plan_.original_parameters;
    for (const PlannedLayer& planned : plan_.layers) {
      const LittleBitShape& shape = planned.shape;
      report_.layers.push_back(
          {.name = planned.linear.name,
           .shape = shape,
           .bpw = planned.bpw,
           .dense_macs = shape.d_out * shape.d_in,
           .sign_adds = shape.paths * shape.rank * (shape.d_out + shape.d_in)});
    }
    observer_.Info(fmt::format("Device: {}, {} worker{}", device_.description, workers_.size(),
                               workers_.size() == 1 ? "" : "s"));
  }

  // Bytes of all layers' files, and of two training states: the last one and the one being written.
  uint64_t CheckpointBytes() const {
    if (options_.checkpoint_dir.empty()) return 0;
    if (!trains()) return static_cast<uint64_t>(plan_.body_bytes);
    return static_cast<uint64_t>(plan_.body_bytes) * 8 * sizeof(float) * (1 + 2 * 3);
  }

  static void ExpectDisk(const std::filesystem::path& directory, uint64_t needed) {
    EnsureWritableDirectory(directory);
    const uint64_t found = FreeDiskBytes(directory);
    if (needed <= found) return;
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected {:.2f} GB of free disk space, found {:.2f} GB",
                            directory.string(), static_cast<double>(needed) / 1e9,
                            static_cast<double>(found) / 1e9),
                "Free disk space, choose another directory, or use --no-checkpoints");
  }

  void CheckDisk() const {
    const std::filesystem::path folder = options_.output.parent_path();
    ExpectDisk(folder.empty() ? "." : folder, output_plan_.file_bytes + CheckpointBytes());
    if (!options_.checkpoint_dir.empty()) ExpectDisk(options_.checkpoint_dir, CheckpointBytes());
  }

  void OpenStore() {
    if (options_.checkpoint_dir.empty()) return;
    store_.emplace(options_.checkpoint_dir, options_.output.stem().string(),
                   MakeFingerprint(options_, checkpoint_, plan_, device_.device), options_.resume);
  }

  [[noreturn]] void ThrowStopped(const std::string& progress) const {
    throw Error(ErrorCode::kUserCancelled, "stopped after " + progress,
                store_ ? fmt::format("Continue with --resume {}", options_.checkpoint_dir.string())
                       : "Nothing was kept: checkpoints are off");
  }

  // Tokens before factorization: a missing tokenizer should not cost an hour first.
  void PrepareText() {
    const ModelConfig& config = checkpoint_.config();
    const auto tokenizer =
        Tokenizer::FromFiles(checkpoint_.files(), checkpoint_.directory().string());
    tokens_ = TokenizeDocuments(options_.training_text, *tokenizer);
    for (const int32_t id : tokens_) {
      if (id >= 0 && id < config.vocab_size) continue;
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected token ids below {}, found {}",
                              checkpoint_.directory().string(), config.vocab_size, id),
                  "The tokenizer belongs to another model");
    }
    train_ = options_.train;
    if (train_.sequence_tokens == 0) train_.sequence_tokens = kDefaultSequenceTokens;
    train_.sequence_tokens = std::min(
        {train_.sequence_tokens, config.max_position, static_cast<int64_t>(tokens_.size())});
    if (train_.sequence_tokens < 2) {
      throw Error(ErrorCode::kInvalidArguments,
                  fmt::format("{}: expected at least 2 tokens of training text, found {}",
                              options_.training_text.name, tokens_.size()),
                  "Give more text, or use --train-tokens 0");
    }
    train_.precision = ResolvePrecision(train_.precision, device_.device);
    ResolveCheckpointing(config);
    if (device_.device.is_cpu()) {
      ExpectMemory(EstimateTrainingBytes(config, plan_, train_, workers_.size()),
                   AvailableMemoryBytes());
    }
  }

  // A device's free memory is not asked for: there the user says so.
  void ResolveCheckpointing(const ModelConfig& config) {
    if (train_.gradient_checkpointing != GradientCheckpointing::kAuto) return;
    train_.gradient_checkpointing = GradientCheckpointing::kOff;
    const std::optional<uint64_t> available = AvailableMemoryBytes();
    const uint64_t needed = EstimateTrainingBytes(config, plan_, train_, workers_.size());
    if (!device_.device.is_cpu() || !available || needed <= *available) return;
    train_.gradient_checkpointing = GradientCheckpointing::kOn;
    observer_.Info("Gradient checkpointing: on, to fit into memory");
  }

  // ---- Factorization ----

  // Layers found complete in the store. A damaged file costs its layer's work, not the run.
  std::vector<int64_t> LoadLayers() {
    std::vector<int64_t> missing;
    for (size_t i = 0; i < layer_count(); ++i) {
      const auto index = static_cast<int64_t>(i);
      if (!store_ || !std::filesystem::exists(store_->LayerPath(index))) {
        missing.push_back(index);
        continue;
      }
      try {
        layers_[i] = LoadLayer(store_->LayerPath(index), plan_.layers[i].shape, !trains());
        report_.layers[i].from_checkpoint = true;
        report_.layers[i].relative_error = layers_[i].factors.relative_error;
      } catch (const Error& error) {
        observer_.Warning(fmt::format("{}; factorizing this layer again", error.message()));
        missing.push_back(index);
      }
    }
    return missing;
  }

  void FactorizeOne(size_t index) {
    const Clock::time_point start = Clock::now();
    const PlannedLayer& planned = plan_.layers[index];
    const TensorView& weight = checkpoint_.Get(planned.linear.name + ".weight");
    LayerState& layer = layers_[index];
    layer.factors =
        FactorizeLayer(weight, planned.shape,
                       {options_.svd_precision, options_.seed, device_.device, options_.init});
    if (!trains()) {
      layer.packed = PackFactors(layer.factors, weight.name);
      layer.factors.paths.clear();
    }
    checkpoint_.Release(weight);
    report_.layers[index].relative_error = layer.factors.relative_error;
    report_.layers[index].milliseconds = SecondsSince(start) * 1e3;
  }

  void Factorize() {
    const Clock::time_point start = Clock::now();
    layers_.resize(layer_count());
    const std::vector<int64_t> missing = LoadLayers();
    int64_t done = static_cast<int64_t>(layer_count() - missing.size());
    observer_.BeginStage("Factorizing", static_cast<int64_t>(layer_count()), done, "layers");
    WorkerPool::Watcher watcher;
    watcher.done = [&](int64_t i) {
      const auto index = static_cast<size_t>(missing[static_cast<size_t>(i)]);
      if (store_) SaveLayer(layers_[index], store_->LayerPath(missing[static_cast<size_t>(i)]));
      observer_.LayerDone(report_.layers[index]);
      observer_.Advance(++done, report_.layers[index].name);
    };
    watcher.keep_going = [&] { return !observer_.StopRequested(); };
    const bool complete = workers_.Run(
        static_cast<int64_t>(missing.size()),
        [&](int64_t i) { FactorizeOne(static_cast<size_t>(missing[static_cast<size_t>(i)])); },
        watcher);
    if (!complete || observer_.StopRequested()) {
      ThrowStopped(fmt::format("{} of {} layers", done, layer_count()));
    }
    observer_.EndStage();
    report_.factorize_seconds = SecondsSince(start);
  }

  // ---- Training ----

  std::unique_ptr<Student> MakeStudent(const Teacher& teacher) {
    std::vector<LayerFactors> factors;
    for (LayerState& layer : layers_) factors.push_back(std::exchange(layer.factors, {}));
    return std::make_unique<Student>(
        checkpoint_.config(), std::move(factors),
        StoredFrame(checkpoint_, teacher.frame, options_.embedding_bits, device_.device),
        device_.device, options_.train.part);
  }

  void LoadTraining(Trainer& trainer) {
    if (!store_ || !std::filesystem::exists(store_->TrainingPath())) return;
    try {
      trainer.Load(store_->TrainingPath());
    } catch (const Error& error) {
      observer_.Warning(fmt::format("{}; training from the start", error.message()));
    }
  }

  void Train() {
    const Clock::time_point start = Clock::now();
    const Teacher teacher = LoadTeacher(checkpoint_, device_.device);
    student_ = MakeStudent(teacher);
    const TrainableModel model(checkpoint_.config(), train_.sequence_tokens, device_.device);
    DataLoader data(std::move(tokens_), train_.sequence_tokens, train_.batch_sequences,
                    options_.seed);
    Trainer trainer(model, train_, teacher, *student_, data, workers_);
    LoadTraining(trainer);
    observer_.BeginStage("Training", trainer.total_steps(), trainer.step(), "steps");
    RunSteps(trainer);
    observer_.EndStage();
    const std::span<const double> losses = trainer.losses();
    const size_t window = std::min<size_t>(kLossWindow, losses.size());
    report_.first_loss = Mean(losses.first(window));
    report_.last_loss = Mean(losses.last(window));
    report_.trained_tokens = trainer.trained_tokens();
    report_.train_seconds = SecondsSince(start);
  }

  void RunSteps(Trainer& trainer) {
    Clock::time_point saved = Clock::now();
    while (trainer.step() < trainer.total_steps()) {
      const bool stop = observer_.StopRequested();
      if (store_ && (stop || Clock::now() - saved >= kTrainingSaveInterval)) {
        trainer.Save(store_->TrainingPath());
        saved = Clock::now();
      }
      if (stop) {
        ThrowStopped(fmt::format("{} of {} training steps", trainer.step(), trainer.total_steps()));
      }
      const double loss = trainer.Step();
      observer_.Advance(trainer.step(), fmt::format("loss {:.4f}", loss));
    }
    // So that a kill while the file is being written costs nothing but the writing.
    if (store_) trainer.Save(store_->TrainingPath());
  }

  // ---- Output ----

  size_t LayerIndex(const std::string& linear) const {
    size_t index = 0;
    while (plan_.layers[index].linear.name != linear) ++index;
    return index;
  }

  PackedLayer Packed(const std::string& linear) {
    const size_t index = LayerIndex(linear);
    LayerState& layer = layers_[index];
    if (layer.is_packed()) return {std::move(layer.packed), layer.factors.relative_error};
    const LayerFactors factors = student_->Factors(index);
    const TensorView& weight = checkpoint_.Get(linear + ".weight");
    const double error = RelativeError(ToTorch(weight), Reconstruct(factors.paths));
    checkpoint_.Release(weight);
    report_.layers[index].relative_error = error;
    return {PackFactors(factors, weight.name), error};
  }

  LittleBitMetadata Metadata() const {
    return {.source_model = options_.source_name,
            .producer = "llm-quantize " LLMQ_VERSION,
            .recipe = options_.init == InitMethod::kDualSvid
                          ? "littlebit"
                          : fmt::format("littlebit, init {}", InitMethodName(options_.init)),
            .target_bpw = options_.rank.manual_rank > 0 ? 0 : options_.rank.target_bpw,
            .manual_rank = options_.rank.manual_rank,
            .original_parameters = report_.original_parameters,
            .original_fp16_bytes = static_cast<int64_t>(report_.original_fp16_bytes),
            .train_tokens = report_.trained_tokens,
            .seed = options_.seed,
            .embedding_bits = options_.embedding_bits};
  }

  void Write() {
    const ExportSource source{.layer = [&](const std::string& linear) { return Packed(linear); },
                              .trained =
                                  [&](const std::string& name) {
                                    return student_ ? student_->Find(name) : at::Tensor();
                                  }};
    observer_.BeginStage("Writing", static_cast<int64_t>(output_plan_.sections.size()), 0,
                         "sections");
    ExportModel(options_.output, output_plan_, checkpoint_, source, Metadata(),
                [&](int64_t written) { observer_.Advance(written, ""); });
    observer_.EndStage();
    const LittleBitFile file(options_.output);  // the report tells what the file says, not the plan
    report_.file_bytes = file.file_bytes();
    report_.body_bpw = file.body_bpw();
  }

  const CompressOptions& options_;
  CompressObserver& observer_;
  DeviceChoice device_;
  Checkpoint checkpoint_;
  RankPlan plan_;
  OutputPlan output_plan_;
  WorkerPool workers_;
  std::optional<CheckpointStore> store_;
  TrainOptions train_;           // with a sequence length; set when training
  std::vector<int32_t> tokens_;  // of the training text, until training takes them
  std::vector<LayerState> layers_;
  std::unique_ptr<Student> student_;  // after training
  CompressReport report_;
};

}  // namespace

CompressReport RunPipeline(const CompressOptions& options, CompressObserver& observer) {
  return Pipeline(options, observer).Run();
}

}  // namespace llmq
