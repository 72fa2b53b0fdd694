// From logits to the next token.
//
// Before: Session. After: the text that is written. Deterministic: splitmix64, ties to the lowest
// id, sums in double in the order of falling probability.
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "base/random.h"
#include "llmq/model.h"

namespace llmq {
namespace {

struct Candidate {
  double weight;  // first the logit, then exp((logit - largest) / temperature)
  int32_t id;
};

// Highest first, ties to the lowest id.
bool Before(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

// The id of the largest logit; logits that are not numbers lose.
int32_t Largest(std::span<const float> logits) {
  size_t best = 0;
  for (size_t id = 1; id < logits.size(); ++id) {
    if (std::isnan(logits[id])) continue;
    if (logits[id] > logits[best] || std::isnan(logits[best])) best = id;
  }
  return static_cast<int32_t>(best);
}

// Uniform in [0, 1), 53 bits.
double NextUniform(uint64_t& state) {
  return static_cast<double>(NextRandom(state) >> 11) * 0x1.0p-53;
}

// How many of the sorted candidates it takes to reach top_p of their total.
size_t CountForTopP(const std::vector<Candidate>& candidates, double top_p) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += candidates[i].weight;
    if (sum >= top_p * total) return i + 1;
  }
  return candidates.size();
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options) : options_(options), state_(options.seed) {}

int32_t Sampler::Sample(std::span<const float> logits) {
  const int32_t largest = Largest(logits);
  const double top = logits[largest];
  if (!(options_.temperature > 0) || !std::isfinite(top)) return largest;

  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!std::isnan(logits[id])) candidates.push_back({logits[id], static_cast<int32_t>(id)});
  }
  size_t count = candidates.size();
  if (options_.top_k > 0) count = std::min(count, static_cast<size_t>(options_.top_k));
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(count),
                    candidates.end(), Before);
  candidates.resize(count);
  for (Candidate& candidate : candidates) {
    candidate.weight = std::exp((candidate.weight - top) / options_.temperature);
  }
  if (options_.top_p < 1) candidates.resize(CountForTopP(candidates, options_.top_p));

  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  double left = NextUniform(state_) * total;
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.id;
  }
  return candidates.back().id;  // rounding ate the last bit
}

}  // namespace llmq
