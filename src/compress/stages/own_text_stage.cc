#include "compress/stages/own_text_stage.h"

#include <fmt/core.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <span>

#include "compress/state_file.h"
#include "compress/train/data_loader.h"
#include "compress/train/own_text.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// What sequences begin with: as documents do, or else as sequences of the text.
std::vector<int32_t> Starts(const RunContext& run, int64_t count) {
  if (run.bos) return std::vector<int32_t>(static_cast<size_t>(count), *run.bos);
  DataLoader text(run.tokens, run.train.sequence_tokens, count, run.options.seed);
  const at::Tensor first = text.Batch(0).select(1, 0).to(at::kInt).contiguous();  // [count]
  return {first.data_ptr<int32_t>(), first.data_ptr<int32_t>() + count};
}

constexpr const char* kTextName = "own text";

void SaveText(const RunContext& run, const std::vector<int32_t>& text) {
  StateWriter writer(run.store->OwnTextPath(), 1);
  writer.Add(kTextName, std::as_bytes(std::span(text)));
  writer.Commit();
}

// What an earlier sitting has written; empty if there is nothing usable.
std::vector<int32_t> LoadText(const RunContext& run, int64_t size) {
  if (!run.store || !std::filesystem::exists(run.store->OwnTextPath())) return {};
  try {
    const StateReader reader(run.store->OwnTextPath());
    std::vector<int32_t> text(static_cast<size_t>(size));
    const uint64_t bytes = text.size() * sizeof(int32_t);
    std::memcpy(text.data(), reader.Get(kTextName, bytes).data(), bytes);
    return text;
  } catch (const Error& error) {
    run.observer.Warning(fmt::format("{}; writing text again", error.message()));
    return {};
  }
}

}  // namespace

std::vector<int32_t> WriteOwnText(RunContext& run, const TrainableModel& model,
                                  const Teacher& teacher) {
  if (run.train.own_text == 0) return {};
  const ModelConfig& config = run.checkpoint.config();
  const int64_t length = run.train.sequence_tokens;
  const double sequences = static_cast<double>(run.train.tokens) / static_cast<double>(length);
  const auto count = static_cast<int64_t>(std::ceil(sequences * run.train.own_text));
  if (std::vector<int32_t> text = LoadText(run, count * length); !text.empty()) return text;
  const auto progress = [&](double done) {
    run.observer.Advance(static_cast<int64_t>(done), "");
    return !run.observer.StopRequested();
  };
  run.observer.BeginStage("Writing text", count, 0, "sequences");
  const OwnTextForm form{Starts(run, count), length, config.eos_token_ids, run.bos};
  std::vector<int32_t> text = WriteOwnText(model, teacher, form, run.options.seed,
                                           run.device.device, run.workers, progress);
  if (text.empty()) run.ThrowStopped("part of the training text");
  run.observer.EndStage();
  if (run.store) SaveText(run, text);
  return text;
}

}  // namespace llmq
