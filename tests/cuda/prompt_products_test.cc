// Compressed layers for many tokens on the emulated GPU beside the CPU's scalar kernels: whatever
// the shape, every bit agrees.
#include "cuda/prompt_products.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/cuda/emulated_gpu.h"
#include "tests/cuda/random_paths.h"
#include "tests/support/relative_error.h"

namespace llmq {
namespace {

using cuda::CompressedParams;
using cuda::DeviceMatrix;
using cuda::DeviceMemory;
using cuda::InputForm;
using testing::OwnedPath;
using testing::RandomFloats;
using testing::RandomPaths;
using testing::ScalarResult;
using testing::Shape;

constexpr int kOneRowBlock = 1000;  // blocks that a device holds, so that warps share no rows
constexpr int kTwoRowBlocks = 1;

class Prompt {
 public:
  explicit Prompt(int capacity = kTwoRowBlocks)
      : gpu_(testing::MakeEmulatedGpu({.capacity = capacity})) {}

  DeviceMatrix Matrix(const std::vector<OwnedPath>& paths) {
    std::vector<cuda::HostPath> views;
    for (const OwnedPath& path : paths) views.push_back(path.view);
    return DeviceMatrix(*gpu_, views);
  }
  float* Floats(const std::vector<float>& values) {
    const auto bytes = static_cast<int64_t>(4 * values.size());
    gpu_->Upload(memory_.emplace_back(*gpu_, bytes).as<void>(), values.data(), bytes);
    return memory_.back().as<float>();
  }
  std::vector<float> Read(const float* from, int64_t n) {
    std::vector<float> values(static_cast<size_t>(n));
    gpu_->Download(values.data(), from, 4 * n);
    return values;
  }
  void Run(CompressedParams call, int tokens) {
    call.tokens = tokens;
    cuda::PromptProducts(*gpu_, {&call, 1}, tokens).Run(call);
  }

 private:
  std::unique_ptr<cuda::Gpu> gpu_;
  std::vector<DeviceMemory> memory_;
};

// y [tokens, d_out] of the scalar kernels, added to `before`.
std::vector<float> Expected(const std::vector<OwnedPath>& paths, const std::vector<float>& x,
                            int tokens, std::vector<float> before = {}) {
  std::vector<float> all;
  for (int t = 0; t < tokens; ++t) {
    const std::vector<float> y = ScalarResult(paths, x.data() + t * paths[0].view.v.cols);
    all.insert(all.end(), y.begin(), y.end());
  }
  for (size_t i = 0; i < before.size(); ++i) all[i] = before[i] + all[i];
  return all;
}

std::vector<float> RunOne(Prompt& prompt, const std::vector<OwnedPath>& paths,
                          const std::vector<float>& x, int tokens) {
  const DeviceMatrix matrix = prompt.Matrix(paths);
  const DeviceMatrix* const call[] = {&matrix};
  CompressedParams params = CallOf(call);
  params.input = {.form = InputForm::kPlain, .x = prompt.Floats(x)};
  const int64_t outputs = int64_t{tokens} * matrix.d_out();
  params.matrices[0].y = prompt.Floats(std::vector<float>(static_cast<size_t>(outputs), NAN));
  prompt.Run(params, tokens);
  return prompt.Read(params.matrices[0].y, outputs);
}

TEST(PromptProducts, EqualTheScalarKernelsBitByBit) {
  for (const Shape& shape : {Shape{64, 64, 8, 1},
                             {64, 512, 32, 1},
                             {33, 40, 13, 2},
                             {100, 300, 70, 1},
                             {40, 2500, 33, 1},
                             {70, 257, 40, 2},
                             {7, 160, 2100, 1}}) {
    const auto paths = RandomPaths(shape, 5);
    for (const int tokens : {17, 66}) {
      if (tokens == 66 && shape.d_in * shape.rank > 50000) continue;  // takes long
      const auto x = RandomFloats(int64_t{tokens} * shape.d_in, 3);
      for (const int capacity : {kOneRowBlock, kTwoRowBlocks}) {
        Prompt prompt(capacity);
        EXPECT_EQ(RunOne(prompt, paths, x, tokens), Expected(paths, x, tokens))
            << shape.d_out << "x" << shape.d_in << " rank " << shape.rank << ", " << tokens;
      }
    }
  }
}

TEST(PromptProducts, MatricesOfOnePathAndOfTwoShareAnInput) {
  constexpr int kTokens = 18;
  constexpr int kCols = 320;
  const auto first = RandomPaths({64, kCols, 40, 2}, 21);
  const auto second = RandomPaths({33, kCols, 17, 1}, 22);
  const auto third = RandomPaths({96, kCols, 260, 2}, 23);
  const auto x = RandomFloats(kTokens * kCols, 5);
  const auto bias = RandomFloats(33, 6);
  const auto before = RandomFloats(kTokens * 96, 7);
  Prompt prompt;
  const DeviceMatrix matrices[] = {prompt.Matrix(first), prompt.Matrix(second),
                                   prompt.Matrix(third)};
  const DeviceMatrix* const call[] = {&matrices[0], &matrices[1], &matrices[2]};
  CompressedParams params = CallOf(call);
  params.input = {.form = InputForm::kPlain, .x = prompt.Floats(x)};
  params.matrices[0].y = prompt.Floats(std::vector<float>(kTokens * 64, NAN));
  params.matrices[1].y = prompt.Floats(std::vector<float>(kTokens * 33, NAN));
  params.matrices[1].bias = prompt.Floats(bias);
  params.matrices[2].y = prompt.Floats(before);
  params.matrices[2].accumulate = true;
  prompt.Run(params, kTokens);
  EXPECT_EQ(prompt.Read(params.matrices[0].y, kTokens * 64), Expected(first, x, kTokens));
  std::vector<float> biases;
  for (int t = 0; t < kTokens; ++t) biases.insert(biases.end(), bias.begin(), bias.end());
  EXPECT_EQ(prompt.Read(params.matrices[1].y, kTokens * 33), Expected(second, x, kTokens, biases));
  // Path by path, so not bit by bit.
  EXPECT_LT(testing::RelativeError(prompt.Read(params.matrices[2].y, kTokens * 96),
                                   Expected(third, x, kTokens, before)),
            1e-6);
}

TEST(PromptProducts, NormaliseAndGateEachToken) {
  constexpr int kTokens = 17;
  const Shape shape{40, 600, 30, 1};
  const auto paths = RandomPaths(shape, 31);
  const FloatKernels& floats = *KernelsFor(Isa::kScalar).floats;
  const auto x = RandomFloats(kTokens * shape.d_in, 5, -3, 3);
  const auto norm = RandomFloats(shape.d_in, 6, 0, 2);
  const auto up = RandomFloats(kTokens * shape.d_in, 7, 0, 2);
  for (const InputForm form : {InputForm::kNormed, InputForm::kGated}) {
    std::vector<float> input = x;
    for (int t = 0; t < kTokens; ++t) {
      float* row = input.data() + t * shape.d_in;
      if (form == InputForm::kNormed) {
        floats.rms_norm(x.data() + t * shape.d_in, norm.data(), 1e-5, shape.d_in, row);
      } else {
        floats.swiglu(up.data() + t * shape.d_in, shape.d_in, row);
      }
    }
    Prompt prompt;
    const DeviceMatrix matrix = prompt.Matrix(paths);
    const DeviceMatrix* const call[] = {&matrix};
    CompressedParams params = CallOf(call);
    params.input = {form, prompt.Floats(x), prompt.Floats(norm), prompt.Floats(up), 1e-5};
    params.matrices[0].y = prompt.Floats(std::vector<float>(kTokens * shape.d_out, NAN));
    prompt.Run(params, kTokens);
    // Rounding of an input may differ by a step here and there.
    EXPECT_LT(testing::RelativeError(prompt.Read(params.matrices[0].y, kTokens * shape.d_out),
                                     Expected(paths, input, kTokens)),
              5e-3);
  }
}

TEST(PromptProducts, RoundsUnusualInputsAsTheScalarKernels) {
  constexpr int kTokens = 17;
  const Shape shape{32, 768, 20, 1};
  const auto paths = RandomPaths(shape, 41);
  auto x = RandomFloats(kTokens * shape.d_in, 5);
  for (int j = 0; j < 256; ++j) x[j] = 0;
  for (int j = 256; j < 512; ++j) x[j] = 1e-38f;
  Prompt prompt;
  EXPECT_EQ(RunOne(prompt, paths, x, kTokens), Expected(paths, x, kTokens));
  x[700] = INFINITY;
  const auto y = RunOne(prompt, paths, x, kTokens);
  for (int i = 0; i < kTokens * shape.d_out; ++i) EXPECT_EQ(std::isnan(y[i]), i < shape.d_out);
}

}  // namespace
}  // namespace llmq
