// Inverse frequencies of the rotary position embedding, with the context extensions in use.
//
// Before this: RopeConfig, parsed from config.json. After this: the runtime's and the trainer's
// tables of cos and sin. The formulas and the order of their float roundings are those of Hugging
// Face transformers, for a difference of 1e-7 in a frequency is a visible angle at position
// 100,000.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "llmq/model_config.h"

namespace llmq {
namespace {

// theta^(2i / dim), [dim/2] f32: each step rounded to float as torch does.
std::vector<float> PositionPowers(double theta, int64_t dim) {
  std::vector<float> powers(static_cast<size_t>(dim / 2));
  for (size_t i = 0; i < powers.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dim);
    powers[i] =
        static_cast<float>(std::pow(static_cast<double>(static_cast<float>(theta)), exponent));
  }
  return powers;
}

std::vector<float> PlainFrequencies(double theta, int64_t dim) {
  std::vector<float> inverse = PositionPowers(theta, dim);
  for (float& f : inverse) f = 1.0f / f;
  return inverse;
}

// "NTK-aware": a larger base, growing with the sequence, once it is longer than the model was
// trained for.
double DynamicTheta(const RopeConfig& rope, int64_t sequence_length) {
  const double trained = rope.original_max_position;
  const double length = std::max(static_cast<double>(sequence_length), trained);
  const double factor = rope.factor;
  const double dim = static_cast<double>(rope.dim);
  return rope.theta * std::pow(factor * length / trained - (factor - 1), dim / (dim - 2));
}

// Llama 3.1: long waves are slowed by `factor`, short ones kept, and between them a smooth passage.
float Llama3Frequency(const RopeConfig& rope, float inverse) {
  const float trained = static_cast<float>(rope.original_max_position);
  const float wave = static_cast<float>(2 * std::numbers::pi) / inverse;  // positions per turn
  const float factor = static_cast<float>(rope.factor);
  if (wave > static_cast<float>(rope.original_max_position / rope.low_freq_factor))
    return inverse / factor;
  if (wave < static_cast<float>(rope.original_max_position / rope.high_freq_factor)) return inverse;
  const float smooth = (trained / wave - static_cast<float>(rope.low_freq_factor)) /
                       static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * inverse / factor + smooth * inverse;
}

// YaRN: dimensions that turn more than beta_fast times within the trained length are kept, those
// that turn less than beta_slow times are slowed by `factor`, and between them a linear ramp over
// dimensions.
std::vector<float> YarnFrequencies(const RopeConfig& rope) {
  const double dim = static_cast<double>(rope.dim);
  const auto dimension_of = [&](double turns) {
    return dim * std::log(rope.original_max_position / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = dimension_of(rope.beta_fast);
  double high = dimension_of(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;

  std::vector<float> inverse = PositionPowers(rope.theta, rope.dim);
  for (size_t i = 0; i < inverse.size(); ++i) {
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f,
        1.0f);
    const float keep = 1 - ramp;
    const float slowed = 1.0f / (static_cast<float>(rope.factor) * inverse[i]);
    inverse[i] = slowed * (1 - keep) + 1.0f / inverse[i] * keep;
  }
  return inverse;
}

// LongRoPE: found divisors, others for texts that are longer than the original length.
std::vector<float> LongRopeFrequencies(const RopeConfig& rope, int64_t sequence_length) {
  const bool is_long = static_cast<double>(sequence_length) > rope.original_max_position;
  const std::vector<float>& divisors = is_long ? rope.long_divisors : rope.short_divisors;
  std::vector<float> inverse = PositionPowers(rope.theta, rope.dim);
  for (size_t i = 0; i < inverse.size(); ++i) inverse[i] = 1.0f / (divisors[i] * inverse[i]);
  return inverse;
}

}  // namespace

RopeFrequencies ComputeRopeFrequencies(const RopeConfig& rope, int64_t sequence_length) {
  if (rope.scaling == RopeScalingKind::kYarn) {
    const double factor = rope.attention_factor != 0
                              ? rope.attention_factor
                              : 0.1 * std::log(std::max(rope.factor, 1.0)) + 1;
    return {YarnFrequencies(rope), static_cast<float>(factor)};
  }
  if (rope.scaling == RopeScalingKind::kDynamic) {
    return {PlainFrequencies(DynamicTheta(rope, sequence_length), rope.dim), 1.0f};
  }
  if (rope.scaling == RopeScalingKind::kLongRope) {
    return {LongRopeFrequencies(rope, sequence_length), static_cast<float>(rope.attention_factor)};
  }
  RopeFrequencies result{PlainFrequencies(rope.theta, rope.dim), 1.0f};
  for (float& f : result.inverse) {
    if (rope.scaling == RopeScalingKind::kLinear) f /= static_cast<float>(rope.factor);
    if (rope.scaling == RopeScalingKind::kLlama3) f = Llama3Frequency(rope, f);
  }
  for (size_t i = 0; i < rope.frequency_factors.size(); ++i) {
    result.inverse[i] /= rope.frequency_factors[i];
  }
  return result;
}

}  // namespace llmq
