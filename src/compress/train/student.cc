#include "compress/train/student.h"

#include <fmt/core.h>

#include <cmath>
#include <utility>

#include "compress/factorize/dual_svid.h"
#include "compress/torch_bridge.h"

namespace llmq {
namespace {

// Parameters of a path, in order.
enum PathTensor : size_t { kV, kU, kG, kH, kL, kTensorsPerPath };
constexpr size_t kFoldedLeaves = 2;  // of a linear: of V and of U
constexpr size_t kScaleLeaves = 3;   // of a path: g, h, l
constexpr size_t kSigns = 2;         // of a path: V, U

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
                 const FrameWeights& frame, at::Device device, TrainedPart part)
    : paths_(layers.front().paths.size()), part_(part) {
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
  MakeLeaves(device);
}

void Student::AddNorm(const NormSpec& spec, const NormTensors& norm, at::Device device) {
  Add(spec.name, norm.weight, 1, device);
  if (norms_have_bias_) Add(spec.bias, norm.bias, 1, device);
}

void Student::AddFrame(const ModelConfig& config, const FrameWeights& frame, at::Device device) {
  const std::vector<LinearSpec> linears = BlockLinears(config);
  frozen_.embedding = frame.embedding;
  frozen_.positions = frame.positions;
  frozen_.project_in = frame.project_in;
  frozen_.project_out = frame.project_out;
  frozen_.head = frame.head;
  norms_have_bias_ = config.norm_kind == NormKind::kLayer;
  frozen_.routers = frame.routers;
  first_frame_parameter_ = parameters_.size();
  for (size_t i = 0; i < linears.size(); ++i) {
    has_bias_.push_back(linears[i].has_bias);
    if (linears[i].has_bias) Add(linears[i].name + ".bias", frame.biases[i], 1, device);
  }
  has_norm_.resize(frame.norms.size());
  for (const NormSpec& spec : BlockNorms(config)) {
    const size_t index = NormIndex(spec.layer, spec.norm);
    AddNorm(spec, frame.norms[index], device);
    has_norm_[index] = true;
  }
  has_final_norm_ = config.has_final_norm;
  if (has_final_norm_) AddNorm(FinalNorm(config), frame.final_norm, device);
}

void Student::AddLatent(std::string name, const at::Tensor& value, at::Device device) {
  const double rms = RootMeanSquare(value);
  Add(std::move(name), rms > 0 ? value * (kLatentRms / rms) : value, 1, device);
  Parameter& latent = parameters_.back();
  latent.is_latent = true;
  if (part_ == TrainedPart::kScales) latent.first_moment = latent.second_moment = at::Tensor();
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

// Of a leaf that is a parameter.
size_t Student::ParameterOf(size_t leaf) const {
  if (leaf >= first_frame_leaf_) return first_frame_parameter_ + leaf - first_frame_leaf_;
  return leaf / kScaleLeaves * kTensorsPerPath + kG + leaf % kScaleLeaves;
}

void Student::MakeLeaves(at::Device device) {
  for (size_t i = 0; i < shapes_.size(); ++i) {
    if (part_ == TrainedPart::kAll) {
      const int64_t rows = shapes_[i].rank * static_cast<int64_t>(paths_);
      leaves_.push_back(at::empty({rows, shapes_[i].d_in}, at::device(device).dtype(at::kFloat)));
      leaves_.push_back(at::empty({rows, shapes_[i].d_out}, at::device(device).dtype(at::kFloat)));
      continue;
    }
    for (size_t p = 0; p < paths_; ++p) {
      const Parameter* path = &parameters_[FirstOf(i, p)];
      signs_.insert(signs_.end(), {SignOf(path[kV].value), SignOf(path[kU].value)});
      leaves_.insert(leaves_.end(), {path[kG].value, path[kH].value, path[kL].value});
    }
  }
  first_frame_leaf_ = leaves_.size();
  for (size_t i = first_frame_parameter_; i < parameters_.size(); ++i) {
    leaves_.push_back(parameters_[i].value);
  }
  RefreshLeaves();
}

void Student::HoldLatentScales() {
  for (size_t i = 0; i < first_frame_parameter_; i += kTensorsPerPath) parameters_[i + kL].rate = 0;
}

void Student::RefreshLeaves() {
  for (size_t leaf = 0; leaf < leaves_.size(); ++leaf) {
    VisitSides(leaf,
               [](const FoldedSide& side, const at::Tensor& product) { Fold(side, product); });
  }
}

// visit(side, its rows of the leaf) for each path of a folded leaf; nothing for another leaf.
template <typename Visit>
void Student::VisitSides(size_t leaf, const Visit& visit) {
  if (part_ != TrainedPart::kAll || leaf >= first_frame_leaf_) return;
  const size_t linear = leaf / kFoldedLeaves;
  const int64_t rank = shapes_[linear].rank;
  for (size_t p = 0; p < paths_; ++p) {
    Parameter* path = &parameters_[FirstOf(linear, p)];
    const FoldedSide side = leaf % kFoldedLeaves == 0 ? FoldedSide{&path[kV], &path[kG], &path[kL]}
                                                      : FoldedSide{&path[kU], &path[kH], nullptr};
    visit(side, leaves_[leaf].narrow(0, static_cast<int64_t>(p) * rank, rank));
  }
}

void Student::MoveLeaf(size_t leaf, const at::Tensor& gradient, const UpdateStep& step) {
  const at::NoGradGuard no_grad;
  int64_t row = 0;
  VisitSides(leaf, [&](const FoldedSide& side, const at::Tensor& product) {
    UpdateFolded(side, gradient.narrow(0, row, product.size(0)), step, product);
    row += product.size(0);
  });
  if (row == 0) MoveByAdamW(parameters_[ParameterOf(leaf)], gradient, step);
}

FrameWeights Student::Frame(const std::vector<at::Tensor>& leaves) const {
  FrameWeights frame = frozen_;
  size_t next = first_frame_leaf_;
  for (const bool has_bias : has_bias_) {
    frame.biases.push_back(has_bias ? leaves[next++] : at::Tensor());
  }
  const auto take_norm = [&] {
    const at::Tensor weight = leaves[next++];
    return NormTensors{weight, norms_have_bias_ ? leaves[next++] : at::Tensor()};
  };
  for (const bool has_norm : has_norm_) {
    frame.norms.push_back(has_norm ? take_norm() : NormTensors());
  }
  if (has_final_norm_) frame.final_norm = take_norm();
  return frame;
}

std::unique_ptr<LinearSet> Student::Linears(const std::vector<at::Tensor>& leaves) const {
  if (part_ == TrainedPart::kAll) {
    std::vector<FoldedFactors> folded;
    for (size_t i = 0; i < shapes_.size(); ++i) {
      folded.push_back({leaves[i * kFoldedLeaves], leaves[i * kFoldedLeaves + 1]});
    }
    return std::make_unique<FoldedLinears>(std::move(folded));
  }
  std::vector<std::vector<SignPath>> layers(shapes_.size());
  for (size_t i = 0; i < shapes_.size(); ++i) {
    for (size_t path = i * paths_; path < (i + 1) * paths_; ++path) {
      const at::Tensor* sign = &signs_[path * kSigns];
      const at::Tensor* leaf = &leaves[path * kScaleLeaves];
      layers[i].push_back({sign[0], sign[1], leaf[0], leaf[1], leaf[2]});
    }
  }
  return std::make_unique<LittleBitLinears>(std::move(layers));
}

LayerFactors Student::Factors(size_t linear) const {
  LayerFactors factors{shapes_[linear], {}, 0};
  for (size_t p = 0; p < paths_; ++p) {
    const Parameter* parameter = &parameters_[FirstOf(linear, p)];
    const auto scale = [&](size_t i) { return RoundToHalf(parameter[i].value).cpu(); };
    factors.paths.push_back(
        {parameter[kV].value.cpu(), parameter[kU].value.cpu(), scale(kG), scale(kH), scale(kL)});
  }
  return factors;
}

at::Tensor Student::Find(const std::string& name) const {
  for (size_t i = first_frame_parameter_; i < parameters_.size(); ++i) {
    if (parameters_[i].name == name) return parameters_[i].value.cpu();
  }
  return {};
}

}  // namespace llmq
