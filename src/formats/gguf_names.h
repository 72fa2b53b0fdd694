// What the tensors of a model are called in GGUF files.
//
// Hugging Face names are the program's own; both GGUF writers and readers translate here.
// Source: llama.cpp's names for the architecture "llama".
#ifndef LLMQ_FORMATS_GGUF_NAMES_H_
#define LLMQ_FORMATS_GGUF_NAMES_H_

#include <map>
#include <string>
#include <vector>

#include "llmq/model_config.h"

namespace llmq {

// The architecture as llama.cpp knows it: "llama" for every model that this program supports.
std::string GgufArchitecture(const ModelConfig& config);

// Of every tensor of ExpectedTensors(config): "model.layers.3.self_attn.q_proj.weight" ->
// "blk.3.attn_q.weight".
std::map<std::string, std::string> GgufTensorNames(const ModelConfig& config);

// Tensors that llama.cpp reads as one: families that publish them fused (q, k and v; gate and up)
// are fused there, too. "blk.3.attn_qkv.weight" and the Hugging Face names of its parts, whose rows
// follow each other.
std::map<std::string, std::vector<std::string>> FusedGgufTensors(const ModelConfig& config);

}  // namespace llmq

#endif  // LLMQ_FORMATS_GGUF_NAMES_H_
