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
  block.input_norm = load(InputNormName(layer));
  block.post_norm = load(PostAttentionNormName(layer));
  return block;
}

ModelConfig OneBlockConfig(const ModelConfig& config) {
  ModelConfig one = config;
  one.num_layers = 1;
  return one;
}

FrameWeights OneBlockFrame(const BlockWeights& block) {
  FrameWeights frame;
  frame.final_norm = at::ones({1}, block.input_norm.options());
  frame.input_norms = {block.input_norm};
  frame.post_norms = {block.post_norm};
  frame.biases = block.biases;
  return frame;
}

}  // namespace llmq
