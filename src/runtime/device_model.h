// A model on a GPU, as far as the GPU's kernels know its parts.
//
// Before: runtime/model has loaded the weights and knows the user's choice of a device. After:
// src/cuda, to which weights and rotations are described in its own words.
#ifndef LLMQ_RUNTIME_DEVICE_MODEL_H_
#define LLMQ_RUNTIME_DEVICE_MODEL_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cuda/device_weights.h"
#include "cuda/gpu.h"
#include "llmq/model.h"
#include "runtime/forward_pass.h"
#include "runtime/weights.h"

namespace llmq {

// A part of the model or an option that only the CPU has, for a message; nullopt: there is none.
std::optional<std::string> OnlyOnCpu(const ModelWeights& weights, const RuntimeOptions& options);

class DeviceModel {
 public:
  // Copies the weights. Precondition: nothing is OnlyOnCpu.
  DeviceModel(std::unique_ptr<cuda::Gpu> gpu, const ModelWeights& weights,
              const RuntimeOptions& options);

  // Borrows this. Forward passes may be used from several threads; the GPU takes them in turns.
  std::unique_ptr<ForwardPass> MakeForwardPass(int64_t capacity) const;

 private:
  mutable std::mutex turn_;
  std::unique_ptr<cuda::Gpu> gpu_;
  cuda::DeviceWeights weights_;
  KvType kv_;
};

// Where the options want it: null is the CPU. RunDevice::kCuda throws Error{kInvalidArguments}
// if there is no device, Error{kUnsupportedConversion} if the model has parts that only the CPU
// has.
std::unique_ptr<DeviceModel> OpenDeviceModel(const ModelWeights& weights,
                                             const RuntimeOptions& options);

}  // namespace llmq

#endif  // LLMQ_RUNTIME_DEVICE_MODEL_H_
