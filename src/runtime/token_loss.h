// Losses of given tokens under a model: what perplexity, coherence and benchmarks are made of.
#ifndef LLMQ_RUNTIME_TOKEN_LOSS_H_
#define LLMQ_RUNTIME_TOKEN_LOSS_H_

#include <cstdint>
#include <functional>
#include <span>

#include "llmq/evaluate.h"
#include "llmq/model.h"

namespace llmq {

// -ln p(id) in nats; logits [vocab] f32. Throws Error{kInvalidArguments} for an id outside the
// vocabulary.
double NegativeLogLikelihood(std::span<const float> logits, int32_t id);

// Appends tokens[0 .. n-2] to the session, a bounded number of logits at a time, and returns the
// summed negative log-likelihood of tokens[first .. n-1]. The first token of `tokens` may be the
// one that follows the session's. Throws Error{kValidationFailed} if a loss is not finite.
// Preconditions: 1 <= first < n.
double SumNegativeLogLikelihood(Session& session, std::span<const int32_t> tokens, int64_t first);

// Throws Error{kUserCancelled} if `progress` is there and returns false.
void Report(const EvaluationProgress& progress, int64_t done, int64_t total);

}  // namespace llmq

#endif  // LLMQ_RUNTIME_TOKEN_LOSS_H_
