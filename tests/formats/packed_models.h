// Tiny random checkpoints in the packed layout, and the matrices that they stand for: an own packer
// and an own product, so that a mistake in the reader cannot hide in them.
#ifndef LLMQ_TESTS_FORMATS_PACKED_MODELS_H_
#define LLMQ_TESTS_FORMATS_PACKED_MODELS_H_

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tests/support/tiny_checkpoint.h"

namespace llmq::testing {

enum class PackedKind { kLittleBit, kNanoQuant };

struct PackedModelOptions {
  PackedKind kind = PackedKind::kLittleBit;
  int64_t rank = 20;
  int64_t residual_rank = 0;  // 0: one path
  bool scale_mid = true;      // NanoQuant
  DType scale_dtype = DType::kBF16;
  bool scales_as_rows = true;  // [1, n] instead of [n]
  float g_factor = 1;          // on all of g
  float h_factor = 1;          // on all of h
  std::string dense_linear;    // left as it is: "model.layers.0.mlp.up_proj"
  int shards = 1;              // 1 or 2
  // Of the dense model; 36 and 50 are no multiples of 8.
  TinyCheckpointOptions model = {.hidden_size = 36, .intermediate_size = 50};
  // Last change before the tensors are written.
  std::function<void(std::vector<RawTensor>&)> change;
};

// By section name, "model.layers.0.mlp.up_proj.weight": [d_out, d_in] f64, of every packed linear.
using DenseMatrices = std::map<std::string, std::vector<double>>;

DenseMatrices WritePackedModel(const std::filesystem::path& directory,
                               const PackedModelOptions& options);

// Adds members, as JSON text, to the config.json in `directory`.
void AddToConfig(const std::filesystem::path& directory, const std::string& members);

// The tensor of that name, which must be there.
RawTensor& At(std::vector<RawTensor>& tensors, const std::string& name);

// I64 [n], little endian.
RawTensor Int64Tensor(const std::string& name, const std::vector<int64_t>& values);

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_FORMATS_PACKED_MODELS_H_
