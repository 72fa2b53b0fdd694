// How often and how long to wait before asking again.
#ifndef LLMQ_HUB_RETRIES_H_
#define LLMQ_HUB_RETRIES_H_

#include <functional>
#include <optional>
#include <string>

#include "hub/http.h"

namespace llmq {

// Seconds that the answer asks to wait: Retry-After (seconds or a date) or RateLimit.
std::optional<double> RequestedWait(const HttpResponse& response);

class Retries {
 public:
  // Waits so many seconds; `reason` is for people. Throws HttpCancelled if the work shall end.
  using Wait = std::function<void(double seconds, const std::string& reason)>;

  Retries(int count, double first_wait, Wait wait)
      : count_(count), first_wait_(first_wait), wait_(std::move(wait)) {}

  // Something came: the count begins anew.
  void Progressed() { used_ = 0; }
  // Waits as long as the answer (nullptr: there was none) asks, or twice as long as the last time.
  // False, without waiting, if no try is left or the wait would be too long.
  bool WaitForAnother(const HttpResponse* response, const std::string& reason);

 private:
  int count_;
  double first_wait_;  // seconds
  Wait wait_;
  int used_ = 0;
};

}  // namespace llmq

#endif  // LLMQ_HUB_RETRIES_H_
