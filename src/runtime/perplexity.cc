// Perplexity: as the papers measure it, with every position of a window scored, and as
// llama-perplexity does, with the second half.
//
// Before: tokens of a text (text/text_dataset). After: a number for reports and for comparing two
// models.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "llmq/error.h"
#include "llmq/evaluate.h"
#include "runtime/token_loss.h"

namespace llmq {

int64_t DefaultWindow(const ModelConfig& config) {
  return std::min<int64_t>(2048, config.max_position);
}

PerplexityResult MeasurePerplexity(const Model& model, std::span<const int32_t> tokens,
                                   int64_t window_tokens, int64_t max_windows,
                                   const EvaluationProgress& progress) {
  if (window_tokens < 2) {
    throw Error(
        ErrorCode::kInvalidArguments,
        fmt::format("perplexity: expected a window of at least 2 tokens, found {}", window_tokens));
  }
  const auto count = static_cast<int64_t>(tokens.size());
  if (count < 2) {
    throw Error(ErrorCode::kValidationFailed,
                fmt::format("perplexity: expected at least 2 tokens of text, found {}", count),
                "Give a longer text.");
  }
  int64_t windows = count / window_tokens + (count % window_tokens >= 2 ? 1 : 0);
  if (max_windows > 0) windows = std::min(windows, max_windows);

  PerplexityResult result;
  result.window_tokens = window_tokens;
  const auto session = Session::Create(model, std::min(window_tokens, count));
  double sum = 0;
  for (; result.windows < windows; ++result.windows) {
    Report(progress, result.windows, windows);
    const int64_t begin = result.windows * window_tokens;
    const auto window = tokens.subspan(begin, std::min(window_tokens, count - begin));
    session->Reset();
    sum += SumNegativeLogLikelihood(*session, window, 1);
    result.scored_tokens += static_cast<int64_t>(window.size()) - 1;
  }
  Report(progress, windows, windows);
  result.mean_nll = sum / static_cast<double>(result.scored_tokens);
  result.perplexity = std::exp(result.mean_nll);
  return result;
}

PerplexityResult MeasurePerplexityAsLlamaCpp(const Model& model, std::span<const int32_t> tokens,
                                             int64_t max_windows,
                                             const EvaluationProgress& progress) {
  const int64_t window_tokens = std::min<int64_t>(512, model.config().max_position);
  int64_t windows = static_cast<int64_t>(tokens.size()) / window_tokens;
  if (windows == 0) {
    throw Error(ErrorCode::kValidationFailed,
                fmt::format("perplexity: expected at least {} tokens of text, found {}",
                            window_tokens, tokens.size()),
                "Give a longer text.");
  }
  if (max_windows > 0) windows = std::min(windows, max_windows);
  const std::vector<int32_t> begin = model.tokenizer().Encode("", /*add_special=*/true);
  const int64_t first_scored = window_tokens / 2 + 1;

  PerplexityResult result;
  result.window_tokens = window_tokens;
  const auto session = Session::Create(model, window_tokens);
  double sum = 0;
  for (; result.windows < windows; ++result.windows) {
    Report(progress, result.windows, windows);
    const auto source = tokens.subspan(result.windows * window_tokens, window_tokens);
    std::vector<int32_t> window(source.begin(), source.end());
    if (!begin.empty()) window.front() = begin.front();
    session->Reset();
    sum += SumNegativeLogLikelihood(*session, window, first_scored);
    result.scored_tokens += window_tokens - first_scored;
  }
  Report(progress, windows, windows);
  result.mean_nll = sum / static_cast<double>(result.scored_tokens);
  result.perplexity = std::exp(result.mean_nll);
  return result;
}

}  // namespace llmq
