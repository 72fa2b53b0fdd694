#include "cli/quality_search.h"

namespace llmq {
namespace {

// Ranks are integers and quality is noisy: below 1 % another try tells nothing.
constexpr double kSmallestStep = 0.01;

}  // namespace

QualitySearch::QualitySearch(double target_bpw, double max_bpw, int max_tries)
    : target_bpw_(target_bpw), max_bpw_(max_bpw), tries_left_(max_tries) {}

std::optional<double> QualitySearch::Next() const {
  if (tries_left_ == 0) return std::nullopt;
  if (!highest_failing_) {
    if (lowest_passing_) return std::nullopt;  // the target passed: what the user asked for
    return target_bpw_;
  }
  if (unachievable()) return std::nullopt;
  if (!lowest_passing_) return max_bpw_;
  const double step = *lowest_passing_ - *highest_failing_;
  if (step < kSmallestStep * *highest_failing_) return std::nullopt;
  return *highest_failing_ + step / 2;
}

void QualitySearch::Report(bool passed) {
  const std::optional<double> bpw = Next();
  if (!bpw) return;
  (passed ? lowest_passing_ : highest_failing_) = bpw;
  --tries_left_;
}

}  // namespace llmq
