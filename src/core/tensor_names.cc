// Names and shapes of the tensors that a model has.
//
// Before: model_config has read config.json. After: the compressor, the runtime and the writers ask
// for tensors by these names only.
#include <fmt/format.h>

#include "llmq/model_config.h"

namespace llmq {

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
    add("mlp.gate_proj", Projection::kGate, mlp, hidden, config.mlp_bias);
    add("mlp.up_proj", Projection::kUp, mlp, hidden, config.mlp_bias);
    add("mlp.down_proj", Projection::kDown, hidden, mlp, config.mlp_bias);
  }
  return linears;
}

size_t IndexInBlock(const ModelConfig&, Projection projection) {
  return static_cast<size_t>(projection);
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
      norms.push_back({fmt::format("model.layers.{}.{}.weight", n, name), n, norm, size});
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

std::vector<FusedTensor> FusedTensors(const ModelConfig& config) {
  std::vector<FusedTensor> fused;
  if (!config.fused_projections) return fused;
  for (int64_t n = 0; n < config.num_layers; ++n) {
    const auto name = [&](const char* part) {
      return fmt::format("model.layers.{}.{}.weight", n, part);
    };
    fused.push_back(
        {name("self_attn.qkv_proj"),
         {name("self_attn.q_proj"), name("self_attn.k_proj"), name("self_attn.v_proj")}});
    fused.push_back({name("mlp.gate_up_proj"), {name("mlp.gate_proj"), name("mlp.up_proj")}});
  }
  return fused;
}

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  std::vector<ExpectedTensor> expected;
  expected.push_back({kEmbeddingName, {config.vocab_size, config.hidden_size}});
  for (const NormSpec& norm : BlockNorms(config)) expected.push_back({norm.name, {norm.size}});
  for (const LinearSpec& linear : BlockLinears(config)) {
    expected.push_back({linear.name + ".weight", {linear.d_out, linear.d_in}});
    if (linear.has_bias) expected.push_back({linear.name + ".bias", {linear.d_out}});
  }
  expected.push_back({kFinalNormName, {config.hidden_size}});
  if (!config.tie_word_embeddings) {
    expected.push_back({kHeadName, {config.vocab_size, config.hidden_size}});
  }
  return expected;
}

}  // namespace llmq
