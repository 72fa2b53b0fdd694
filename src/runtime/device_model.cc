#include "runtime/device_model.h"

#include <fmt/format.h>

#include <mutex>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cuda/device_forward.h"
#include "llmq/error.h"
#include "runtime/layers.h"

namespace llmq {
namespace {

constexpr int64_t kMostHeadDim = 256;
constexpr int64_t kMostDimension = int64_t{1} << 24;  // of a matrix: kernels count in 32 bits

bool StoredForDevice(const WeightMatrix& matrix) {
  if (matrix.d_in > kMostDimension || matrix.d_out > kMostDimension) return false;
  return matrix.form == WeightForm::kLittleBit || matrix.form == WeightForm::kDense ||
         (matrix.form == WeightForm::kGrouped && matrix.group_bits == 8);
}

template <typename Visit>
void ForEachMatrix(const LayerWeights& layer, const Visit& visit) {
  for (const WeightMatrix* matrix :
       {&layer.q, &layer.k, &layer.v, &layer.o, &layer.mlps.front().gate, &layer.mlps.front().up,
        &layer.mlps.front().down})
    visit(*matrix);
}

std::optional<std::string> ConfigOnlyOnCpu(const ModelConfig& config) {
  if (config.experts.count > 0) return "experts";
  if (config.norm_kind != NormKind::kRms) return "LayerNorm";
  if (config.learned_positions) return "learned positions";
  if (!config.gated_mlp) return "MLPs without a gate";
  if (config.sandwich_norms) return "norms after attention and MLP";
  if (config.activation != Activation::kSilu) return "an activation that is not SiLU";
  if (config.embedding_scale != 1) return "scaled embeddings";
  if (config.attention_softcap != 0 || config.logit_softcap != 0) return "capped scores or logits";
  if (config.sliding_rope) return "a rotation of its own in layers with a window";
  if (DependsOnLength(config.rope.scaling)) return "a rotation that depends on the text's length";
  if (config.head_dim > kMostHeadDim) return fmt::format("heads of more than {}", kMostHeadDim);
  return std::nullopt;
}

cuda::HostRows Rows(const WeightMatrix& matrix) {
  cuda::HostRows rows{.data = matrix.bytes.data(), .rows = matrix.d_out, .cols = matrix.d_in};
  if (matrix.form == WeightForm::kGrouped) {
    rows.type = cuda::RowType::kGroup8;
    rows.row_bytes = GroupQuantRowBytes(matrix.group_shape());
    return rows;
  }
  switch (matrix.dense_type) {
    case DenseType::kF32: rows.type = cuda::RowType::kF32; break;
    case DenseType::kF16: rows.type = cuda::RowType::kF16; break;
    case DenseType::kBF16: rows.type = cuda::RowType::kBF16; break;
  }
  rows.row_bytes = matrix.d_in * (matrix.dense_type == DenseType::kF32 ? 4 : 2);
  return rows;
}

cuda::HostLinear Linear(const WeightMatrix& matrix) {
  cuda::HostLinear linear{.bias = matrix.bias};
  if (matrix.form != WeightForm::kLittleBit) {
    linear.rows = Rows(matrix);
    return linear;
  }
  for (const CompressedPath& path : matrix.paths)
    linear.paths.push_back({path.v, path.u, path.g, path.h, path.l});
  return linear;
}

cuda::HostModel Describe(const ModelWeights& weights) {
  cuda::HostModel model{.embedding = Rows(weights.embedding()),
                        .head = Rows(weights.head()),
                        .final_norm = weights.final_norm().weight};
  for (const LayerWeights& layer : weights.layers()) {
    model.blocks.push_back({.input_norm = layer[BlockNorm::kInput].weight,
                            .mlp_norm = layer[BlockNorm::kMlp].weight,
                            .query_norm = layer[BlockNorm::kQuery].weight,
                            .key_norm = layer[BlockNorm::kKey].weight,
                            .q = Linear(layer.q),
                            .k = Linear(layer.k),
                            .v = Linear(layer.v),
                            .o = Linear(layer.o),
                            .gate = Linear(layer.mlps.front().gate),
                            .up = Linear(layer.mlps.front().up),
                            .down = Linear(layer.mlps.front().down)});
  }
  return model;
}

class DeviceForwardPass final : public ForwardPass {
 public:
  // `turn`: held by whoever gives the GPU something to do.
  DeviceForwardPass(cuda::Gpu& gpu, std::mutex& turn, const cuda::DeviceWeights& weights, KvType kv,
                    int64_t capacity, const RopeTable& rope)
      : turn_(turn),
        forward_(gpu, weights,
                 {.capacity = capacity,
                  .half_cache = kv == KvType::kF16,
                  .cos = rope.cos(),
                  .sin = rope.sin()}) {}

  void SetSequenceLength(int64_t) override {}  // no rotation here depends on it
  void Forward(std::span<const int32_t> tokens, int64_t position) override {
    const std::lock_guard lock(turn_);
    forward_.Forward(tokens, position);
  }
  void Logits(int64_t count, float* logits) override {
    const std::lock_guard lock(turn_);
    forward_.Logits(count, logits);
  }
  int64_t capacity() const override { return forward_.capacity(); }
  int64_t most_tokens() const override { return forward_.most_tokens(); }

 private:
  std::mutex& turn_;
  cuda::DeviceForward forward_;
};

}  // namespace

std::optional<std::string> OnlyOnCpu(const ModelWeights& weights, const RuntimeOptions& options) {
  if (options.kv == KvType::kQ8) return "keys and values in 8 bits";
  if (options.kv == KvType::kLatent) return "latents instead of keys and values";
  if (auto part = ConfigOnlyOnCpu(weights.config())) return part;
  bool stored = true;
  bool compressed = false;
  for (const LayerWeights& layer : weights.layers()) {
    ForEachMatrix(layer, [&](const WeightMatrix& matrix) {
      stored = stored && StoredForDevice(matrix);
      compressed = compressed || matrix.form == WeightForm::kLittleBit;
    });
  }
  for (const WeightMatrix* table : {&weights.embedding(), &weights.head()})
    stored = stored && StoredForDevice(*table) && table->form != WeightForm::kLittleBit;
  if (!stored) return "weights in blocks, in 6 or in 4 bits";
  if (compressed && options.exact) return "compressed layers with float32 activations";
  return std::nullopt;
}

DeviceModel::DeviceModel(std::unique_ptr<cuda::Gpu> gpu, const ModelWeights& weights,
                         const RuntimeOptions& options)
    : gpu_(std::move(gpu)), weights_(*gpu_, weights.config(), Describe(weights)), kv_(options.kv) {}

std::unique_ptr<ForwardPass> DeviceModel::MakeForwardPass(int64_t capacity) const {
  RopeTable rope;
  rope.Fill(ComputeRopeFrequencies(weights_.config.rope, 0), 0, capacity);
  const std::lock_guard lock(turn_);
  return std::make_unique<DeviceForwardPass>(*gpu_, turn_, weights_, kv_, capacity, rope);
}

std::unique_ptr<DeviceModel> OpenDeviceModel(const ModelWeights& weights,
                                             const RuntimeOptions& options) {
  if (options.device == RunDevice::kCpu) return nullptr;
  const bool wanted = options.device == RunDevice::kCuda;
  std::unique_ptr<cuda::Gpu> gpu;
  try {
    gpu = cuda::OpenGpu(0);
  } catch (const Error& error) {
    if (wanted) throw Error(error.code(), "--device cuda: " + error.message(), error.suggestion());
    LogVerbose("Running on the CPU: " + error.message());
    return nullptr;
  }
  if (const auto part = OnlyOnCpu(weights, options)) {
    const std::string message =
        fmt::format("expected a model that runs on the GPU, found {}", *part);
    if (wanted)
      throw Error(ErrorCode::kUnsupportedConversion, "--device cuda: " + message,
                  "Use --device cpu");
    LogInfo("Running on the CPU: " + message);
    return nullptr;
  }
  try {
    return std::make_unique<DeviceModel>(std::move(gpu), weights, options);
  } catch (const Error& error) {
    if (wanted || error.code() != ErrorCode::kOutOfMemory) throw;
    LogInfo("Running on the CPU: " + error.message());
    return nullptr;
  }
}

}  // namespace llmq
