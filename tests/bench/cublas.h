// cuBLAS's FP16 matrix product, opened when it is wanted: nothing needs it to be built or to start.
#ifndef LLMQ_TESTS_BENCH_CUBLAS_H_
#define LLMQ_TESTS_BENCH_CUBLAS_H_

#include <dlfcn.h>

#include <cstddef>
#include <string>

namespace llmq {

class Cublas {
 public:
  // Works on `stream` with scratch memory of the device. Not there: see reason().
  Cublas(void* stream, void* workspace, size_t workspace_bytes) {
    if (stream == nullptr) {
      reason_ = "no device";
      return;
    }
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so",
                             "/usr/local/cuda/lib64/libcublas.so"}) {
      if (library_ == nullptr) library_ = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (library_ == nullptr) {
      reason_ = dlerror();
      return;
    }
    const auto create = Find<int (*)(void**)>("cublasCreate_v2");
    const auto set_stream = Find<int (*)(void*, void*)>("cublasSetStream_v2");
    const auto set_workspace = Find<int (*)(void*, void*, size_t)>("cublasSetWorkspace_v2");
    gemm_ = Find<Gemm>("cublasGemmEx");
    if (create == nullptr || set_stream == nullptr || set_workspace == nullptr ||
        gemm_ == nullptr) {
      reason_ = "cuBLAS lacks a function";
      return;
    }
    if (create(&handle_) != 0 || set_stream(handle_, stream) != 0 ||
        set_workspace(handle_, workspace, workspace_bytes) != 0) {
      handle_ = nullptr;
      reason_ = "cuBLAS does not start";
    }
  }

  bool there() const { return handle_ != nullptr; }
  const std::string& reason() const { return reason_; }

  // y [tokens, d_out] = x [tokens, d_in] w [d_out, d_in]^T, all fp16, sums in f32.
  bool Multiply(const void* w, const void* x, void* y, int d_out, int d_in, int tokens) const {
    constexpr int kNoTranspose = 0;
    constexpr int kTranspose = 1;
    constexpr int kHalf = 2;       // CUDA_R_16F
    constexpr int kSumFloat = 68;  // CUBLAS_COMPUTE_32F
    constexpr int kDefault = -1;   // CUBLAS_GEMM_DEFAULT
    const float one = 1;
    const float zero = 0;
    return gemm_(handle_, kTranspose, kNoTranspose, d_out, tokens, d_in, &one, w, kHalf, d_in, x,
                 kHalf, d_in, &zero, y, kHalf, d_out, kSumFloat, kDefault) == 0;
  }

 private:
  using Gemm = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int,
                       const void*, int, int, const void*, void*, int, int, int, int);
  template <typename Function>
  Function Find(const char* name) const {
    return reinterpret_cast<Function>(dlsym(library_, name));
  }

  void* library_ = nullptr;
  void* handle_ = nullptr;
  Gemm gemm_ = nullptr;
  std::string reason_;
};

}  // namespace llmq

#endif  // LLMQ_TESTS_BENCH_CUBLAS_H_
