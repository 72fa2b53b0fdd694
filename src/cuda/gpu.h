// One GPU: memory, kernels, and a sequence of kernels recorded once and replayed.
//
// Before: cuda/device_model, the kernel benchmark. After: gpu_cuda.cu, or gpu_absent.cc in a
// program that was built without CUDA; tests have a GPU that is emulated.
#ifndef LLMQ_CUDA_GPU_H_
#define LLMQ_CUDA_GPU_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "cuda/kernel_params.h"

namespace llmq::cuda {

// Kernels and copies run one after the other, in the order of the calls; kernels while the caller
// goes on. For one thread at a time. Every call throws Error{kGeneral} if the device reports a
// failure.
class Gpu {
 public:
  virtual ~Gpu() = default;

  virtual std::string name() const = 0;
  // Blocks of one launch can wait for each other.
  virtual bool meets() const = 0;
  // Of the cache that all blocks share.
  virtual int64_t cache_bytes() const = 0;

  // Aligned to 256 bytes. Throws Error{kOutOfMemory}.
  virtual void* Allocate(int64_t bytes) = 0;
  virtual void Free(void* memory) noexcept = 0;
  // Copies are done when the call returns.
  virtual void Upload(void* to, const void* from, int64_t bytes) = 0;
  virtual void Download(void* to, const void* from, int64_t bytes) = 0;
  virtual void Zero(void* memory, int64_t bytes) = 0;

  virtual void Run(const CompressedParams& params) = 0;
  virtual void Run(const RoundParams& params) = 0;
  virtual void Run(const SignProductParams& params) = 0;
  virtual void Run(const RowProductParams& params) = 0;
  virtual void Run(const PrepareParams& params) = 0;
  virtual void Run(const EmbedParams& params) = 0;
  virtual void Run(const RopeStoreParams& params) = 0;
  virtual void Run(const AttentionParams& params) = 0;

  // Records the kernels that `kernels` runs, without running them.
  class Recording {
   public:
    virtual ~Recording() = default;
    virtual void Replay() = 0;
  };
  virtual std::unique_ptr<Recording> Record(const std::function<void()>& kernels) = 0;

  // Time on the device from the first to the last of what `work` starts.
  virtual double Seconds(const std::function<void()>& work) = 0;
  // For other libraries' kernels: the stream (cudaStream_t) in which all of this happens.
  virtual void* stream() = 0;
};

// The device of this number. Throws Error{kInvalidArguments} saying why there is none: no driver,
// no device, a device that is too old, or a program that was built without CUDA.
std::unique_ptr<Gpu> OpenGpu(int device);

// Memory of a GPU, freed with it. Borrows the GPU.
class DeviceMemory {
 public:
  DeviceMemory() = default;
  DeviceMemory(Gpu& gpu, int64_t bytes) : gpu_(&gpu), data_(gpu.Allocate(bytes)) {}
  ~DeviceMemory() {
    if (data_ != nullptr) gpu_->Free(data_);
  }
  DeviceMemory(DeviceMemory&& other) noexcept
      : gpu_(other.gpu_), data_(std::exchange(other.data_, nullptr)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(gpu_, other.gpu_);
    std::swap(data_, other.data_);
    return *this;
  }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  Gpu* gpu_ = nullptr;
  void* data_ = nullptr;
};

}  // namespace llmq::cuda

#endif  // LLMQ_CUDA_GPU_H_
