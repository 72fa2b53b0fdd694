// Speed of compressed layers beside a dense fp16 matrix of the same shape and beside plain reading,
// all in one run and in turns, so that a busy machine slows all alike.
//
//   kernel_speed [--threads N] [--megabytes M] [--rounds R] [--exact] [--cache] [--paths P]
//                [--shape OUTxIN]... [--bpw B]... [--kernel OUTxIN]... [--table ROWSxCOLS]...
//
// Then single matrices of signs ("sums"), and embeddings or heads in groups of 8, 6 and 4 bits
// ("q8" and so on, without signs). Weights are used in rotation through more memory than the caches
// hold (--megabytes), but for
// --cache, which uses one layer again and again. "us" is the median round's; ratios are medians of
// each round's ratio.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/half.h"
#include "base/random.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "llmq/bit_budget.h"
#include "llmq/group_quant.h"
#include "runtime/compressed_linear.h"
#include "runtime/compressed_matrix.h"
#include "runtime/kernel_choice.h"
#include "runtime/large_memory.h"

namespace llmq {
namespace {

struct Options {
  int threads = 0;
  int64_t megabytes = 1024;
  int rounds = 15;
  bool exact = false;
  bool cache = false;
  int paths = 1;
  std::vector<std::string> shapes = {"4096x4096", "4096x11008", "11008x4096", "4096x14336",
                                     "8192x28672"};
  std::vector<double> rates = {0.1, 0.3, 0.55, 1.0};
  std::vector<std::string> kernels = {"4096x4096"};
  std::vector<std::string> tables = {"32000x4096"};
};

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

void FillRandom(std::span<std::byte> bytes) {
  uint64_t state = 1;
  for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
    const uint64_t word = NextRandom(state);
    std::memcpy(bytes.data() + i, &word, 8);
  }
}

// Halves of a magnitude that sums neither lose nor overflow: 2^-6 .. 2^-5, both signs.
void FillHalves(const uint16_t* from, int64_t n, uint64_t& state) {
  auto* to = const_cast<uint16_t*>(from);
  for (int64_t i = 0; i < n; ++i)
    to[i] = static_cast<uint16_t>(0x2400u | (NextRandom(state) & 0x83ffu));
}

std::pair<int64_t, int64_t> ParseShape(const std::string& text) {
  const size_t x = text.find('x');
  if (x == std::string::npos) throw CLI::ValidationError("--shape", "expected OUTxIN");
  return {std::stoll(text.substr(0, x)), std::stoll(text.substr(x + 1))};
}

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        kernels_(ChooseKernels()),
        pool_(ResolveThreadCount(options.threads)),
        linear_(options.exact ? *kernels_.exact : *kernels_.int8, *kernels_.floats, pool_),
        dense_(static_cast<uint64_t>(options.megabytes) << 20) {
    // Any bits are halves; the few that are not finite cost no more than others.
    FillRandom(dense_.bytes());
  }

  void Run() {
    fmt::print(
        "kernels {}, {} activations, {} threads, weights {}\n\n", kernels_.name,
        options_.exact ? "float32" : "8-bit", pool_.size(),
        options_.cache ? "in cache" : fmt::format("rotated through {} MiB", options_.megabytes));
    fmt::print("| {:>11} | {:>5} | {:>5} | {:>9} | {:>8} | {:>6} | {:>11} | {:>12} | {:>7} |\n",
               "out x in", "BPW", "rank", "KiB", "us", "GB/s", "G signs/s", "% of reading",
               "x fp16");
    fmt::print("|{0:-<13}|{0:-<7}|{0:-<7}|{0:-<11}|{0:-<10}|{0:-<8}|{0:-<13}|{0:-<14}|{0:-<9}|\n",
               "");
    for (const std::string& text : options_.shapes) {
      const auto [d_out, d_in] = ParseShape(text);
      for (const double rate : options_.rates) RunShape(d_out, d_in, rate);
    }
    for (const std::string& text : options_.kernels) {
      const auto [d_out, d_in] = ParseShape(text);
      RunKernel(d_out, d_in);
    }
    for (const std::string& text : options_.tables) {
      const auto [d_out, d_in] = ParseShape(text);
      for (const int bits : {8, 6, 4}) RunTable(d_out, d_in, bits);
    }
  }

 private:
  void RunShape(int64_t d_out, int64_t d_in, double bpw) {
    const int64_t rank = RankForBpw(d_out, d_in, options_.paths, bpw) / 8 * 8;
    const LittleBitShape shape{d_out, d_in, rank, options_.paths};
    const auto layer_bytes = static_cast<int64_t>(CompressedBytes(shape));
    LargeMemory memory(static_cast<uint64_t>(layer_bytes * Copies(layer_bytes)));
    FillRandom(memory.bytes());
    std::vector<std::vector<CompressedPath>> layers;
    uint64_t state = 7;
    for (int64_t i = 0; i < Copies(layer_bytes); ++i) {
      layers.push_back(Layout(shape, memory));
      for (const CompressedPath& path : layers.back()) {
        FillHalves(path.g, d_in, state);
        FillHalves(path.h, d_out, state);
        FillHalves(path.l, rank, state);
      }
    }
    const Measured measured =
        Measure(d_out, d_in, layer_bytes, [&](int64_t call, const float* x, float* y) {
          const CompressedCall layer{&layers[call % layers.size()], x, y};
          linear_.Run({&layer, 1}, 1);
        });
    const auto signs = static_cast<double>(options_.paths * rank * (d_in + d_out));
    Print(d_out, d_in, fmt::format("{}", bpw), rank, layer_bytes, signs, measured);
  }

  // One factor's sums of signs alone: what a layer's two stages do besides preparing inputs.
  void RunKernel(int64_t d_out, int64_t d_in) {
    const int64_t bytes = 4 * SignTileWords(d_out, d_in);
    LargeMemory memory(static_cast<uint64_t>(bytes * Copies(bytes)));
    FillRandom(memory.bytes());
    const SignProduct& product = options_.exact ? *kernels_.exact : *kernels_.int8;
    LargeMemory prepared(static_cast<uint64_t>(product.prepared_bytes(d_in)));
    bool is_prepared = false;
    const Measured measured =
        Measure(d_out, d_in, bytes, [&](int64_t call, const float* x, float* y) {
          if (!std::exchange(is_prepared, true)) {
            product.prepare(nullptr, x, d_in, prepared.bytes().data());
          }
          const std::byte* words = memory.bytes().data() + call % Copies(bytes) * bytes;
          const SignTiles tiles{reinterpret_cast<const uint32_t*>(words), d_out, d_in};
          pool_.ForEach(TileBlocks(d_out), 4, [&](int, int64_t begin, int64_t end) {
            product.sums(tiles, prepared.bytes().data(), begin * kTileRows,
                         std::min(end * kTileRows, d_out), y + begin * kTileRows);
          });
        });
    const double signs = static_cast<double>(d_out) * static_cast<double>(d_in);
    Print(d_out, d_in, "sums", 0, bytes, signs, measured);
  }

  // An embedding or head in groups of 8, 6 or 4 bits. Any bits are codes and scales.
  void RunTable(int64_t d_out, int64_t d_in, int bits) {
    const int64_t row_bytes = GroupQuantRowBytes({.rows = d_out, .cols = d_in, .bits = bits});
    const int64_t bytes = d_out * row_bytes;
    LargeMemory memory(static_cast<uint64_t>(bytes * Copies(bytes)));
    FillRandom(memory.bytes());
    table_input_ = LargeMemory(static_cast<uint64_t>(GroupInputBytes(bits, d_in)));
    const Measured measured =
        Measure(d_out, d_in, bytes, [&](int64_t call, const float* x, float* y) {
          const std::byte* table = memory.bytes().data() + call % Copies(bytes) * bytes;
          MultiplyTable({table, row_bytes, d_in}, d_out, bits, x, y);
        });
    Print(d_out, d_in, fmt::format("q{}", bits), 0, bytes, 0, measured);
  }

  void MultiplyTable(const GroupRows& table, int64_t rows, int bits, const float* x, float* y) {
    const FloatKernels& floats = *kernels_.floats;
    const GroupKernels& groups = *kernels_.groups;
    if (!options_.exact) {
      PrepareGroupInput(bits, x, table.cols, table_input_.bytes().data());
    }
    pool_.ForEach(rows, 64, [&](int, int64_t begin, int64_t end) {
      if (options_.exact) {
        const auto dot = bits == 8   ? floats.group_dot8
                         : bits == 6 ? floats.group_dot6
                                     : floats.group_dot4;
        dot(table.bytes, table.row_bytes, table.cols, x, begin, end, y);
      } else {
        const auto dots = bits == 8 ? groups.dots8 : bits == 6 ? groups.dots6 : groups.dots4;
        dots(table, table_input_.bytes().data(), begin, end, y);
      }
    });
  }

  int64_t Copies(int64_t bytes) const {
    return options_.cache ? 1 : std::max<int64_t>(1, (options_.megabytes << 20) / bytes);
  }

  struct Measured {
    double seconds;      // of one call, the median round's
    double reading;      // share of the rate of plain reading
    double dense_ratio;  // an fp16 product's seconds over these
  };

  // run(number of the call, x [d_in], y [d_out]), which reads `bytes`.
  template <typename RunOnce>
  Measured Measure(int64_t d_out, int64_t d_in, int64_t bytes, const RunOnce& run) {
    uint64_t state = 8;
    std::vector<float> x(static_cast<size_t>(d_in)), y(static_cast<size_t>(d_out));
    for (float& value : x) value = static_cast<float>(NextRandom(state) >> 40) * 0x1p-24f - 0.5f;
    // A round's share of time for each: some milliseconds.
    const int64_t calls = std::clamp<int64_t>((24 << 20) / bytes, 1, 4 * Copies(bytes) + 64);
    std::vector<double> own_seconds, reading, dense_ratio;
    int64_t next = 0;
    for (int round = 0; round < options_.rounds; ++round) {
      const double begin = Seconds();
      for (int64_t i = 0; i < calls; ++i) run(next++, x.data(), y.data());
      const double seconds = (Seconds() - begin) / static_cast<double>(calls);
      own_seconds.push_back(seconds);
      reading.push_back(static_cast<double>(bytes) / seconds / ReadRate());
      dense_ratio.push_back(DenseSeconds(d_out, d_in, x, y) / seconds);
    }
    return {Median(own_seconds), Median(reading), Median(dense_ratio)};
  }

  static void Print(int64_t d_out, int64_t d_in, const std::string& rate, int64_t rank,
                    int64_t bytes, double signs, const Measured& measured) {
    fmt::print(
        "| {:>11} | {:>5} | {:>5} | {:>9.0f} | {:>8.1f} | {:>6.2f} | {:>11.1f} | {:>12.1f} "
        "| {:>7.1f} |\n",
        fmt::format("{}x{}", d_out, d_in), rate, rank, static_cast<double>(bytes) / 1024,
        measured.seconds * 1e6, static_cast<double>(bytes) / measured.seconds / 1e9,
        signs / measured.seconds / 1e9, 100 * measured.reading, measured.dense_ratio);
    std::fflush(stdout);
  }

  // Bytes per second of reading by all threads, of the next 64 MiB.
  double ReadRate() {
    constexpr int64_t kBytes = 64 << 20, kPiece = 1 << 18;
    const std::byte* from = NextDense(kBytes);
    const double begin = Seconds();
    pool_.ForEach(kBytes, kPiece, [&](int, int64_t first, int64_t last) {
      uint64_t sums[32] = {};
      for (int64_t i = first; i < last; i += 256) {
        for (int64_t k = 0; k < 256; k += 64) __builtin_prefetch(from + i + 4096 + k, 0, 2);
        uint64_t words[32];
        std::memcpy(words, from + i, 256);
        for (int k = 0; k < 32; ++k) sums[k] += words[k];
      }
      uint64_t sum = 0;
      for (const uint64_t part : sums) sum += part;
      if (sum == 12345) fmt::print("\n");  // the sums are wanted, as far as the compiler knows
    });
    return static_cast<double>(kBytes) / (Seconds() - begin);
  }

  // One product of a dense fp16 matrix; the last 64 rows stand for what no longer fits.
  double DenseSeconds(int64_t d_out, int64_t d_in, const std::vector<float>& x,
                      std::vector<float>& y) {
    const int64_t rows =
        std::min(d_out, static_cast<int64_t>(dense_.bytes().size()) / (2 * d_in) / 64 * 64);
    const std::byte* w = NextDense(2 * rows * d_in);
    const double begin = Seconds();
    pool_.ForEach(rows, 64, [&](int, int64_t first, int64_t last) {
      kernels_.floats->dense_dot[static_cast<int>(DenseType::kF16)](w, d_in, x.data(), first, last,
                                                                    y.data());
    });
    return (Seconds() - begin) * static_cast<double>(d_out) / static_cast<double>(rows);
  }

  const std::byte* NextDense(int64_t bytes) {
    if (dense_at_ + bytes > static_cast<int64_t>(dense_.bytes().size())) dense_at_ = 0;
    const std::byte* at = dense_.bytes().data() + dense_at_;
    dense_at_ += bytes;
    return at;
  }

  Options options_;
  const KernelTable& kernels_;
  ThreadPool pool_;
  CompressedLinear linear_;
  LargeMemory dense_;
  LargeMemory table_input_{0};
  int64_t dense_at_ = 0;
};

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) {
  CLI::App app("Measures compressed layers beside fp16 matrices and plain reading");
  llmq::Options options;
  app.add_option("--threads", options.threads, "0: one per core");
  app.add_option("--megabytes", options.megabytes, "Memory to rotate through")
      ->check(CLI::Range(64, 1 << 20));
  app.add_option("--rounds", options.rounds, "Measurements of each")->check(CLI::Range(1, 1000));
  app.add_flag("--exact", options.exact, "Float32 activations");
  app.add_flag("--cache", options.cache, "One layer again and again");
  app.add_option("--paths", options.paths, "Paths of a layer")->check(CLI::Range(1, 2));
  app.add_option("--shape", options.shapes, "OUTxIN, once or more");
  app.add_option("--bpw", options.rates, "Bits per weight, once or more");
  app.add_option("--kernel", options.kernels, "OUTxIN of a matrix of signs, once or more");
  app.add_option("--table", options.tables, "ROWSxCOLS of a table in groups, once or more");
  CLI11_PARSE(app, argc, argv);
  llmq::Bench(options).Run();
}
