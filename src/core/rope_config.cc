#include "core/rope_config.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

namespace llmq {
namespace {

constexpr double kLeastTheta = 1.001, kMostTheta = 1e12;

RopeScalingKind ParseKind(const ConfigReader& scaling) {
  const std::string type = scaling.Text("rope_type", scaling.Text("type", "default"));
  if (type == "default") return RopeScalingKind::kNone;
  if (type == "linear") return RopeScalingKind::kLinear;
  if (type == "dynamic") return RopeScalingKind::kDynamic;
  if (type == "llama3") return RopeScalingKind::kLlama3;
  if (type == "yarn") return RopeScalingKind::kYarn;
  if (type == "longrope" || type == "su") return RopeScalingKind::kLongRope;
  scaling.Fail(
      fmt::format("\"rope_type\": expected default, linear, dynamic, llama3, yarn or "
                  "longrope, found \"{}\"",
                  type.substr(0, 40)));
}

void ParseLlama3(const ConfigReader& scaling, RopeConfig& rope) {
  scaling.Require("low_freq_factor");
  scaling.Require("high_freq_factor");
  rope.low_freq_factor = scaling.Number("low_freq_factor", 0, 1e-3, 1e6);
  rope.high_freq_factor = scaling.Number("high_freq_factor", 0, 1e-3, 1e6);
  if (rope.high_freq_factor <= rope.low_freq_factor) {
    scaling.Fail(
        fmt::format("\"high_freq_factor\": expected more than low_freq_factor {}, found {}",
                    rope.low_freq_factor, rope.high_freq_factor));
  }
}

// Value of the paper's mscale term for a context stretched `factor` times.
double YarnMscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void ParseYarn(const ConfigReader& scaling, RopeConfig& rope) {
  rope.beta_fast = scaling.Number("beta_fast", 32, 1e-3, 1e6);
  rope.beta_slow = scaling.Number("beta_slow", 1, 1e-3, 1e6);
  rope.truncate = scaling.Bool("truncate", true);
  if (scaling.Has("attention_factor")) {
    rope.attention_factor = scaling.Number("attention_factor", 0, 1e-3, 1e3);
    return;
  }
  const double mscale = scaling.Number("mscale", 0, 0, 1e3);
  const double mscale_all_dim = scaling.Number("mscale_all_dim", 0, 0, 1e3);
  if (mscale != 0 && mscale_all_dim != 0) {
    rope.attention_factor =
        YarnMscale(rope.factor, mscale) / YarnMscale(rope.factor, mscale_all_dim);
  }
}

std::vector<float> ParseDivisors(const ConfigReader& scaling, const char* key, int64_t count) {
  const auto it = scaling.object().find(key);
  if (it == scaling.object().end() || !it->is_array() || it->size() != static_cast<size_t>(count)) {
    scaling.Fail(
        fmt::format("\"{}\": expected a list of {} numbers, found something else", key, count));
  }
  std::vector<float> divisors;
  for (const Json& item : *it) {
    if (!item.is_number() || !(item.get<double>() > 0) || item.get<double>() > 1e6) {
      scaling.Fail(fmt::format("\"{}\": expected numbers above 0, found {}", key,
                               DumpJson(item).substr(0, 40)));
    }
    divisors.push_back(item.get<float>());
  }
  return divisors;
}

void ParseLongRope(const ConfigReader& scaling, RopeConfig& rope) {
  rope.short_divisors = ParseDivisors(scaling, "short_factor", rope.dim / 2);
  rope.long_divisors = ParseDivisors(scaling, "long_factor", rope.dim / 2);
  const double stretch =
      std::log(rope.factor) / std::log(std::max(rope.original_max_position, 2.0));
  rope.attention_factor = scaling.Number(
      "attention_factor", rope.factor <= 1 ? 1.0 : std::sqrt(1 + stretch), 1e-3, 1e3);
}

void ParseScaling(const ConfigReader& config, const ConfigReader& scaling, const ModelConfig& model,
                  RopeConfig& rope) {
  const auto max_position = static_cast<double>(model.max_position);
  const bool has_original = rope.scaling == RopeScalingKind::kLlama3 ||
                            rope.scaling == RopeScalingKind::kYarn ||
                            rope.scaling == RopeScalingKind::kLongRope;
  rope.original_max_position = max_position;  // what dynamic scaling stretches
  if (has_original) {
    const char* original = "original_max_position_embeddings";
    const ConfigReader& place = config.Has(original) ? config : scaling;
    rope.original_max_position = place.Number(original, max_position, 1, kMaxPosition);
  }
  const bool from_lengths = rope.scaling == RopeScalingKind::kLongRope ||
                            (rope.scaling == RopeScalingKind::kYarn && !scaling.Has("factor"));
  if (!from_lengths) scaling.Require("factor");
  rope.factor = from_lengths ? std::max(max_position / rope.original_max_position, 1e-3)
                             : scaling.Number("factor", 0, 1, 1e6);
  if (rope.scaling == RopeScalingKind::kLlama3) ParseLlama3(scaling, rope);
  if (rope.scaling == RopeScalingKind::kYarn) ParseYarn(scaling, rope);
  if (rope.scaling == RopeScalingKind::kLongRope) ParseLongRope(scaling, rope);
  if (rope.scaling == RopeScalingKind::kDynamic && rope.dim < 4) {
    config.Fail(
        fmt::format("\"head_dim\": expected at least 4 with dynamic scaling, found {}", rope.dim));
  }
}

// How much of a head turns: an even number of values.
int64_t ParseDim(const ConfigReader& place, bool may_be_partial, int64_t head_dim) {
  const double share = place.Number("partial_rotary_factor", 1.0, 0, 1);
  if (share != 1 && !may_be_partial) {
    place.Fail(fmt::format("\"partial_rotary_factor\": expected 1, found {}", share));
  }
  const auto dim = static_cast<int64_t>(static_cast<double>(head_dim) * share);
  if (dim < 2 || dim % 2 != 0) {
    place.Fail(
        fmt::format("\"partial_rotary_factor\": expected an even part of head_dim {}, found {}",
                    head_dim, dim));
  }
  return dim;
}

RopeConfig ParseOne(const ConfigReader& config, const ConfigReader& scaling, double theta,
                    const Family& family, const ModelConfig& model) {
  if (!scaling.object().is_object()) {
    scaling.Fail("expected an object, found " + DumpJson(scaling.object()).substr(0, 60));
  }
  RopeConfig rope;
  const bool inside = scaling.Has("partial_rotary_factor");
  rope.dim = ParseDim(inside ? scaling : config, family.partial_rotary, model.head_dim);
  rope.theta = scaling.Number("rope_theta", theta, kLeastTheta, kMostTheta);
  rope.scaling = ParseKind(scaling);
  if (rope.scaling != RopeScalingKind::kNone) ParseScaling(config, scaling, model, rope);
  return rope;
}

}  // namespace

// "rope_theta" beside "rope_scaling" until transformers 4; since 5 both inside "rope_parameters",
// or there once per kind of layer.
void ParseRope(const ConfigReader& config, const Family& family, ModelConfig& model) {
  const char* key = config.Has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  const Json all = config.Has(key) ? config.object().at(key) : Json::object();
  const std::string inside = fmt::format("{}: \"{}\"", config.where(), key);
  const ConfigReader scaling(all, inside);
  const double theta = config.Number("rope_theta", family.default_theta, kLeastTheta, kMostTheta);
  const auto part = [&](const char* kind) -> const Json& {
    return all.contains(kind) ? all.at(kind) : all;
  };
  const bool by_kind = all.contains("full_attention") || all.contains("sliding_attention");
  if (by_kind && family.sliding_theta == 0) {
    scaling.Fail("expected one set of values, found one per layer type");
  }
  const ConfigReader full(part("full_attention"), inside);
  model.rope = ParseOne(config, full, theta, family, model);
  if (family.sliding_theta == 0) return;
  const double own =
      config.Number("rope_local_base_freq", family.sliding_theta, kLeastTheta, kMostTheta);
  const Json none = Json::object();
  const ConfigReader sliding(by_kind ? part("sliding_attention") : none, inside);
  model.sliding_rope = ParseOne(config, sliding, own, family, model);
}

}  // namespace llmq
