#include "compress/device.h"

#include <ATen/DeviceAccelerator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <fmt/core.h>
#include <torch/version.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "compress/memory_check.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// The driver's own library; absent on machines without an NVIDIA driver.
constexpr const char* kDriverName = "libcuda.so.1";
constexpr const char* kTorchCudaName = "libtorch_cuda.so";

// LibTorch's folder: that of the library which holds a function of it.
std::filesystem::path TorchFolder() {
  Dl_info info;
  const bool known = dladdr(reinterpret_cast<void*>(&at::set_num_threads), &info) != 0;
  return known ? std::filesystem::path(info.dli_fname).parent_path() : std::filesystem::path();
}

// nullopt on success, otherwise why there is no CUDA.
std::optional<std::string> OpenCuda() {
  if (dlopen(kDriverName, RTLD_NOW | RTLD_LOCAL) == nullptr) {
    return "no CUDA driver on this machine";
  }
  // Handles of cuBLAS are only deterministic with a fixed workspace, which it reads from here.
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  if (dlopen((TorchFolder() / kTorchCudaName).c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return fmt::format("LibTorch's CUDA half does not open: {}", dlerror());
  }
  if (!c10::impl::hasDeviceGuardImpl(c10::DeviceType::CUDA)) return "LibTorch has no CUDA half";
  if (c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount() < 1) {
    return "no usable CUDA device";
  }
  return std::nullopt;
}

// From the driver, which OpenCuda() has loaded; "NVIDIA GPU" if it does not answer.
std::string CudaName(int index) {
  using GetDevice = int (*)(int* device, int ordinal);
  using GetName = int (*)(char* name, int length, int device);
  void* driver = dlopen(kDriverName, RTLD_NOW | RTLD_LOCAL);
  const auto get_device = reinterpret_cast<GetDevice>(dlsym(driver, "cuDeviceGet"));
  const auto get_name = reinterpret_cast<GetName>(dlsym(driver, "cuDeviceGetName"));
  char name[256] = {};
  int device = 0;
  const bool answered = get_device != nullptr && get_name != nullptr &&
                        get_device(&device, index) == 0 &&
                        get_name(name, sizeof(name) - 1, device) == 0;
  return answered ? name : "NVIDIA GPU";
}

// "cuda" -> 0, "cuda:2" -> 2, anything else nullopt.
std::optional<int> CudaIndex(const std::string& wanted) {
  if (wanted == "cuda") return 0;
  if (!wanted.starts_with("cuda:")) return std::nullopt;
  int index = 0;
  const char* end = wanted.data() + wanted.size();
  const auto [rest, failure] = std::from_chars(wanted.data() + 5, end, index);
  if (failure != std::errc() || rest != end || index < 0 || index > 127) return std::nullopt;
  return index;
}

void PreferDeterministicCuda() {
  at::Context& context = at::globalContext();
  context.setDeterministicAlgorithms(true, /*warn_only=*/true);
  // The backward passes of these two attention kernels add in any order.
  context.setSDPUseFlash(false);
  context.setSDPUseMemEfficient(false);
}

}  // namespace

DeviceChoice ChooseDevice(const std::string& wanted) {
  const DeviceChoice cpu{at::kCPU, "cpu"};
  if (wanted == "cpu") return cpu;
  const std::optional<int> index = wanted == "auto" ? 0 : CudaIndex(wanted);
  if (!index) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--device: expected auto, cpu, cuda or cuda:N, found {}", wanted));
  }
  if (const std::optional<std::string> reason = OpenCuda()) {
    if (wanted == "auto") return cpu;
    throw Error(ErrorCode::kGeneral,
                fmt::format("--device {}: expected a CUDA device, found {}", wanted, *reason),
                "Use --device cpu");
  }
  const int count = c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount();
  if (*index >= count) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("--device {}: expected a CUDA device below {}, found {}", wanted, count,
                            *index),
                "Name one of the devices there are");
  }
  PreferDeterministicCuda();
  const at::Device device(at::kCUDA, static_cast<c10::DeviceIndex>(*index));
  return {device, fmt::format("cuda:{} ({})", *index, CudaName(*index))};
}

std::optional<uint64_t> FreeMemoryBytes(at::Device device) {
  if (device.is_cpu()) return AvailableMemoryBytes();
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 9
  try {
    return at::accelerator::getMemoryInfo(device.index()).first;
  } catch (const c10::Error&) {  // this LibTorch does not say
    return std::nullopt;
  }
#else
  return std::nullopt;
#endif
}

}  // namespace llmq
