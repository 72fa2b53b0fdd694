// Names and shapes of the tensors that a model has.
//
// Before: model_config has read config.json. After: the compressor, the runtime and the writers ask
// for tensors by these names only.
#include <fmt/format.h>

#include <map>
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

}  // namespace

std::vector<LinearSpec> BlockLinears(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t mlp = config.intermediate_size;
  const int64_t q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  std::vector<LinearSpec> linears;
  for (int64_t n = 0; n < config.num_layers; ++n) {
    const auto add = [&](const char* name, Projection projection, int64_t d_out, int64_t d_in,
                         bool has_bias) {
      linears.push_back(
          {fmt::format("model.layers.{}.{}", n, name), n, projection, d_out, d_in, has_bias});
    };
    add("self_attn.q_proj", Projection::kQ, q, hidden, config.qkv_bias);
    add("self_attn.k_proj", Projection::kK, kv, hidden, config.qkv_bias);
    add("self_attn.v_proj", Projection::kV, kv, hidden, config.qkv_bias);
    add("self_attn.o_proj", Projection::kO, hidden, q, config.o_bias);
    if (config.gated_mlp) add("mlp.gate_proj", Projection::kGate, mlp, hidden, config.mlp_bias);
    add("mlp.up_proj", Projection::kUp, mlp, hidden, config.mlp_bias);
    add("mlp.down_proj", Projection::kDown, hidden, mlp, config.mlp_bias);
  }
  return linears;
}

size_t IndexInBlock(const ModelConfig& config, Projection projection) {
  const bool after_missing_gate = !config.gated_mlp && projection > Projection::kGate;
  return static_cast<size_t>(projection) - (after_missing_gate ? 1 : 0);
}

LinearRange LinearsOfBlock(const ModelConfig& config, int64_t layer) {
  const size_t size = IndexInBlock(config, Projection::kDown) + 1;
  const size_t begin = static_cast<size_t>(layer) * size;
  return {begin, begin + size};
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
  expected.push_back({kEmbeddingName, {config.vocab_size, config.hidden_size}});
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
  add_norm(FinalNorm(config));
  if (!config.tie_word_embeddings) {
    expected.push_back({kHeadName, {config.vocab_size, config.hidden_size}});
  }
  return expected;
}

PublishedNames PublishedNamesOf(const ModelConfig& config) {
  PublishedNames names;
  const Family* family = FindFamily(config.architecture);
  if (family == nullptr) return names;
  names.optional_prefix = family->optional_prefix;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) shapes[tensor.name] = tensor.shape;
  const auto layers = [&](std::string_view pattern) {
    return IsOfLayers(pattern) ? config.num_layers : 1;
  };
  const auto add = [&](const PublishedModule& module, int64_t layer, std::string_view suffix) {
    PublishedTensor tensor{OfLayer(module.name, layer) + std::string(suffix), {}, {}};
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
  for (const std::string_view pattern : family->unused) {
    for (int64_t n = 0; n < layers(pattern); ++n) names.unused.push_back(OfLayer(pattern, n));
  }
  return names;
}

}  // namespace llmq
