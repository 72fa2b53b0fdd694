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
constexpr const char* kNoDriver = "no CUDA driver on this machine";

// LibTorch's folder: that of the library which holds a function of it.
std::filesystem::path TorchFolder() {
  Dl_info info;
  const bool known = dladdr(reinterpret_cast<void*>(&at::set_num_threads), &info) != 0;
  return known ? std::filesystem::path(info.dli_fname).parent_path() : std::filesystem::path();
}

// nullopt on success, otherwise why there is no CUDA.
std::optional<std::string> OpenCuda() {
  if (dlopen(kDriverName, RTLD_NOW | RTLD_LOCAL) == nullptr) {
    return kNoDriver;
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

// A function of the driver, which OpenCuda() has loaded; null if it has none of this name.
template <typename Function>
Function FromDriver(const char* name) {
  return reinterpret_cast<Function>(dlsym(dlopen(kDriverName, RTLD_NOW | RTLD_LOCAL), name));
}

// The driver's number of a device; nullopt if it does not answer.
std::optional<int> DriverDevice(int index) {
  const auto get_device = FromDriver<int (*)(int* device, int ordinal)>("cuDeviceGet");
  int device = 0;
  if (get_device == nullptr || get_device(&device, index) != 0) return std::nullopt;
  return device;
}

std::string CudaName(int index) {
  const auto get_name = FromDriver<int (*)(char* name, int length, int device)>("cuDeviceGetName");
  const std::optional<int> device = DriverDevice(index);
  char name[256] = {};
  const bool answered =
      device && get_name != nullptr && get_name(name, sizeof(name) - 1, *device) == 0;
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
  // Unset memory is not read here; to fill it costs a pass over every new tensor.
  context.setDeterministicFillUninitializedMemory(false);
  // The backward passes of these attention kernels add in any order.
  context.setSDPUseFlash(false);
  context.setSDPUseMemEfficient(false);
#if TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 5
  context.setSDPUseCuDNN(false);
#endif
}

// nullopt if the device computes. One that LibTorch has no code for is counted like the others.
std::optional<std::string> TryDevice(at::Device device) {
  constexpr int64_t kSize = 8;
  try {
    const at::Tensor ones = at::ones({kSize, kSize}, device);
    (void)at::mm(ones, ones).sum().item<float>();
    return std::nullopt;
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
}

// nullopt on success, otherwise why the device cannot be had.
std::optional<std::string> OpenDevice(int index) {
  if (std::optional<std::string> reason = OpenCuda()) return reason;
  const int count = c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->deviceCount();
  if (index >= count) return fmt::format("{} of them", count);
  PreferDeterministicCuda();
  return TryDevice(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(index)));
}

}  // namespace

std::string DeviceChoice::Description() const {
  return device.is_cuda() ? fmt::format("cuda:{} ({})", device.index(), name) : name;
}

DeviceChoice ChooseDevice(const std::string& wanted) {
  if (wanted == "cpu") return {};
  const std::optional<int> index = wanted == "auto" ? 0 : CudaIndex(wanted);
  if (!index) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--device: expected auto, cpu, cuda or cuda:N, found {}", wanted));
  }
  if (const std::optional<std::string> reason = OpenDevice(*index)) {
    if (wanted == "auto") return {.passed_over = *reason == kNoDriver ? "" : *reason};
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--device {}: expected a CUDA device, found {}", wanted, *reason),
                "Use --device cpu, or name one of the devices there are");
  }
  return {.device = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(*index)),
          .name = CudaName(*index)};
}

bool HasFastBf16(at::Device device) {
  constexpr int kMajorCapability = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
  constexpr int kFirstFast = 8;
  if (!device.is_cuda()) return false;
  const auto get_attribute =
      FromDriver<int (*)(int* value, int attribute, int device)>("cuDeviceGetAttribute");
  const std::optional<int> number = DriverDevice(device.index());
  int major = 0;
  return number && get_attribute != nullptr &&
         get_attribute(&major, kMajorCapability, *number) == 0 && major >= kFirstFast;
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
