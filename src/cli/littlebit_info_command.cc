// llm-quantize littlebit info: what is in a .littlebit file, from its directory alone.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/command.h"
#include "cli/compress_report.h"
#include "cli/human_units.h"
#include "llmq/bit_budget.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

struct LittleBitInfoOptions {
  std::string file;
  bool layers = false;
  bool verify = false;
  std::string export_metadata;  // empty: no export
};

std::string WithoutWeight(const std::string& name) {
  constexpr std::string_view kSuffix = ".weight";
  return name.ends_with(kSuffix) ? name.substr(0, name.size() - kSuffix.size()) : name;
}

struct Statistics {
  std::vector<const LittleBitSection*> matrices;
  double average_rank = 0;
  const LittleBitSection* min_rank = nullptr;
  const LittleBitSection* max_rank = nullptr;

  // The most of any matrix: all have the same in files that compress writes.
  int scale_bits() const {
    int most = 0;
    for (const LittleBitSection* matrix : matrices)
      most = std::max(most, matrix->littlebit_shape().scale_bits);
    return most;
  }
};

Statistics Collect(const LittleBitFile& file) {
  Statistics statistics;
  for (const LittleBitSection& section : file.sections()) {
    if (section.kind == StorageKind::kLittleBit) statistics.matrices.push_back(&section);
  }
  if (statistics.matrices.empty()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected compressed matrices, found none", file.path().string()));
  }
  for (const LittleBitSection* matrix : statistics.matrices) {
    statistics.average_rank += static_cast<double>(matrix->rank);
  }
  statistics.average_rank /= static_cast<double>(statistics.matrices.size());
  statistics.min_rank = *std::ranges::min_element(statistics.matrices, {}, &LittleBitSection::rank);
  statistics.max_rank = *std::ranges::max_element(statistics.matrices, {}, &LittleBitSection::rank);
  return statistics;
}

double Ratio(const LittleBitFile& file) {
  return static_cast<double>(file.metadata().original_fp16_bytes) /
         static_cast<double>(file.file_bytes());
}

std::string TokenizerFile(const LittleBitFile& file) {
  const ModelFiles files = file.files();
  for (const char* name : {"tokenizer.json", "tokenizer.model"}) {
    if (files.contains(name)) return name;
  }
  return "";
}

Json LayerJson(const LittleBitSection& matrix) {
  return {{"name", WithoutWeight(matrix.name)},
          {"shape", matrix.shape},
          {"rank", matrix.rank},
          {"paths", matrix.paths},
          {"scale_bits", matrix.littlebit_shape().scale_bits},
          {"bpw", LittleBitBpw(matrix.littlebit_shape())},
          {"relative_error", matrix.relative_error},
          {"bytes", matrix.data.size()}};
}

Json InfoJson(const LittleBitInfoOptions& options, const LittleBitFile& file,
              const Statistics& statistics) {
  const LittleBitMetadata& metadata = file.metadata();
  const std::string tokenizer = TokenizerFile(file);
  const bool native = file.container() == LittleBitContainer::kNative;
  Json json = {{"file_path", options.file},
               {"format", native ? "littlebit" : "gguf-ext"},
               {"format_version", file.format_version()},
               {"source_model", metadata.source_model},
               {"architecture", file.config().architecture},
               {"target_bpw", metadata.manual_rank > 0 ? Json() : Json(metadata.target_bpw)},
               {"manual_rank", metadata.manual_rank > 0 ? Json(metadata.manual_rank) : Json()},
               {"achieved_bpw", file.body_bpw()},
               {"body_bpw", file.body_bpw()},
               {"file_bpw", FileBpw(file.file_bytes(), metadata.original_parameters)},
               {"compression_ratio", Ratio(file)},
               {"original_size_bytes", metadata.original_fp16_bytes},
               {"original_parameters", metadata.original_parameters},
               {"compressed_size_bytes", file.file_bytes()},
               {"body_bytes", file.body_bytes()},
               {"body_weights", file.body_weights()},
               {"num_layers", file.config().num_layers},
               {"layer_stats",
                {{"average_rank", statistics.average_rank},
                 {"min_rank", statistics.min_rank->rank},
                 {"max_rank", statistics.max_rank->rank},
                 {"min_rank_layer", WithoutWeight(statistics.min_rank->name)},
                 {"max_rank_layer", WithoutWeight(statistics.max_rank->name)},
                 {"total_matrices", statistics.matrices.size()}}},
               {"budget_scope", BudgetScopeName(metadata.budget_scope)},
               {"embedding_bits", metadata.table_bits.embedding},
               {"head_bits", metadata.table_bits.head},
               {"scale_bits", statistics.scale_bits()},
               {"recipe", metadata.recipe},
               {"train_tokens", metadata.train_tokens},
               {"seed", metadata.seed},
               {"producer", metadata.producer},
               {"tokenizer", tokenizer.empty() ? Json() : Json(tokenizer)}};
  if (options.verify) json["verified"] = true;
  if (!options.layers) return json;
  json["layers"] = Json::array();
  for (const LittleBitSection* matrix : statistics.matrices) {
    json["layers"].push_back(LayerJson(*matrix));
  }
  return json;
}

std::string LayerTable(const Statistics& statistics) {
  size_t width = 0;
  for (const LittleBitSection* matrix : statistics.matrices) {
    width = std::max(width, WithoutWeight(matrix->name).size());
  }
  std::string text = fmt::format("\n{:<{}} {:>15} {:>6} {:>6} {:>7} {:>7}\n", "Matrix", width,
                                 "Shape", "Rank", "Paths", "BPW", "Error");
  for (const LittleBitSection* matrix : statistics.matrices) {
    text += fmt::format(
        "{:<{}} {:>15} {:>6} {:>6} {:>7.3f} {:>7.3f}\n", WithoutWeight(matrix->name), width,
        fmt::format("[{}, {}]", matrix->shape[0], matrix->shape[1]), matrix->rank, matrix->paths,
        LittleBitBpw(matrix->littlebit_shape()), matrix->relative_error);
  }
  return text;
}

std::string InfoText(const LittleBitInfoOptions& options, const LittleBitFile& file,
                     const Statistics& statistics) {
  const LittleBitMetadata& metadata = file.metadata();
  const std::string tokenizer = TokenizerFile(file);
  std::string text = fmt::format(
      "File: {}\nFormat: {} v{}\nSource: {}\nArchitecture: {}\n\nCompression:\n", options.file,
      file.container() == LittleBitContainer::kNative ? "LittleBit Native" : "LittleBit in GGUF",
      file.format_version(), metadata.source_model, file.config().architecture);
  const char* scope = metadata.budget_scope == BudgetScope::kFile ? " of the whole file" : "";
  text += fmt::format("  Target BPW: {}\n",
                      metadata.manual_rank > 0 ? fmt::format("none (rank {})", metadata.manual_rank)
                                               : FormatBpw(metadata.target_bpw) + scope);
  text += fmt::format(
      "  Achieved BPW: {:.2f} (whole file: {:.2f})\n  Compression Ratio: {:.1f}x\n"
      "  Original Size: {}\n  Compressed Size: {}\n",
      file.body_bpw(), FileBpw(file.file_bytes(), metadata.original_parameters), Ratio(file),
      FormatBytes(static_cast<uint64_t>(metadata.original_fp16_bytes)),
      FormatBytes(file.file_bytes()));
  text +=
      fmt::format("  Embeddings: {}\n  Scales: {} bits\n  Trained: {} tokens\n  Tokenizer: {}\n",
                  TableBitsText(metadata.table_bits), statistics.scale_bits(),
                  FormatThousands(metadata.train_tokens), tokenizer.empty() ? "none" : tokenizer);
  text += fmt::format(
      "\nLayers: {}\n  Average Rank: {:.0f}\n  Min Rank: {} ({})\n  Max Rank: {} ({})\n",
      file.config().num_layers, statistics.average_rank, statistics.min_rank->rank,
      WithoutWeight(statistics.min_rank->name), statistics.max_rank->rank,
      WithoutWeight(statistics.max_rank->name));
  if (options.verify) text += "\nChecksums: all sections verified\n";
  return options.layers ? text + LayerTable(statistics) : text;
}

void RunLittleBitInfo(const LittleBitInfoOptions& options, Output& output) {
  const LittleBitFile file{std::filesystem::path(options.file)};
  if (options.verify) file.Verify();
  if (!options.export_metadata.empty()) {
    std::error_code failure;
    if (std::filesystem::equivalent(options.export_metadata, options.file, failure)) {
      throw Error(ErrorCode::kInvalidArguments,
                  fmt::format("--export-metadata {}: writing it would overwrite the input",
                              options.export_metadata),
                  "Choose another path");
    }
    WriteTextOutput(options.export_metadata, ExportFactorizationMetadata(file, true));
  }
  const Statistics statistics = Collect(file);
  output.Result(InfoJson(options, file, statistics), InfoText(options, file, statistics));
}

}  // namespace

CommandRun SetupLittleBitInfo(CLI::App& app) {
  auto options = std::make_shared<LittleBitInfoOptions>();
  app.add_option("FILE", options->file, "Path to a .littlebit or gguf-ext file")->required();
  app.add_flag("--layers", options->layers, "Show per-layer statistics");
  app.add_flag("--verify", options->verify, "Read the whole file and check its checksums");
  app.add_option("--export-metadata", options->export_metadata,
                 "Write ranks, scales and statistics to this JSON file")
      ->type_name("PATH");
  app.footer(
      "Examples:\n"
      "  llm-quantize littlebit info ./model.littlebit --layers\n"
      "  llm-quantize --format json littlebit info ./model.littlebit --verify");
  return [options](Output& output) { RunLittleBitInfo(*options, output); };
}

}  // namespace llmq
