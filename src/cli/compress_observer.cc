#include "cli/compress_observer.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/log.h"
#include "cli/interrupt.h"

namespace llmq {

LayerLines::LayerLines(const ModelConfig& config) {
  for (const LinearSpec& linear : BlockLinears(config)) {
    layer_of_[linear.name] = linear.layer;
    ++sums_[linear.layer].missing;
  }
}

std::string LayerLines::Add(const LayerReport& matrix) {
  const auto found = layer_of_.find(matrix.name);
  if (found == layer_of_.end()) return "";
  Sum& sum = sums_[found->second];
  const double weights =
      static_cast<double>(matrix.shape.d_out) * static_cast<double>(matrix.shape.d_in);
  sum.min_rank = sum.weights == 0 ? matrix.shape.rank : std::min(sum.min_rank, matrix.shape.rank);
  sum.max_rank = std::max(sum.max_rank, matrix.shape.rank);
  sum.bits += matrix.bpw * weights;
  sum.weights += weights;
  sum.weighted_error += matrix.relative_error * weights;
  if (--sum.missing != 0) return "";
  const std::string ranks = sum.min_rank == sum.max_rank
                                ? fmt::format("{}", sum.max_rank)
                                : fmt::format("{}-{}", sum.min_rank, sum.max_rank);
  return fmt::format("  Layer {}: rank={}, bpw={:.2f}, error={:.3f}", found->second, ranks,
                     sum.bits / sum.weights, sum.weighted_error / sum.weights);
}

CommandObserver::CommandObserver(const ModelConfig& config, Progress& progress,
                                 DownloadObserver* download)
    : config_(config), lines_(config), progress_(progress), download_(download) {}

void CommandObserver::BeginStage(const std::string& stage, int64_t total, int64_t done,
                                 const std::string& unit) {
  // The compressor counts matrices; the contract's bar counts transformer layers. Not all have
  // the same number of matrices.
  const auto matrices = static_cast<int64_t>(BlockLinears(config_).size());
  const int64_t units = unit == "layers" && total == matrices ? config_.num_layers : total;
  if (done > 0) Info(fmt::format("Completed {}: {}/{}", unit, done * units / total, units));
  progress_.Begin(stage, total, done, unit, units == total ? 0 : units);
  lines_ = LayerLines(config_);  // a quality search factorizes more than once
}

void CommandObserver::Advance(int64_t done, const std::string& detail) {
  progress_.Advance(done, detail);
}

void CommandObserver::EndStage() { progress_.End(); }

void CommandObserver::LayerDone(const LayerReport& layer) {
  if (GetVerbosity() >= Verbosity::kDebug) {
    progress_.PrintLine(fmt::format(
        "    {}: rank={}, paths={}, bpw={:.3f}, error={:.4f} ({:.0f} ms)", layer.name,
        layer.shape.rank, layer.shape.paths, layer.bpw, layer.relative_error, layer.milliseconds));
  }
  if (GetVerbosity() < Verbosity::kVerbose) return;
  const std::string line = lines_.Add(layer);
  if (!line.empty()) progress_.PrintLine(line);
}

void CommandObserver::Info(const std::string& message) {
  progress_.Clear();
  LogInfo(message);
}

void CommandObserver::Warning(const std::string& message) {
  progress_.Clear();
  LogWarning(message);
  warnings_.push_back(message);
}

void CommandObserver::ShowDownload() {
  if (download_ == nullptr) return;
  for (const std::string& message : download_->TakeMessages()) Info(message);
  progress_.SetAbove(download_->Line());
}

bool CommandObserver::StopRequested() {
  ShowDownload();
  return InterruptRequested();
}

}  // namespace llmq
