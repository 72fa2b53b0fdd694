#include "runtime/token_loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr size_t kChunkTokens = 128;  // bounds the memory of logits: 128 x 128k x 4 bytes = 64 MiB

}  // namespace

double NegativeLogLikelihood(std::span<const float> logits, int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= logits.size()) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("token id: expected 0 to {}, found {}", logits.size() - 1, id),
                "The tokenizer does not belong to this model.");
  }
  const float largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + largest - logits[id];
}

double SumNegativeLogLikelihood(Session& session, std::span<const int32_t> tokens, int64_t first) {
  const std::span<const int32_t> inputs =
      tokens.first(tokens.size() - 1);  // nothing follows the last
  // Up to the token before the first scored one, logits are of no interest.
  const auto silent = static_cast<size_t>(first - 1);
  if (silent > 0) session.Append(inputs.first(silent));
  double sum = 0;
  for (size_t begin = silent; begin < inputs.size(); begin += kChunkTokens) {
    const auto chunk = inputs.subspan(begin, std::min(kChunkTokens, inputs.size() - begin));
    const std::span<const float> logits = session.AppendAll(chunk);  // [chunk, vocab]
    const size_t vocab = logits.size() / chunk.size();
    for (size_t i = 0; i < chunk.size(); ++i) {
      sum += NegativeLogLikelihood(logits.subspan(i * vocab, vocab), tokens[begin + i + 1]);
    }
  }
  if (!std::isfinite(sum)) {
    throw Error(ErrorCode::kValidationFailed,
                fmt::format("loss: expected a finite number, found {}", sum),
                "The model's weights are damaged.");
  }
  return sum;
}

void Report(const EvaluationProgress& progress, int64_t done, int64_t total) {
  if (progress && !progress(done, total)) {
    throw Error(ErrorCode::kUserCancelled, "evaluation: stopped before it was complete");
  }
}

}  // namespace llmq
