#include "core/architectures.h"

#include <array>

namespace llmq {
namespace {

// Defaults are those of transformers' configuration classes.
constexpr Family kGemma = {.architecture = "GemmaForCausalLM",
                           .gguf_architecture = "gemma",
                           .default_head_dim = 256,
                           .tied_by_default = true,
                           .bias = BiasRule::kAttentionAsConfigured,
                           .activation = Activation::kGeluTanh,
                           .norm_offset = 1,
                           .scaled_embedding = true};

constexpr Family Gemma2() {
  Family family = kGemma;
  family.architecture = "Gemma2ForCausalLM";
  family.gguf_architecture = "gemma2";
  family.default_window = 4096;
  family.window = WindowRule::kAlternate;
  family.sandwich_norms = true;
  family.softcaps = true;
  family.default_query_scalar = 256;
  return family;
}

constexpr Family Gemma3() {
  Family family = Gemma2();
  family.architecture = "Gemma3ForCausalLM";
  family.gguf_architecture = "gemma3";
  family.window = WindowRule::kFiveOfSix;
  family.qk_norm = true;
  family.sliding_theta = 10000;
  return family;
}

constexpr std::array kFamilies = {
    Family{.architecture = "LlamaForCausalLM", .bias = BiasRule::kAsConfigured},
    Family{.architecture = "MistralForCausalLM",
           .default_kv_heads = 8,
           .default_window = 4096,
           .window = WindowRule::kAll},
    Family{.architecture = "Qwen2ForCausalLM",
           .gguf_architecture = "qwen2",
           .default_kv_heads = 32,
           .default_window = 4096,
           .bias = BiasRule::kQkv,
           .window = WindowRule::kFromLayer},
    Family{.architecture = "Qwen3ForCausalLM",
           .gguf_architecture = "qwen3",
           .default_kv_heads = 32,
           .default_head_dim = 128,
           .default_window = 4096,
           .bias = BiasRule::kAttentionAsConfigured,
           .window = WindowRule::kFromLayer,
           .qk_norm = true},
    kGemma,
    Gemma2(),
    Gemma3(),
    Family{.architecture = "Phi3ForCausalLM",
           .gguf_architecture = "phi3",
           .window = WindowRule::kAll,
           .partial_rotary = true,
           .fused_projections = true},
    Family{.architecture = "MixtralForCausalLM",
           .default_kv_heads = 8,
           .default_theta = 1e6,
           .window = WindowRule::kAll,
           .experts = {.default_count = 8,
                       .default_per_token = 2,
                       .names = ExpertNames::kMixtral,
                       .normalized = true,
                       .every_layer = true}},
    Family{.architecture = "Qwen2MoeForCausalLM",
           .gguf_architecture = "qwen2moe",
           .default_kv_heads = 16,
           .default_window = 4096,
           .bias = BiasRule::kQkvAsConfigured,
           .window = WindowRule::kAlternateBelow,
           .experts = {.default_count = 60,
                       .default_per_token = 4,
                       .default_size = 1408,
                       .default_shared_size = 5632}},
    Family{.architecture = "Qwen3MoeForCausalLM",
           .gguf_architecture = "qwen3moe",
           .default_kv_heads = 4,
           .default_window = 4096,
           .bias = BiasRule::kAttentionAsConfigured,
           .window = WindowRule::kAllIfUsed,
           .qk_norm = true,
           .experts = {.default_count = 128, .default_per_token = 8, .default_size = 768}},
};

}  // namespace

std::span<const Family> Families() { return kFamilies; }

}  // namespace llmq
