// The model being trained: latents, scales, norms and biases as one list of parameters.
//
// Before: factorize/ made the factors. After: trainer updates the list, and export takes the
// factors back. The embedding and the head are frozen, and taken as they will be stored.
#ifndef LLMQ_COMPRESS_TRAIN_STUDENT_H_
#define LLMQ_COMPRESS_TRAIN_STUDENT_H_

#include <string>
#include <vector>

#include "compress/factorize/factorize_layer.h"
#include "compress/train/littlebit_module.h"
#include "compress/train/trainable_model.h"

namespace llmq {

struct Parameter {
  std::string name;  // "model.layers.0.self_attn.q_proj.path0.v", or a norm's or bias's tensor name
  at::Tensor value;  // f32, on the device
  bool is_latent = false;   // its sign is what the forward pass sees
  double rate = 1;          // of its learning rate to the run's
  at::Tensor first_moment;  // of AdamW, same shape
  at::Tensor second_moment;
};

class Student {
 public:
  // `frame`: as stored, on the device; its norms and biases become parameters (copied).
  Student(const ModelConfig& config, std::vector<LayerFactors> layers, const FrameWeights& frame,
          at::Device device);

  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }

  // The forward pass's weights, made of `leaves`: one tensor per parameter, in order, where latents
  // are replaced by their signs.
  FrameWeights Frame(const std::vector<at::Tensor>& leaves) const;
  LittleBitLinears Linears(const std::vector<at::Tensor>& leaves) const;

  // Back on the CPU, scales rounded to fp16. relative_error is not set.
  LayerFactors Factors(size_t linear) const;
  // A norm or bias by its tensor name, f32 on the CPU; undefined if there is no such parameter.
  at::Tensor Find(const std::string& name) const;

 private:
  void AddLatent(std::string name, const at::Tensor& value, at::Device device);
  void AddScale(std::string name, const at::Tensor& value, at::Device device);
  void Add(std::string name, const at::Tensor& value, double rate, at::Device device);
  void AddFrame(const ModelConfig& config, const FrameWeights& frame, at::Device device);
  size_t FirstOf(size_t linear, size_t path) const;  // parameter index of v; then u, g, h, l

  std::vector<LittleBitShape> shapes_;
  size_t paths_ = 1;
  FrameWeights frozen_;  // embedding and head only
  std::vector<Parameter> parameters_;
  // Where the frame's parameters stand. -1: this linear has no bias.
  std::vector<int64_t> bias_index_;
  size_t first_norm_ = 0;  // input and post norm of each block, then the final norm
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_STUDENT_H_
