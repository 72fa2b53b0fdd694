#include "formats/gguf_names.h"

#include <fmt/format.h>

#include <array>

namespace llmq {
namespace {

// In the order of Projection.
constexpr std::array<const char*, 7> kProjectionNames = {
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

// In the order of BlockNorm.
constexpr std::array<const char*, kNumBlockNorms> kNormNames = {
    "attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_q_norm", "attn_k_norm"};

}  // namespace

std::string GgufArchitecture(const ModelConfig& config) { return config.gguf_architecture; }

std::map<std::string, std::string> GgufTensorNames(const ModelConfig& config) {
  std::map<std::string, std::string> names = {{kEmbeddingName, "token_embd.weight"},
                                              {kFinalNormName, "output_norm.weight"}};
  if (!config.tie_word_embeddings) names[kHeadName] = "output.weight";
  for (const NormSpec& norm : BlockNorms(config)) {
    names[norm.name] =
        fmt::format("blk.{}.{}.weight", norm.layer, kNormNames[static_cast<size_t>(norm.norm)]);
  }
  for (const LinearSpec& linear : BlockLinears(config)) {
    const std::string base = fmt::format("blk.{}.{}", linear.layer,
                                         kProjectionNames[static_cast<size_t>(linear.projection)]);
    names[linear.name + ".weight"] = base + ".weight";
    if (linear.has_bias) names[linear.name + ".bias"] = base + ".bias";
  }
  return names;
}

}  // namespace llmq
