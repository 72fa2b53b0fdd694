// A GPU of NVIDIA's, by the CUDA runtime: the only file of the program that nvcc compiles.
//
// nvcc does not compile every header of {fmt}, so messages are put together here by hand.
//
// Before: cuda/gpu.h. After: the driver, which the (static) runtime opens when it is first asked;
// a machine without one gets a message.
#include <cuda_runtime.h>

#include <cstring>
#include <map>
#include <string>
#include <utility>

#include "cuda/gpu.h"
#include "cuda/launch.h"
#include "llmq/error.h"

namespace llmq::cuda {
namespace {

// sm_80 is the oldest machine code in the program.
constexpr int kOldestMajor = 8;

void Check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  const bool memory = status == cudaErrorMemoryAllocation;
  throw Error(memory ? ErrorCode::kOutOfMemory : ErrorCode::kGeneral,
              std::string("CUDA: ") + what + ": " + cudaGetErrorString(status) + " (" +
                  cudaGetErrorName(status) + ")",
              memory ? "Use a shorter context or --device cpu" : "Use --device cpu");
}

// Whatever keeps a device from being opened is for the user to mend, or to leave it.
void CheckUsable(cudaError_t status) {
  if (status == cudaSuccess) return;
  throw Error(ErrorCode::kInvalidArguments,
              std::string("expected a CUDA device that can be used, found: ") +
                  cudaGetErrorString(status) + " (" + cudaGetErrorName(status) + ")",
              "Use --device cpu");
}

class CudaRecording final : public Gpu::Recording {
 public:
  CudaRecording(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    Check(status, "making a graph of a step");
  }
  ~CudaRecording() override { cudaGraphExecDestroy(executable_); }
  void Replay() override { Check(cudaGraphLaunch(executable_, stream_), "replaying a step"); }

 private:
  cudaGraphExec_t executable_ = nullptr;
  cudaStream_t stream_;
};

class CudaGpu final : public Gpu {
 public:
  explicit CudaGpu(int device) {
    CheckUsable(cudaSetDevice(device));
    cudaDeviceProp properties;
    CheckUsable(cudaGetDeviceProperties(&properties, device));
    name_ = properties.name;
    multiprocessors_ = properties.multiProcessorCount;
    cache_bytes_ = properties.l2CacheSize;
    most_shared_ = static_cast<int>(properties.sharedMemPerBlockOptin);
    if (properties.major < kOldestMajor) {
      throw Error(ErrorCode::kInvalidArguments,
                  name_ + ": expected compute capability " + std::to_string(kOldestMajor) +
                      ".0 or higher, found " + std::to_string(properties.major) + "." +
                      std::to_string(properties.minor),
                  "Use --device cpu");
    }
    int meets = 0;
    Check(cudaDeviceGetAttribute(&meets, cudaDevAttrCooperativeLaunch, device),
          "asking the device");
    meets_ = meets != 0;
    Check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
    Check(cudaEventCreate(&begin_), "making an event");
    Check(cudaEventCreate(&end_), "making an event");
  }
  ~CudaGpu() override {
    cudaStreamSynchronize(stream_);
    cudaFreeHost(staged_);
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
    cudaStreamDestroy(stream_);
  }

  std::string name() const override { return name_; }
  bool meets() const override { return meets_; }
  int64_t cache_bytes() const override { return cache_bytes_; }

  void* Allocate(int64_t bytes) override {
    void* memory = nullptr;
    Check(cudaMalloc(&memory, static_cast<size_t>(bytes)), "taking memory");
    return memory;
  }
  void Free(void* memory) noexcept override { cudaFree(memory); }
  void Upload(void* to, const void* from, int64_t bytes) override {
    Check(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, stream_),
          "copying to the device");
    Check(cudaStreamSynchronize(stream_), "copying to the device");
  }
  void Download(void* to, const void* from, int64_t bytes) override {
    const auto size = static_cast<size_t>(bytes);
    Stage(size);
    Check(cudaMemcpyAsync(staged_, from, size, cudaMemcpyDeviceToHost, stream_),
          "copying from the device");
    Check(cudaStreamSynchronize(stream_), "running kernels");
    std::memcpy(to, staged_, size);
  }
  void Zero(void* memory, int64_t bytes) override {
    Check(cudaMemsetAsync(memory, 0, static_cast<size_t>(bytes), stream_), "clearing memory");
  }

  void Run(const CompressedParams& params) override { LaunchKernel(*this, params); }
  void Run(const RoundParams& params) override { LaunchKernel(*this, params); }
  void Run(const SignProductParams& params) override { LaunchKernel(*this, params); }
  void Run(const RowProductParams& params) override { LaunchKernel(*this, params); }
  void Run(const PrepareParams& params) override { LaunchKernel(*this, params); }
  void Run(const EmbedParams& params) override { LaunchKernel(*this, params); }
  void Run(const RopeStoreParams& params) override { LaunchKernel(*this, params); }
  void Run(const AttentionParams& params) override { LaunchKernel(*this, params); }

  std::unique_ptr<Recording> Record(const std::function<void()>& kernels) override {
    Check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "recording a step");
    cudaGraph_t graph = nullptr;
    try {
      kernels();
    } catch (...) {
      cudaStreamEndCapture(stream_, &graph);
      if (graph != nullptr) cudaGraphDestroy(graph);
      throw;
    }
    Check(cudaStreamEndCapture(stream_, &graph), "recording a step");
    return std::make_unique<CudaRecording>(graph, stream_);
  }

  double Seconds(const std::function<void()>& work) override {
    Check(cudaEventRecord(begin_, stream_), "measuring");
    work();
    Check(cudaEventRecord(end_, stream_), "measuring");
    Check(cudaEventSynchronize(end_), "running kernels");
    float milliseconds = 0;
    Check(cudaEventElapsedTime(&milliseconds, begin_, end_), "measuring");
    return 1e-3 * milliseconds;
  }
  void* stream() override { return stream_; }

  // What cuda/launch.h asks for.
  template <typename Params>
  int Capacity(void (*kernel)(Params), int shared_bytes) {
    const auto* function = reinterpret_cast<const void*>(kernel);
    int& capacity = capacities_[{function, shared_bytes}];
    if (capacity > 0) return capacity;
    AllowShared(function, shared_bytes);
    int of_one = 0;
    Check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_one, function, kThreads,
                                                        static_cast<size_t>(shared_bytes)),
          "asking how many blocks fit");
    if (of_one == 0) {
      throw Error(ErrorCode::kGeneral,
                  name_ + ": expected room for " + std::to_string(shared_bytes) +
                      " bytes of shared memory, found less",
                  "Use --device cpu");
    }
    return capacity = of_one * multiprocessors_;
  }
  int MostShared() const { return most_shared_; }
  template <typename Params>
  void Launch(void (*kernel)(Params), const LaunchConfig& config, const Params& params) {
    cudaLaunchConfig_t launch = {};
    launch.gridDim = dim3(static_cast<unsigned>(config.blocks));
    launch.blockDim = dim3(kThreads);
    launch.dynamicSmemBytes = static_cast<size_t>(config.shared_bytes);
    launch.stream = stream_;
    cudaLaunchAttribute cooperative = {};
    cooperative.id = cudaLaunchAttributeCooperative;
    cooperative.val.cooperative = 1;
    launch.attrs = &cooperative;
    launch.numAttrs = config.cooperative ? 1 : 0;
    Check(cudaLaunchKernelEx(&launch, kernel, params), "starting a kernel");
  }

 private:
  // More than 48 KB must be asked for: all there is, because what is asked for last is what holds.
  void AllowShared(const void* function, int bytes) {
    if (bytes <= 48 << 10) return;
    Check(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, most_shared_),
          "asking for shared memory");
  }
  // Memory of the host that the device writes to by itself.
  void Stage(size_t bytes) {
    if (bytes <= staged_bytes_) return;
    cudaFreeHost(std::exchange(staged_, nullptr));
    staged_bytes_ = 0;
    Check(cudaMallocHost(&staged_, bytes), "taking memory of the host");
    staged_bytes_ = bytes;
  }

  std::string name_;
  int multiprocessors_ = 0;
  bool meets_ = false;
  int most_shared_ = 0;
  int64_t cache_bytes_ = 0;
  void* staged_ = nullptr;
  size_t staged_bytes_ = 0;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
  std::map<std::pair<const void*, int>, int> capacities_;
};

// 13000 is 13.0.
std::string VersionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::unique_ptr<Gpu> OpenGpu(int device) {
  int driver = 0;
  cudaDriverGetVersion(&driver);  // 0 without one
  if (driver == 0)
    throw Error(ErrorCode::kInvalidArguments, "expected a CUDA driver, found none",
                "Use --device cpu");
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaErrorInsufficientDriver) {
    throw Error(ErrorCode::kInvalidArguments,
                "expected a driver for CUDA " + VersionText(CUDART_VERSION) +
                    " or later, found one for " + VersionText(driver),
                "Update the driver, or use --device cpu");
  }
  if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) {
    throw Error(ErrorCode::kInvalidArguments, "expected a CUDA device, found none",
                "Use --device cpu");
  }
  CheckUsable(status);
  if (device >= count) {
    throw Error(ErrorCode::kInvalidArguments,
                "expected a CUDA device below " + std::to_string(count) + ", found " +
                    std::to_string(device),
                "Name one of the devices there are");
  }
  return std::make_unique<CudaGpu>(device);
}

}  // namespace llmq::cuda
