#include "llamacpp/model_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "base/json.h"
#include "formats/gguf_names.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr const char* kRead = "llama";  // the architecture of dense files that are read

std::string Prefixed(const std::string& architecture, const char* key) {
  return fmt::format("{}.{}", architecture, key);
}

// Puts the architecture's name before keys.
class KeyList {
 public:
  explicit KeyList(std::string architecture) : architecture_(std::move(architecture)) {}
  void Add(const char* key, GgufValue value) {
    keys_.push_back({Prefixed(architecture_, key), std::move(value)});
  }
  void AddCount(const char* key, int64_t value) { Add(key, static_cast<uint32_t>(value)); }
  void AddNumber(const char* key, double value) { Add(key, static_cast<float>(value)); }
  std::vector<GgufKey> Take() { return std::move(keys_); }

 private:
  std::string architecture_;
  std::vector<GgufKey> keys_;
};

void AddRopeKeys(const RopeConfig& rope, KeyList& keys) {
  const auto add = [&](const char* key, GgufValue value) { keys.Add(key, std::move(value)); };
  add("rope.freq_base", static_cast<float>(rope.theta));
  if (rope.scaling == RopeScalingKind::kLinear) {
    add("rope.scaling.type", std::string("linear"));
    add("rope.scaling.factor", static_cast<float>(rope.factor));
  }
  if (rope.scaling == RopeScalingKind::kLongRope) {  // the rest is in tensors
    add("rope.scaling.type", std::string("longrope"));
    add("rope.scaling.original_context_length", static_cast<uint32_t>(rope.original_max_position));
    add("rope.scaling.attn_factor", static_cast<float>(rope.attention_factor));
  }
  if (rope.scaling != RopeScalingKind::kYarn) return;
  add("rope.scaling.type", std::string("yarn"));
  add("rope.scaling.factor", static_cast<float>(rope.factor));
  add("rope.scaling.original_context_length", static_cast<uint32_t>(rope.original_max_position));
  add("rope.scaling.yarn_beta_fast", static_cast<float>(rope.beta_fast));
  add("rope.scaling.yarn_beta_slow", static_cast<float>(rope.beta_slow));
  if (rope.attention_factor != 0) {  // llama.cpp multiplies its own factor by this
    const double own = 0.1 * std::log(std::max(rope.factor, 1.0)) + 1;
    add("rope.scaling.attn_factor", static_cast<float>(rope.attention_factor / own));
  }
}

void AddExpertKeys(const ModelConfig& config, KeyList& keys) {
  const ExpertConfig& experts = config.experts;
  if (experts.count == 0) return;
  keys.AddCount("expert_count", experts.count);
  keys.AddCount("expert_used_count", experts.per_token);
  // Experts of the architecture llama have the size feed_forward_length.
  if (config.gguf_architecture == "llama") return;
  keys.AddCount("expert_feed_forward_length", experts.intermediate_size);
  if (experts.shared_intermediate_size > 0) {
    keys.AddCount("expert_shared_feed_forward_length", experts.shared_intermediate_size);
  }
}

class KeyReader {
 public:
  explicit KeyReader(const GgufFile& file) : file_(file) {}

  int64_t Int(const char* key, std::optional<int64_t> fallback = {}) const {
    if (const auto* value = file_.Get<uint32_t>(Prefixed(kRead, key))) return *value;
    if (!fallback) Fail(key, "expected this key, found none");
    return *fallback;
  }
  double Number(const char* key, std::optional<double> fallback = {}) const {
    if (const auto* value = file_.Get<float>(Prefixed(kRead, key))) return *value;
    if (!fallback) Fail(key, "expected this key, found none");
    return *fallback;
  }
  std::string Text(const char* key, const char* fallback) const {
    const auto* value = file_.Get<std::string>(Prefixed(kRead, key));
    return value == nullptr ? fallback : *value;
  }
  [[noreturn]] void Fail(const char* key, const std::string& what) const {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: {}: {}", file_.path().string(), Prefixed(kRead, key), what),
                "The file does not hold a model that this program can run");
  }

 private:
  const GgufFile& file_;
};

void CheckArchitecture(const GgufFile& file) {
  const auto* architecture = file.Get<std::string>("general.architecture");
  if (architecture != nullptr && *architecture == "llama") return;
  throw Error(
      ErrorCode::kGeneral,
      fmt::format("{}: general.architecture: expected llama, found {}", file.path().string(),
                  architecture == nullptr ? "nothing" : "\"" + *architecture + "\""),
      "Of GGUF files, only those of the architecture llama can be run");
}

Json RopeScalingJson(const KeyReader& keys) {
  const std::string type = keys.Text("rope.scaling.type", "linear");
  const double factor = keys.Number("rope.scaling.factor", 1.0);
  if (type == "none" || (type == "linear" && factor <= 1)) return nullptr;
  if (type == "linear") return {{"rope_type", "linear"}, {"factor", factor}};
  if (type != "yarn") {
    keys.Fail("rope.scaling.type",
              fmt::format("expected none, linear or yarn, found \"{}\"", type.substr(0, 40)));
  }
  const double own = 0.1 * std::log(std::max(factor, 1.0)) + 1;
  return {{"rope_type", "yarn"},
          {"factor", factor},
          {"original_max_position_embeddings",
           keys.Int("rope.scaling.original_context_length", keys.Int("context_length"))},
          {"beta_fast", keys.Number("rope.scaling.yarn_beta_fast", 32.0)},
          {"beta_slow", keys.Number("rope.scaling.yarn_beta_slow", 1.0)},
          {"attention_factor", own * keys.Number("rope.scaling.attn_factor", 1.0)}};
}

// Gemma 2 and 3; which of their layers slide is llama.cpp's rule.
bool HasWindowKey(const ModelConfig& config) {
  return config.sandwich_norms && config.sliding_window > 0;
}

Json TokenIdJson(const GgufFile& file, const char* key) {
  const auto* id = file.Get<uint32_t>(key);
  return id == nullptr ? Json() : Json(*id);
}

int64_t VocabSize(const GgufFile& file, const KeyReader& keys) {
  const GgufTensor* embedding = file.FindTensor("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) return embedding->shape[0];
  return keys.Int("vocab_size");
}

// What llama.cpp's graphs of models with experts take for granted.
template <typename Fail>
void ExpectExpertsOfLlamaCpp(const ModelConfig& config, const Fail& fail) {
  const ExpertConfig& experts = config.experts;
  if (experts.count == 0) {
    if (config.gguf_architecture.ends_with("moe")) fail("expected experts, found none");
    return;
  }
  if (std::ranges::find(experts.sparse_layers, false) != experts.sparse_layers.end()) {
    fail("expected experts in every layer, as llama.cpp has them, found layers without");
  }
  const bool is_qwen2 = config.gguf_architecture == "qwen2moe";
  if (experts.normalized == is_qwen2) {
    fail(fmt::format("\"norm_topk_prob\": expected {}, as llama.cpp takes it, found {}", !is_qwen2,
                     is_qwen2));
  }
  if (is_qwen2 && config.tie_word_embeddings) {
    fail("expected a head of its own, as llama.cpp wants it, found a tied one");
  }
}

}  // namespace

std::vector<GgufKey> ModelKeys(const ModelConfig& config) {
  KeyList keys(config.gguf_architecture);
  keys.AddCount("block_count", config.num_layers);
  keys.AddCount("context_length", config.max_position);
  keys.AddCount("embedding_length", config.hidden_size);
  keys.AddCount("feed_forward_length", config.intermediate_size);
  keys.AddCount("attention.head_count", config.num_heads);
  keys.AddCount("attention.head_count_kv", config.num_kv_heads);
  keys.AddCount("attention.key_length", config.head_dim);
  keys.AddCount("attention.value_length", config.head_dim);
  keys.AddNumber(config.norm_kind == NormKind::kLayer ? "attention.layer_norm_epsilon"
                                                      : "attention.layer_norm_rms_epsilon",
                 config.norm_eps);
  if (config.rope.dim > 0) {
    keys.AddCount("rope.dimension_count", config.rope.dim);
    AddRopeKeys(config.rope, keys);
  }
  // Of phi3, versions read the key, want it to be there, or ignore the window.
  const bool wants_key = config.gguf_architecture == "phi3";
  if (HasWindowKey(config) || wants_key)
    keys.AddCount("attention.sliding_window", config.sliding_window);
  if (config.attention_softcap > 0) {
    keys.AddNumber("attn_logit_softcapping", config.attention_softcap);
  }
  if (config.logit_softcap > 0) keys.AddNumber("final_logit_softcapping", config.logit_softcap);
  AddExpertKeys(config, keys);
  keys.AddCount("vocab_size", config.vocab_size);
  return keys.Take();
}

void ExpectRunsInLlamaCpp(const ModelConfig& config) {
  const auto fail = [&](const std::string& what) {
    throw Error(ErrorCode::kUnsupportedConversion, fmt::format("{}: {}", config.architecture, what),
                "Use the .littlebit file, or --format gguf-ext to keep the factors in GGUF");
  };
  if (!config.in_llama_cpp) {
    fail("expected a family that llama.cpp knows, found one that it does not");
  }
  if (!config.gated_mlp && config.activation != Activation::kGeluTanh) {
    fail("\"activation_function\": expected gelu_new, as llama.cpp takes it, found another one");
  }
  ExpectExpertsOfLlamaCpp(config, fail);
  const double usual = 1 / std::sqrt(static_cast<double>(config.head_dim));
  if (std::abs(config.AttentionScale() / usual - 1) > 1e-6) {
    fail(
        "expected attention scaled by the root of head_dim, as llama.cpp takes it, found another "
        "number (\"query_pre_attn_scalar\", \"scale_attn_weights\")");
  }
}

std::vector<std::string> LossesOfModelKeys(const ModelConfig& config) {
  std::vector<std::string> losses;
  const bool slides = config.sliding_window > 0 && config.sliding_window < config.max_position;
  if (slides && !HasWindowKey(config)) {
    losses.push_back(fmt::format(
        "llama.cpp's {} models have no sliding window: texts of more than {} tokens are read "
        "with full attention",
        config.gguf_architecture, config.sliding_window));
  }
  if (config.rope.scaling == RopeScalingKind::kDynamic) {
    losses.push_back(fmt::format(
        "GGUF has no dynamic rotary scaling: texts of more than {} tokens will be read badly",
        config.rope.original_max_position));
  }
  if (config.rope.scaling == RopeScalingKind::kLongRope) {
    losses.push_back(fmt::format(
        "llama.cpp chooses the rotary factors of long texts for contexts of more than {} tokens, "
        "however short the text",
        config.rope.original_max_position));
  }
  if (config.rope.scaling == RopeScalingKind::kYarn && !config.rope.truncate) {
    losses.emplace_back("GGUF has no YaRN without rounded borders: frequencies differ a little");
  }
  return losses;
}

std::vector<RopeFactors> RopeFactorTensors(const ModelConfig& config) {
  if (config.rope.scaling == RopeScalingKind::kLongRope) {
    return {{"rope_factors_long.weight", config.rope.long_divisors},
            {"rope_factors_short.weight", config.rope.short_divisors}};
  }
  if (config.rope.scaling != RopeScalingKind::kLlama3) return {};
  RopeConfig plain = config.rope;
  plain.scaling = RopeScalingKind::kNone;
  std::vector<float> factors = ComputeRopeFrequencies(plain, 0).inverse;
  const std::vector<float> scaled = ComputeRopeFrequencies(config.rope, 0).inverse;
  for (size_t i = 0; i < factors.size(); ++i) factors[i] /= scaled[i];
  return {{"rope_freqs.weight", std::move(factors)}};
}

std::string ConfigJsonFromGguf(const GgufFile& file) {
  CheckArchitecture(file);
  const KeyReader keys(file);
  if (keys.Int("expert_count", 0) != 0) {
    keys.Fail("expert_count", "expected a model without experts, found one with");
  }
  const int64_t heads = keys.Int("attention.head_count");
  const int64_t hidden = keys.Int("embedding_length");
  const int64_t head_dim = keys.Int("attention.key_length", heads > 0 ? hidden / heads : 0);
  if (keys.Int("rope.dimension_count", head_dim) != head_dim ||
      keys.Int("attention.value_length", head_dim) != head_dim) {
    keys.Fail("rope.dimension_count", fmt::format("expected {}, as attention.key_length and "
                                                  "attention.value_length, found another number",
                                                  head_dim));
  }
  const Json config = {{"architectures", {"LlamaForCausalLM"}},
                       {"model_type", "llama"},
                       {"hidden_size", hidden},
                       {"intermediate_size", keys.Int("feed_forward_length")},
                       {"num_hidden_layers", keys.Int("block_count")},
                       {"num_attention_heads", heads},
                       {"num_key_value_heads", keys.Int("attention.head_count_kv", heads)},
                       {"head_dim", head_dim},
                       {"vocab_size", VocabSize(file, keys)},
                       {"max_position_embeddings", keys.Int("context_length")},
                       {"rms_norm_eps", keys.Number("attention.layer_norm_rms_epsilon")},
                       {"rope_theta", keys.Number("rope.freq_base", 10000.0)},
                       {"rope_scaling", RopeScalingJson(keys)},
                       {"tie_word_embeddings", file.FindTensor("output.weight") == nullptr},
                       {"attention_bias", file.FindTensor("blk.0.attn_q.bias") != nullptr},
                       {"mlp_bias", file.FindTensor("blk.0.ffn_gate.bias") != nullptr},
                       {"bos_token_id", TokenIdJson(file, "tokenizer.ggml.bos_token_id")},
                       {"eos_token_id", TokenIdJson(file, "tokenizer.ggml.eos_token_id")}};
  return DumpJson(config, 2);
}

}  // namespace llmq
