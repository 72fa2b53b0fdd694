#include "compress/train/student.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>

#include "compress/torch_bridge.h"

namespace llmq {
namespace {

constexpr size_t kTensorsPerPath = 5;

// Only the sign of a latent counts, so its size is free. The surrogate's slope is above 1 % of its
// peak for |x| < 0.03, and Adam moves a latent by at most about the learning rate per step: at this
// size training can reach the signs that it wants to flip. Scales move by the same share of their
// size (AddScale).
constexpr double kLatentRms = 0.02;

double RootMeanSquare(const at::Tensor& value) {
  return value.norm().item<double>() / std::sqrt(static_cast<double>(value.numel()));
}

}  // namespace

Student::Student(const ModelConfig& config, std::vector<LayerFactors> layers,
                 const FrameWeights& frame, at::Device device)
    : paths_(layers.front().paths.size()) {
  const std::vector<LinearSpec> linears = BlockLinears(config);
  for (size_t i = 0; i < layers.size(); ++i) {
    shapes_.push_back(layers[i].shape);
    for (size_t p = 0; p < paths_; ++p) {
      PathFactors path = std::exchange(layers[i].paths[p], {});  // freed as it is copied
      const std::string prefix = fmt::format("{}.path{}.", linears[i].name, p);
      AddLatent(prefix + "v", path.v, device);
      AddLatent(prefix + "u", path.u, device);
      AddScale(prefix + "g", path.g, device);
      AddScale(prefix + "h", path.h, device);
      AddScale(prefix + "l", path.l, device);
    }
  }
  AddFrame(config, frame, device);
}

void Student::AddFrame(const ModelConfig& config, const FrameWeights& frame, at::Device device) {
  const std::vector<LinearSpec> linears = BlockLinears(config);
  frozen_.embedding = frame.embedding;
  frozen_.head = frame.head;
  for (size_t i = 0; i < linears.size(); ++i) {
    bias_index_.push_back(linears[i].has_bias ? static_cast<int64_t>(parameters_.size()) : -1);
    if (linears[i].has_bias) Add(linears[i].name + ".bias", frame.biases[i], 1, device);
  }
  first_norm_ = parameters_.size();
  for (size_t layer = 0; layer < frame.input_norms.size(); ++layer) {
    Add(InputNormName(static_cast<int64_t>(layer)), frame.input_norms[layer], 1, device);
    Add(PostAttentionNormName(static_cast<int64_t>(layer)), frame.post_norms[layer], 1, device);
  }
  Add(kFinalNormName, frame.final_norm, 1, device);
}

void Student::AddLatent(std::string name, const at::Tensor& value, at::Device device) {
  const double rms = RootMeanSquare(value);
  Add(std::move(name), rms > 0 ? value * (kLatentRms / rms) : value, 1, device);
  parameters_.back().is_latent = true;
}

// Scales are larger than latents by what the layer's weights say. Adam's steps are absolute; at
// this rate a scale moves by the same share of its size as a latent does.
void Student::AddScale(std::string name, const at::Tensor& value, at::Device device) {
  Add(std::move(name), value, RootMeanSquare(value) / kLatentRms, device);
}

void Student::Add(std::string name, const at::Tensor& value, double rate, at::Device device) {
  const at::Tensor copy =
      value.to(device, at::kFloat, /*non_blocking=*/false, /*copy=*/true).contiguous();
  parameters_.push_back(
      {std::move(name), copy, false, rate, at::zeros_like(copy), at::zeros_like(copy)});
}

size_t Student::FirstOf(size_t linear, size_t path) const {
  return (linear * paths_ + path) * kTensorsPerPath;
}

FrameWeights Student::Frame(const std::vector<at::Tensor>& leaves) const {
  FrameWeights frame = frozen_;
  for (const int64_t index : bias_index_) {
    frame.biases.push_back(index < 0 ? at::Tensor() : leaves[static_cast<size_t>(index)]);
  }
  size_t next = first_norm_;
  while (next + 1 < leaves.size()) {
    frame.input_norms.push_back(leaves[next++]);
    frame.post_norms.push_back(leaves[next++]);
  }
  frame.final_norm = leaves[next];
  return frame;
}

LittleBitLinears Student::Linears(const std::vector<at::Tensor>& leaves) const {
  std::vector<std::vector<SignPath>> layers(shapes_.size());
  for (size_t i = 0; i < shapes_.size(); ++i) {
    for (size_t p = 0; p < paths_; ++p) {
      const at::Tensor* leaf = &leaves[FirstOf(i, p)];
      layers[i].push_back({leaf[0], leaf[1], leaf[2], leaf[3], leaf[4]});
    }
  }
  return LittleBitLinears(std::move(layers));
}

LayerFactors Student::Factors(size_t linear) const {
  LayerFactors factors{shapes_[linear], {}, 0};
  for (size_t p = 0; p < paths_; ++p) {
    const Parameter* parameter = &parameters_[FirstOf(linear, p)];
    const auto scale = [&](size_t i) { return RoundToHalf(parameter[i].value).cpu(); };
    factors.paths.push_back(
        {parameter[0].value.cpu(), parameter[1].value.cpu(), scale(2), scale(3), scale(4)});
  }
  return factors;
}

at::Tensor Student::Find(const std::string& name) const {
  for (const Parameter& parameter : parameters_) {
    if (parameter.name == name) return parameter.value.cpu();
  }
  return {};
}

}  // namespace llmq
