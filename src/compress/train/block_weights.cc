#include "compress/train/block_weights.h"

#include <string>

#include "compress/train/load_frame.h"

namespace llmq {

BlockWeights LoadBlockWeights(const Checkpoint& checkpoint, int64_t layer, at::Device device) {
  const auto load = [&](const std::string& name) { return LoadTensor(checkpoint, name, device); };
  BlockWeights block;
  for (const LinearSpec& linear : BlockLinears(checkpoint.config())) {
    if (linear.layer != layer) continue;
    block.matrices.push_back(load(linear.name + ".weight"));
    block.biases.push_back(linear.has_bias ? load(linear.name + ".bias") : at::Tensor());
  }
  block.norms.resize(kNumBlockNorms);
  for (const NormSpec& spec : BlockNorms(checkpoint.config())) {
    if (spec.layer != layer) continue;
    block.norms[static_cast<size_t>(spec.norm)] = LoadNorm(checkpoint, spec, device);
  }
  block.routers = LoadRouters(checkpoint, layer, device);
  return block;
}

std::vector<at::Tensor> LoadRouters(const Checkpoint& checkpoint, int64_t layer,
                                    at::Device device) {
  std::vector<at::Tensor> routers(kNumRouters);
  for (const RouterSpec& spec : BlockRouters(checkpoint.config())) {
    if (spec.layer != layer) continue;
    routers[static_cast<size_t>(spec.router)] = LoadTensor(checkpoint, spec.name, device);
  }
  return routers;
}

ModelConfig OneBlockConfig(const ModelConfig& config, int64_t layer) {
  ModelConfig one = config;
  one.num_layers = 1;
  if (!config.full_attention.empty()) {
    one.full_attention = {config.full_attention[static_cast<size_t>(layer)]};
  }
  if (config.experts.count > 0) one.experts.sparse_layers = {config.IsSparse(layer)};
  return one;
}

FrameWeights OneBlockFrame(const BlockWeights& block) {
  FrameWeights frame;
  const at::TensorOptions options = block.matrices.front().options();
  frame.final_norm = {at::ones({1}, options), at::zeros({1}, options)};
  frame.norms = block.norms;
  frame.biases = block.biases;
  frame.routers = block.routers;
  return frame;
}

}  // namespace llmq
