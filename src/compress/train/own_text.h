// Text that the original model writes itself, for training where there is no other text of its kind
// (LLM-QAT, arXiv 2305.17888).
//
// Before: teacher is loaded. After: data_loader mixes it with the training text.
#ifndef LLMQ_COMPRESS_TRAIN_OWN_TEXT_H_
#define LLMQ_COMPRESS_TRAIN_OWN_TEXT_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "compress/train/teacher.h"
#include "compress/worker_pool.h"

namespace llmq {

// Sequences are written in groups of this many, whatever the number of workers.
inline constexpr int64_t kOwnTextGroup = 32;

// One sequence per start (a token id), drawn from the model's own distribution until it has
// `sequence_tokens`: one after the other, a function of the starts and the seed. The calling thread
// often tells `keep_going` how many sequences are written, in parts; empty if it said no.
std::vector<int32_t> WriteOwnText(const TrainableModel& model, const Teacher& teacher,
                                  const std::vector<int32_t>& starts, int64_t sequence_tokens,
                                  uint64_t seed, at::Device device, WorkerPool& workers,
                                  const std::function<bool(double)>& keep_going);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_OWN_TEXT_H_
