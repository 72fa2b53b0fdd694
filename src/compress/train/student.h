// The model being trained: latents, scales, norms and biases as one list of parameters, and the
// leaves that a step differentiates by.
//
// Before: factorize/ made the factors. After: trainer moves the parameters leaf by leaf, and export
// takes the factors back. The embedding and the head are frozen, and taken as they will be stored;
// so are the routers of experts, for a token that changes its experts makes the loss jump.
#ifndef LLMQ_COMPRESS_TRAIN_STUDENT_H_
#define LLMQ_COMPRESS_TRAIN_STUDENT_H_

#include <memory>
#include <string>
#include <vector>

#include "compress/factorize/factorize_layer.h"
#include "compress/train/adamw.h"
#include "compress/train/folded_side.h"
#include "compress/train/littlebit_module.h"
#include "compress/train/trainable_model.h"
#include "llmq/compress.h"

namespace llmq {

class Student {
 public:
  // `frame`: as stored, on the device; its norms and biases become parameters (copied).
  Student(const ModelConfig& config, std::vector<LayerFactors> layers, const FrameWeights& frame,
          at::Device device, TrainedPart part = TrainedPart::kAll);

  // Whoever changes values, but for MoveLeaf, calls RefreshLeaves then.
  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  // The tensors that the forward pass is made of and the loss is differentiated by. With kAll: two
  // per linear, sign matrices with their scales folded in, all paths below each other
  // (FoldedFactors); with kScales: g, h and l per path. Then biases and norms. They stay the same
  // tensors as they change.
  const std::vector<at::Tensor>& leaves() const { return leaves_; }

  // The forward pass's weights, made of `leaves`: this->leaves(), or others in their place. Linears
  // borrow nothing.
  FrameWeights Frame(const std::vector<at::Tensor>& leaves) const;
  std::unique_ptr<LinearSet> Linears(const std::vector<at::Tensor>& leaves) const;

  // From here on latent scales stay what they are.
  void HoldLatentScales();
  // All leaves from the parameters.
  void RefreshLeaves();
  // Moves the parameters of a leaf, and the leaf, along the gradient by it. Leaves share no
  // parameters: different ones can be moved at the same time.
  void MoveLeaf(size_t leaf, const at::Tensor& gradient, const UpdateStep& step);

  // Back on the CPU, scales rounded to fp16. relative_error is not set.
  LayerFactors Factors(size_t linear) const;
  // A norm or bias by its tensor name, f32 on the CPU; undefined if there is no such parameter.
  at::Tensor Find(const std::string& name) const;

 private:
  void AddLatent(std::string name, const at::Tensor& value, at::Device device);
  void AddScale(std::string name, const at::Tensor& value, at::Device device);
  void Add(std::string name, const at::Tensor& value, double rate, at::Device device);
  void AddNorm(const NormSpec& spec, const NormTensors& norm, at::Device device);
  void AddFrame(const ModelConfig& config, const FrameWeights& frame, at::Device device);
  void MakeLeaves(at::Device device);
  template <typename Visit>
  void VisitSides(size_t leaf, const Visit& visit);
  size_t FirstOf(size_t linear, size_t path) const;  // parameter index of v; then u, g, h, l
  size_t ParameterOf(size_t leaf) const;

  std::vector<LittleBitShape> shapes_;
  size_t paths_ = 1;
  TrainedPart part_;
  FrameWeights frozen_;  // tables and routers only
  std::vector<Parameter> parameters_;
  std::vector<bool> has_bias_;  // per linear
  std::vector<bool> has_norm_;  // by NormIndex
  bool norms_have_bias_ = false;
  bool has_final_norm_ = true;
  size_t first_frame_parameter_ = 0;  // biases, then the norms of each block, then the final norm
  size_t first_frame_leaf_ = 0;       // of the same
  std::vector<at::Tensor> leaves_;
  std::vector<at::Tensor> signs_;  // with kScales: of v, then u, per path of each linear
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_STUDENT_H_
