// What a Model is inside the runtime; sessions need more of it than the public interface shows.
#ifndef LLMQ_RUNTIME_RUNTIME_MODEL_H_
#define LLMQ_RUNTIME_RUNTIME_MODEL_H_

#include <memory>

#include "base/thread_pool.h"
#include "llmq/model.h"
#include "runtime/device_model.h"
#include "runtime/kernel_choice.h"
#include "runtime/weights.h"

namespace llmq {

class RuntimeModel final : public Model {
 public:
  RuntimeModel(const std::filesystem::path& path, const RuntimeOptions& options);
  // Without a tokenizer.
  RuntimeModel(ModelWeights weights, const RuntimeOptions& options);

  const ModelConfig& config() const override { return weights_.config(); }
  const Tokenizer& tokenizer() const override;
  const std::filesystem::path& path() const override { return path_; }

  const ModelWeights& weights() const { return weights_; }
  const KernelTable& kernels() const { return kernels_; }
  const RuntimeOptions& options() const { return options_; }  // threads: at least 1
  bool on_device() const { return device_ != nullptr; }
  // A new sequence's, on the CPU or on the device.
  std::unique_ptr<ForwardPass> MakeForwardPass(int64_t capacity) const;

 private:
  std::filesystem::path path_;
  RuntimeOptions options_;
  const KernelTable& kernels_;
  ModelWeights weights_;
  std::unique_ptr<DeviceModel> device_;  // null: the CPU
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_RUNTIME_MODEL_H_
