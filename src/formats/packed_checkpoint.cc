// A packed checkpoint to a .littlebit file.
//
// Before this: LittleBit's or NanoQuant's tools have written the directory. After this: the runtime
// and every command that takes a .littlebit file. Signs and scales of a linear come from
// formats/packed_linear, the order of sections from formats/output_plan. Reference:
// docs/format/packed.md.
#include "llmq/packed_checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <unordered_set>
#include <utility>

#include "base/json.h"
#include "formats/packed_linear.h"
#include "formats/safetensors_shards.h"
#include "llmq/checkpoint.h"
#include "llmq/error.h"
#include "llmq/group_quant.h"
#include "llmq/littlebit_file.h"
#include "llmq/output_plan.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kQuantizationKey = "quantization_config";
constexpr std::string_view kWeightSuffix = ".weight";

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

bool NamesPackedLayout(const Json& quantization) {
  if (!quantization.is_object()) return false;
  const auto it = quantization.find("quant_method");
  if (it == quantization.end() || !it->is_string()) return false;
  std::string method = it->get<std::string>();
  std::transform(method.begin(), method.end(), method.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return method.find("littlebit") != method.npos || method.find("nanoquant") != method.npos;
}

// Everything that reads a model here takes "quantization_config" for a sign of weights it cannot
// read. That of the packed layout is done with after the import; any other is left, to be refused.
void RemoveOwnQuantizationConfig(ModelFiles& files, const std::string& where) {
  std::string& text = files.at("config.json");
  Json config = ParseJson(text, where);
  if (!config.is_object() || !config.contains(kQuantizationKey)) return;
  if (!NamesPackedLayout(config.at(kQuantizationKey))) return;
  config.erase(kQuantizationKey);
  text = DumpJson(config, 2) + "\n";
}

class Importer {
 public:
  Importer(const fs::path& directory, const PackedImportOptions& options,
           std::vector<std::string>& warnings)
      : where_(directory.string()), options_(options), warnings_(warnings), shards_(directory) {
    files_ = ReadModelFiles(directory);
    const std::string config_where = (directory / "config.json").string();
    RemoveOwnQuantizationConfig(files_, config_where);
    config_ = ParseModelConfig(files_, config_where);
    source_name_ = options.source_name.empty() ? ModelName(directory) : options.source_name;
    FindLinears();
    SortOutOthers();
    CheckArchitecture();
  }

  uint64_t Write(const fs::path& output) {
    const OutputPlan plan = PlanOutput(config_, files_, ranks_, options_.table_bits, others_);
    LittleBitWriter writer(output);
    for (const SectionPlan& section : plan.sections) Add(section, writer);
    return writer.Finish(Metadata());
  }

 private:
  void FindLinears() {
    for (const LinearSpec& linear : BlockLinears(config_)) {
      if (!IsPackedLinear(shards_, linear.name)) continue;
      PackedLinear packed = FindPackedLinear(shards_, linear, where_);
      ranks_.layers.push_back({.linear = linear, .shape = packed.shape});
      linears_.emplace(linear.name + std::string(kWeightSuffix), std::move(packed));
    }
    if (linears_.empty()) {
      Fail(where_, "expected linears with U_packed and V_packed in the blocks, found none",
           "Give a directory written in the packed layout, see docs/format/packed.md");
    }
  }

  // All tensors that no packed linear has taken: the dense ones, and those that must not be.
  void SortOutOthers() {
    std::unordered_set<std::string_view> taken;
    for (const auto& [name, packed] : linears_) {
      for (const TensorView* tensor : packed.tensors) taken.insert(tensor->name);
    }
    for (const TensorView& tensor : shards_.tensors()) {
      if (taken.contains(tensor.name)) continue;
      CheckOther(tensor);
      others_.push_back(tensor);
    }
  }

  // Nothing that changes what the model computes may be left aside in silence.
  void CheckOther(const TensorView& tensor) {
    const size_t dot = tensor.name.rfind('.');
    if (dot == std::string::npos) return;
    const std::string parent = tensor.name.substr(0, dot);
    const std::string_view part = std::string_view(tensor.name).substr(dot + 1);
    const std::string suggestion = "The model cannot be stored without loss; nothing was written";
    if (part.ends_with("_packed") || IsPackedTensorName(part)) {
      Fail(where_,
           fmt::format("{}: expected packed tensors only where a linear of a block has them, found "
                       "one more",
                       tensor.name),
           suggestion);
    }
    if (!linears_.contains(parent + std::string(kWeightSuffix))) return;
    if (part == "weight") {
      Fail(where_, fmt::format("{}: expected no dense weight beside a packed one", tensor.name),
           suggestion);
    }
    if (part != "bias") {
      warnings_.push_back(
          fmt::format("{}: kept, but not understood: nothing here reads it", tensor.name));
    }
  }

  void CheckArchitecture() {
    const std::vector<ExpectedTensor> all = ExpectedTensors(config_);
    for (const ExpectedTensor& expected : all) {
      expected_.insert(expected.name);
      int64_t elements = 1;
      for (const int64_t dimension : expected.shape) elements *= dimension;
      parameters_ += elements;
      if (linears_.contains(expected.name)) continue;
      CheckFloatTensor(shards_.Find(expected.name), expected, where_);
    }
    // A tied head may be stored all the same; then it must look like the embedding.
    if (const TensorView* head = shards_.Find(kHeadName)) {
      CheckFloatTensor(head, {kHeadName, {config_.vocab_size, config_.hidden_size}}, where_);
    }
    for (const LinearSpec& linear : BlockLinears(config_)) {
      const std::string bias = linear.name + ".bias";
      if (shards_.Find(bias) == nullptr || expected_.contains(bias)) continue;
      Fail(where_, fmt::format("{}: expected no bias as config.json says, found one", bias),
           "If the model has biases, set attention_bias or mlp_bias in config.json");
    }
  }

  void Add(const SectionPlan& section, LittleBitWriter& writer) {
    switch (section.kind) {
      case StorageKind::kFile: writer.AddFile(section.name, files_.at(section.name)); break;
      case StorageKind::kGroupQuant: AddTable(section, writer); break;
      case StorageKind::kLittleBit: AddLinear(section, writer); break;
      case StorageKind::kDense: AddDense(section, writer); break;
      case StorageKind::kMetadata: break;  // written by Finish()
    }
  }

  // A tensor that is stored dense or grouped; those that the model computes with must be finite.
  const TensorView& Dense(const SectionPlan& section) const {
    const TensorView& tensor = *shards_.Find(section.name);  // the plan is made of these tensors
    if (!expected_.contains(section.name)) return tensor;
    const NonFiniteCount found = CountNonFinite(tensor);
    if (found.nan != 0 || found.inf != 0) {
      Fail(where_,
           fmt::format("{}: expected finite weights, found {} NaN and {} Inf", section.name,
                       found.nan, found.inf),
           "Nothing sensible can be computed with them; write the checkpoint again");
    }
    return tensor;
  }

  void AddTable(const SectionPlan& section, LittleBitWriter& writer) const {
    const TensorView& table = Dense(section);
    writer.AddGroupQuant(section.name, section.group_quant_shape(),
                         QuantizeGroups(section.group_quant_shape(), table));
    shards_.Release(table);
  }

  void AddLinear(const SectionPlan& section, LittleBitWriter& writer) {
    const PackedLinear& packed = linears_.at(section.name);
    const LittleBitLinear linear = ReadPackedLinear(packed, where_, warnings_);
    writer.AddLittleBit(section.name, linear.shape, linear.payload, 0);
    for (const TensorView* tensor : packed.tensors) shards_.Release(*tensor);
  }

  void AddDense(const SectionPlan& section, LittleBitWriter& writer) const {
    const TensorView& tensor = Dense(section);
    writer.AddDense(tensor);
    shards_.Release(tensor);
  }

  LittleBitMetadata Metadata() const {
    int64_t largest_rank = 0;
    for (const PlannedLayer& layer : ranks_.layers) {
      largest_rank = std::max(largest_rank, layer.shape.rank);
    }
    return {.source_model = source_name_,
            .producer = "llm-quantize " LLMQ_VERSION,
            .recipe = "imported",
            .target_bpw = 0,
            .manual_rank = largest_rank,
            .original_parameters = parameters_,
            .original_fp16_bytes = 2 * parameters_,
            .train_tokens = 0,
            .seed = 0,
            .table_bits = options_.table_bits};
  }

  const std::string where_;
  const PackedImportOptions& options_;
  std::vector<std::string>& warnings_;
  const SafetensorsShards shards_;
  ModelFiles files_;
  ModelConfig config_;
  std::string source_name_;
  std::map<std::string, PackedLinear> linears_;  // by section name, "...q_proj.weight"
  RankPlan ranks_;
  std::vector<TensorView> others_;
  std::set<std::string> expected_;  // names of the tensors that the architecture needs
  int64_t parameters_ = 0;
};

}  // namespace

bool LooksLikePackedCheckpoint(const fs::path& directory) {
  try {
    const SafetensorsShards shards(directory);
    return std::any_of(shards.tensors().begin(), shards.tensors().end(),
                       [](const TensorView& t) { return t.name.ends_with(".U_packed"); });
  } catch (const Error&) {
    return false;
  }
}

uint64_t ImportPackedCheckpoint(const fs::path& directory, const fs::path& output,
                                const PackedImportOptions& options,
                                std::vector<std::string>& warnings) {
  return Importer(directory, options, warnings).Write(output);
}

}  // namespace llmq
