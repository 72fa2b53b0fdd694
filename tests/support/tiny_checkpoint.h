// Random models of a few kilobytes in Hugging Face's layout, for tests of everything that reads
// one.
#ifndef LLMQ_TESTS_SUPPORT_TINY_CHECKPOINT_H_
#define LLMQ_TESTS_SUPPORT_TINY_CHECKPOINT_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "llmq/tensor.h"

namespace llmq::testing {

struct TinyCheckpointOptions {
  std::string architecture = "LlamaForCausalLM";
  std::string model_type = "llama";
  int64_t hidden_size = 32;
  int64_t intermediate_size = 48;
  int64_t num_layers = 2;
  int64_t num_heads = 4;
  int64_t num_kv_heads = 2;
  int64_t head_dim = 8;
  int64_t vocab_size = 64;
  int64_t max_position = 128;
  bool tied = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  DType dtype = DType::kF32;  // F32, F16, BF16 or F64
  double scale = 0.2;         // standard deviation of weights; norms are near 1
  uint64_t seed = 1;
  int shards = 1;  // > 1: model-0000i-of-0000n.safetensors and an index

  // Members of config.json, as JSON text, that replace or join those made from the above:
  // {"sliding_window": 8}
  std::string config_overrides = "{}";
  // If not empty: copies tokenizer files, generation_config.json and the like from this directory.
  // Set vocab_size to match; models/stories260k/hf-f32 has a tokenizer of 512 tokens.
  std::filesystem::path tokenizer_from;

  // Defects, each by tensor name; empty: none.
  std::string nan_tensor;          // one element is NaN
  std::string infinite_tensor;     // one element is infinite
  std::string zero_tensor;         // all elements are 0
  std::string wrong_shape_tensor;  // its first dimension is one too many
  std::string missing_tensor;      // left out
};

// Writes config.json and the weights into `directory`, which is made if needed.
void WriteTinyCheckpoint(const std::filesystem::path& directory,
                         const TinyCheckpointOptions& options = {});

// A tensor to be written, with its bytes as they will lie in the file.
struct RawTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};

// Writes a valid safetensors file of these tensors.
void WriteSafetensors(const std::filesystem::path& path, const std::vector<RawTensor>& tensors);

// Seeded normal-like values (the sum of four uniform ones), the same on every machine.
std::vector<float> RandomValues(uint64_t seed, size_t count, double standard_deviation);

// values -> bytes of `dtype` (F32, F16, BF16 or F64).
std::vector<std::byte> EncodeValues(const std::vector<float>& values, DType dtype);

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_SUPPORT_TINY_CHECKPOINT_H_
