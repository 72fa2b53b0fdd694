// The original model as the one who is asked: its answers, as training compares with them.
//
// Before: load_frame has read the weights. After: differentiate compares. Asked a micro-batch at a
// time with all of the model in memory, or all of a text at once with one block in memory; then
// only the likeliest tokens are remembered.
#ifndef LLMQ_COMPRESS_TRAIN_TEACHER_H_
#define LLMQ_COMPRESS_TRAIN_TEACHER_H_

#include <functional>
#include <vector>

#include "compress/train/trainable_model.h"
#include "compress/worker_pool.h"
#include "llmq/checkpoint.h"
#include "llmq/compress.h"

namespace llmq {

// Weights of the original model, on the device.
struct Teacher {
  FrameWeights frame;
  DenseLinears linears;
};

// The likeliest tokens and their log-probabilities, [.., T, k] i32 and f32, falling.
struct TopAnswers {
  at::Tensor tokens;
  at::Tensor log_p;
};

// Of a micro-batch of B sequences.
struct Answers {
  at::Tensor logits;               // [B, T, vocab]; undefined if only the likeliest are known
  TopAnswers top;                  // [B, T, k], if logits are undefined
  std::vector<at::Tensor> hidden;  // [B, T, hidden] after each block; empty: not compared
};

// tokens [B, T] i64 on the device. Thread-safe.
Answers Ask(const TrainableModel& model, const Teacher& teacher, const at::Tensor& tokens,
            TrainPrecision precision);

// tokens [N, T] i64 -> [N, T, min(k, vocab)] on the CPU. `progress` is called after each block with
// their number and says whether to go on; undefined tensors if it said no.
TopAnswers AskForTop(const Checkpoint& checkpoint, const TrainableModel& model,
                     const at::Tensor& tokens, int64_t k, at::Device device, WorkerPool& workers,
                     const std::function<bool(int64_t)>& progress);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_TEACHER_H_
