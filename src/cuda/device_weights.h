// The weights of a model in the memory of a GPU.
//
// Before: runtime/device_model describes matrices that lie on the host. After: cuda/device_forward.
#ifndef LLMQ_CUDA_DEVICE_WEIGHTS_H_
#define LLMQ_CUDA_DEVICE_WEIGHTS_H_

#include <cstdint>
#include <span>
#include <vector>

#include "cuda/device_matrix.h"
#include "cuda/gpu.h"
#include "llmq/model_config.h"

namespace llmq::cuda {

// Rows of numbers on the host: dense, or codes of 8 bits in groups (llmq/group_quant.h).
struct HostRows {
  RowType type = RowType::kF32;
  const void* data = nullptr;
  int64_t row_bytes = 0;
  int64_t rows = 0;
  int64_t cols = 0;
};

// A matrix and the bias that follows it; borrows both.
struct HostLinear {
  std::vector<HostPath> paths;  // if it is compressed, else
  HostRows rows;
  std::span<const float> bias;  // [d_out], or empty
};

struct HostBlock {
  std::span<const float> input_norm, mlp_norm;  // [hidden]
  std::span<const float> query_norm, key_norm;  // [head_dim], or empty
  HostLinear q, k, v, o, gate, up, down;
};

struct HostModel {
  HostRows embedding;  // [vocab, hidden]
  HostRows head;       // likewise; the embedding's data if they are tied
  std::span<const float> final_norm;
  std::vector<HostBlock> blocks;
};

// Rows of numbers, copied. Borrows the GPU.
class DeviceRows {
 public:
  DeviceRows() = default;
  DeviceRows(Gpu& gpu, const HostRows& rows);

  const void* data() const { return memory_.as<void>(); }
  RowType type() const { return type_; }
  int64_t row_bytes() const { return row_bytes_; }
  int rows() const { return rows_; }
  int cols() const { return cols_; }

 private:
  DeviceMemory memory_;
  RowType type_ = RowType::kF32;
  int64_t row_bytes_ = 0;
  int rows_ = 0;
  int cols_ = 0;
};

// Numbers [n] f32, copied; null if there are none.
class DeviceVector {
 public:
  DeviceVector() = default;
  DeviceVector(Gpu& gpu, std::span<const float> values);
  const float* data() const { return memory_.as<float>(); }

 private:
  DeviceMemory memory_;
};

struct DeviceLinear {
  DeviceLinear() = default;
  DeviceLinear(Gpu& gpu, const HostLinear& linear);
  bool compressed() const { return matrix.params().num_paths > 0; }

  DeviceMatrix matrix;  // one of the two
  DeviceRows rows;
  DeviceVector bias;
};

struct DeviceBlock {
  DeviceVector input_norm, mlp_norm, query_norm, key_norm;
  DeviceLinear q, k, v, o, gate, up, down;
};

struct DeviceWeights {
  DeviceWeights(Gpu& gpu, const ModelConfig& model_config, const HostModel& model);

  ModelConfig config;
  DeviceRows embedding;
  DeviceRows own_head;  // empty if tied
  DeviceVector final_norm;
  std::vector<DeviceBlock> blocks;

  const DeviceRows& head() const { return own_head.rows() > 0 ? own_head : embedding; }
};

}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_DEVICE_WEIGHTS_H_
