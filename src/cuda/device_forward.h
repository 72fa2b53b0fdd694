// The forward pass of one sequence on a GPU: token ids in, logits out.
//
// Before: runtime/session, through runtime/device_model. After: logits on the host. Owns the
// sequence's cache of keys and values and its scratch memory; borrows the weights and the GPU. The
// kernels of one token are recorded once and then replayed: what changes from step to step is in
// StepState, on the device.
#ifndef LLMQ_CUDA_DEVICE_FORWARD_H_
#define LLMQ_CUDA_DEVICE_FORWARD_H_

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "cuda/device_weights.h"
#include "cuda/gpu.h"
#include "cuda/prompt_products.h"

namespace llmq::cuda {

struct ForwardOptions {
  int64_t capacity = 0;    // positions
  bool half_cache = true;  // keys and values in fp16, else f32
  // Rotation of every position: cosines and sines [capacity, turned / 2].
  std::span<const float> cos, sin;
};

class DeviceForward {
 public:
  DeviceForward(Gpu& gpu, const DeviceWeights& weights, const ForwardOptions& options);

  // Runs all blocks for tokens at positions [position, position + T). Precondition: ids in the
  // vocabulary, positions below the capacity, T at most most_tokens().
  void Forward(std::span<const int32_t> tokens, int64_t position);
  // logits [count, vocab] f32 of the last `count` tokens given to Forward.
  void Logits(int64_t count, float* logits);

  int64_t capacity() const { return options_.capacity; }
  int64_t most_tokens() const { return most_tokens_; }

 private:
  struct Output {
    const DeviceLinear* linear;
    float* y;  // [T, d_out] f32
  };
  // Linears with the same input: those that are compressed in one launch, the others one by one.
  struct Product {
    CompressedParams compressed = {};  // num_matrices may be 0
    std::vector<Output> rows;
    InputParams input = {};
    int cols = 0;
    bool accumulate = false;
  };

  void MakeProducts();
  Product MakeProduct(std::span<const Output> outputs, const InputParams& input, bool accumulate);
  void PlanPrefetches();
  void RunPass(int tokens);
  void RunBlock(int layer, int tokens);
  void Run(const Product& product, int tokens);
  void RunRows(const DeviceRows& rows, const float* bias, const float* x, float* y, int tokens,
               bool accumulate);
  float* Floats(int64_t n);
  char* Cache(const DeviceMemory& memory, int layer) const;

  Gpu& gpu_;
  const DeviceWeights& weights_;
  const ModelConfig& config_;
  ForwardOptions options_;
  std::vector<DeviceMemory> memory_;  // of what Floats gives
  DeviceMemory meeting_, step_, keys_, values_;
  DeviceVector cos_, sin_;
  StepState state_ = {};                    // the host's copy
  int part_positions_ = 0, num_parts_ = 0;  // of attention
  int most_tokens_ = kMaxTokens;            // of a pass: the T of what follows
  float* hidden_ = nullptr;                 // [T, hidden], the residual stream
  float* q_ = nullptr;                      // [T, heads, head_dim]
  float* k_ = nullptr;                      // [T, kv_heads, head_dim]
  float* v_ = nullptr;                      // [T, kv_heads, head_dim]
  float* attended_ = nullptr;               // [T, heads, head_dim]
  float* gate_ = nullptr;                   // [T, intermediate]
  float* up_ = nullptr;                     // [T, intermediate]
  float* prepared_ = nullptr;  // [T, hidden or intermediate], inputs of what is not compressed
  float* logits_ = nullptr;    // [kMaxTokens, vocab]
  DeviceMemory partials_;
  DeviceMemory parts_, arrived_;  // of attention
  PromptProducts prompt_products_;
  std::vector<Product> products_;  // of block i: 4 i + {q k v, o, gate up, down}
  int tokens_ = 0;                 // of the last Forward
  std::unique_ptr<Gpu::Recording> one_token_;
};

}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_DEVICE_FORWARD_H_
