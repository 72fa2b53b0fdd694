#include "formats/gguf_names.h"

#include <fmt/format.h>

#include <array>

namespace llmq {
namespace {

// In the order of Projection.
constexpr std::array<const char*, kNumProjections> kProjectionNames = {
    "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"};

}  // namespace

std::string GgufArchitecture(const ModelConfig&) { return "llama"; }

std::map<std::string, std::string> GgufTensorNames(const ModelConfig& config) {
  std::map<std::string, std::string> names = {{kEmbeddingName, "token_embd.weight"},
                                              {kFinalNormName, "output_norm.weight"}};
  if (!config.tie_word_embeddings) names[kHeadName] = "output.weight";
  for (int64_t n = 0; n < config.num_layers; ++n) {
    names[InputNormName(n)] = fmt::format("blk.{}.attn_norm.weight", n);
    names[PostAttentionNormName(n)] = fmt::format("blk.{}.ffn_norm.weight", n);
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
