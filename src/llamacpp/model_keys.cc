#include "llamacpp/model_keys.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

#include "base/json.h"
#include "formats/gguf_names.h"
#include "llmq/error.h"

namespace llmq {
namespace {

std::string Prefixed(const char* key) { return fmt::format("llama.{}", key); }

void AppendRopeKeys(const RopeConfig& rope, std::vector<GgufKey>& keys) {
  const auto add = [&](const char* key, GgufValue value) {
    keys.push_back({Prefixed(key), std::move(value)});
  };
  add("rope.freq_base", static_cast<float>(rope.theta));
  if (rope.scaling == RopeScalingKind::kLinear) {
    add("rope.scaling.type", std::string("linear"));
    add("rope.scaling.factor", static_cast<float>(rope.factor));
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

class KeyReader {
 public:
  explicit KeyReader(const GgufFile& file) : file_(file) {}

  int64_t Int(const char* key, std::optional<int64_t> fallback = {}) const {
    if (const auto* value = file_.Get<uint32_t>(Prefixed(key))) return *value;
    if (!fallback) Fail(key, "expected this key, found none");
    return *fallback;
  }
  double Number(const char* key, std::optional<double> fallback = {}) const {
    if (const auto* value = file_.Get<float>(Prefixed(key))) return *value;
    if (!fallback) Fail(key, "expected this key, found none");
    return *fallback;
  }
  std::string Text(const char* key, const char* fallback) const {
    const auto* value = file_.Get<std::string>(Prefixed(key));
    return value == nullptr ? fallback : *value;
  }
  [[noreturn]] void Fail(const char* key, const std::string& what) const {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: {}: {}", file_.path().string(), Prefixed(key), what),
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

Json TokenIdJson(const GgufFile& file, const char* key) {
  const auto* id = file.Get<uint32_t>(key);
  return id == nullptr ? Json() : Json(*id);
}

int64_t VocabSize(const GgufFile& file, const KeyReader& keys) {
  const GgufTensor* embedding = file.FindTensor("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) return embedding->shape[0];
  return keys.Int("vocab_size");
}

}  // namespace

std::vector<GgufKey> ModelKeys(const ModelConfig& config) {
  std::vector<GgufKey> keys;
  const auto add = [&](const char* key, GgufValue value) {
    keys.push_back({Prefixed(key), std::move(value)});
  };
  const auto count = [](int64_t value) { return static_cast<uint32_t>(value); };
  add("block_count", count(config.num_layers));
  add("context_length", count(config.max_position));
  add("embedding_length", count(config.hidden_size));
  add("feed_forward_length", count(config.intermediate_size));
  add("attention.head_count", count(config.num_heads));
  add("attention.head_count_kv", count(config.num_kv_heads));
  add("attention.key_length", count(config.head_dim));
  add("attention.value_length", count(config.head_dim));
  add("attention.layer_norm_rms_epsilon", static_cast<float>(config.rms_norm_eps));
  add("rope.dimension_count", count(config.head_dim));
  AppendRopeKeys(config.rope, keys);
  add("vocab_size", count(config.vocab_size));
  return keys;
}

std::vector<std::string> LossesOfModelKeys(const ModelConfig& config) {
  std::vector<std::string> losses;
  if (config.sliding_window > 0 && config.sliding_window < config.max_position) {
    losses.push_back(fmt::format(
        "llama.cpp's llama models have no sliding window: texts of more than {} tokens are read "
        "with full attention",
        config.sliding_window));
  }
  if (config.rope.scaling == RopeScalingKind::kDynamic) {
    losses.push_back(fmt::format(
        "GGUF has no dynamic rotary scaling: texts of more than {} tokens will be read badly",
        config.rope.original_max_position));
  }
  if (config.rope.scaling == RopeScalingKind::kYarn && !config.rope.truncate) {
    losses.emplace_back("GGUF has no YaRN without rounded borders: frequencies differ a little");
  }
  return losses;
}

std::vector<float> RopeFrequencyFactors(const ModelConfig& config) {
  if (config.rope.scaling != RopeScalingKind::kLlama3) return config.rope.frequency_factors;
  ModelConfig plain = config;
  plain.rope.scaling = RopeScalingKind::kNone;
  std::vector<float> factors = ComputeRopeFrequencies(plain, 0).inverse;
  const std::vector<float> scaled = ComputeRopeFrequencies(config, 0).inverse;
  for (size_t i = 0; i < factors.size(); ++i) factors[i] /= scaled[i];
  return factors;
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
