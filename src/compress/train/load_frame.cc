#include "compress/train/load_frame.h"

#include <string>
#include <vector>

#include "compress/stored_table.h"
#include "compress/torch_bridge.h"

namespace llmq {
namespace {

class Loader {
 public:
  Loader(const Checkpoint& checkpoint, at::Device device)
      : checkpoint_(checkpoint),
        device_(device),
        linears_(BlockLinears(checkpoint.config())),
        norms_(BlockNorms(checkpoint.config())),
        routers_(BlockRouters(checkpoint.config())) {
    frame_.routers.resize(RouterIndex(checkpoint.config().num_layers, Router::kExperts));
    frame_.norms.resize(NormIndex(checkpoint.config().num_layers, BlockNorm::kInput));
    frame_.biases.resize(linears_.size());
    weights_.resize(linears_.size());
  }

  void LoadTables() {
    LoadBefore();
    LoadAfter();
  }

  void LoadBefore() {
    frame_.embedding = Load(kEmbeddingName);
    const ModelConfig& config = checkpoint_.config();
    if (config.learned_positions) frame_.positions = Load(kPositionsName);
    if (config.HasProjectedEmbedding()) frame_.project_in = Load(kProjectInName);
  }

  void LoadAfter() {
    const ModelConfig& config = checkpoint_.config();
    const bool tied = config.tie_word_embeddings;
    const bool loaded = tied && frame_.embedding.defined();
    frame_.head = loaded ? frame_.embedding : Load(tied ? kEmbeddingName : kHeadName);
    if (config.HasProjectedEmbedding()) frame_.project_out = Load(kProjectOutName);
    if (config.has_final_norm) {
      frame_.final_norm = LoadNorm(checkpoint_, FinalNorm(config), device_);
    }
  }

  void LoadSmallParts(int64_t layer) {
    for (const NormSpec& spec : norms_) {
      if (spec.layer != layer) continue;
      frame_.norms[NormIndex(layer, spec.norm)] = LoadNorm(checkpoint_, spec, device_);
    }
    for (const RouterSpec& spec : routers_) {
      if (spec.layer != layer) continue;
      frame_.routers[RouterIndex(layer, spec.router)] = Load(spec.name);
    }
    const LinearRange block = LinearsOfBlock(checkpoint_.config(), layer);
    for (size_t i = block.begin; i < block.end; ++i) {
      if (linears_[i].has_bias) frame_.biases[i] = Load(linears_[i].name + ".bias");
    }
  }

  void LoadBlock(int64_t layer) {
    LoadSmallParts(layer);
    const LinearRange block = LinearsOfBlock(checkpoint_.config(), layer);
    for (size_t i = block.begin; i < block.end; ++i) {
      weights_[i] = Load(linears_[i].name + ".weight");
    }
  }

  Teacher Take() { return {std::move(frame_), DenseLinears(std::move(weights_))}; }

 private:
  at::Tensor Load(const std::string& name) const { return LoadTensor(checkpoint_, name, device_); }

  const Checkpoint& checkpoint_;
  at::Device device_;
  std::vector<LinearSpec> linears_;
  std::vector<NormSpec> norms_;
  std::vector<RouterSpec> routers_;
  FrameWeights frame_;
  std::vector<at::Tensor> weights_;
};

}  // namespace

at::Tensor LoadTensor(const Checkpoint& checkpoint, const std::string& name, at::Device device) {
  const TensorView& view = checkpoint.Get(name);
  ExpectFinite(view);
  at::Tensor tensor = ToTorch(view).to(device);
  checkpoint.Release(view);
  return tensor;
}

NormTensors LoadNorm(const Checkpoint& checkpoint, const NormSpec& norm, at::Device device) {
  NormTensors tensors{LoadTensor(checkpoint, norm.name, device), {}};
  const double offset = checkpoint.config().norm_offset;
  if (offset != 0) tensors.weight += offset;
  if (!norm.bias.empty()) tensors.bias = LoadTensor(checkpoint, norm.bias, device);
  return tensors;
}

Teacher LoadTeacher(const Checkpoint& checkpoint, at::Device device) {
  Loader loader(checkpoint, device);
  loader.LoadTables();
  for (int64_t layer = 0; layer < checkpoint.config().num_layers; ++layer) loader.LoadBlock(layer);
  return loader.Take();
}

FrameWeights LoadFrame(const Checkpoint& checkpoint, at::Device device) {
  Loader loader(checkpoint, device);
  loader.LoadTables();
  for (int64_t layer = 0; layer < checkpoint.config().num_layers; ++layer) {
    loader.LoadSmallParts(layer);
  }
  return loader.Take().frame;
}

FrameWeights LoadBeforeBlocks(const Checkpoint& checkpoint, at::Device device) {
  Loader loader(checkpoint, device);
  loader.LoadBefore();
  return loader.Take().frame;
}

FrameWeights LoadAfterBlocks(const Checkpoint& checkpoint, at::Device device) {
  Loader loader(checkpoint, device);
  loader.LoadAfter();
  return loader.Take().frame;
}

Teacher LoadBlock(const Checkpoint& checkpoint, int64_t layer, at::Device device) {
  Loader loader(checkpoint, device);
  loader.LoadBlock(layer);
  return loader.Take();
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
