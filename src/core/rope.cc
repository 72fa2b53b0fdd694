// Inverse frequencies of the rotary position embedding, with the four context extensions in use.
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

// theta^(2i / head_dim), [head_dim/2] f32: each step rounded to float as torch does.
std::vector<float> PositionPowers(double theta, int64_t head_dim) {
  std::vector<float> powers(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < powers.size(); ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    powers[i] =
        static_cast<float>(std::pow(static_cast<double>(static_cast<float>(theta)), exponent));
  }
  return powers;
}

std::vector<float> PlainFrequencies(double theta, int64_t head_dim) {
  std::vector<float> inverse = PositionPowers(theta, head_dim);
  for (float& f : inverse) f = 1.0f / f;
  return inverse;
}

// "NTK-aware": a larger base, growing with the sequence, once it is longer than the model was
// trained for.
double DynamicTheta(const ModelConfig& config, int64_t sequence_length) {
  const double trained = config.rope.original_max_position;
  const double length = std::max(static_cast<double>(sequence_length), trained);
  const double factor = config.rope.factor;
  const double dim = static_cast<double>(config.head_dim);
  return config.rope.theta * std::pow(factor * length / trained - (factor - 1), dim / (dim - 2));
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
std::vector<float> YarnFrequencies(const ModelConfig& config) {
  const RopeConfig& rope = config.rope;
  const double dim = static_cast<double>(config.head_dim);
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

  std::vector<float> inverse = PositionPowers(rope.theta, config.head_dim);
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

}  // namespace

RopeFrequencies ComputeRopeFrequencies(const ModelConfig& config, int64_t sequence_length) {
  const RopeConfig& rope = config.rope;
  if (rope.scaling == RopeScalingKind::kYarn) {
    const double factor = rope.attention_factor != 0
                              ? rope.attention_factor
                              : 0.1 * std::log(std::max(rope.factor, 1.0)) + 1;
    return {YarnFrequencies(config), static_cast<float>(factor)};
  }
  if (rope.scaling == RopeScalingKind::kDynamic) {
    return {PlainFrequencies(DynamicTheta(config, sequence_length), config.head_dim), 1.0f};
  }
  RopeFrequencies result{PlainFrequencies(rope.theta, config.head_dim), 1.0f};
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
