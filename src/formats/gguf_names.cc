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

}  // namespace

std::string GgufArchitecture(const ModelConfig& config) { return config.gguf_architecture; }

std::map<std::string, std::string> GgufTensorNames(const ModelConfig& config) {
  std::map<std::string, std::string> names = {{kEmbeddingName, "token_embd.weight"},
                                              {kFinalNormName, "output_norm.weight"}};
  if (config.learned_positions) names[kPositionsName] = "position_embd.weight";
  if (!config.tie_word_embeddings) names[kHeadName] = "output.weight";
  const auto add_bias = [&](const NormSpec& norm, const std::string& base) {
    if (!norm.bias.empty()) names[norm.bias] = base + ".bias";
  };
  add_bias(FinalNorm(config), "output_norm");
  for (const NormSpec& norm : BlockNorms(config)) {
    const std::string base =
        fmt::format("blk.{}.{}", norm.layer, kNormNames[static_cast<size_t>(norm.norm)]);
    names[norm.name] = base + ".weight";
    add_bias(norm, base);
  }
  for (const LinearSpec& linear : BlockLinears(config)) {
    const std::string base = fmt::format("blk.{}.{}", linear.layer,
                                         kProjectionNames[static_cast<size_t>(linear.projection)]);
    names[linear.name + ".weight"] = base + ".weight";
    if (linear.has_bias) names[linear.name + ".bias"] = base + ".bias";
  }
  return names;
}

std::map<std::string, std::vector<std::string>> FusedGgufTensors(const ModelConfig& config) {
  std::map<std::string, std::vector<std::string>> fused;
  const std::map<std::string, std::string> names = GgufTensorNames(config);
  for (const PublishedTensor& published : PublishedNamesOf(config).tensors) {
    if (published.parts.size() < 2) continue;
    std::string name = names.at(published.parts.front().name);
    for (const auto& [first, whole] : kFusedNames) {
      const size_t place = name.find(first);
      if (place != std::string::npos) name.replace(place, first.size(), whole);
    }
    for (const ExpectedTensor& part : published.parts) fused[name].push_back(part.name);
  }
  return fused;
}

}  // namespace llmq
