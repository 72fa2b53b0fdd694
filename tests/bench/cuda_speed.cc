// Speed of a compressed layer on a GPU beside cuBLAS's FP16 product of the same shape, in one run.
//
//   cuda_speed [--device N] [--megabytes M] [--rounds R] [--shape OUTxIN@BPW]...
//              [--batch T]... [--paths P] [--launches L] [--emulate]
//
// Each result is compared with the CPU's kernels before anything is timed. Weights are used in
// rotation through more memory than the caches hold (--megabytes). Times are medians of device
// events around a graph of many launches, in turns, so that all see the same clocks; "stream" is
// without a graph, launch by launch. Columns:
//   cublas   FP16 product          dense   this program's own FP16 product
//   two      a launch per stage    one     both stages in one launch
//   ahead    as one, while it brings the next layer's signs into the second-level cache
//   prompt   the launches of long prompts, on tensor cores; the only way for more than 16 tokens
// "x" is the faster of cublas and dense over the fastest of the graph's four, nan without cuBLAS.
// --emulate runs the kernels on the CPU: a trial of this program, not of a GPU.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "cuda/device_matrix.h"
#include "cuda/prompt_products.h"
#include "kernels/kernels.h"
#include "llmq/bit_budget.h"
#include "llmq/error.h"
#include "tests/bench/cublas.h"
#include "tests/cuda/emulated_gpu.h"

namespace llmq {
namespace {

using cuda::CompressedParams;
using cuda::DeviceMatrix;
using cuda::DeviceMemory;
using cuda::Gpu;

struct Options {
  int device = 0;
  int64_t megabytes = 512;
  int rounds = 9;
  int paths = 1;
  int launches = 256;  // of one graph
  bool emulate = false;
  std::vector<std::string> shapes = {"8192x28672@0.1", "4096x11008@0.1", "4096x11008@0.3",
                                     "4096x11008@0.55", "4096x11008@1.0"};
  std::vector<int> batches = {1, 4, 16};
};

struct Shape {
  int d_out = 0;
  int d_in = 0;
  double bpw = 0;
  int rank = 0;
};

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

float Uniform(uint64_t& state) {
  return static_cast<float>(NextRandom(state) >> 40) * 0x1p-23f - 1.0f;
}

// One random path on the host.
struct Path {
  std::vector<uint32_t> v, u;
  std::vector<uint16_t> g, h, l;

  Path(const Shape& shape, uint64_t seed)
      : v(static_cast<size_t>(SignTileWords(shape.rank, shape.d_in))),
        u(static_cast<size_t>(SignTileWords(shape.d_out, shape.rank))) {
    for (auto* words : {&v, &u}) {
      for (uint32_t& word : *words) word = static_cast<uint32_t>(NextRandom(seed));
    }
    const auto halves = [&](int n, float size) {
      std::vector<uint16_t> values;
      for (int i = 0; i < n; ++i) values.push_back(FloatToHalf(size * (1 + 0.25f * Uniform(seed))));
      return values;
    };
    g = halves(shape.d_in, 1);
    h = halves(shape.d_out, 1);
    l = halves(shape.rank, 1 / std::sqrt(static_cast<float>(shape.rank) * shape.d_in));
  }
  cuda::HostPath view(const Shape& shape) const {
    return {{v.data(), shape.rank, shape.d_in},
            {u.data(), shape.d_out, shape.rank},
            g.data(),
            h.data(),
            l.data()};
  }
};

const KernelTable& CpuKernels() {
  for (const Isa isa : {Isa::kAvx512Vbmi, Isa::kAvx512, Isa::kAvx2}) {
    if (IsaAvailable(isa)) return KernelsFor(isa);
  }
  return KernelsFor(Isa::kScalar);
}

std::vector<float> CpuProduct(const SignTiles& signs, const uint16_t* scale, const float* x) {
  const SignProduct& product = *CpuKernels().int8;
  std::vector<std::byte> memory(static_cast<size_t>(product.prepared_bytes(signs.cols)) + 64);
  std::byte* prepared = memory.data() + (64 - reinterpret_cast<uintptr_t>(memory.data()) % 64) % 64;
  product.prepare(scale, x, signs.cols, prepared);
  std::vector<float> sums(static_cast<size_t>(signs.rows));
  product.sums(signs, prepared, 0, signs.rows, sums.data());
  return sums;
}

class Bench {
 public:
  Bench(Gpu& gpu, const Options& options)
      : gpu_(gpu),
        options_(options),
        meeting_(gpu, sizeof(cuda::GridMeeting)),
        workspace_(gpu, kWorkspaceBytes),
        cublas_(gpu.stream(), workspace_.as<void>(), kWorkspaceBytes) {
    gpu.Zero(meeting_.as<void>(), sizeof(cuda::GridMeeting));
  }

  void Run() {
    fmt::print("{}; weights rotated through {} MB; cuBLAS: {}\n", gpu_.name(), options_.megabytes,
               cublas_.there() ? "there" : cublas_.reason());
    WarmUp();
    PrintCeilings();
    fmt::print(
        "\n| {:>11} | {:>4} | {:>4} | {:>2} | {:>7} | {:>7} | {:>6} | {:>6} | {:>6} | {:>6} "
        "| {:>6} | {:>6} | {:>5} | {:>6} |\n",
        "out x in", "BPW", "rank", "T", "cublas", "dense", "stream", "two", "one", "ahead",
        "prompt", "GB/s", "x", "error");
    for (const std::string& text : options_.shapes) {
      const Shape shape = Parse(text);
      for (const int batch : options_.batches) RunShape(shape, batch);
    }
    fmt::print("\nTimes in us per layer.\n");
  }

 private:
  static constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;

  Shape Parse(const std::string& text) const {
    Shape shape;
    if (std::sscanf(text.c_str(), "%dx%d@%lf", &shape.d_out, &shape.d_in, &shape.bpw) != 3)
      throw CLI::ValidationError("--shape", "expected OUTxIN@BPW");
    shape.rank =
        static_cast<int>(RankForBpw(shape.d_out, shape.d_in, options_.paths, shape.bpw) / 8 * 8);
    return shape;
  }

  using Way = std::function<void(int)>;  // launches layer i

  // A device that was idle has low clocks.
  void WarmUp() {
    for (double seconds = 0; seconds < 0.5;)
      seconds += gpu_.Seconds([&] { gpu_.Zero(workspace_.as<void>(), kWorkspaceBytes); });
  }

  std::unique_ptr<Gpu::Recording> RecordMany(const Way& launch) {
    launch(0);  // loads the kernels, which a recording may not
    return gpu_.Record([&] {
      for (int i = 0; i < options_.launches; ++i) launch(i);
    });
  }
  // Microseconds per launch of each way's graph, the median round's; NaN for an empty way. The ways
  // take turns, and the device is busy when a graph comes, so that starting it is not measured.
  std::vector<double> GraphTimes(std::span<const Way> ways) {
    std::vector<std::unique_ptr<Gpu::Recording>> recordings;
    for (const Way& way : ways) recordings.push_back(way ? RecordMany(way) : nullptr);
    std::vector<std::vector<double>> rounds(ways.size());
    for (int round = 0; round < options_.rounds; ++round) {
      for (size_t i = 0; i < ways.size(); ++i) {
        if (!recordings[i]) continue;
        recordings[i]->Replay();
        rounds[i].push_back(gpu_.Seconds([&] { recordings[i]->Replay(); }) / options_.launches);
      }
    }
    std::vector<double> times;
    for (const auto& of_way : rounds) times.push_back(of_way.empty() ? NAN : 1e6 * Median(of_way));
    return times;
  }
  double StreamTime(const Way& launch) {
    std::vector<double> rounds;
    for (int round = 0; round < options_.rounds; ++round) {
      rounds.push_back(gpu_.Seconds([&] {
        for (int i = 0; i < options_.launches; ++i) launch(i);
      }) / options_.launches);
    }
    return 1e6 * Median(rounds);
  }

  // What a launch costs that does nothing.
  void PrintCeilings() {
    DeviceMemory step(gpu_, sizeof(cuda::StepState));
    gpu_.Zero(step.as<void>(), sizeof(cuda::StepState));
    const cuda::EmbedParams nothing = {
        .step = step.as<cuda::StepState>(), .table = step.as<void>(), .tokens = 1};
    const auto launch = [&](int) { gpu_.Run(nothing); };
    const Way ways[] = {launch};
    fmt::print("An empty kernel: {:.2f} us in a graph, {:.2f} us in a stream\n",
               GraphTimes(ways)[0], StreamTime(launch));
  }

  int Copies(int64_t bytes) const {
    return static_cast<int>(
        std::clamp<int64_t>((options_.megabytes << 20) / bytes, 1, options_.launches));
  }

  // Relative error of the first and the last token.
  double Error(const std::vector<Path>& paths, const Shape& shape, const std::vector<float>& x,
               const std::vector<float>& y, int tokens) {
    double error = 0;
    double size = 0;
    for (const int t : {0, tokens - 1}) {
      std::vector<float> expected(static_cast<size_t>(shape.d_out), 0.0f);
      for (const Path& path : paths) {
        const cuda::HostPath view = path.view(shape);
        const auto latent = CpuProduct(view.v, view.g, x.data() + int64_t{t} * shape.d_in);
        const auto sums = CpuProduct(view.u, view.l, latent.data());
        for (int i = 0; i < shape.d_out; ++i) expected[i] += HalfToFloat(view.h[i]) * sums[i];
      }
      for (int i = 0; i < shape.d_out; ++i) {
        error += std::pow(y[int64_t{t} * shape.d_out + i] - expected[i], 2);
        size += std::pow(expected[i], 2);
      }
    }
    return std::sqrt(error / size);  // NaN if anything was not written
  }

  // fp16 matrices of a shape, and the products that compressed layers are compared with.
  struct Dense {
    DeviceMemory weights, x, y;
    Way cublas, own;  // empty: there is none
  };
  Dense MakeDense(const Shape& shape, int tokens, const float* x, float* y) {
    const int64_t bytes = 2 * int64_t{shape.d_out} * shape.d_in;
    const int copies = std::max(2, Copies(bytes));
    // Small numbers of both signs: a matrix of zeros would be faster than real ones.
    std::vector<uint16_t> halves(static_cast<size_t>(bytes / 2));
    uint64_t state = 3;
    for (uint16_t& half : halves)
      half = static_cast<uint16_t>(0x2400u | (NextRandom(state) & 0x83ffu));
    Dense dense{.weights = DeviceMemory(gpu_, bytes * copies),
                .x = DeviceMemory(gpu_, 2 * int64_t{tokens} * shape.d_in),
                .y = DeviceMemory(gpu_, 2 * int64_t{tokens} * shape.d_out)};
    char* weights = dense.weights.as<char>();
    for (int i = 0; i < copies; ++i) gpu_.Upload(weights + i * bytes, halves.data(), bytes);
    gpu_.Upload(dense.x.as<void>(), halves.data(), 2 * int64_t{tokens} * shape.d_in);
    const auto cublas = [=, this, half_x = dense.x.as<void>(), half_y = dense.y.as<void>()](int i) {
      return cublas_.Multiply(weights + i % copies * bytes, half_x, half_y, shape.d_out, shape.d_in,
                              tokens);
    };
    if (cublas_.there() && cublas(0)) dense.cublas = cublas;
    cuda::RowProductParams own = {.type = cuda::RowType::kF16,
                                  .row_bytes = 2 * int64_t{shape.d_in},
                                  .rows = shape.d_out,
                                  .cols = shape.d_in,
                                  .x = x,
                                  .y = y,
                                  .tokens = tokens};
    if (tokens > cuda::kMaxTokens) return dense;  // it takes four at a time: minutes
    dense.own = [=, this](int i) mutable {
      own.w = weights + i % copies * bytes;
      gpu_.Run(own);
    };
    return dense;
  }

  void RunShape(const Shape& shape, int tokens) {
    std::vector<Path> paths;
    for (int i = 0; i < options_.paths; ++i) paths.emplace_back(shape, 100 * i + 1);
    std::vector<cuda::HostPath> views;
    for (const Path& path : paths) views.push_back(path.view(shape));
    std::vector<DeviceMatrix> matrices;
    matrices.emplace_back(gpu_, views);
    const int copies = Copies(matrices[0].bytes());
    while (static_cast<int>(matrices.size()) < copies) matrices.emplace_back(gpu_, views);

    std::vector<float> x(static_cast<size_t>(int64_t{tokens} * shape.d_in));
    uint64_t state = 5;
    for (float& value : x) value = Uniform(state);
    const int64_t y_floats = int64_t{tokens} * shape.d_out;
    DeviceMemory device_x(gpu_, 4 * static_cast<int64_t>(x.size()));
    DeviceMemory device_y(gpu_, 4 * y_floats);
    gpu_.Upload(device_x.as<void>(), x.data(), 4 * static_cast<int64_t>(x.size()));

    std::vector<CompressedParams> calls;
    for (const DeviceMatrix& matrix : matrices) {
      const DeviceMatrix* const one[] = {&matrix};
      calls.push_back(CallOf(one));
      calls.back().tokens = tokens;
      calls.back().input = {.form = cuda::InputForm::kPlain, .x = device_x.as<float>()};
      calls.back().matrices[0].y = device_y.as<float>();
      calls.back().meeting = meeting_.as<cuda::GridMeeting>();
    }
    DeviceMemory partials(gpu_, 4 * PartialFloats(calls[0], tokens));
    for (CompressedParams& call : calls) call.partials = partials.as<float>();

    const Way one = [&](int i) { gpu_.Run(calls[i % copies]); };
    const Way two = [&](int i) {
      CompressedParams call = calls[i % copies];
      for (const auto stages : {cuda::Stages::kFirst, cuda::Stages::kSecond}) {
        call.stages = stages;
        gpu_.Run(call);
      }
    };
    const Way ahead = [&](int i) {
      CompressedParams call = calls[i % copies];
      AddPrefetch(gpu_, SecondStageSpans(call), call);
      AddPrefetch(gpu_, FirstStageSpans(calls[(i + 1) % copies]), call);
      gpu_.Run(call);
    };

    cuda::PromptProducts products(gpu_, {&calls[0], 1}, tokens);
    const Way prompt = [&](int i) { products.Run(calls[i % copies]); };

    const bool few = tokens <= cuda::kMaxTokens;
    const Way none;
    const std::array<Way, 4> ways = {few ? two : none, few ? one : none, few ? ahead : none,
                                     prompt};
    // Every way must be right before it is timed.
    double error = 0;
    for (const Way& way : ways)
      if (way)
        error = std::max(error, CheckWay(way, paths, shape, x, device_y.as<float>(), tokens));
    if (!(error < 0.01)) {
      throw llmq::Error(ErrorCode::kGeneral,
                        fmt::format("{}x{}: expected the CPU's result, found an error of {}",
                                    shape.d_out, shape.d_in, error));
    }
    const Dense dense = MakeDense(shape, tokens, device_x.as<float>(), device_y.as<float>());
    const double stream = StreamTime(few ? one : prompt);
    const std::array all = {dense.cublas, dense.own, ways[0], ways[1], ways[2], ways[3]};
    const std::vector<double> times = GraphTimes(all);
    double best = NAN;
    for (size_t i = 2; i < times.size(); ++i) best = std::fmin(best, times[i]);  // not NaN
    const double reference = dense.cublas ? std::fmin(times[0], times[1]) : NAN;
    fmt::print(
        "| {:>11} | {:>4} | {:>4} | {:>3} | {:>7.2f} | {:>7.2f} | {:>6.2f} | {:>6.2f} | "
        "{:>6.2f} | {:>6.2f} | {:>6.2f} | {:>6.0f} | {:>5.1f} | {:>6.0e} |\n",
        fmt::format("{}x{}", shape.d_out, shape.d_in), shape.bpw, shape.rank, tokens, times[0],
        times[1], stream, times[2], times[3], times[4], times[5],
        1e-3 * static_cast<double>(matrices[0].bytes()) / best, reference / best, error);
    std::fflush(stdout);
  }

  double CheckWay(const Way& way, const std::vector<Path>& paths, const Shape& shape,
                  const std::vector<float>& x, float* device_y, int tokens) {
    std::vector<float> y(static_cast<size_t>(int64_t{tokens} * shape.d_out), NAN);
    gpu_.Upload(device_y, y.data(), 4 * static_cast<int64_t>(y.size()));
    way(0);
    gpu_.Download(y.data(), device_y, 4 * static_cast<int64_t>(y.size()));
    const double error = Error(paths, shape, x, y, tokens);
    return std::isnan(error) ? INFINITY : error;
  }

  Gpu& gpu_;
  const Options& options_;
  DeviceMemory meeting_;
  DeviceMemory workspace_;
  Cublas cublas_;
};

int Main(int argc, char** argv) {
  CLI::App app("Measures compressed layers on a GPU beside cuBLAS's FP16 product");
  Options options;
  app.add_option("--device", options.device, "Number of the GPU");
  app.add_option("--megabytes", options.megabytes, "Memory to rotate through")
      ->check(CLI::Range(1, 1 << 16));
  app.add_option("--rounds", options.rounds, "Measurements of each")->check(CLI::Range(1, 1000));
  app.add_option("--launches", options.launches, "Launches of a measurement")
      ->check(CLI::Range(1, 1 << 14));
  app.add_option("--paths", options.paths, "Paths of a layer")->check(CLI::Range(1, 2));
  app.add_option("--shape", options.shapes, "OUTxIN@BPW, once or more");
  app.add_option("--batch", options.batches, "Tokens, once or more")
      ->check(CLI::Range(1, cuda::kPromptTokens));
  app.add_flag("--emulate", options.emulate, "Run the kernels on the CPU: a trial of this program");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto gpu = options.emulate ? testing::MakeEmulatedGpu() : cuda::OpenGpu(options.device);
    Bench(*gpu, options).Run();
  } catch (const Error& error) {
    fmt::print(stderr, "Error: {}\n", error.message());
    return error.exit_code();
  }
  return 0;
}

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) { return llmq::Main(argc, argv); }
