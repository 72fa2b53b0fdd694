#include "cuda/device_weights.h"

namespace llmq::cuda {

DeviceRows::DeviceRows(Gpu& gpu, const HostRows& rows)
    : memory_(gpu, rows.rows * rows.row_bytes),
      type_(rows.type),
      row_bytes_(rows.row_bytes),
      rows_(static_cast<int>(rows.rows)),
      cols_(static_cast<int>(rows.cols)) {
  gpu.Upload(memory_.as<void>(), rows.data, rows.rows * rows.row_bytes);
}

DeviceVector::DeviceVector(Gpu& gpu, std::span<const float> values) {
  if (values.empty()) return;
  const auto bytes = static_cast<int64_t>(values.size_bytes());
  memory_ = DeviceMemory(gpu, bytes);
  gpu.Upload(memory_.as<void>(), values.data(), bytes);
}

DeviceLinear::DeviceLinear(Gpu& gpu, const HostLinear& linear) : bias(gpu, linear.bias) {
  if (linear.paths.empty()) {
    rows = DeviceRows(gpu, linear.rows);
  } else {
    matrix = DeviceMatrix(gpu, linear.paths);
  }
}

DeviceWeights::DeviceWeights(Gpu& gpu, const ModelConfig& model_config, const HostModel& model)
    : config(model_config), embedding(gpu, model.embedding), final_norm(gpu, model.final_norm) {
  if (!config.tie_word_embeddings) own_head = DeviceRows(gpu, model.head);
  for (const HostBlock& from : model.blocks) {
    DeviceBlock& block = blocks.emplace_back();
    block.input_norm = DeviceVector(gpu, from.input_norm);
    block.mlp_norm = DeviceVector(gpu, from.mlp_norm);
    block.query_norm = DeviceVector(gpu, from.query_norm);
    block.key_norm = DeviceVector(gpu, from.key_norm);
    block.q = DeviceLinear(gpu, from.q);
    block.k = DeviceLinear(gpu, from.k);
    block.v = DeviceLinear(gpu, from.v);
    block.o = DeviceLinear(gpu, from.o);
    block.gate = DeviceLinear(gpu, from.gate);
    block.up = DeviceLinear(gpu, from.up);
    block.down = DeviceLinear(gpu, from.down);
  }
}

}  // namespace llmq::cuda
