// A .littlebit file in which every tensor of a checkpoint stands as it was: what is made of it
// differs from the original only by the conversion under test.
#ifndef LLMQ_TESTS_LLAMACPP_DENSE_COPY_H_
#define LLMQ_TESTS_LLAMACPP_DENSE_COPY_H_

#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "llmq/checkpoint.h"
#include "llmq/littlebit_file.h"

namespace llmq::testing {

// `change` (may be empty) sees each tensor's F32 values before they are written; without it tensors
// keep their types.
inline void WriteDenseCopy(
    const std::filesystem::path& model, const std::filesystem::path& output,
    const std::function<void(const std::string& name, std::span<float> values)>& change = {},
    std::span<const TensorView> extra = {}) {
  const Checkpoint checkpoint(model);
  LittleBitWriter writer(output);
  for (const auto& [name, content] : checkpoint.files()) writer.AddFile(name, content);
  for (const TensorView& tensor : checkpoint.tensors()) {
    if (!change) {
      writer.AddDense(tensor);
      continue;
    }
    std::vector<float> values = ToFloat(tensor);
    change(tensor.name, values);
    writer.AddDense({tensor.name, DType::kF32, tensor.shape, std::as_bytes(std::span(values))});
  }
  for (const TensorView& tensor : extra) writer.AddDense(tensor);
  writer.Finish({.source_model = "tests/model",
                 .producer = "tests",
                 .recipe = "littlebit",
                 .target_bpw = 1.0,
                 .original_parameters = checkpoint.parameter_count(),
                 .original_fp16_bytes = checkpoint.fp16_bytes()});
}

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_LLAMACPP_DENSE_COPY_H_
