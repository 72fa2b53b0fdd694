// What all stages of one compression share: what was asked, what is being compressed, and how far
// it has come.
//
// Before: pipeline opens it. After: stages/ read and fill it in their order: plan, factorize,
// train; pipeline writes the file from it.
#ifndef LLMQ_COMPRESS_RUN_CONTEXT_H_
#define LLMQ_COMPRESS_RUN_CONTEXT_H_

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compress/calibrate/channel_statistics.h"
#include "compress/checkpoint_store.h"
#include "compress/device.h"
#include "compress/layer_state.h"
#include "compress/train/student.h"
#include "compress/worker_pool.h"
#include "llmq/checkpoint.h"
#include "llmq/compress.h"
#include "llmq/output_plan.h"

namespace llmq {

// Seconds since it was made.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

struct RunContext {
  const CompressOptions& options;
  CompressObserver& observer;
  DeviceChoice device;
  Checkpoint checkpoint;
  WorkerPool workers;
  std::optional<CheckpointStore> store;       // none: checkpoints are off
  RankPlan plan;                              // uniform until the plan stage has allocated
  TableBits table_bits;                       // chosen, if the options left it open
  OutputPlan output_plan;                     // follows from the two
  TrainOptions train;                         // settled by the memory, text and time stages
  std::vector<int32_t> tokens;                // of the training text
  std::optional<int32_t> bos;                 // what begins its documents
  std::vector<ChannelStatistics> statistics;  // per linear; empty: not measured
  std::vector<LayerState> layers;             // per linear; after factorization
  std::map<std::string, at::Tensor> frame;    // norms and biases that block training has changed
  std::unique_ptr<Student> student;           // after training
  CompressReport report;
  Stopwatch watch;  // since the run began

  bool trains() const {
    return train.tokens > 0 || options.time_budget_seconds > 0 || train.kd_tokens > 0;
  }
  bool trains_blocks() const { return train.block_tokens > 0; }
  bool calibrates() const { return options.calibrates(); }
  // Says how far the run came and how to continue it. Throws Error{kUserCancelled}.
  [[noreturn]] void ThrowStopped(const std::string& progress) const;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_RUN_CONTEXT_H_
