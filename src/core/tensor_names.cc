// Names and shapes of the tensors that a model has.
//
// Before: model_config has read config.json. After: the compressor, the runtime and the writers ask
// for tensors by these names only.
#include <fmt/format.h>

#include <span>
#include <utility>

#include "llmq/model_config.h"

namespace llmq {
namespace {

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
constexpr size_t kMlpLinears = 3;

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
      add(names.prefix + names.gate, Projection::kGate, size, hidden, config.mlp_bias, mlp);
      add(names.prefix + names.up, Projection::kUp, size, hidden, config.mlp_bias, mlp);
      add(names.prefix + names.down, Projection::kDown, hidden, size, config.mlp_bias, mlp);
    }
  }
  return linears;
}

size_t IndexInBlock(const ModelConfig&, Projection projection, int64_t mlp) {
  return static_cast<size_t>(projection) + static_cast<size_t>(mlp) * kMlpLinears;
}

LinearRange LinearsOfBlock(const ModelConfig& config, int64_t layer) {
  LinearRange range;
  for (int64_t n = 0; n <= layer; ++n) {
    const auto mlps = static_cast<size_t>(config.NumMlps(n));
    range = {range.end, range.end + kAttentionLinears + mlps * kMlpLinears};
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

namespace {

ExpectedTensor WeightOf(const LinearSpec& linear) {
  return {linear.name + ".weight", {linear.d_out, linear.d_in}};
}

// Q, K and V one below the other, and the MLP's gate and up.
void AddFusedProjections(int64_t layer, const LinearSpec* block, std::vector<FusedTensor>& fused) {
  const auto add = [&](const char* name, std::span<const LinearSpec> linears) {
    FusedTensor whole{
        fmt::format("model.layers.{}.{}.weight", layer, name), {0, linears[0].d_in}, {}};
    for (const LinearSpec& linear : linears) {
      whole.parts.push_back(WeightOf(linear));
      whole.shape[0] += linear.d_out;
    }
    fused.push_back(std::move(whole));
  };
  add("self_attn.qkv_proj", {block, 3});
  add("mlp.gate_up_proj", {block + kAttentionLinears, 2});
}

// Experts one after the other, of each gate before up: [E, 2 ff, hidden] and [E, hidden, ff].
void AddFusedExperts(const ModelConfig& config, int64_t layer, const LinearSpec* block,
                     std::vector<FusedTensor>& fused) {
  const int64_t count = config.experts.count, hidden = config.hidden_size;
  const int64_t size = config.experts.intermediate_size;
  const std::string prefix = fmt::format("model.layers.{}.mlp.", layer);
  FusedTensor gate_up{prefix + "experts.gate_up_proj", {count, 2 * size, hidden}, {}, true};
  FusedTensor down{prefix + "experts.down_proj", {count, hidden, size}, {}, true};
  for (int64_t expert = 0; expert < count; ++expert) {
    const auto weight = [&](Projection projection) {
      return WeightOf(block[IndexInBlock(config, projection, expert)]);
    };
    gate_up.parts.push_back(weight(Projection::kGate));
    gate_up.parts.push_back(weight(Projection::kUp));
    down.parts.push_back(weight(Projection::kDown));
  }
  fused.push_back(std::move(gate_up));
  fused.push_back(std::move(down));
}

}  // namespace

std::vector<FusedTensor> FusedTensors(const ModelConfig& config) {
  const std::vector<LinearSpec> linears = BlockLinears(config);
  std::vector<FusedTensor> fused;
  for (int64_t n = 0; n < config.num_layers; ++n) {
    const LinearSpec* block = &linears[LinearsOfBlock(config, n).begin];
    if (config.fused_projections) AddFusedProjections(n, block, fused);
    if (config.IsSparse(n)) AddFusedExperts(config, n, block, fused);
  }
  // Where experts are fused, Mixtral's routers have another name too: fused of one part.
  for (const RouterSpec& router : BlockRouters(config)) {
    const std::string name = fmt::format("model.layers.{}.mlp.gate.weight", router.layer);
    if (router.router != Router::kExperts || router.name == name) continue;
    const std::vector<int64_t> shape = {router.rows, config.hidden_size};
    fused.push_back({name, shape, {{router.name, shape}}, true});
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
  for (const RouterSpec& router : BlockRouters(config)) {
    expected.push_back({router.name, {router.rows, config.hidden_size}});
  }
  expected.push_back({kFinalNormName, {config.hidden_size}});
  if (!config.tie_word_embeddings) {
    expected.push_back({kHeadName, {config.vocab_size, config.hidden_size}});
  }
  return expected;
}

}  // namespace llmq
