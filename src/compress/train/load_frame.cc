#include "compress/train/load_frame.h"

#include <string>
#include <vector>

#include "compress/stored_table.h"
#include "compress/torch_bridge.h"

namespace llmq {

Teacher LoadTeacher(const Checkpoint& checkpoint, at::Device device) {
  const ModelConfig& config = checkpoint.config();
  const auto load = [&](const std::string& name) {
    const TensorView& view = checkpoint.Get(name);
    ExpectFinite(view);
    at::Tensor tensor = ToTorch(view).to(device);
    checkpoint.Release(view);
    return tensor;
  };
  FrameWeights frame;
  frame.embedding = load(kEmbeddingName);
  frame.head = config.tie_word_embeddings ? frame.embedding : load(kHeadName);
  frame.final_norm = load(kFinalNormName);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    frame.input_norms.push_back(load(InputNormName(layer)));
    frame.post_norms.push_back(load(PostAttentionNormName(layer)));
  }
  std::vector<at::Tensor> weights;
  for (const LinearSpec& linear : BlockLinears(config)) {
    weights.push_back(load(linear.name + ".weight"));
    frame.biases.push_back(linear.has_bias ? load(linear.name + ".bias") : at::Tensor());
  }
  return {std::move(frame), DenseLinears(std::move(weights))};
}

FrameWeights StoredFrame(const Checkpoint& checkpoint, const FrameWeights& teacher,
                         const TableBits& table_bits, at::Device device) {
  FrameWeights frame = teacher;
  const auto store = [&](const char* name, int bits, at::Tensor& table) {
    if (bits != 16) table = StoredTableValues(checkpoint.Get(name), bits).to(device);
  };
  const bool tied = checkpoint.config().tie_word_embeddings;
  store(kEmbeddingName, table_bits.embedding, frame.embedding);
  if (tied) frame.head = frame.embedding;
  if (!tied) store(kHeadName, table_bits.head, frame.head);
  return frame;
}

}  // namespace llmq
