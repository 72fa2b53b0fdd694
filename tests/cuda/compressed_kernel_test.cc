// Compressed layers on the emulated GPU beside the CPU's scalar kernels.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/random.h"
#include "cuda/sign_layout.h"
#include "tests/cuda/emulated_gpu.h"
#include "tests/cuda/random_paths.h"
#include "tests/support/relative_error.h"

namespace llmq {
namespace {

using cuda::CompressedParams;
using cuda::DeviceMatrix;
using cuda::DeviceMemory;
using cuda::InputForm;
using testing::EmulatedGpuOptions;
using testing::MakeEmulatedGpu;
using testing::OwnedPath;
using testing::RandomFloats;
using testing::RandomPaths;
using testing::RelativeError;
using testing::ScalarResult;
using testing::Shape;

class OnGpu {
 public:
  explicit OnGpu(const EmulatedGpuOptions& options = {}) : gpu_(MakeEmulatedGpu(options)) {
    meeting_ = DeviceMemory(*gpu_, sizeof(cuda::GridMeeting));
    gpu_->Zero(meeting_.as<void>(), sizeof(cuda::GridMeeting));
  }

  DeviceMatrix Matrix(const std::vector<OwnedPath>& paths) {
    std::vector<cuda::HostPath> views;
    for (const OwnedPath& path : paths) views.push_back(path.view);
    return DeviceMatrix(*gpu_, views);
  }
  float* Floats(const std::vector<float>& values) {
    memory_.emplace_back(*gpu_, static_cast<int64_t>(values.size()) * 4);
    gpu_->Upload(memory_.back().as<void>(), values.data(), static_cast<int64_t>(values.size()) * 4);
    return memory_.back().as<float>();
  }
  std::vector<float> Read(const float* from, int64_t n) {
    std::vector<float> values(static_cast<size_t>(n));
    gpu_->Download(values.data(), from, n * 4);
    return values;
  }
  // As many floats of poison.
  float* Empty(int64_t n) { return memory_.emplace_back(*gpu_, n * 4).as<float>(); }

  void Run(CompressedParams params, int tokens) {
    params.tokens = tokens;
    params.partials = Empty(PartialFloats(params, tokens));
    params.meeting = meeting_.as<cuda::GridMeeting>();
    AddPrefetch(*gpu_, SecondStageSpans(params), params);
    if (gpu_->meets()) return gpu_->Run(params);
    for (const auto stages : {cuda::Stages::kFirst, cuda::Stages::kSecond}) {
      params.stages = stages;
      gpu_->Run(params);
    }
  }

 private:
  std::unique_ptr<cuda::Gpu> gpu_;
  DeviceMemory meeting_;
  std::vector<DeviceMemory> memory_;
};

// y [tokens, d_out] of one matrix.
std::vector<float> RunOne(OnGpu& gpu, const std::vector<OwnedPath>& paths,
                          const std::vector<float>& x, int tokens) {
  const DeviceMatrix matrix = gpu.Matrix(paths);
  const DeviceMatrix* const matrices[] = {&matrix};
  CompressedParams params = CallOf(matrices);
  params.input = {.form = InputForm::kPlain, .x = gpu.Floats(x)};
  params.matrices[0].y = gpu.Empty(int64_t{tokens} * matrix.d_out());
  gpu.Run(params, tokens);
  return gpu.Read(params.matrices[0].y, int64_t{tokens} * matrix.d_out());
}

TEST(SignLayout, HoldsEverySignOnce) {
  for (const int64_t cols : {1, 31, 32, 127, 128, 129, 300}) {
    const int64_t rows = 45;
    std::vector<uint32_t> tiles(static_cast<size_t>(SignTileWords(rows, cols)));
    uint64_t state = 7;
    for (uint32_t& word : tiles) word = static_cast<uint32_t>(NextRandom(state));
    std::vector<uint32_t> words(static_cast<size_t>(cuda::SignWords(rows, cols)));
    cuda::LayOutSigns({tiles.data(), rows, cols}, words);
    std::vector<bool> seen(words.size());
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t word = 0; word < cuda::SignRowWords(cols); ++word) {
        const auto at = static_cast<size_t>(cuda::SignWordIndex(cols, row, word));
        ASSERT_LT(at, words.size());
        EXPECT_FALSE(seen[at]);
        seen[at] = true;
        EXPECT_EQ(words[at], tiles[(row / 16 * TileChunks(cols) + word) * 16 + row % 16]);
      }
    }
  }
}

// Up to 2048 inputs the sums have the CPU's order, so every bit agrees.
TEST(CompressedKernel, EqualsTheScalarKernelsBitByBit) {
  for (const Shape& shape : {Shape{64, 64, 8, 1},
                             {33, 40, 13, 2},
                             {100, 300, 70, 1},
                             {40, 2048, 129, 1},
                             {300, 257, 40, 2},
                             {7, 1000, 300, 2}}) {
    const auto paths = RandomPaths(shape, 5);
    const std::vector<float> x = RandomFloats(shape.d_in, 3);
    const std::vector<float> expected = ScalarResult(paths, x.data());
    for (const bool downwards : {false, true}) {
      OnGpu gpu({.downwards = downwards});
      EXPECT_EQ(RunOne(gpu, paths, x, 1), expected)
          << shape.d_out << "x" << shape.d_in << " rank " << shape.rank;
    }
  }
}

// Longer inputs: the order of sums differs, and with it now and then how a latent is rounded.
TEST(CompressedKernel, AgreesOnLongInputsAndHighRanks) {
  for (const Shape& shape : {Shape{50, 5000, 60, 1}, {40, 2304, 2100, 1}}) {
    const auto paths = RandomPaths(shape, 9);
    const std::vector<float> x = RandomFloats(shape.d_in, 4);
    OnGpu gpu;
    EXPECT_LT(RelativeError(RunOne(gpu, paths, x, 1), ScalarResult(paths, x.data())), 2e-3);
  }
}

TEST(CompressedKernel, TokensDoNotSeeEachOther) {
  const Shape shape{70, 1800, 150, 2};
  const auto paths = RandomPaths(shape, 11);
  // The last three: too little shared memory for 16 tokens at once, or for four.
  for (const auto& [tokens, options] : std::vector<std::pair<int, EmulatedGpuOptions>>{
           {2, {}},
           {4, {}},
           {5, {}},
           {16, {}},
           {6, {.most_shared = 48 << 10}},
           {6, {.meets = false, .most_shared = 48 << 10}},
           {3, {.most_shared = 10 << 10}}}) {
    const std::vector<float> x = RandomFloats(int64_t{tokens} * shape.d_in, 8);
    OnGpu gpu(options);
    const std::vector<float> y = RunOne(gpu, paths, x, tokens);
    for (int t = 0; t < tokens; ++t) {
      const std::vector<float> expected = ScalarResult(paths, x.data() + t * shape.d_in);
      EXPECT_EQ(std::vector(y.begin() + t * shape.d_out, y.begin() + (t + 1) * shape.d_out),
                expected)
          << "token " << t << " of " << tokens;
    }
  }
}

TEST(CompressedKernel, PrefetchesWhatTheCacheHolds) {
  const auto gpu = MakeEmulatedGpu({.cache_bytes = 3000});
  const DeviceMatrix matrix = [&] {
    const auto paths = RandomPaths({64, 320, 40, 2}, 21);
    const cuda::HostPath views[] = {paths[0].view, paths[1].view};
    return DeviceMatrix(*gpu, views);
  }();
  const DeviceMatrix* const call[] = {&matrix};
  CompressedParams params = CallOf(call);
  AddPrefetch(*gpu, SecondStageSpans(params), params);  // 2 x 64 rows of 2 words: 1024 bytes
  AddPrefetch(*gpu, FirstStageSpans(params), params);   // 2 x 64 rows of 10 words: 476 are left
  ASSERT_EQ(params.num_prefetch, 3);
  EXPECT_EQ(params.prefetch[1].bytes, 512);
  EXPECT_EQ(params.prefetch[2].begin, params.matrices[0].paths[0].v);
  EXPECT_EQ(params.prefetch[2].bytes, 476);
}

TEST(CompressedKernel, MatricesShareAnInputAndAddBiasAndResidual) {
  const int d_in = 320;
  const auto first = RandomPaths({64, d_in, 40, 2}, 21);
  const auto second = RandomPaths({33, d_in, 17, 1}, 22);
  const auto third = RandomPaths({96, d_in, 260, 1}, 23);
  const std::vector<float> x = RandomFloats(d_in, 5);
  const std::vector<float> bias = RandomFloats(33, 6);
  const std::vector<float> before = RandomFloats(96, 7);
  for (const bool meets : {true, false}) {
    OnGpu gpu({.meets = meets});
    const DeviceMatrix matrices[] = {gpu.Matrix(first), gpu.Matrix(second), gpu.Matrix(third)};
    const DeviceMatrix* const call[] = {&matrices[0], &matrices[1], &matrices[2]};
    CompressedParams params = CallOf(call);
    params.input = {.form = InputForm::kPlain, .x = gpu.Floats(x)};
    params.matrices[0].y = gpu.Empty(64);
    params.matrices[1].y = gpu.Empty(33);
    params.matrices[1].bias = gpu.Floats(bias);
    params.matrices[2].y = gpu.Floats(before);
    params.matrices[2].accumulate = true;
    gpu.Run(params, 1);
    EXPECT_EQ(gpu.Read(params.matrices[0].y, 64), ScalarResult(first, x.data()));
    std::vector<float> expected = ScalarResult(second, x.data());
    for (int i = 0; i < 33; ++i) expected[i] += bias[i];
    EXPECT_EQ(gpu.Read(params.matrices[1].y, 33), expected);
    expected = ScalarResult(third, x.data());
    for (int i = 0; i < 96; ++i) expected[i] = before[i] + expected[i];
    EXPECT_EQ(gpu.Read(params.matrices[2].y, 96), expected);
  }
}

TEST(CompressedKernel, NormalisesAndGatesItsInput) {
  const Shape shape{40, 600, 30, 1};
  const auto paths = RandomPaths(shape, 31);
  const std::vector<float> x = RandomFloats(shape.d_in, 5, -3, 3);
  const std::vector<float> other = RandomFloats(shape.d_in, 6, 0, 2);
  const FloatKernels& floats = *KernelsFor(Isa::kScalar).floats;
  for (const InputForm form : {InputForm::kNormed, InputForm::kGated}) {
    std::vector<float> input = x;
    if (form == InputForm::kNormed) {
      floats.rms_norm(x.data(), other.data(), 1e-5, shape.d_in, input.data());
    } else {
      floats.swiglu(other.data(), shape.d_in, input.data());
    }
    OnGpu gpu;
    const DeviceMatrix matrix = gpu.Matrix(paths);
    const DeviceMatrix* const call[] = {&matrix};
    CompressedParams params = CallOf(call);
    const float* second = gpu.Floats(other);
    params.input = {form, gpu.Floats(x), second, second, 1e-5};
    params.matrices[0].y = gpu.Empty(shape.d_out);
    gpu.Run(params, 1);
    // Rounding of the input may differ by a step here and there.
    EXPECT_LT(RelativeError(gpu.Read(params.matrices[0].y, shape.d_out),
                            ScalarResult(paths, input.data())),
              5e-3);
  }
}

// A block of zeros, of infinities, of numbers too small for a scale.
TEST(CompressedKernel, RoundsUnusualInputsAsTheScalarKernels) {
  const Shape shape{32, 1024, 20, 1};
  const auto paths = RandomPaths(shape, 41);
  std::vector<float> x = RandomFloats(shape.d_in, 5);
  for (int j = 0; j < 256; ++j) x[j] = 0;
  for (int j = 256; j < 512; ++j) x[j] = 1e-38f;
  OnGpu gpu;
  EXPECT_EQ(RunOne(gpu, paths, x, 1), ScalarResult(paths, x.data()));
  x[700] = INFINITY;
  for (const float y : RunOne(gpu, paths, x, 1)) EXPECT_TRUE(std::isnan(y));
}

}  // namespace
}  // namespace llmq
