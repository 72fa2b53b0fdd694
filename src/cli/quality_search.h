// The search for the smallest BPW that keeps a model's quality (FR-008), without knowing how
// quality is measured: ask Next(), try that BPW, Report() the outcome, until Next() has no more.
//
// First the target; if it fails, the maximum; then bisection between the highest BPW that failed
// and the lowest that passed.
#ifndef LLMQ_CLI_QUALITY_SEARCH_H_
#define LLMQ_CLI_QUALITY_SEARCH_H_

#include <optional>

namespace llmq {

class QualitySearch {
 public:
  // Precondition: 0 < target_bpw <= max_bpw, max_tries >= 1.
  QualitySearch(double target_bpw, double max_bpw, int max_tries);

  // The BPW to try next; nullopt when the search is over.
  std::optional<double> Next() const;
  // Outcome of the BPW that Next() returned.
  void Report(bool passed);

  // The lowest BPW that passed.
  std::optional<double> best() const { return lowest_passing_; }
  // True if the maximum itself was tried and failed: no search can help.
  bool unachievable() const { return highest_failing_ && *highest_failing_ >= max_bpw_; }

 private:
  double target_bpw_;
  double max_bpw_;
  int tries_left_;
  std::optional<double> lowest_passing_;
  std::optional<double> highest_failing_;
};

}  // namespace llmq

#endif  // LLMQ_CLI_QUALITY_SEARCH_H_
