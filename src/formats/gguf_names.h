// What the tensors of a model are called in GGUF files.
//
// Hugging Face names are the program's own; both GGUF writers and readers translate here.
// Source: llama.cpp's names, which are the same for all architectures here.
#ifndef LLMQ_FORMATS_GGUF_NAMES_H_
#define LLMQ_FORMATS_GGUF_NAMES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "llmq/model_config.h"

namespace llmq {

// The architecture as llama.cpp knows it.
std::string GgufArchitecture(const ModelConfig& config);

// Of every tensor of ExpectedTensors(config), but for a narrow embedding's projections:
// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight". llama.cpp has no names for the
// matrices of one expert; here they are called after the stack that they belong to,
// "blk.3.ffn_gate_exps.17.weight".
std::map<std::string, std::string> GgufTensorNames(const ModelConfig& config);

// Matrices that are one tensor to llama.cpp, their rows following each other: those that a family
// publishes fused (q, k and v; gate and up), and the same matrix of all experts of a layer.
struct JoinedGgufTensor {
  std::string name;                // "blk.3.attn_qkv.weight", "blk.3.ffn_gate_exps.weight"
  std::vector<int64_t> shape;      // [rows, cols], [rows] of biases, or [experts, d_out, d_in]
  std::vector<std::string> parts;  // Hugging Face's names
};
std::vector<JoinedGgufTensor> JoinedGgufTensors(const ModelConfig& config);

}  // namespace llmq

#endif  // LLMQ_FORMATS_GGUF_NAMES_H_
