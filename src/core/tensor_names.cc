// Names and shapes of the tensors that a model has.
//
// Before: model_config has read config.json. After: the compressor, the runtime and the writers ask
// for tensors by these names only.
#include <fmt/format.h>

#include <map>
#include <span>
#include <string_view>
#include <utility>

#include "core/architectures.h"
#include "llmq/model_config.h"

namespace llmq {
namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias";

std::string BiasBeside(const ModelConfig& config, const std::string& norm) {
  if (config.norm_kind != NormKind::kLayer) return "";
  return norm.substr(0, norm.size() - kWeight.size()) + std::string(kBias);
}

// "h.{}.ln_1" of layer 3: "h.3.ln_1".
std::string OfLayer(std::string_view pattern, int64_t layer) {
  return fmt::format(fmt::runtime(pattern), layer);
}

bool IsOfLayers(std::string_view pattern) { return pattern.find("{}") != std::string_view::npos; }

// Of an MLP, by what its linears are called.
struct MlpNames {
  std::string prefix;  // "mlp.experts.3."
  const char* gate = "gate_proj";
  const char* up = "up_proj";
  const char* down = "down_proj";
};

MlpNames NamesOfMlp(const ModelConfig& config, int64_t layer, int64_t mlp) {
  const ExpertConfig& experts = config.experts;
  if (!config.IsSparse(layer)) return {"mlp."};
  if (mlp == experts.count) return {"mlp.shared_expert."};
  if (experts.names == ExpertNames::kQwen) return {fmt::format("mlp.experts.{}.", mlp)};
  return {fmt::format("block_sparse_moe.experts.{}.", mlp), "w1", "w3", "w2"};
}

constexpr size_t kAttentionLinears = 4;

size_t MlpLinears(const ModelConfig& config) { return config.gated_mlp ? 3 : 2; }

}  // namespace

std::vector<LinearSpec> BlockLinears(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  std::vector<LinearSpec> linears;
  for (int64_t n = 0; n < config.num_layers; ++n) {
    const auto add = [&](const std::string& name, Projection projection, int64_t d_out,
                         int64_t d_in, bool has_bias, int64_t mlp = 0) {
      linears.push_back(
          {fmt::format("model.layers.{}.{}", n, name), n, projection, d_out, d_in, has_bias, mlp});
    };
    add("self_attn.q_proj", Projection::kQ, q, hidden, config.qkv_bias);
    add("self_attn.k_proj", Projection::kK, kv, hidden, config.qkv_bias);
    add("self_attn.v_proj", Projection::kV, kv, hidden, config.qkv_bias);
    add("self_attn.o_proj", Projection::kO, hidden, q, config.o_bias);
    for (int64_t mlp = 0; mlp < config.NumMlps(n); ++mlp) {
      const MlpNames names = NamesOfMlp(config, n, mlp);
      const int64_t size = config.MlpSize(n, mlp);
      const auto add_mlp = [&](const char* name, Projection projection, int64_t d_out,
                               int64_t d_in) {
        add(names.prefix + name, projection, d_out, d_in, config.mlp_bias, mlp);
      };
      if (config.gated_mlp) add_mlp(names.gate, Projection::kGate, size, hidden);
      add_mlp(names.up, Projection::kUp, size, hidden);
      add_mlp(names.down, Projection::kDown, hidden, size);
    }
  }
  return linears;
}

size_t IndexInBlock(const ModelConfig& config, Projection projection, int64_t mlp) {
  const bool after_missing_gate = !config.gated_mlp && projection > Projection::kGate;
  return static_cast<size_t>(projection) - (after_missing_gate ? 1 : 0) +
         static_cast<size_t>(mlp) * MlpLinears(config);
}

LinearRange LinearsOfBlock(const ModelConfig& config, int64_t layer) {
  LinearRange range;
  for (int64_t n = 0; n <= layer; ++n) {
    const auto mlps = static_cast<size_t>(config.NumMlps(n));
    range = {range.end, range.end + kAttentionLinears + mlps * MlpLinears(config)};
  }
  return range;
}

double TokenShare(const ModelConfig& config, const LinearSpec& linear) {
  const ExpertConfig& experts = config.experts;
  const bool is_expert = linear.projection >= Projection::kGate && config.IsSparse(linear.layer) &&
                         linear.mlp < experts.count;
  return is_expert ? static_cast<double>(experts.per_token) / static_cast<double>(experts.count)
                   : 1;
}

std::vector<RouterSpec> BlockRouters(const ModelConfig& config) {
  const bool mixtral = config.experts.names == ExpertNames::kMixtral;
  std::vector<RouterSpec> routers;
  for (int64_t n = 0; n < config.num_layers; ++n) {
    if (!config.IsSparse(n)) continue;
    const auto add = [&](Router router, const char* name, int64_t rows) {
      routers.push_back({fmt::format("model.layers.{}.{}.weight", n, name), n, router, rows});
    };
    add(Router::kExperts, mixtral ? "block_sparse_moe.gate" : "mlp.gate", config.experts.count);
    if (config.experts.shared_intermediate_size > 0) {
      add(Router::kShared, "mlp.shared_expert_gate", 1);
    }
  }
  return routers;
}

std::string InputNormName(int64_t layer) {
  return fmt::format("model.layers.{}.input_layernorm.weight", layer);
}

std::string PostAttentionNormName(int64_t layer) {
  return fmt::format("model.layers.{}.post_attention_layernorm.weight", layer);
}

std::vector<NormSpec> BlockNorms(const ModelConfig& config) {
  std::vector<NormSpec> norms;
  for (int64_t n = 0; n < config.num_layers; ++n) {
    const auto add = [&](BlockNorm norm, const char* name, int64_t size) {
      const std::string weight = fmt::format("model.layers.{}.{}.weight", n, name);
      norms.push_back({weight, n, norm, size, BiasBeside(config, weight)});
    };
    const int64_t hidden = config.hidden_size;
    add(BlockNorm::kInput, "input_layernorm", hidden);
    if (config.sandwich_norms) {
      add(BlockNorm::kMlp, "pre_feedforward_layernorm", hidden);
      add(BlockNorm::kAfterAttention, "post_attention_layernorm", hidden);
      add(BlockNorm::kAfterMlp, "post_feedforward_layernorm", hidden);
    } else {
      add(BlockNorm::kMlp, "post_attention_layernorm", hidden);
    }
    if (!config.qk_norm) continue;
    add(BlockNorm::kQuery, "self_attn.q_norm", config.head_dim);
    add(BlockNorm::kKey, "self_attn.k_norm", config.head_dim);
  }
  return norms;
}

NormSpec FinalNorm(const ModelConfig& config) {
  return {.name = kFinalNormName,
          .size = config.hidden_size,
          .bias = BiasBeside(config, kFinalNormName)};
}

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  std::vector<ExpectedTensor> expected;
  const int64_t width = config.EmbeddingWidth();
  expected.push_back({kEmbeddingName, {config.vocab_size, width}});
  if (config.HasProjectedEmbedding()) {
    expected.push_back({kProjectInName, {config.hidden_size, width}});
    expected.push_back({kProjectOutName, {width, config.hidden_size}});
  }
  if (config.learned_positions) {
    expected.push_back({kPositionsName, {config.PositionRows(), config.hidden_size}});
  }
  const auto add_norm = [&](const NormSpec& norm) {
    expected.push_back({norm.name, {norm.size}});
    if (!norm.bias.empty()) expected.push_back({norm.bias, {norm.size}});
  };
  for (const NormSpec& norm : BlockNorms(config)) add_norm(norm);
  for (const LinearSpec& linear : BlockLinears(config)) {
    expected.push_back({linear.name + ".weight", {linear.d_out, linear.d_in}});
    if (linear.has_bias) expected.push_back({linear.name + ".bias", {linear.d_out}});
  }
  for (const RouterSpec& router : BlockRouters(config)) {
    expected.push_back({router.name, {router.rows, config.hidden_size}});
  }
  if (config.has_final_norm) add_norm(FinalNorm(config));
  if (!config.tie_word_embeddings) expected.push_back({kHeadName, {config.vocab_size, width}});
  return expected;
}

namespace {

// Since version 5 transformers holds a layer's experts in two tensors, in the first of each expert
// gate before up, and writes them if told so; Mixtral's router then has another name, too.
void AddStackedExperts(const ModelConfig& config, std::vector<PublishedTensor>& tensors) {
  const std::vector<LinearSpec> linears = BlockLinears(config);
  for (const RouterSpec& router : BlockRouters(config)) {
    if (router.router != Router::kExperts) continue;
    const LinearSpec* block = &linears[LinearsOfBlock(config, router.layer).begin];
    const std::string prefix = fmt::format("model.layers.{}.mlp.", router.layer);
    const int64_t hidden = config.hidden_size, size = config.experts.intermediate_size;
    const auto stack = [&](const char* name, int64_t rows, int64_t cols) {
      return PublishedTensor{
          .name = prefix + name, .shape = {config.experts.count, rows, cols}, .optional = true};
    };
    PublishedTensor gate_up = stack("experts.gate_up_proj", 2 * size, hidden);
    PublishedTensor down = stack("experts.down_proj", hidden, size);
    for (int64_t expert = 0; expert < config.experts.count; ++expert) {
      const auto weight = [&](Projection projection) -> ExpectedTensor {
        const LinearSpec& linear = block[IndexInBlock(config, projection, expert)];
        return {linear.name + ".weight", {linear.d_out, linear.d_in}};
      };
      gate_up.parts.push_back(weight(Projection::kGate));
      gate_up.parts.push_back(weight(Projection::kUp));
      down.parts.push_back(weight(Projection::kDown));
    }
    tensors.push_back(std::move(gate_up));
    tensors.push_back(std::move(down));
    if (router.name == prefix + "gate.weight") continue;
    const std::vector<int64_t> shape = {router.rows, hidden};
    tensors.push_back({.name = prefix + "gate.weight",
                       .shape = shape,
                       .parts = {{router.name, shape}},
                       .optional = true});
  }
}

}  // namespace

PublishedNames PublishedNamesOf(const ModelConfig& config) {
  PublishedNames names;
  const Family* family = FindFamily(config.architecture);
  if (family == nullptr) return names;
  names.prefixes = family->prefixes;
  names.not_of_text = family->not_of_text;
  names.optional_prefix = family->optional_prefix;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) shapes[tensor.name] = tensor.shape;
  const auto layers = [&](std::string_view pattern) {
    return IsOfLayers(pattern) ? config.num_layers : 1;
  };
  const auto add = [&](const PublishedModule& module, int64_t layer, std::string_view suffix) {
    PublishedTensor tensor{.name = OfLayer(module.name, layer) + std::string(suffix)};
    int64_t rows = 0;
    for (const std::string_view part : module.parts) {
      const auto found = shapes.find(OfLayer(part, layer) + std::string(suffix));
      if (found == shapes.end()) continue;
      tensor.parts.push_back({found->first, found->second});
      rows += found->second[0];
    }
    if (tensor.parts.empty()) return;
    tensor.shape = tensor.parts.front().shape;
    tensor.shape[0] = rows;
    tensor.transposed = module.transposed && suffix == kWeight;
    if (tensor.transposed) std::swap(tensor.shape[0], tensor.shape[1]);
    names.tensors.push_back(std::move(tensor));
  };
  for (const PublishedModule& module : family->modules) {
    for (int64_t n = 0; n < layers(module.name); ++n) {
      add(module, n, kWeight);
      add(module, n, kBias);
    }
  }
  AddStackedExperts(config, names.tensors);
  for (const std::string_view pattern : family->unused) {
    for (int64_t n = 0; n < layers(pattern); ++n) names.unused.push_back(OfLayer(pattern, n));
  }
  return names;
}

}  // namespace llmq
