// config.json (and generation_config.json) become one checked ModelConfig; and the names and shapes
// of the tensors that such a model has.
//
// Before this: the text of the files, read by formats/checkpoint or formats/littlebit_reader. After
// this: everything that plans, trains or runs asks the struct, never the JSON. Every number is
// range-checked here so that products of dimensions fit in 62 bits and nothing downstream can meet
// an impossible shape.
#include "llmq/model_config.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "base/json.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr std::array<std::string_view, 2> kSupported = {"LlamaForCausalLM", "MistralForCausalLM"};

// Far above any published model. 7 matrices of 2^22 x 2^20 in 2^12 layers at 16 bits are below 2^62
// bits.
constexpr int64_t kMaxHidden = int64_t{1} << 20;
constexpr int64_t kMaxIntermediate = int64_t{1} << 22;
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxHeads = int64_t{1} << 16;
constexpr int64_t kMaxHeadDim = int64_t{1} << 14;
constexpr int64_t kMaxAttentionWidth = int64_t{1} << 22;  // heads * head_dim
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxPosition = int64_t{1} << 28;

[[noreturn]] void Fail(const std::string& where, const std::string& what,
                       const std::string& suggestion = "Check config.json") {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

bool Has(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && !it->is_null();
}

int64_t IntInRange(const Json& config, const char* key, int64_t fallback, int64_t low, int64_t high,
                   const std::string& where) {
  const int64_t value = GetInt(config, key, fallback, where);
  if (value < low || value > high) {
    Fail(where,
         fmt::format("\"{}\": expected an integer from {} to {}, found {}", key, low, high, value));
  }
  return value;
}

int64_t RequiredInt(const Json& config, const char* key, int64_t high, const std::string& where) {
  if (!Has(config, key)) {
    Fail(where, fmt::format("\"{}\": expected an integer, found nothing", key));
  }
  return IntInRange(config, key, 0, 1, high, where);
}

double NumberInRange(const Json& config, const char* key, double fallback, double low, double high,
                     const std::string& where) {
  const double value = GetNumber(config, key, fallback, where);
  if (!(value >= low && value <= high)) {  // also refuses NaN
    Fail(where,
         fmt::format("\"{}\": expected a number from {} to {}, found {}", key, low, high, value));
  }
  return value;
}

std::string ParseArchitecture(const Json& config, const std::string& where) {
  const auto it = config.find("architectures");
  if (it == config.end() || !it->is_array() || it->size() != 1 || !it->front().is_string()) {
    Fail(where,
         "\"architectures\": expected a list of one name, found " +
             (it == config.end() ? std::string("nothing") : DumpJson(*it).substr(0, 60)),
         fmt::format("Supported: {}", fmt::join(kSupported, ", ")));
  }
  const std::string name = it->front().get<std::string>();
  for (const std::string_view supported : kSupported) {
    if (name == supported) return name;
  }
  Fail(where,
       fmt::format("\"architectures\": expected one of {}, found \"{}\"",
                   fmt::join(kSupported, ", "), name.substr(0, 80)),
       fmt::format("Only {} can be compressed and run", fmt::join(kSupported, " and ")));
}

// Absent or null, one integer, or a list of integers; every id must be a token of the vocabulary,
// for the runtime looks it up in the embedding.
std::vector<int64_t> ParseTokenIds(const Json& object, const char* key, int64_t vocab_size,
                                   const std::string& where) {
  if (!Has(object, key)) return {};
  const Json& value = object.at(key);
  const Json list = value.is_array() ? value : Json::array({value});
  std::vector<int64_t> ids;
  for (const Json& item : list) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 || item.get<int64_t>() >= vocab_size) {
      Fail(where, fmt::format("\"{}\": expected token ids from 0 to {}, found {}", key,
                              vocab_size - 1, DumpJson(item).substr(0, 40)));
    }
    ids.push_back(item.get<int64_t>());
  }
  return ids;
}

RopeScalingKind ParseRopeKind(const Json& scaling, const std::string& where) {
  const std::string type =
      GetString(scaling, "rope_type", GetString(scaling, "type", "default", where), where);
  if (type == "default") return RopeScalingKind::kNone;
  if (type == "linear") return RopeScalingKind::kLinear;
  if (type == "dynamic") return RopeScalingKind::kDynamic;
  if (type == "llama3") return RopeScalingKind::kLlama3;
  if (type == "yarn") return RopeScalingKind::kYarn;
  Fail(where, fmt::format("\"rope_type\": expected default, linear, dynamic, llama3 or yarn, found "
                          "\"{}\"",
                          type.substr(0, 40)));
}

void ParseLlama3Rope(const Json& scaling, const std::string& where, RopeConfig& rope) {
  for (const char* key : {"low_freq_factor", "high_freq_factor"}) {
    if (!Has(scaling, key))
      Fail(where, fmt::format("\"{}\": expected a number, found nothing", key));
  }
  rope.low_freq_factor = NumberInRange(scaling, "low_freq_factor", 0, 1e-3, 1e6, where);
  rope.high_freq_factor = NumberInRange(scaling, "high_freq_factor", 0, 1e-3, 1e6, where);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    Fail(where, fmt::format("\"high_freq_factor\": expected more than low_freq_factor {}, found {}",
                            rope.low_freq_factor, rope.high_freq_factor));
  }
}

// Value of the paper's mscale term for a context stretched `factor` times.
double YarnMscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void ParseYarnRope(const Json& scaling, const std::string& where, RopeConfig& rope) {
  rope.beta_fast = NumberInRange(scaling, "beta_fast", 32, 1e-3, 1e6, where);
  rope.beta_slow = NumberInRange(scaling, "beta_slow", 1, 1e-3, 1e6, where);
  rope.truncate = GetBool(scaling, "truncate", true, where);
  if (Has(scaling, "attention_factor")) {
    rope.attention_factor = NumberInRange(scaling, "attention_factor", 0, 1e-3, 1e3, where);
    return;
  }
  const double mscale = NumberInRange(scaling, "mscale", 0, 0, 1e3, where);
  const double mscale_all_dim = NumberInRange(scaling, "mscale_all_dim", 0, 0, 1e3, where);
  if (mscale != 0 && mscale_all_dim != 0) {
    rope.attention_factor =
        YarnMscale(rope.factor, mscale) / YarnMscale(rope.factor, mscale_all_dim);
  }
}

// "rope_theta" beside "rope_scaling" until transformers 4, both inside "rope_parameters" since 5.
RopeConfig ParseRope(const Json& config, const ModelConfig& model, const std::string& where) {
  const char* key = Has(config, "rope_scaling") ? "rope_scaling" : "rope_parameters";
  const Json scaling = Has(config, key) ? config.at(key) : Json::object();
  const std::string inside = fmt::format("{}: \"{}\"", where, key);
  if (!scaling.is_object())
    Fail(inside, "expected an object, found " + DumpJson(scaling).substr(0, 60));
  for (const auto& [name, value] : scaling.items()) {
    if (value.is_object()) Fail(inside, "expected one set of values, found one per layer type");
  }
  RopeConfig rope;
  rope.theta = Has(scaling, "rope_theta")
                   ? NumberInRange(scaling, "rope_theta", 0, 1.001, 1e12, inside)
                   : NumberInRange(config, "rope_theta", 10000.0, 1.001, 1e12, where);
  for (const auto& [object, place] : {std::pair{&scaling, inside}, std::pair{&config, where}}) {
    if (GetNumber(*object, "partial_rotary_factor", 1.0, place) != 1.0) {
      Fail(place, "\"partial_rotary_factor\": expected 1, found another value");
    }
  }
  rope.scaling = ParseRopeKind(scaling, inside);
  if (rope.scaling == RopeScalingKind::kNone) return rope;

  const auto max_position = static_cast<double>(model.max_position);
  rope.original_max_position = max_position;  // what dynamic scaling stretches
  if (rope.scaling == RopeScalingKind::kLlama3 || rope.scaling == RopeScalingKind::kYarn) {
    const char* original = "original_max_position_embeddings";
    rope.original_max_position =
        Has(config, original)
            ? NumberInRange(config, original, 0, 1, kMaxPosition, where)
            : NumberInRange(scaling, original, max_position, 1, kMaxPosition, inside);
  }
  const bool from_lengths = rope.scaling == RopeScalingKind::kYarn && !Has(scaling, "factor");
  if (!from_lengths && !Has(scaling, "factor")) {
    Fail(inside, "\"factor\": expected a number, found nothing");
  }
  rope.factor = from_lengths ? max_position / rope.original_max_position
                             : NumberInRange(scaling, "factor", 0, 1, 1e6, inside);
  if (rope.scaling == RopeScalingKind::kLlama3) ParseLlama3Rope(scaling, inside, rope);
  if (rope.scaling == RopeScalingKind::kYarn) ParseYarnRope(scaling, inside, rope);
  if (rope.scaling == RopeScalingKind::kDynamic && model.head_dim < 4) {
    Fail(where, fmt::format("\"head_dim\": expected at least 4 with dynamic scaling, found {}",
                            model.head_dim));
  }
  return rope;
}

void ParseAttention(const Json& config, const std::string& where, ModelConfig& model) {
  const bool mistral = model.architecture == "MistralForCausalLM";
  model.num_heads = RequiredInt(config, "num_attention_heads", kMaxHeads, where);
  // The defaults are those of transformers' two configuration classes.
  const bool named = config.contains("num_key_value_heads");
  const int64_t default_kv_heads = mistral && !named ? 8 : model.num_heads;
  model.num_kv_heads =
      IntInRange(config, "num_key_value_heads", default_kv_heads, 1, model.num_heads, where);
  if (model.num_heads % model.num_kv_heads != 0) {
    Fail(where, fmt::format("\"num_key_value_heads\": expected a divisor of {}, found {}",
                            model.num_heads, model.num_kv_heads));
  }
  if (!Has(config, "head_dim") && model.hidden_size % model.num_heads != 0) {
    Fail(where, fmt::format("\"hidden_size\": expected a multiple of {} heads, found {}",
                            model.num_heads, model.hidden_size));
  }
  model.head_dim =
      IntInRange(config, "head_dim", model.hidden_size / model.num_heads, 2, kMaxHeadDim, where);
  if (model.head_dim % 2 != 0) {
    Fail(where, fmt::format("\"head_dim\": expected an even number, found {}", model.head_dim));
  }
  if (model.num_heads * model.head_dim > kMaxAttentionWidth) {
    Fail(where, fmt::format("\"head_dim\": expected heads * head_dim of at most {}, found {}",
                            kMaxAttentionWidth, model.num_heads * model.head_dim));
  }
  if (mistral) {
    const int64_t default_window = config.contains("sliding_window") ? 0 : 4096;
    model.sliding_window =
        IntInRange(config, "sliding_window", default_window, 0, kMaxPosition, where);
  } else {
    model.attention_bias = GetBool(config, "attention_bias", false, where);
    model.mlp_bias = GetBool(config, "mlp_bias", false, where);
  }
}

void ParseSpecialTokens(const Json& config, std::string_view generation_config_json,
                        const std::string& where, ModelConfig& model) {
  model.bos_token_ids = ParseTokenIds(config, "bos_token_id", model.vocab_size, where);
  model.eos_token_ids = ParseTokenIds(config, "eos_token_id", model.vocab_size, where);
  if (generation_config_json.empty()) return;
  const std::string generation_where = where + " (generation_config.json)";
  const Json generation = ParseJson(generation_config_json, generation_where);
  if (!generation.is_object())
    Fail(generation_where, "expected an object, found another JSON value");
  auto bos = ParseTokenIds(generation, "bos_token_id", model.vocab_size, generation_where);
  auto eos = ParseTokenIds(generation, "eos_token_id", model.vocab_size, generation_where);
  if (!bos.empty()) model.bos_token_ids = std::move(bos);
  if (!eos.empty()) model.eos_token_ids = std::move(eos);
}

}  // namespace

ModelConfig ParseModelConfig(std::string_view config_json, std::string_view generation_config_json,
                             const std::string& where) {
  const Json config = ParseJson(config_json, where);
  if (!config.is_object()) Fail(where, "expected an object, found another JSON value");
  ModelConfig model;
  model.architecture = ParseArchitecture(config, where);
  if (Has(config, "quantization_config")) {
    Fail(where,
         "\"quantization_config\": expected full-precision weights, found a quantized checkpoint",
         "Start from the original F32, F16 or BF16 checkpoint");
  }
  model.model_type = GetString(config, "model_type", "", where);
  model.torch_dtype =
      GetString(config, "torch_dtype", GetString(config, "dtype", "", where), where);
  const std::string activation = GetString(config, "hidden_act", "silu", where);
  if (activation != "silu") {
    Fail(where,
         fmt::format("\"hidden_act\": expected \"silu\", found \"{}\"", activation.substr(0, 40)));
  }
  model.hidden_size = RequiredInt(config, "hidden_size", kMaxHidden, where);
  model.intermediate_size = RequiredInt(config, "intermediate_size", kMaxIntermediate, where);
  model.num_layers = RequiredInt(config, "num_hidden_layers", kMaxLayers, where);
  model.vocab_size = RequiredInt(config, "vocab_size", kMaxVocab, where);
  model.max_position = RequiredInt(config, "max_position_embeddings", kMaxPosition, where);
  model.rms_norm_eps = NumberInRange(config, "rms_norm_eps", 1e-6, 0, 1, where);
  model.tie_word_embeddings = GetBool(config, "tie_word_embeddings", false, where);
  ParseAttention(config, where, model);
  model.rope = ParseRope(config, model, where);
  ParseSpecialTokens(config, generation_config_json, where, model);
  return model;
}

std::vector<LinearSpec> BlockLinears(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size;
  const int64_t mlp = config.intermediate_size;
  const int64_t q = config.num_heads * config.head_dim;
  const int64_t kv = config.num_kv_heads * config.head_dim;
  std::vector<LinearSpec> linears;
  linears.reserve(static_cast<size_t>(config.num_layers * kNumProjections));
  for (int64_t n = 0; n < config.num_layers; ++n) {
    const auto add = [&](const char* name, Projection projection, int64_t d_out, int64_t d_in,
                         bool has_bias) {
      linears.push_back(
          {fmt::format("model.layers.{}.{}", n, name), n, projection, d_out, d_in, has_bias});
    };
    add("self_attn.q_proj", Projection::kQ, q, hidden, config.attention_bias);
    add("self_attn.k_proj", Projection::kK, kv, hidden, config.attention_bias);
    add("self_attn.v_proj", Projection::kV, kv, hidden, config.attention_bias);
    add("self_attn.o_proj", Projection::kO, hidden, q, config.attention_bias);
    add("mlp.gate_proj", Projection::kGate, mlp, hidden, config.mlp_bias);
    add("mlp.up_proj", Projection::kUp, mlp, hidden, config.mlp_bias);
    add("mlp.down_proj", Projection::kDown, hidden, mlp, config.mlp_bias);
  }
  return linears;
}

std::string InputNormName(int64_t layer) {
  return fmt::format("model.layers.{}.input_layernorm.weight", layer);
}

std::string PostAttentionNormName(int64_t layer) {
  return fmt::format("model.layers.{}.post_attention_layernorm.weight", layer);
}

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  std::vector<ExpectedTensor> expected;
  expected.push_back({kEmbeddingName, {config.vocab_size, config.hidden_size}});
  for (int64_t n = 0; n < config.num_layers; ++n) {
    expected.push_back({InputNormName(n), {config.hidden_size}});
    expected.push_back({PostAttentionNormName(n), {config.hidden_size}});
  }
  for (const LinearSpec& linear : BlockLinears(config)) {
    expected.push_back({linear.name + ".weight", {linear.d_out, linear.d_in}});
    if (linear.has_bias) expected.push_back({linear.name + ".bias", {linear.d_out}});
  }
  expected.push_back({kFinalNormName, {config.hidden_size}});
  if (!config.tie_word_embeddings) {
    expected.push_back({kHeadName, {config.vocab_size, config.hidden_size}});
  }
  return expected;
}

}  // namespace llmq
