#include "cli/compress_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/compress_report.h"
#include "cli/human_units.h"
#include "llmq/file_budget.h"

namespace llmq {
namespace {

CompressPlan Plan(const CompressArguments& arguments, ModelConfig config, const ModelFiles& files,
                  std::span<const TensorView> tensors) {
  FilePlan plan = PlanFile(config, files, tensors,
                           {.rank = WantedRanks(arguments),
                            .scope = arguments.budget_scope,
                            .table_bits = WantedTableBits(arguments)});
  return {std::move(config), plan.table_bits, std::move(plan.ranks), std::move(plan.output)};
}

// Matrices that share a row of the table: all layers' q_proj, for one.
struct Row {
  std::string name;
  const PlannedLayer* first = nullptr;
  int64_t count = 0;
  int64_t bytes = 0;
};

std::vector<Row> TableRows(const RankPlan& ranks, bool every_matrix) {
  std::vector<Row> rows;
  for (const PlannedLayer& layer : ranks.layers) {
    const std::string& full = layer.linear.name;
    const std::string name = every_matrix ? full : full.substr(full.rfind('.') + 1);
    auto row = std::ranges::find_if(rows, [&](const Row& other) {
      return other.name == name && other.first->shape == layer.shape;
    });
    if (row == rows.end()) row = rows.insert(row, {.name = name, .first = &layer});
    ++row->count;
    row->bytes += layer.bytes;
  }
  return rows;
}

}  // namespace

CompressPlan PlanFromCheckpoint(const CompressArguments& arguments, const Checkpoint& checkpoint) {
  return Plan(arguments, checkpoint.config(), checkpoint.files(), checkpoint.tensors());
}

CompressPlan PlanFromConfig(const CompressArguments& arguments,
                            const std::filesystem::path& directory) {
  const ModelFiles files = ReadModelFiles(directory);
  return Plan(arguments, ParseModelConfig(files, (directory / "config.json").string()), files, {});
}

Json PlanJson(const CompressArguments& arguments, const CompressPlan& plan) {
  Json json = {{"status", "success"},
               {"dry_run", true},
               {"output_path", OutputPath(arguments).string()},
               {"format", arguments.format},
               {"source_model", arguments.model},
               {"architecture", plan.config.architecture},
               {"target_bpw", arguments.target_bpw},
               {"manual_rank", arguments.rank ? Json(*arguments.rank) : Json()},
               {"body_bpw", plan.ranks.body_bpw},
               {"file_bpw", FileBpw(plan.file.file_bytes, plan.file.original_parameters)},
               {"compression_ratio", plan.ratio()},
               {"original_size_bytes", plan.file.original_fp16_bytes},
               {"original_parameters", plan.file.original_parameters},
               {"compressed_size_bytes", plan.file.file_bytes},
               {"body_bytes", plan.ranks.body_bytes},
               {"paths", plan.ranks.paths},
               {"scale_bits", plan.ranks.scale_bits},
               {"budget_scope", BudgetScopeName(arguments.budget_scope)},
               {"embedding_bits", plan.table_bits.embedding},
               {"head_bits", plan.table_bits.head},
               {"layers", Json::array()}};
  for (const PlannedLayer& layer : plan.ranks.layers) {
    json["layers"].push_back({{"name", layer.linear.name},
                              {"shape", {layer.shape.d_out, layer.shape.d_in}},
                              {"rank", layer.shape.rank},
                              {"paths", layer.shape.paths},
                              {"bpw", layer.bpw},
                              {"bytes", layer.bytes}});
  }
  return json;
}

std::string PlanText(const CompressArguments& arguments, const CompressPlan& plan,
                     bool every_matrix) {
  const std::vector<Row> rows = TableRows(plan.ranks, every_matrix);
  size_t width = 8;
  for (const Row& row : rows) width = std::max(width, row.name.size());
  std::string text = fmt::format("{:<{}} {:>6} {:>15} {:>6} {:>6} {:>7} {:>10}\n", "Matrices",
                                 width, "Count", "Shape", "Rank", "Paths", "BPW", "Size");
  for (const Row& row : rows) {
    const LittleBitShape& shape = row.first->shape;
    text += fmt::format("{:<{}} {:>6} {:>15} {:>6} {:>6} {:>7.3f} {:>10}\n", row.name, width,
                        row.count, fmt::format("[{}, {}]", shape.d_out, shape.d_in), shape.rank,
                        shape.paths, row.first->bpw, FormatBytes(static_cast<uint64_t>(row.bytes)));
  }
  return text + fmt::format(
                    "\n"
                    "Output: {} (not written: dry run)\n"
                    "Target BPW: {}\n"
                    "Embeddings: {}\n"
                    "Scales: {} bits\n"
                    "Body BPW: {:.3f} (whole file: {:.3f})\n"
                    "Compression Ratio: {:.1f}x\n"
                    "Original Size: {}\n"
                    "Compressed Size: {} ({} bytes)\n",
                    OutputPath(arguments).string(), TargetText(arguments),
                    TableBitsText(plan.table_bits), plan.ranks.scale_bits, plan.ranks.body_bpw,
                    FileBpw(plan.file.file_bytes, plan.file.original_parameters), plan.ratio(),
                    FormatBytes(plan.file.original_fp16_bytes), FormatBytes(plan.file.file_bytes),
                    FormatThousands(static_cast<int64_t>(plan.file.file_bytes)));
}

}  // namespace llmq
