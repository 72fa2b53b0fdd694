// One batch over all workers: derivatives per part, their sum, and a step of every leaf.
//
// Before: trainer and block_trainer know how to differentiate one part of a batch. After: the
// leaves have moved. Sums always go from the first part to the last, so that the result does not
// depend on the number of workers (docs/decisions/0003-determinism.md).
#ifndef LLMQ_COMPRESS_TRAIN_GRADIENT_SUM_H_
#define LLMQ_COMPRESS_TRAIN_GRADIENT_SUM_H_

#include <functional>
#include <string>
#include <vector>

#include "compress/torch_headers.h"
#include "compress/worker_pool.h"

namespace llmq {

struct LossGradients {
  double loss = 0;
  std::vector<at::Tensor> gradients;  // one per leaf, of its shape; undefined if it is not used
};

struct BatchStep {
  std::string name;  // of the step, in errors
  std::string advice;
  int64_t parts = 0;
  size_t leaves = 0;
  std::function<LossGradients(int64_t part)> differentiate;           // thread-safe
  std::function<void(size_t leaf, const at::Tensor& gradient)> move;  // thread-safe across leaves
};

// Returns the sum of the losses. Throws Error{kFactorizationFailed} if it is not finite; then no
// leaf has moved. Holds the gradients of as many parts as there are workers.
double RunBatchStep(WorkerPool& workers, const BatchStep& step);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_GRADIENT_SUM_H_
