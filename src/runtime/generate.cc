// The loop that writes text: feed, sample, feed what was sampled.
#include <algorithm>

#include "llmq/model.h"

namespace llmq {

GenerateResult Generate(Session& session, std::span<const int32_t> prompt, int64_t max_new,
                        const SamplingOptions& sampling, std::span<const int64_t> end_ids,
                        const std::function<bool(int32_t)>& on_token) {
  GenerateResult result;
  Sampler sampler(sampling);
  std::span<const float> logits = session.Append(prompt);
  while (static_cast<int64_t>(result.tokens.size()) < max_new) {
    const int32_t next = sampler.Sample(logits);
    if (std::find(end_ids.begin(), end_ids.end(), next) != end_ids.end()) {
      result.reached_end = true;
      break;
    }
    result.tokens.push_back(next);
    if (on_token && !on_token(next)) break;
    const bool wanted = static_cast<int64_t>(result.tokens.size()) < max_new;
    if (!wanted || session.position() == session.capacity()) break;  // a full context ends the text
    logits = session.Append({&next, 1});
  }
  return result;
}

}  // namespace llmq
