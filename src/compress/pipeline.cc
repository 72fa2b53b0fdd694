// Plan, factorize, train, write: the order of work, the checks before it, and what is reported.
//
// Before: the command has checked its options and loaded the training text. After: a .littlebit
// file and a CompressReport. The stages are in stages/, the arithmetic in calibrate/, factorize/
// and train/.
#include "compress/pipeline.h"

#include <fmt/core.h>
#include <sys/resource.h>

#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/file.h"
#include "base/thread_pool.h"
#include "compress/export.h"
#include "compress/fingerprint.h"
#include "compress/run_context.h"
#include "compress/stages/block_stage.h"
#include "compress/stages/factorize_stage.h"
#include "compress/stages/memory_stage.h"
#include "compress/stages/plan_stage.h"
#include "compress/stages/text_stage.h"
#include "compress/stages/time_stage.h"
#include "compress/stages/train_stage.h"
#include "compress/torch_bridge.h"
#include "llmq/arriving_weights.h"
#include "llmq/error.h"
#include "llmq/file_budget.h"
#include "llmq/littlebit_file.h"
#include "llmq/recipe.h"

namespace llmq {

void RunContext::ThrowStopped(const std::string& progress) const {
  throw Error(ErrorCode::kUserCancelled, "stopped after " + progress,
              store ? fmt::format("Continue with --resume {}", options.checkpoint_dir.string())
                    : "Nothing was kept: checkpoints are off");
}

namespace {

uint64_t PeakMemoryBytes() {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? static_cast<uint64_t>(usage.ru_maxrss) * 1024 : 0;
}

// Bytes of all layers' files, and of two training states: the last one and the one being written.
// A state has the latents and, where they move, their two moments.
uint64_t CheckpointBytes(const RunContext& run) {
  const auto body = static_cast<uint64_t>(run.plan.body_bytes);
  if (!run.trains()) return body;
  const bool moves = run.train.tokens > 0 || run.options.time_budget_seconds > 0;
  return body * 8 * sizeof(float) * (1 + 2 * (moves ? 3 : 1));
}

void ExpectDisk(const std::filesystem::path& directory, uint64_t needed) {
  EnsureWritableDirectory(directory);
  const uint64_t found = FreeDiskBytes(directory);
  if (needed <= found) return;
  throw Error(
      ErrorCode::kGeneral,
      fmt::format("{}: expected {:.3g} GB of free disk space, found {:.3g} GB", directory.string(),
                  static_cast<double>(needed) / 1e9, static_cast<double>(found) / 1e9),
      "Free disk space, choose another directory, or use --no-checkpoints");
}

// `kept`: of the checkpoint, from before.
void CheckDisk(const RunContext& run, uint64_t kept) {
  const std::filesystem::path& checkpoints = run.options.checkpoint_dir;
  const std::filesystem::path parent = run.options.output.parent_path();
  const std::filesystem::path folder = parent.empty() ? "." : parent;
  uint64_t needed = 0;
  if (!checkpoints.empty()) {
    needed = CheckpointBytes(run) - std::min(kept, CheckpointBytes(run));
    ExpectDisk(checkpoints, needed);
    if (!OnSameFileSystem(checkpoints, folder)) needed = 0;
  }
  ExpectDisk(folder, run.output_plan.file_bytes + needed);
}

void OpenStore(RunContext& run) {
  const CompressOptions& options = run.options;
  if (options.checkpoint_dir.empty()) return CheckDisk(run, 0);
  const std::string stem = options.output.stem().string();
  const Fingerprint fingerprint =
      MakeFingerprint(options, run.train, run.checkpoint, run.plan, run.device);
  CheckDisk(run, CheckpointBytesKept(options.checkpoint_dir, stem, fingerprint));
  run.store.emplace(options.checkpoint_dir, stem, fingerprint, options.resume);
}

// What the ranks decide: the size of the file and the head of the report.
void ReportPlan(RunContext& run) {
  run.output_plan = PlanOutput(run.checkpoint.config(), run.checkpoint.files(), run.plan,
                               run.table_bits, run.checkpoint.tensors());
  CompressReport& report = run.report;
  report.plan = run.plan;
  report.training = run.train;
  report.table_bits = run.table_bits;
  report.original_fp16_bytes = run.output_plan.original_fp16_bytes;
  report.original_parameters = run.output_plan.original_parameters;
  report.layers.clear();
  for (const PlannedLayer& planned : run.plan.layers) {
    const LittleBitShape& shape = planned.shape;
    report.layers.push_back({.name = planned.linear.name,
                             .shape = shape,
                             .bpw = planned.bpw,
                             .dense_macs = shape.d_out * shape.d_in,
                             .sign_adds = shape.paths * shape.rank * (shape.d_out + shape.d_in)});
  }
}

// ---- Output ----

PackedLayer Packed(RunContext& run, size_t index) {
  LayerState& layer = run.layers[index];
  if (layer.is_packed()) return {std::move(layer.packed), layer.factors.relative_error};
  const LayerFactors factors = run.student->Factors(index);
  const TensorView& weight = run.checkpoint.Get(run.plan.layers[index].linear.name + ".weight");
  LittleBitLinear linear = PackFactors(factors, weight.name);
  const double error = StoredError(ToTorch(weight).to(run.device.device), linear);
  run.checkpoint.Release(weight);
  run.report.layers[index].relative_error = error;
  return {std::move(linear), error};
}

// Undefined: as in the checkpoint.
at::Tensor Trained(const RunContext& run, const std::string& name) {
  const auto found = run.frame.find(name);
  const at::Tensor in_frame = found == run.frame.end() ? at::Tensor() : found->second;
  const at::Tensor value = run.student ? run.student->Find(name) : in_frame;
  const double offset = run.checkpoint.config().norm_offset;
  const bool has_offset = offset != 0 && name.ends_with("norm.weight");  // LoadNorm added it
  return value.defined() && has_offset ? value - offset : value;
}

LittleBitMetadata Metadata(const RunContext& run) {
  const CompressOptions& options = run.options;
  const bool goes_by_blocks = run.trains_blocks() && options.train.block_tokens == 0;  // by itself
  return {.source_model = options.source_name,
          .producer = "llm-quantize " LLMQ_VERSION,
          .recipe = options.recipe + (goes_by_blocks ? ", block by block" : ""),
          .target_bpw = options.rank.manual_rank > 0 ? 0 : options.rank.target_bpw,
          .manual_rank = options.rank.manual_rank,
          .original_parameters = run.report.original_parameters,
          .original_fp16_bytes = static_cast<int64_t>(run.report.original_fp16_bytes),
          .train_tokens = run.report.trained_tokens,
          .seed = options.seed,
          .table_bits = run.table_bits,
          .budget_scope = options.budget_scope};
}

void Write(RunContext& run) {
  std::unordered_map<std::string_view, size_t> index;  // of linears, by name
  for (const PlannedLayer& layer : run.plan.layers) index.emplace(layer.linear.name, index.size());
  const ExportSource source{
      .layer = [&](const std::string& linear) { return Packed(run, index.at(linear)); },
      .trained = [&](const std::string& name) { return Trained(run, name); }};
  run.observer.BeginStage("Writing", static_cast<int64_t>(run.output_plan.sections.size()), 0,
                          "sections");
  ExportModel(run.options.output, run.output_plan, run.checkpoint, source, Metadata(run),
              [&](int64_t written) { run.observer.Advance(written, ""); });
  run.observer.EndStage();
  const LittleBitFile file(run.options.output);  // the report tells what the file says
  run.report.file_bytes = file.file_bytes();
  run.report.body_bpw = file.body_bpw();
}

RunContext Open(const CompressOptions& options, CompressObserver& observer) {
  DeviceChoice device = ChooseDevice(options.device);
  const int workers = device.device.is_cuda() ? 1 : ResolveThreadCount(options.threads);
  Checkpoint checkpoint(options.model, options.arriving);
  FilePlan plan = PlanFile(
      checkpoint.config(), checkpoint.files(), checkpoint.tensors(),
      {.rank = options.rank, .scope = options.budget_scope, .table_bits = options.table_bits});
  TrainOptions train = options.train;
  if (train.learning_rate == 0) train.learning_rate = LearningRateFor(plan.ranks.body_bpw);
  return {.options = options,
          .observer = observer,
          .device = std::move(device),
          .checkpoint = std::move(checkpoint),
          .workers = WorkerPool(workers),
          .plan = std::move(plan.ranks),
          .table_bits = plan.table_bits,
          .train = std::move(train)};
}

void RunStages(RunContext& run) {
  if (run.options.reads_text()) PrepareText(run);
  PlanTime(run);
  Plan(run);
  ReportPlan(run);
  run.trains_blocks() ? CompressBlocks(run) : Factorize(run);
  if (run.trains()) Train(run);
  Write(run);
}

// After an error that another try may not meet.
std::string ResumeAdvice(const RunContext& run) {
  if (!run.store) return "";
  return fmt::format("; continue with --resume {}", run.options.checkpoint_dir.string());
}

}  // namespace

CompressReport RunPipeline(const CompressOptions& options, CompressObserver& observer) {
  RunContext run = Open(options, observer);
  ReportPlan(run);
  run.report.device = run.device.Description();
  if (!run.device.passed_over.empty()) {
    observer.Warning("the CUDA device is not used: " + run.device.passed_over);
  }
  observer.Info(fmt::format("Device: {}, {} worker{}", run.device.Description(), run.workers.size(),
                            run.workers.size() == 1 ? "" : "s"));
  if (const int64_t count = run.checkpoint.tensors_left_out(); count > 0) {
    observer.Warning(fmt::format("left out {} tensors for images: only text is compressed", count));
  }
  FitIntoMemory(run);
  OpenStore(run);
  try {
    RunStages(run);
  } catch (const ArrivalError& error) {
    throw Error(error.code(), error.message(), error.suggestion() + ResumeAdvice(run));
  }
  if (run.store) run.store->Remove();
  run.report.peak_memory_bytes = PeakMemoryBytes();
  return std::move(run.report);
}

}  // namespace llmq
