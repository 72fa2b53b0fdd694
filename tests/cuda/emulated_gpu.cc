#include "tests/cuda/emulated_gpu.h"

#include <chrono>
#include <new>
#include <stdexcept>
#include <vector>

#include "tests/cuda/emulated_device.h"
// After the language they are written in.
#include "cuda/launch.h"

namespace llmq::testing {
namespace {

constexpr std::align_val_t kAlignment{256};

class EmulatedGpu final : public cuda::Gpu {
 public:
  explicit EmulatedGpu(const EmulatedGpuOptions& options) : options_(options) {}

  std::string name() const override { return "emulated"; }
  bool meets() const override { return options_.meets; }
  int64_t cache_bytes() const override { return options_.cache_bytes; }

  void* Allocate(int64_t bytes) override {
    void* memory = ::operator new(static_cast<size_t>(bytes), kAlignment);
    std::memset(memory, 0xff, static_cast<size_t>(bytes));
    return memory;
  }
  void Free(void* memory) noexcept override { ::operator delete(memory, kAlignment); }
  void Upload(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void Download(void* to, const void* from, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void Zero(void* memory, int64_t bytes) override {
    std::memset(memory, 0, static_cast<size_t>(bytes));
  }

  void Run(const cuda::CompressedParams& params) override { cuda::LaunchKernel(*this, params); }
  void Run(const cuda::RoundParams& params) override { cuda::LaunchKernel(*this, params); }
  void Run(const cuda::SignProductParams& params) override { cuda::LaunchKernel(*this, params); }
  void Run(const cuda::RowProductParams& params) override { cuda::LaunchKernel(*this, params); }
  void Run(const cuda::PrepareParams& params) override { cuda::LaunchKernel(*this, params); }
  void Run(const cuda::EmbedParams& params) override { cuda::LaunchKernel(*this, params); }
  void Run(const cuda::RopeStoreParams& params) override { cuda::LaunchKernel(*this, params); }
  void Run(const cuda::AttentionParams& params) override { cuda::LaunchKernel(*this, params); }

  std::unique_ptr<Recording> Record(const std::function<void()>& kernels) override {
    auto recording = std::make_unique<EmulatedRecording>();
    recorded_ = &recording->launches;
    kernels();
    recorded_ = nullptr;
    return recording;
  }

  double Seconds(const std::function<void()>& work) override {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  void* stream() override { return nullptr; }

  // What cuda/launch.h asks for.
  template <typename Params>
  int Capacity(void (*)(Params), int) const {
    return options_.capacity;
  }
  int MostShared() const { return options_.most_shared; }
  template <typename Params>
  void Launch(void (*kernel)(Params), const cuda::LaunchConfig& config, const Params& params) {
    if (config.cooperative && (!options_.meets || config.blocks > options_.capacity))
      throw std::logic_error("blocks wait for others that are not on the device");
    const emulated::LaunchShape shape{config.blocks, cuda::kThreads, config.shared_bytes,
                                      config.cooperative, options_.downwards};
    const auto launch = [shape, kernel, params] {
      emulated::Launch(shape, [&] { kernel(params); });
    };
    recorded_ != nullptr ? recorded_->push_back(launch) : launch();
  }

 private:
  using Launches = std::vector<std::function<void()>>;
  struct EmulatedRecording final : Recording {
    Launches launches;
    void Replay() override {
      for (const auto& launch : launches) launch();
    }
  };

  EmulatedGpuOptions options_;
  Launches* recorded_ = nullptr;  // while a recording is made
};

}  // namespace

std::unique_ptr<cuda::Gpu> MakeEmulatedGpu(const EmulatedGpuOptions& options) {
  return std::make_unique<EmulatedGpu>(options);
}

}  // namespace llmq::testing
