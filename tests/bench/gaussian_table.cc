// Measures the relative error of factorizations at exact bits per weight: the table of the
// replication notes, and what is better than Dual-SVID.
//
// Not a test: at full size it takes minutes. Without a file: one Gaussian matrix, the worst case,
// which has no structure to compress. With --safetensors: every 2-D tensor of the file, with mean
// and each error. The numbers belong in docs/results.md.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "compress/factorize/factorize_layer.h"
#include "compress/torch_bridge.h"
#include "formats/safetensors.h"
#include "llmq/bit_budget.h"
#include "llmq/error.h"

namespace llmq {
namespace {

struct TableOptions {
  int64_t rows = 4096;
  int64_t cols = 11008;
  std::vector<double> bpw = {1.0, 0.55, 0.3, 0.1};
  int64_t paths = 2;
  int scale_bits = kHalfScaleBits;
  InitMethod init = InitMethod::kDualSvid;
  std::optional<int> iterations, sweeps;
  std::string safetensors;
  std::string precision = "float64";
  std::string svd = "exact";
  uint64_t seed = 0;
  int threads = 0;
};

// Seconds since its making, on the wall and of all processors.
class Stopwatch {
 public:
  double Wall() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double Cpu() const { return static_cast<double>(std::clock() - start_cpu_) / CLOCKS_PER_SEC; }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::clock_t start_cpu_ = std::clock();
};

// Of the factorization alone: without the first path's SVD and without measuring the error.
struct Measured {
  double error = 1;
  double seconds = 0, cpu_seconds = 0;
};

// One matrix at every BPW. The first path's SVD is made once, at the largest rank, and shared.
class MatrixTable {
 public:
  MatrixTable(const TableOptions& options, at::Tensor weight)
      : options_(options), weight_(std::move(weight)) {
    precision_ = options.precision == "float64" ? at::kDouble : at::kFloat;
    const Stopwatch watch;
    int64_t largest = 0;
    for (const double bpw : options.bpw) largest = std::max(largest, Shape(bpw).rank);
    const bool needs_svd =
        options.init == InitMethod::kDualSvid || options.init == InitMethod::kItq;
    if (needs_svd) first_ = Decompose(weight_, largest);
    svd_seconds_ = watch.Wall();
  }

  LittleBitShape Shape(double bpw) const {
    const int64_t rank =
        RankForBpw(weight_.size(0), weight_.size(1), options_.paths, bpw, options_.scale_bits);
    const int64_t side = std::min(weight_.size(0), weight_.size(1));
    return {weight_.size(0), weight_.size(1), std::min(rank, side), options_.paths,
            options_.scale_bits};
  }

  Measured MeasureAt(const LittleBitShape& shape) const {
    if (shape.rank < 1) return {};
    PathSettings settings;
    settings.method = options_.init;
    settings.iterations = options_.iterations;
    settings.sweeps = options_.sweeps;
    settings.seed = options_.seed;
    const auto svd = [&](const at::Tensor& part, int64_t rank) {
      return part.is_same(weight_) ? first_.Leading(rank) : Decompose(part, rank);
    };
    const Stopwatch watch;
    auto paths = ResidualPaths(weight_, shape, [&](const at::Tensor& part, int64_t rank) {
      return FactorizePath(part, rank, settings, svd);
    });
    Measured measured{0, watch.Wall(), watch.Cpu()};
    measured.error = StoredError(weight_, PackFactors({shape, std::move(paths)}, "matrix"));
    return measured;
  }

  double svd_seconds() const { return svd_seconds_; }

 private:
  TruncatedSvd Decompose(const at::Tensor& part, int64_t rank) const {
    const at::Tensor converted = part.to(precision_);
    return options_.svd == "exact" ? ExactSvd(converted, rank)
                                   : RandomizedSvd(converted, rank, options_.seed + 1);
  }

  const TableOptions& options_;
  at::Tensor weight_;  // [rows, cols] f32
  at::ScalarType precision_;
  TruncatedSvd first_;
  double svd_seconds_ = 0;
};

void PrintHeader() {
  fmt::print("{:>8} {:>8} {:>6} {:>6} {:>10} {:>8} {:>8}\n", "target", "BPW", "rank", "paths",
             "error", "seconds", "CPU s");
}

void RunGaussian(const TableOptions& options) {
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(options.seed);
  const MatrixTable table(options, at::randn({options.rows, options.cols}, generator, at::kFloat));
  fmt::print("Gaussian {} x {}, SVD of the first path {:.1f} s\n", options.rows, options.cols,
             table.svd_seconds());
  PrintHeader();
  for (const double bpw : options.bpw) {
    const LittleBitShape shape = table.Shape(bpw);
    if (shape.rank < 1) {
      fmt::print("{:>8} does not fit: the scales alone need more\n", bpw);
      continue;
    }
    const Measured measured = table.MeasureAt(shape);
    fmt::print("{:>8} {:>8.4f} {:>6} {:>6} {:>10.4f} {:>8.1f} {:>8.1f}\n", bpw, LittleBitBpw(shape),
               shape.rank, shape.paths, measured.error, measured.seconds, measured.cpu_seconds);
  }
}

void RunFile(const TableOptions& options) {
  const SafetensorsFile file(options.safetensors);
  std::vector<Measured> sums(options.bpw.size(), Measured{0, 0, 0});
  int64_t matrices = 0;
  for (const TensorView& view : file.tensors()) {
    if (view.shape.size() != 2 || !IsFloat(view.dtype)) continue;
    const MatrixTable table(options, ToTorch(view));
    fmt::print("{} {}:", view.name, view.ShapeText());
    for (size_t i = 0; i < options.bpw.size(); ++i) {
      const LittleBitShape shape = table.Shape(options.bpw[i]);
      const Measured measured = table.MeasureAt(shape);
      fmt::print("  {} (rank {}) {:.4f} {:.2f} s", options.bpw[i], shape.rank, measured.error,
                 measured.seconds);
      sums[i].error += measured.error;
      sums[i].seconds += measured.seconds;
      sums[i].cpu_seconds += measured.cpu_seconds;
    }
    fmt::print("\n");
    ++matrices;
  }
  fmt::print("mean of {}:", matrices);
  for (size_t i = 0; i < sums.size() && matrices > 0; ++i) {
    const double share = 1 / static_cast<double>(matrices);
    fmt::print("  {} {:.4f} {:.2f} s ({:.2f} CPU s)", options.bpw[i], sums[i].error * share,
               sums[i].seconds * share, sums[i].cpu_seconds * share);
  }
  fmt::print("\n");
}

int Main(int argc, char** argv) {
  TableOptions options;
  CLI::App app("Relative error at exact bits per weight, scales counted");
  app.add_option("--rows", options.rows)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--cols", options.cols)->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--bpw", options.bpw, "one or more targets")->check(CLI::PositiveNumber);
  app.add_option("--paths", options.paths)->check(CLI::Range(1, 2))->capture_default_str();
  app.add_option("--scale-bits", options.scale_bits)
      ->check(CLI::IsMember({16, 8, 6, 4}))
      ->capture_default_str();
  app.add_option("--init", options.init)
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, InitMethod>{{"dual-svid", InitMethod::kDualSvid},
                                            {"itq", InitMethod::kItq},
                                            {"admm", InitMethod::kAdmm},
                                            {"anneal", InitMethod::kAnneal}}));
  app.add_option("--iterations", options.iterations, "of ITQ, LB-ADMM or annealing")
      ->check(CLI::PositiveNumber);
  app.add_option("--sweeps", options.sweeps, "of coordinate descent; not for Dual-SVID")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--safetensors", options.safetensors, "measure the 2-D tensors of a file");
  app.add_option("--precision", options.precision)->check(CLI::IsMember({"float32", "float64"}));
  app.add_option("--svd", options.svd)->check(CLI::IsMember({"exact", "randomized"}));
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--threads", options.threads, "0: one per core");
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(ResolveThreadCount(options.threads));
  const at::NoGradGuard no_grad;
  try {
    options.safetensors.empty() ? RunGaussian(options) : RunFile(options);
  } catch (const Error& error) {
    fmt::print(stderr, "{}\n{}\n", error.message(), error.suggestion());
    return error.exit_code();
  }
  return 0;
}

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) { return llmq::Main(argc, argv); }
