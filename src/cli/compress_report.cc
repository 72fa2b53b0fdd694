#include "cli/compress_report.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>

#include "cli/human_units.h"

namespace llmq {
namespace {

Json LayerJson(const LayerReport& layer) {
  const double adds = static_cast<double>(std::max<int64_t>(layer.sign_adds, 1));
  return {{"name", layer.name},
          {"shape", {layer.shape.d_out, layer.shape.d_in}},
          {"rank", layer.shape.rank},
          {"paths", layer.shape.paths},
          {"bpw", layer.bpw},
          {"relative_error", layer.relative_error},
          {"dense_macs", layer.dense_macs},
          {"sign_adds", layer.sign_adds},
          {"macs_reduction", static_cast<double>(layer.dense_macs) / adds},
          {"milliseconds", layer.milliseconds},
          {"from_checkpoint", layer.from_checkpoint}};
}

Json LayerSummary(const ModelConfig& config, const std::vector<LayerReport>& layers) {
  Json summary = {{"total_layers", config.num_layers}, {"total_matrices", layers.size()}};
  if (layers.empty()) return summary;
  double rank_sum = 0;
  double error_sum = 0;
  for (const LayerReport& layer : layers) {
    rank_sum += static_cast<double>(layer.shape.rank);
    error_sum += layer.relative_error;
  }
  const auto count = static_cast<double>(layers.size());
  const auto [low_rank, high_rank] =
      std::ranges::minmax(layers, {}, [](const LayerReport& layer) { return layer.shape.rank; });
  const auto [low_bpw, high_bpw] = std::ranges::minmax(layers, {}, &LayerReport::bpw);
  summary["average_rank"] = rank_sum / count;
  summary["min_rank"] = low_rank.shape.rank;
  summary["max_rank"] = high_rank.shape.rank;
  summary["min_bpw"] = low_bpw.bpw;
  summary["max_bpw"] = high_bpw.bpw;
  summary["average_error"] = error_sum / count;
  return summary;
}

Json SearchJson(const CompressArguments& arguments, const std::vector<QualityTry>& tries) {
  Json list = Json::array();
  for (const QualityTry& one : tries) {
    list.push_back({{"target_bpw", one.target_bpw},
                    {"achieved_bpw", one.achieved_bpw},
                    {"perplexity_delta_pct", one.perplexity_delta_pct},
                    {"passed", one.passed}});
  }
  return {{"threshold_pct", *arguments.quality_threshold},
          {"iterations", tries.size()},
          {"tries", std::move(list)}};
}

Json TrainingJson(const CompressReport& report) {
  return {{"tokens", report.trained_tokens},
          {"first_loss", report.first_loss},
          {"last_loss", report.last_loss},
          {"block_tokens", report.training.block_tokens},
          {"kd_tokens", report.training.kd_tokens},
          {"own_text", report.training.own_text},
          {"learning_rate", report.trained_tokens > 0 ? report.training.learning_rate : 0},
          {"seconds", report.train_seconds},
          {"calibrate_seconds", report.calibrate_seconds},
          {"factorize_seconds", report.factorize_seconds}};
}

Json PathsJson(const std::vector<std::filesystem::path>& paths) {
  Json json = Json::array();
  for (const std::filesystem::path& path : paths) json.push_back(path.string());
  return json;
}

Json LayersJson(const std::vector<LayerReport>& layers) {
  Json json = Json::array();
  for (const LayerReport& layer : layers) json.push_back(LayerJson(layer));
  return json;
}

Json RareExpertsJson(const std::vector<RareExpert>& experts) {
  Json json = Json::array();
  for (const RareExpert& rare : experts) {
    json.push_back({{"layer", rare.layer}, {"expert", rare.expert}, {"tokens", rare.tokens}});
  }
  return json;
}

// What the recipe came to.
CompressOptions Steps(const CompressArguments& arguments) {
  CompressOptions steps;
  ApplyRecipeArguments(arguments.recipe, steps);
  return steps;
}

}  // namespace

double CompressionRatio(const CompressReport& report) {
  return static_cast<double>(report.original_fp16_bytes) /
         static_cast<double>(std::max<uint64_t>(report.file_bytes, 1));
}

double FileBpw(uint64_t file_bytes, int64_t parameters) {
  return 8.0 * static_cast<double>(file_bytes) /
         static_cast<double>(std::max<int64_t>(parameters, 1));
}

std::string TargetText(const CompressArguments& arguments) {
  if (arguments.rank) return fmt::format("none (rank {})", *arguments.rank);
  const bool file = arguments.budget_scope == BudgetScope::kFile;
  return FormatBpw(arguments.target_bpw) + (file ? " of the whole file" : "");
}

std::string TableBitsText(const TableBits& bits) {
  if (bits.head == bits.embedding) return fmt::format("{} bits", bits.embedding);
  return fmt::format("{} bits, head {} bits", bits.embedding, bits.head);
}

uint64_t PeakMemoryBytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) * 1024;
}

Json CompressJson(const CompressArguments& arguments, const ModelConfig& config,
                  const CompressOutcome& outcome) {
  const CompressReport& report = outcome.report;
  const bool passed =
      outcome.quality &&
      (!arguments.quality_threshold || outcome.quality->delta_pct <= *arguments.quality_threshold);
  const CompressOptions steps = Steps(arguments);
  Json json = {
      {"status", "success"},
      {"output_path", outcome.files.front().string()},
      {"output_files", PathsJson(outcome.files)},
      {"format", arguments.format},
      {"source_model", arguments.model},
      {"architecture", config.architecture},
      {"target_bpw", arguments.target_bpw},
      {"manual_rank", arguments.rank ? Json(*arguments.rank) : Json()},
      {"achieved_bpw", report.body_bpw},
      {"body_bpw", report.body_bpw},
      {"file_bpw", FileBpw(report.file_bytes, report.original_parameters)},
      {"compression_ratio", CompressionRatio(report)},
      {"original_size_bytes", report.original_fp16_bytes},
      {"original_parameters", report.original_parameters},
      {"compressed_size_bytes", report.file_bytes},
      {"recipe", steps.recipe},
      {"init", InitMethodName(steps.init)},
      {"importance", ImportanceModeName(steps.importance)},
      {"allocation", steps.allocation == Allocation::kAuto ? "auto" : "uniform"},
      {"paths", report.plan.paths},
      {"scale_bits", report.plan.scale_bits},
      {"budget_scope", BudgetScopeName(arguments.budget_scope)},
      {"embedding_bits", report.table_bits.embedding},
      {"head_bits", report.table_bits.head},
      {"seed", arguments.seed},
      {"device", report.device},
      {"duration_seconds", outcome.seconds},
      {"peak_memory_bytes", std::max(report.peak_memory_bytes, PeakMemoryBytes())},
      {"quality_metrics", outcome.quality ? QualityJson(*outcome.quality, passed) : Json()},
      {"per_layer_summary", LayerSummary(config, report.layers)},
      {"training", TrainingJson(report)}};
  if (outcome.download) {
    json["download"] = {{"bytes", outcome.download->bytes},
                        {"seconds", outcome.download->seconds},
                        {"waited_seconds", outcome.download->waited_seconds}};
  }
  if (arguments.quality_threshold) json["quality_search"] = SearchJson(arguments, outcome.tries);
  json["layers"] = LayersJson(report.layers);
  json["rarely_routed_experts"] = RareExpertsJson(report.rarely_routed_experts);
  json["warnings"] = outcome.warnings;
  json["timestamp"] = UtcTime();
  return json;
}

std::string CompressText(const CompressArguments& arguments, const CompressOutcome& outcome) {
  const CompressReport& report = outcome.report;
  std::string text;
  for (const std::filesystem::path& file : outcome.files) {
    text += fmt::format("Output: {}\n", file.string());
  }
  text += fmt::format(
      "Target BPW: {}\n"
      "Achieved BPW: {:.3f} (whole file: {:.3f})\n"
      "Compression Ratio: {:.1f}x\n"
      "Original Size: {}\n"
      "Compressed Size: {}\n",
      TargetText(arguments), report.body_bpw,
      FileBpw(report.file_bytes, report.original_parameters), CompressionRatio(report),
      FormatBytes(report.original_fp16_bytes), FormatBytes(report.file_bytes));
  for (const QualityTry& one : outcome.tries) {
    text += fmt::format("Try: {} BPW, perplexity {}: {}\n", FormatBpw(one.target_bpw),
                        FormatDelta(one.perplexity_delta_pct), one.passed ? "passed" : "failed");
  }
  if (outcome.quality) {
    text += fmt::format("Perplexity: {}\n", PerplexityText(*outcome.quality));
    if (outcome.quality->coherence) {
      text += fmt::format("Coherence Test: {}\n", CoherenceText(*outcome.quality->coherence));
    }
  }
  return text + fmt::format("Duration: {}\n", FormatDuration(outcome.seconds));
}

}  // namespace llmq
