#include "formats/gguf_names.h"

#include <fmt/format.h>

#include <array>
#include <string_view>
#include <utility>

namespace llmq {
namespace {

// In the order of Projection.
constexpr std::array<const char*, 7> kProjectionNames = {
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

// In the order of BlockNorm.
constexpr std::array<const char*, kNumBlockNorms> kNormNames = {
    "attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm"};

// By the name of the first part.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kFusedNames = {
    {{".attn_q.", ".attn_qkv."}, {".ffn_gate.", ".ffn_up."}}};
// "blk.3.attn_q", "blk.3.ffn_gate", "blk.3.ffn_gate_exps", "blk.3.ffn_gate_shexp".
std::string BaseName(const ModelConfig& config, const LinearSpec& linear) {
  const bool in_mlp = linear.projection >= Projection::kGate;
  const bool sparse = in_mlp && config.IsSparse(linear.layer);
  const bool shared = sparse && linear.mlp == config.experts.count;
  return fmt::format("blk.{}.{}{}", linear.layer,
                     kProjectionNames[static_cast<size_t>(linear.projection)],
                     shared   ? "_shexp"
                     : sparse ? "_exps"
                              : "");
}

// As the family publishes them: q, k and v in one; gate and up in one.
std::vector<JoinedGgufTensor> FusedTensors(const ModelConfig& config) {
  std::vector<JoinedGgufTensor> fused;
  const std::map<std::string, std::string> names = GgufTensorNames(config);
  for (const PublishedTensor& published : PublishedNamesOf(config).tensors) {
    if (published.parts.size() < 2 || published.optional) continue;
    JoinedGgufTensor whole{
        names.at(published.parts.front().name), published.parts.front().shape, {}};
    for (const auto& [first, fused_name] : kFusedNames) {
      const size_t place = whole.name.find(first);
      if (place != std::string::npos) whole.name.replace(place, first.size(), fused_name);
    }
    whole.shape[0] = 0;
    for (const ExpectedTensor& part : published.parts) {
      whole.shape[0] += part.shape[0];
      whole.parts.push_back(part.name);
    }
    fused.push_back(std::move(whole));
  }
  return fused;
}

bool IsInStack(const ModelConfig& config, const LinearSpec& linear) {
  return linear.projection >= Projection::kGate && config.IsSparse(linear.layer) &&
         linear.mlp < config.experts.count;
}

}  // namespace

std::string GgufArchitecture(const ModelConfig& config) { return config.gguf_architecture; }

std::map<std::string, std::string> GgufTensorNames(const ModelConfig& config) {
  std::map<std::string, std::string> names = {{kEmbeddingName, "token_embd.weight"}};
  if (config.learned_positions) names[kPositionsName] = "position_embd.weight";
  if (!config.tie_word_embeddings) names[kHeadName] = "output.weight";
  const auto add_bias = [&](const NormSpec& norm, const std::string& base) {
    if (!norm.bias.empty()) names[norm.bias] = base + ".bias";
  };
  if (config.has_final_norm) {
    names[kFinalNormName] = "output_norm.weight";
    add_bias(FinalNorm(config), "output_norm");
  }
  for (const NormSpec& norm : BlockNorms(config)) {
    const std::string base =
        fmt::format("blk.{}.{}", norm.layer, kNormNames[static_cast<size_t>(norm.norm)]);
    names[norm.name] = base + ".weight";
    add_bias(norm, base);
  }
  for (const LinearSpec& linear : BlockLinears(config)) {
    std::string base = BaseName(config, linear);
    if (IsInStack(config, linear)) base += fmt::format(".{}", linear.mlp);
    names[linear.name + ".weight"] = base + ".weight";
    if (linear.has_bias) names[linear.name + ".bias"] = base + ".bias";
  }
  for (const RouterSpec& router : BlockRouters(config)) {
    const bool shared = router.router == Router::kShared;
    names[router.name] =
        fmt::format("blk.{}.ffn_gate_inp{}.weight", router.layer, shared ? "_shexp" : "");
  }
  return names;
}

std::vector<JoinedGgufTensor> JoinedGgufTensors(const ModelConfig& config) {
  std::vector<JoinedGgufTensor> joined = FusedTensors(config);
  std::map<std::string, size_t> index;  // by name
  for (const LinearSpec& linear : BlockLinears(config)) {
    if (!IsInStack(config, linear)) continue;
    const std::string name = BaseName(config, linear) + ".weight";
    const auto [place, is_new] = index.try_emplace(name, joined.size());
    if (is_new) joined.push_back({name, {config.experts.count, linear.d_out, linear.d_in}, {}});
    joined[place->second].parts.push_back(linear.name + ".weight");
  }
  return joined;
}

}  // namespace llmq
