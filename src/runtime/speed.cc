// Measures reading (many tokens at once) and writing (one by one) the way llama-bench does.
//
// Before: cli/bench_command. After: sessions, as in real use. The tokens are random, for speed does
// not depend on them.
#include "llmq/speed.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "llmq/error.h"
#include "runtime/kv_cache.h"
#include "runtime/latent_cache.h"
#include "runtime/runtime_model.h"

namespace llmq {
namespace {

constexpr size_t kDepthPiece = 256;  // tokens read between two questions whether to go on

double Mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double Deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double mean = Mean(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size() - 1));
}

std::vector<int32_t> RandomTokens(int64_t count, int64_t vocab_size) {
  uint64_t state = 1;
  std::vector<int32_t> tokens(static_cast<size_t>(count));
  for (int32_t& token : tokens)
    token = static_cast<int32_t>(NextRandom(state) % static_cast<uint64_t>(vocab_size));
  return tokens;
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Runs one test once: from `depth` on, all tokens in pieces of `piece`.
double RunOnce(Session& session, int64_t depth, std::span<const int32_t> tokens, size_t piece,
               const std::function<bool()>& keep_going) {
  session.Rewind(depth);
  const auto begin = std::chrono::steady_clock::now();
  for (size_t at = 0; at < tokens.size(); at += piece) {
    if (keep_going && !keep_going())
      throw Error(ErrorCode::kUserCancelled, "bench: stopped before it was complete");
    session.Append(tokens.subspan(at, std::min(piece, tokens.size() - at)));
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

std::string SpeedResult::name() const {
  const std::string test = prompt_tokens > 0 ? fmt::format("pp{}", prompt_tokens)
                                             : fmt::format("tg{}", generated_tokens);
  return depth > 0 ? fmt::format("{} @ d{}", test, depth) : test;
}
double SpeedResult::average_seconds() const { return Mean(seconds); }
double SpeedResult::stddev_seconds() const { return Deviation(seconds); }
std::vector<double> SpeedResult::rates() const {
  const auto tokens = static_cast<double>(prompt_tokens + generated_tokens);
  std::vector<double> rates;
  for (const double one : seconds) rates.push_back(tokens / one);
  return rates;
}
double SpeedResult::average_rate() const { return Mean(rates()); }
double SpeedResult::stddev_rate() const { return Deviation(rates()); }

std::vector<SpeedResult> MeasureSpeed(const Model& model, const SpeedOptions& options,
                                      const std::function<bool()>& keep_going) {
  const int64_t most = options.depth + std::max(options.prompt_tokens, options.generated_tokens);
  if (most > model.config().max_position) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("tokens: expected at most {} (the model's context), found {}",
                            model.config().max_position, most),
                "Use smaller -p, -n and -d.");
  }
  const std::vector<int32_t> tokens = RandomTokens(most, model.config().vocab_size);
  const auto session = Session::Create(model, std::max<int64_t>(1, most));
  if (options.depth > 0) {
    const auto depth = static_cast<size_t>(options.depth);
    RunOnce(*session, 0, std::span(tokens).first(depth), kDepthPiece, keep_going);
  }
  std::vector<SpeedResult> results;
  const auto measure = [&](SpeedResult result, size_t count, size_t piece) {
    const std::span<const int32_t> used = std::span(tokens).first(count);
    // Warm-up: memory is taken, weights have been read.
    RunOnce(*session, options.depth, piece == 1 ? used.first(1) : used, piece, keep_going);
    const double begin = CpuSeconds();
    for (int i = 0; i < options.repetitions; ++i)
      result.seconds.push_back(RunOnce(*session, options.depth, used, piece, keep_going));
    result.cpu_seconds = CpuSeconds() - begin;
    results.push_back(std::move(result));
  };
  if (options.prompt_tokens > 0) {
    const auto count = static_cast<size_t>(options.prompt_tokens);
    measure({.prompt_tokens = options.prompt_tokens, .depth = options.depth}, count, count);
  }
  if (options.generated_tokens > 0) {
    measure({.generated_tokens = options.generated_tokens, .depth = options.depth},
            static_cast<size_t>(options.generated_tokens), 1);
  }
  return results;
}

std::string KernelsOf(const Model& model) {
  const auto& runtime_model = dynamic_cast<const RuntimeModel&>(model);
  return runtime_model.on_device() ? "cuda" : runtime_model.kernels().name;
}

int ThreadsOf(const Model& model) {
  return dynamic_cast<const RuntimeModel&>(model).options().threads;
}

int64_t KvBytesPerToken(const Model& model) {
  const auto& runtime = dynamic_cast<const RuntimeModel&>(model);
  const RuntimeOptions& options = runtime.options();
  return options.kv == KvType::kLatent
             ? LatentCache::BytesPerToken(runtime.weights(), options.exact)
             : KvCache::BytesPerToken(model.config(), options.kv);
}

ModelSize SizeOf(const Model& model) {
  return dynamic_cast<const RuntimeModel&>(model).weights().size();
}

}  // namespace llmq
