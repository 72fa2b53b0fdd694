// Measures QuantizeBlocks: million weights per second of each type, on one thread and on all, with
// each instruction set that this machine has, and the ratio to the scalar path of the same run.
//
// Not a test. The first argument is the number of weights in millions (default 4).
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "base/thread_pool.h"
#include "quants/quantize_blocks.h"
#include "tests/quants/test_rows.h"

namespace llmq {
namespace {

constexpr GgmlType kTypes[] = {GgmlType::kF16,  GgmlType::kBF16, GgmlType::kQ8_0, GgmlType::kQ4_0,
                               GgmlType::kQ4_1, GgmlType::kQ5_0, GgmlType::kQ5_1, GgmlType::kQ2_K,
                               GgmlType::kQ3_K, GgmlType::kQ4_K, GgmlType::kQ5_K, GgmlType::kQ6_K};
constexpr const char* kPathNames[] = {"scalar", "avx2", "avx512"};

struct Work {
  std::vector<float> values;
  std::vector<std::byte> out;
};

// The best of three runs, in million weights per second.
double Speed(GgmlType type, FitPath path, ThreadPool& pool, Work& work) {
  const GgmlTypeInfo& info = InfoOf(type);
  const GroupFits& fits = GroupFitsFor(path);
  const int64_t blocks = static_cast<int64_t>(work.values.size()) / info.block_values;
  double best = 0;
  for (int run = 0; run < 3; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.ParallelFor(blocks, 16, [&](int64_t begin, int64_t end) {
      QuantizeBlocks(type, fits, work.values.data() + begin * info.block_values, end - begin,
                     work.out.data() + begin * info.block_bytes);
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(work.values.size()) / seconds.count() * 1e-6);
  }
  return best;
}

void PrintType(GgmlType type, ThreadPool& one, ThreadPool& all, Work& work) {
  double scalar[2] = {};
  for (const FitPath path : {FitPath::kScalar, FitPath::kAvx2, FitPath::kAvx512}) {
    if (!FitPathAvailable(path)) continue;
    const double speed[2] = {Speed(type, path, one, work), Speed(type, path, all, work)};
    if (path == FitPath::kScalar) scalar[0] = speed[0], scalar[1] = speed[1];
    fmt::print("{:<6}{:<8}{:>9.1f}{:>7.2f}x{:>10.1f}{:>7.2f}x\n", InfoOf(type).name,
               kPathNames[static_cast<int>(path)], speed[0], speed[0] / scalar[0], speed[1],
               speed[1] / scalar[1]);
    if (InfoOf(type).block_values != 256) break;  // these have one path
  }
}

void Print(size_t weights) {
  Work work = {RowSource("gaussian", 1).Take(static_cast<int64_t>(weights)),
               std::vector<std::byte>(weights * 4)};
  ThreadPool one(1);
  ThreadPool all(ResolveThreadCount(0));
  fmt::print("{} million Gaussian weights; million weights per second, and times scalar\n",
             weights >> 20);
  fmt::print("{:<14}{:>16} {:>17}\n", "", "1 thread", fmt::format("{} threads", all.size()));
  for (const GgmlType type : kTypes) PrintType(type, one, all, work);
}

}  // namespace
}  // namespace llmq

int main(int argc, char** argv) {
  const long millions = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 4;
  if (millions < 1 || millions > 4096) {
    fmt::print(stderr, "usage: quantize_speed [MILLION WEIGHTS, 1 to 4096]\n");
    return 2;
  }
  llmq::Print(static_cast<size_t>(millions) << 20);
}
