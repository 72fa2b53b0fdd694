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
  family.default_theta = 1e6;
  family.sliding_theta = 10000;
  return family;
}

// The text model of one that also reads images: published configurations leave out most numbers.
constexpr PublishedPrefix kGemma3Prefixes[] = {{"model.language_model.", "model."},
                                               {"language_model.", ""}};
constexpr std::string_view kGemma3Images[] = {"vision_tower.", "model.vision_tower.",
                                              "multi_modal_projector.",
                                              "model.multi_modal_projector."};

constexpr Family Gemma3WithImages() {
  Family family = Gemma3();
  family.architecture = "Gemma3ForConditionalGeneration";
  family.text_config = "text_config";
  family.default_vocab = 262208;
  family.default_max_position = 131072;
  family.default_heads = 8;
  family.default_kv_heads = 4;
  family.prefixes = kGemma3Prefixes;
  family.not_of_text = kGemma3Images;
  return family;
}

constexpr PublishedModule kPhi3Modules[] = {
    {"model.layers.{}.self_attn.qkv_proj",
     {"model.layers.{}.self_attn.q_proj", "model.layers.{}.self_attn.k_proj",
      "model.layers.{}.self_attn.v_proj"}},
    {"model.layers.{}.mlp.gate_up_proj",
     {"model.layers.{}.mlp.gate_proj", "model.layers.{}.mlp.up_proj"}},
};

// ---- OPT: OPT-350m alone has its norms elsewhere, and embeddings narrower than its blocks. ----

constexpr FixedSwitch kOptSwitches[] = {{"layer_norm_elementwise_affine", true}};

constexpr PublishedModule kOptModules[] = {
    {"decoder.embed_tokens", {"model.embed_tokens"}},
    {"decoder.embed_positions", {"model.embed_positions"}},
    {"decoder.project_in", {"model.project_in"}},
    {"decoder.project_out", {"model.project_out"}},
    {"decoder.final_layer_norm", {"model.norm"}},
    {"decoder.layers.{}.self_attn_layer_norm", {"model.layers.{}.input_layernorm"}},
    {"decoder.layers.{}.self_attn.q_proj", {"model.layers.{}.self_attn.q_proj"}},
    {"decoder.layers.{}.self_attn.k_proj", {"model.layers.{}.self_attn.k_proj"}},
    {"decoder.layers.{}.self_attn.v_proj", {"model.layers.{}.self_attn.v_proj"}},
    {"decoder.layers.{}.self_attn.out_proj", {"model.layers.{}.self_attn.o_proj"}},
    {"decoder.layers.{}.final_layer_norm", {"model.layers.{}.post_attention_layernorm"}},
    {"decoder.layers.{}.fc1", {"model.layers.{}.mlp.up_proj"}},
    {"decoder.layers.{}.fc2", {"model.layers.{}.mlp.down_proj"}},
};

constexpr Family kOpt = {.architecture = "OPTForCausalLM",
                         .gguf_architecture = "opt",
                         .in_llama_cpp = false,
                         .keys = {.intermediate_size = "ffn_dim",
                                  .norm_eps = nullptr,
                                  .embedding_size = "word_embed_proj_dim"},
                         .default_norm_eps = 1e-5,
                         .tied_by_default = true,
                         .bias = BiasRule::kAllUnlessDisabled,
                         .activation = Activation::kRelu,
                         .reads_activation = true,
                         .gated_mlp = false,
                         .norm_kind = NormKind::kLayer,
                         .rotary = false,
                         .learned_positions = true,
                         .position_offset = 2,
                         .reads_norm_place = true,
                         .switches = kOptSwitches,
                         .optional_prefix = "model.",
                         .modules = kOptModules};

// ---- GPT-2: its linears are "Conv1D", whose weights are [in, out]. ----

constexpr FixedSwitch kGpt2Switches[] = {{"scale_attn_by_inverse_layer_idx", false},
                                         {"add_cross_attention", false}};

constexpr PublishedModule kGpt2Modules[] = {
    {"wte", {"model.embed_tokens"}},
    {"wpe", {"model.embed_positions"}},
    {"ln_f", {"model.norm"}},
    {"h.{}.ln_1", {"model.layers.{}.input_layernorm"}},
    {"h.{}.attn.c_attn",
     {"model.layers.{}.self_attn.q_proj", "model.layers.{}.self_attn.k_proj",
      "model.layers.{}.self_attn.v_proj"},
     true},
    {"h.{}.attn.c_proj", {"model.layers.{}.self_attn.o_proj"}, true},
    {"h.{}.ln_2", {"model.layers.{}.post_attention_layernorm"}},
    {"h.{}.mlp.c_fc", {"model.layers.{}.mlp.up_proj"}, true},
    {"h.{}.mlp.c_proj", {"model.layers.{}.mlp.down_proj"}, true},
};
constexpr std::string_view kGpt2Unused[] = {"h.{}.attn.bias", "h.{}.attn.masked_bias"};  // masks

constexpr Family kGpt2 = {.architecture = "GPT2LMHeadModel",
                          .gguf_architecture = "gpt2",
                          .keys = {.hidden_size = "n_embd",
                                   .intermediate_size = "n_inner",
                                   .num_layers = "n_layer",
                                   .num_heads = "n_head",
                                   .max_position = "n_positions",
                                   .norm_eps = "layer_norm_epsilon"},
                          .default_intermediate = 4,
                          .default_norm_eps = 1e-5,
                          .tied_by_default = true,
                          .bias = BiasRule::kAll,
                          .activation = Activation::kGeluTanh,
                          .reads_activation = true,
                          .gated_mlp = false,
                          .norm_kind = NormKind::kLayer,
                          .rotary = false,
                          .learned_positions = true,
                          .unscaled_attention = true,
                          .switches = kGpt2Switches,
                          .optional_prefix = "transformer.",
                          .modules = kGpt2Modules,
                          .unused = kGpt2Unused};

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
    Gemma3WithImages(),
    Family{.architecture = "Phi3ForCausalLM",
           .gguf_architecture = "phi3",
           .window = WindowRule::kAll,
           .partial_rotary = true,
           .modules = kPhi3Modules},
    kOpt,
    kGpt2,
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

const Family* FindFamily(std::string_view architecture) {
  for (const Family& family : kFamilies) {
    if (architecture == family.architecture) return &family;
  }
  return nullptr;
}

}  // namespace llmq
