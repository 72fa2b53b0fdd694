// What sets one family of models apart from another: a table, one entry per architecture.
//
// Before: config.json names an architecture. After: model_config asks the entry for defaults and
// for what config.json cannot say. A new family is a new entry; a new fact is a new member, and a
// place in trainer and runtime that obeys it (docs/architecture.md, "A new family").
#ifndef LLMQ_CORE_ARCHITECTURES_H_
#define LLMQ_CORE_ARCHITECTURES_H_

#include <array>
#include <span>
#include <string_view>

#include "llmq/model_config.h"

namespace llmq {

// Which linears have a bias: none; those that attention_bias and mlp_bias name; those that
// attention_bias names; q, k and v in any case; these unless qkv_bias says no; all; all unless
// enable_bias is false.
enum class BiasRule {
  kNone,
  kAsConfigured,
  kAttentionAsConfigured,
  kQkv,
  kQkvAsConfigured,
  kAll,
  kAllUnlessDisabled
};

// Which layers have the window, where config.json has no "layer_types": none; all; with
// use_sliding_window those from max_window_layers on; with it all of them, whatever "layer_types"
// says; with it every second, from the first, below max_window_layers; every second, from the
// first; all but every sixth.
enum class WindowRule {
  kNone,
  kAll,
  kFromLayer,
  kAllIfUsed,
  kAlternateBelow,
  kAlternate,
  kFiveOfSix
};

// Mixture of experts: what config.json means by leaving a key out.
struct ExpertFacts {
  int64_t default_count = 0;  // 0: the family has no experts
  int64_t default_per_token = 0;
  int64_t default_size = 0;         // reads moe_intermediate_size; 0: intermediate_size
  int64_t default_shared_size = 0;  // reads shared_expert_intermediate_size; 0: none is shared
  ExpertNames names = ExpertNames::kQwen;
  bool normalized = false;   // in any case; false: reads norm_topk_prob
  bool every_layer = false;  // false: reads mlp_only_layers, decoder_sparse_step
};

// What config.json calls a number.
struct ConfigKeys {
  const char* hidden_size = "hidden_size";
  const char* intermediate_size = "intermediate_size";
  const char* num_layers = "num_hidden_layers";
  const char* num_heads = "num_attention_heads";
  const char* max_position = "max_position_embeddings";
  const char* norm_eps = "rms_norm_eps";  // nullptr: always the default
  const char* embedding_size = nullptr;   // of embedding and head; nullptr: the hidden size
};

// A switch of config.json whose other position is another model.
struct FixedSwitch {
  const char* key;
  bool value;  // also that of a missing key
};

// A module of the checkpoint and what it holds by the program's names, "{}" being the layer's
// number: of each its weight and its bias, if the model has one (PublishedTensor).
struct PublishedModule {
  std::string_view name;
  std::array<std::string_view, 3> parts;  // empty from some part on
  bool transposed = false;
};

struct Family {
  std::string_view architecture;
  // The object of config.json with the numbers of the text model; nullptr: config.json itself.
  const char* text_config = nullptr;
  std::string_view gguf_architecture = "llama";
  bool in_llama_cpp = true;
  ConfigKeys keys = {};
  // What config.json means by leaving a key out; 0: no more than Llama's, or it must be there.
  int64_t default_vocab = 0;
  int64_t default_max_position = 0;
  int64_t default_heads = 0;
  int64_t default_kv_heads = 0;
  int64_t default_head_dim = 0;
  int64_t default_window = 0;
  int64_t default_intermediate = 0;  // in hidden sizes; 0: must be there
  double default_norm_eps = 1e-6;
  double default_theta = 10000;
  bool tied_by_default = false;
  BiasRule bias = BiasRule::kNone;
  WindowRule window = WindowRule::kNone;
  Activation activation = Activation::kSilu;
  bool reads_activation = false;  // from activation_function, and `activation` is the default
  bool gated_mlp = true;
  NormKind norm_kind = NormKind::kRms;
  bool rotary = true;
  bool learned_positions = false;
  int64_t position_offset = 0;
  bool qk_norm = false;
  bool sandwich_norms = false;
  bool reads_norm_place = false;  // from do_layer_norm_before, _remove_final_layer_norm
  double norm_offset = 0;
  bool scaled_embedding = false;    // by the root of the hidden size
  bool softcaps = false;            // reads attn_logit_softcapping, final_logit_softcapping
  double default_query_scalar = 0;  // reads query_pre_attn_scalar; 0: 1 / sqrt(head_dim)
  double sliding_theta = 0;         // rotary base of layers with the window; 0: as all
  bool partial_rotary = false;      // reads partial_rotary_factor
  ExpertFacts experts;
  bool unscaled_attention = false;  // reads scale_attn_weights
  std::span<const FixedSwitch> switches = {};
  // As checkpoints name their tensors (PublishedNames).
  std::span<const PublishedPrefix> prefixes = {};
  std::span<const std::string_view> not_of_text = {};
  std::string_view optional_prefix = "";
  std::span<const PublishedModule> modules = {};
  std::span<const std::string_view> unused = {};
};

std::span<const Family> Families();
// nullptr: unknown.
const Family* FindFamily(std::string_view architecture);

}  // namespace llmq

#endif  // LLMQ_CORE_ARCHITECTURES_H_
