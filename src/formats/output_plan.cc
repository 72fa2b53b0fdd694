// Decides how every tensor and file of a checkpoint is stored in a .littlebit file.
//
// Before this: core/bit_budget has chosen ranks. After this: --dry-run prints the size, or
// compress/export fills the sections one by one. Order: small files, embedding, blocks in the order
// of computation, final norm, head, then what the architecture does not know, by name.
#include "llmq/output_plan.h"

#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "formats/section_size.h"
#include "llmq/error.h"

namespace llmq {
namespace {

DType DTypeFromTorchName(std::string_view name) {
  if (name == "float32") return DType::kF32;
  if (name == "float16") return DType::kF16;
  if (name == "float64") return DType::kF64;
  return DType::kBF16;
}

void CheckBits(const char* option, int bits) {
  if (IsTableBits(bits)) return;
  throw Error(ErrorCode::kInvalidArguments,
              fmt::format("{}: expected 16, 8, 6 or 4, found {}", option, bits));
}

class Planner {
 public:
  Planner(const ModelConfig& config, const RankPlan& ranks, const TableBits& table_bits,
          std::span<const TensorView> tensors)
      : config_(config),
        table_bits_(table_bits),
        norms_(BlockNorms(config)),
        routers_(BlockRouters(config)) {
    for (const TensorView& tensor : tensors) tensors_[tensor.name] = &tensor;
    for (const PlannedLayer& layer : ranks.layers) shapes_[layer.linear.name] = layer.shape;
  }

  void AddFiles(const ModelFiles& files) {
    for (const auto& [name, content] : files) {
      plan_.sections.push_back(
          {.name = name, .kind = StorageKind::kFile, .data_bytes = content.size()});
    }
  }

  void AddArchitecture() {
    const std::vector<LinearSpec> linears = BlockLinears(config_);
    AddTable(kEmbeddingName, table_bits_.embedding);
    const int64_t hidden = config_.hidden_size, width = config_.EmbeddingWidth();
    if (config_.HasProjectedEmbedding()) {
      AddDense(kProjectInName, {hidden, width});
      AddDense(kProjectOutName, {width, hidden});
    }
    if (config_.learned_positions) {
      AddDense(kPositionsName, {config_.PositionRows(), hidden});
    }
    for (int64_t n = 0; n < config_.num_layers; ++n) {
      AddNorms(n, {BlockNorm::kInput, BlockNorm::kQuery, BlockNorm::kKey});
      const LinearRange range = LinearsOfBlock(config_, n);
      for (size_t i = range.begin; i < range.end; ++i) {
        AddLinear(linears[i]);
        if (linears[i].projection == Projection::kO) {
          AddNorms(n, {BlockNorm::kAfterAttention, BlockNorm::kMlp});
          AddRouters(n);
        }
      }
      AddNorms(n, {BlockNorm::kAfterMlp});
    }
    if (config_.has_final_norm) AddNorm(FinalNorm(config_));
    if (!config_.tie_word_embeddings) AddTable(kHeadName, table_bits_.head);
  }

  void AddOthers() {
    for (const auto& [name, tensor] : tensors_) {
      if (planned_.contains(name) || name == kHeadName)
        continue;  // a head still here is a tied copy
      AddDense(name, tensor->shape);
    }
  }

  OutputPlan Finish() {
    plan_.file_bytes = PlannedFileBytes(plan_.sections);
    plan_.original_fp16_bytes = 2 * static_cast<uint64_t>(plan_.original_parameters);
    return std::move(plan_);
  }

 private:
  void AddTable(const char* name, int bits) {
    const std::vector<int64_t> shape = {config_.vocab_size, config_.EmbeddingWidth()};
    if (bits == 16) return AddDense(name, shape);
    Add({.name = name, .kind = StorageKind::kGroupQuant, .shape = shape, .bits = bits});
  }

  // Those of the layer that the model has.
  void AddNorms(int64_t layer, std::initializer_list<BlockNorm> norms) {
    for (const BlockNorm norm : norms) {
      for (const NormSpec& spec : norms_) {
        if (spec.layer == layer && spec.norm == norm) AddNorm(spec);
      }
    }
  }

  void AddNorm(const NormSpec& norm) {
    AddDense(norm.name, {norm.size});
    if (!norm.bias.empty()) AddDense(norm.bias, {norm.size});
  }

  void AddRouters(int64_t layer) {
    for (const RouterSpec& spec : routers_) {
      if (spec.layer == layer) AddDense(spec.name, {spec.rows, config_.hidden_size});
    }
  }

  void AddLinear(const LinearSpec& linear) {
    const auto it = shapes_.find(linear.name);
    if (it == shapes_.end()) {
      AddDense(linear.name + ".weight", {linear.d_out, linear.d_in});
    } else {
      Add({.name = linear.name + ".weight",
           .kind = StorageKind::kLittleBit,
           .shape = {linear.d_out, linear.d_in},
           .rank = it->second.rank,
           .paths = it->second.paths,
           .bits = SectionBits(it->second)});
    }
    if (linear.has_bias) AddDense(linear.name + ".bias", {linear.d_out});
  }

  void AddDense(const std::string& name, std::vector<int64_t> shape) {
    const auto it = tensors_.find(name);
    const DType dtype =
        it == tensors_.end() ? DTypeFromTorchName(config_.torch_dtype) : it->second->dtype;
    Add({.name = name, .kind = StorageKind::kDense, .dtype = dtype, .shape = std::move(shape)});
  }

  void Add(SectionPlan section) {
    section.data_bytes = TensorDataBytes(section).value();
    int64_t elements = 1;
    for (const int64_t dimension : section.shape) elements *= dimension;
    plan_.original_parameters += elements;
    planned_.insert(section.name);
    plan_.sections.push_back(std::move(section));
  }

  const ModelConfig& config_;
  const TableBits& table_bits_;
  std::vector<NormSpec> norms_;
  std::vector<RouterSpec> routers_;
  std::map<std::string, const TensorView*> tensors_;             // by name
  std::unordered_map<std::string_view, LittleBitShape> shapes_;  // by the linear's name
  std::unordered_set<std::string> planned_;
  OutputPlan plan_;
};

}  // namespace

OutputPlan PlanOutput(const ModelConfig& config, const ModelFiles& files, const RankPlan& ranks,
                      const TableBits& table_bits, std::span<const TensorView> tensors) {
  CheckBits("--embedding-bits", table_bits.embedding);
  CheckBits("--head-bits", table_bits.head);
  Planner planner(config, ranks, table_bits, tensors);
  planner.AddFiles(files);
  planner.AddArchitecture();
  planner.AddOthers();
  return planner.Finish();
}

}  // namespace llmq
