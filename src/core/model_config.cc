// config.json (and generation_config.json) become one checked ModelConfig; and the names and shapes
// of the tensors that such a model has.
//
// Before this: the text of the files, read by formats/checkpoint or formats/littlebit_reader. After
// this: everything that plans, trains or runs asks the struct, never the JSON. Every number is
// range-checked here so that products of dimensions fit in 62 bits and nothing downstream can meet
// an impossible shape.
#include "llmq/model_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "core/architectures.h"
#include "core/config_reader.h"
#include "core/expert_config.h"
#include "core/rope_config.h"
#include "llmq/error.h"

namespace llmq {
namespace {

const Family& ParseFamily(const ConfigReader& config) {
  const auto it = config.object().find("architectures");
  if (it == config.object().end() || !it->is_array() || it->size() != 1 ||
      !it->front().is_string()) {
    config.Fail(
        "\"architectures\": expected a list of one name, found " +
            (it == config.object().end() ? std::string("nothing") : DumpJson(*it).substr(0, 60)),
        fmt::format("Supported: {}", SupportedArchitectures()));
  }
  const std::string name = it->front().get<std::string>();
  if (const Family* family = FindFamily(name)) return *family;
  config.Fail(fmt::format("\"architectures\": expected one of {}, found \"{}\"",
                          SupportedArchitectures(), name.substr(0, 80)),
              fmt::format("Only these can be compressed and run: {}", SupportedArchitectures()));
}

// Where the family keeps the numbers of its text model.
ConfigReader TextConfig(const ConfigReader& config, const Family& family) {
  if (family.text_config == nullptr) return config;
  const std::string where = fmt::format("{}: \"{}\"", config.where(), family.text_config);
  const auto it = config.object().find(family.text_config);
  if (it != config.object().end() && it->is_object()) return {*it, where};
  config.Fail(fmt::format("\"{}\": expected an object, found {}", family.text_config,
                          it == config.object().end() ? "none" : DumpJson(*it).substr(0, 60)));
}

// FP8 is read; everything with fewer bits has lost too much to begin with.
void ParseQuantization(const ConfigReader& config, ModelConfig& model) {
  const char* key = "quantization_config";
  if (!config.Has(key)) return;
  const Json& object = config.object().at(key);
  const ConfigReader quantization(object, fmt::format("{}: \"{}\"", config.where(), key));
  const auto says = [&](const char* member, const char* value) {
    return object.is_object() && object.contains(member) && object.at(member) == value;
  };
  const bool is_fp8 = says("quant_method", "fp8") || (says("quant_method", "compressed-tensors") &&
                                                      says("format", "float-quantized"));
  if (!is_fp8) {
    quantization.Fail(
        "expected full-precision or FP8 weights, found a quantized checkpoint: " +
            DumpJson(object).substr(0, 80),
        "Start from the original F32, F16 or BF16 checkpoint: the model card names it");
  }
  if (!quantization.Has("weight_block_size")) return;
  const Json& size = object.at("weight_block_size");
  for (size_t i = 0; i < 2; ++i) {
    if (!size.is_array() || size.size() != 2 || !size[i].is_number_integer() ||
        size[i].get<int64_t>() < 1 || size[i].get<int64_t>() > kMaxIntermediate) {
      quantization.Fail(fmt::format("\"weight_block_size\": expected two integers, found {}",
                                    DumpJson(size).substr(0, 40)));
    }
    model.fp8_block[i] = size[i].get<int64_t>();
  }
}

// Absent or null, one integer, or a list of integers; every id must be a token of the vocabulary,
// for the runtime looks it up in the embedding.
std::vector<int64_t> ParseTokenIds(const ConfigReader& object, const char* key,
                                   int64_t vocab_size) {
  if (!object.Has(key)) return {};
  const Json& value = object.object().at(key);
  const Json list = value.is_array() ? value : Json::array({value});
  std::vector<int64_t> ids;
  for (const Json& item : list) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 || item.get<int64_t>() >= vocab_size) {
      object.Fail(fmt::format("\"{}\": expected token ids from 0 to {}, found {}", key,
                              vocab_size - 1, DumpJson(item).substr(0, 40)));
    }
    ids.push_back(item.get<int64_t>());
  }
  return ids;
}

// From 1; without a default the key must be there.
int64_t IntOrDefault(const ConfigReader& config, const char* key, int64_t fallback, int64_t high) {
  return fallback == 0 ? config.RequiredInt(key, high) : config.Int(key, fallback, 1, high);
}

void ParseSizes(const ConfigReader& config, const Family& family, ModelConfig& model) {
  const ConfigKeys& keys = family.keys;
  model.hidden_size = config.RequiredInt(keys.hidden_size, kMaxHidden);
  const bool is_multiple = family.default_intermediate > 0 && !config.Has(keys.intermediate_size);
  model.intermediate_size = is_multiple
                                ? family.default_intermediate * model.hidden_size
                                : config.RequiredInt(keys.intermediate_size, kMaxIntermediate);
  model.num_layers = config.RequiredInt(keys.num_layers, kMaxLayers);
  model.vocab_size = IntOrDefault(config, "vocab_size", family.default_vocab, kMaxVocab);
  model.max_position =
      IntOrDefault(config, keys.max_position, family.default_max_position, kMaxPosition);
  model.norm_eps = keys.norm_eps == nullptr
                       ? family.default_norm_eps
                       : config.Number(keys.norm_eps, family.default_norm_eps, 0, 1);
  if (keys.embedding_size == nullptr) return;
  const int64_t width = config.Int(keys.embedding_size, model.hidden_size, 1, kMaxHidden);
  model.embedding_size = width == model.hidden_size ? 0 : width;
}

// ---- Attention ----

void ParseHeads(const ConfigReader& config, const Family& family, ModelConfig& model) {
  model.num_heads = IntOrDefault(config, family.keys.num_heads, family.default_heads, kMaxHeads);
  const bool named = config.object().contains("num_key_value_heads");
  const bool has_default = family.default_kv_heads > 0 && !named;
  model.num_kv_heads =
      config.Int("num_key_value_heads", has_default ? family.default_kv_heads : model.num_heads, 1,
                 model.num_heads);
  if (model.num_heads % model.num_kv_heads != 0) {
    config.Fail(fmt::format("\"num_key_value_heads\": expected a divisor of {}, found {}",
                            model.num_heads, model.num_kv_heads));
  }
  const bool divides = config.Has("head_dim") || family.default_head_dim > 0;
  if (!divides && model.hidden_size % model.num_heads != 0) {
    config.Fail(fmt::format("\"{}\": expected a multiple of {} heads, found {}",
                            family.keys.hidden_size, model.num_heads, model.hidden_size));
  }
  const int64_t default_dim =
      family.default_head_dim > 0 ? family.default_head_dim : model.hidden_size / model.num_heads;
  model.head_dim = config.Int("head_dim", default_dim, 2, kMaxHeadDim);
  if (model.head_dim % 2 != 0) {
    config.Fail(fmt::format("\"head_dim\": expected an even number, found {}", model.head_dim));
  }
  if (model.num_heads * model.head_dim > kMaxAttentionWidth) {
    config.Fail(fmt::format("\"head_dim\": expected heads * head_dim of at most {}, found {}",
                            kMaxAttentionWidth, model.num_heads * model.head_dim));
  }
}

std::vector<bool> ParseLayerTypes(const ConfigReader& config, int64_t layers) {
  const Json& types = config.object().at("layer_types");
  if (!types.is_array() || types.size() != static_cast<size_t>(layers)) {
    config.Fail(fmt::format("\"layer_types\": expected a list of {}, found {}", layers,
                            DumpJson(types).substr(0, 60)));
  }
  std::vector<bool> full;
  for (const Json& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      config.Fail(
          fmt::format("\"layer_types\": expected full_attention or sliding_attention, found {}",
                      DumpJson(type).substr(0, 60)));
    }
    full.push_back(type == "full_attention");
  }
  return full;
}

bool ReadsUseSlidingWindow(WindowRule rule) {
  return rule == WindowRule::kFromLayer || rule == WindowRule::kAllIfUsed ||
         rule == WindowRule::kAlternateBelow;
}

// Layers that see everything, by the family's rule.
std::vector<bool> FullAttention(const ConfigReader& config, WindowRule rule, int64_t layers) {
  constexpr int64_t kWindowLayersOfQwen2Moe = 28;  // where config.json does not say
  const bool all = rule == WindowRule::kAll || rule == WindowRule::kAllIfUsed;
  if (rule == WindowRule::kNone || all) return {};
  if (config.Has("layer_types")) return ParseLayerTypes(config, layers);
  const bool alternate_below = rule == WindowRule::kAlternateBelow;
  const int64_t border =
      rule == WindowRule::kFromLayer || alternate_below
          ? config.Int("max_window_layers", alternate_below ? kWindowLayersOfQwen2Moe : layers, 0,
                       kMaxLayers)
          : 0;
  const int64_t period =
      rule == WindowRule::kFiveOfSix ? config.Int("sliding_window_pattern", 6, 1, kMaxLayers) : 2;
  std::vector<bool> full(static_cast<size_t>(layers));
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool periodic = (layer + 1) % period == 0 || (alternate_below && layer >= border);
    full[static_cast<size_t>(layer)] = rule == WindowRule::kFromLayer ? layer < border : periodic;
  }
  return full;
}

void ParseWindow(const ConfigReader& config, const Family& family, ModelConfig& model) {
  if (family.window == WindowRule::kNone) return;
  if (ReadsUseSlidingWindow(family.window) && !config.Bool("use_sliding_window", false)) return;
  const int64_t fallback = config.object().contains("sliding_window") ? 0 : family.default_window;
  model.sliding_window = config.Int("sliding_window", fallback, 0, kMaxPosition);
  if (model.sliding_window == 0) return;
  model.full_attention = FullAttention(config, family.window, model.num_layers);
}

void ParseBiases(const ConfigReader& config, BiasRule rule, ModelConfig& model) {
  const bool all = rule == BiasRule::kAll || rule == BiasRule::kAllUnlessDisabled;
  if (all) {
    const bool enabled = rule == BiasRule::kAll || config.Bool("enable_bias", true);
    model.qkv_bias = model.o_bias = model.mlp_bias = enabled;
    return;
  }
  const bool reads_attention =
      rule == BiasRule::kAsConfigured || rule == BiasRule::kAttentionAsConfigured;
  const bool attention = reads_attention && config.Bool("attention_bias", false);
  const bool qkv = rule == BiasRule::kQkv ||
                   (rule == BiasRule::kQkvAsConfigured && config.Bool("qkv_bias", true));
  model.qkv_bias = attention || qkv;
  model.o_bias = attention;
  model.mlp_bias = rule == BiasRule::kAsConfigured && config.Bool("mlp_bias", false);
}

// ---- Everything else that sets families apart ----

// The approximation by tanh, under the names that it has had; Gemma's first configurations say
// "gelu" and mean it.
bool IsGeluTanh(const std::string& name) {
  return name == "gelu_pytorch_tanh" || name == "gelu_new" || name == "gelu";
}

void ExpectActivation(const ConfigReader& config, Activation expected) {
  const bool gelu = expected == Activation::kGeluTanh;
  const char* fallback = gelu ? "gelu_pytorch_tanh" : "silu";
  const char* key = gelu && config.Has("hidden_activation") ? "hidden_activation" : "hidden_act";
  const std::string name = config.Text(key, fallback);
  if (gelu ? IsGeluTanh(name) : name == "silu") return;
  config.Fail(
      fmt::format("\"{}\": expected \"{}\", found \"{}\"", key, fallback, name.substr(0, 40)));
}

// By transformers' names.
Activation ParseActivation(const ConfigReader& config, Activation fallback) {
  constexpr std::array<std::pair<const char*, Activation>, 6> kNames = {
      {{"relu", Activation::kRelu},
       {"gelu", Activation::kGelu},
       {"gelu_new", Activation::kGeluTanh},
       {"gelu_fast", Activation::kGeluTanh},
       {"gelu_pytorch_tanh", Activation::kGeluTanh},
       {"silu", Activation::kSilu}}};
  const char* key = "activation_function";
  if (!config.Has(key)) return fallback;
  const std::string found = config.Text(key, "");
  std::string known;
  for (const auto& [name, activation] : kNames) {
    if (found == name) return activation;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
  }
  config.Fail(
      fmt::format("\"{}\": expected one of {}, found \"{}\"", key, known, found.substr(0, 40)));
}

void ExpectSwitches(const ConfigReader& config, const Family& family) {
  for (const FixedSwitch& expected : family.switches) {
    if (config.Bool(expected.key, expected.value) == expected.value) continue;
    config.Fail(
        fmt::format("\"{}\": expected {}, found {}", expected.key, expected.value, !expected.value),
        fmt::format("{} can be compressed and run only without this variation",
                    family.architecture));
  }
}

void ParseFamilyFacts(const ConfigReader& config, const Family& family, ModelConfig& model) {
  ExpectSwitches(config, family);
  if (!family.reads_activation) ExpectActivation(config, family.activation);
  model.activation =
      family.reads_activation ? ParseActivation(config, family.activation) : family.activation;
  model.gated_mlp = family.gated_mlp;
  model.norm_kind = family.norm_kind;
  model.learned_positions = family.learned_positions;
  model.position_offset = family.position_offset;
  model.qk_norm = family.qk_norm;
  model.sandwich_norms = family.sandwich_norms;
  model.norm_offset = family.norm_offset;
  if (family.reads_norm_place) {
    model.norms_after_sum = !config.Bool("do_layer_norm_before", true);
    model.has_final_norm =
        !model.norms_after_sum && !config.Bool("_remove_final_layer_norm", false);
  }
  if (family.unscaled_attention && !config.Bool("scale_attn_weights", true)) {
    model.attention_scale = 1;
  }
  if (family.scaled_embedding) {
    model.embedding_scale = std::sqrt(static_cast<double>(model.hidden_size));
  }
  if (family.softcaps) {
    model.attention_softcap = config.Number("attn_logit_softcapping", 0, 0, 1e6);
    model.logit_softcap = config.Number("final_logit_softcapping", 0, 0, 1e6);
  }
  if (family.default_query_scalar > 0) {
    model.attention_scale = 1 / std::sqrt(config.Number("query_pre_attn_scalar",
                                                        family.default_query_scalar, 1e-6, 1e9));
  }
}

// Of the file, which describes the whole model, or of a text model inside.
const ConfigReader& PlaceOf(const char* key, const ConfigReader& file, const ConfigReader& text) {
  return file.Has(key) ? file : text;
}

void ParseSpecialTokens(const ConfigReader& config, const ConfigReader& text,
                        std::string_view generation_config_json, ModelConfig& model) {
  const auto ids = [&](const char* key) {
    return ParseTokenIds(PlaceOf(key, config, text), key, model.vocab_size);
  };
  model.bos_token_ids = ids("bos_token_id");
  model.eos_token_ids = ids("eos_token_id");
  if (generation_config_json.empty()) return;
  const std::string where = config.where() + " (generation_config.json)";
  const Json json = ParseJson(generation_config_json, where);
  const ConfigReader generation(json, where);
  if (!json.is_object()) generation.Fail("expected an object, found another JSON value");
  auto bos = ParseTokenIds(generation, "bos_token_id", model.vocab_size);
  auto eos = ParseTokenIds(generation, "eos_token_id", model.vocab_size);
  if (!bos.empty()) model.bos_token_ids = std::move(bos);
  if (!eos.empty()) model.eos_token_ids = std::move(eos);
}

}  // namespace

std::string SupportedArchitectures() {
  std::string names;
  for (const Family& family : Families()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", family.architecture);
  }
  return names;
}

ModelConfig ParseModelConfig(std::string_view config_json, std::string_view generation_config_json,
                             const std::string& where) {
  const Json json = ParseJson(config_json, where);
  const ConfigReader config(json, where);
  if (!json.is_object()) config.Fail("expected an object, found another JSON value");
  const Family& family = ParseFamily(config);
  const ConfigReader text = TextConfig(config, family);
  ModelConfig model;
  ParseQuantization(config, model);
  model.architecture = family.architecture;
  model.gguf_architecture = family.gguf_architecture;
  model.in_llama_cpp = family.in_llama_cpp;
  model.model_type = config.Text("model_type", "");
  model.torch_dtype = config.Text("torch_dtype", config.Text("dtype", ""));
  ParseSizes(text, family, model);
  const char* tied = "tie_word_embeddings";
  model.tie_word_embeddings = PlaceOf(tied, config, text).Bool(tied, family.tied_by_default);
  ParseHeads(text, family, model);
  ParseWindow(text, family, model);
  ParseBiases(text, family.bias, model);
  ParseFamilyFacts(text, family, model);
  ParseExperts(text, family.experts, model);
  if (family.rotary) ParseRope(text, family, model);
  ParseSpecialTokens(config, text, generation_config_json, model);
  return model;
}

}  // namespace llmq
