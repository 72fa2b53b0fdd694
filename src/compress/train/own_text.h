// Text that the original model writes itself, for training where there is no other text of its kind
// (LLM-QAT, arXiv 2305.17888).
//
// Before: teacher is loaded. After: data_loader mixes it with the training text.
#ifndef LLMQ_COMPRESS_TRAIN_OWN_TEXT_H_
#define LLMQ_COMPRESS_TRAIN_OWN_TEXT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "compress/train/teacher.h"
#include "compress/worker_pool.h"

namespace llmq {

// Sequences are written in groups of this many, whatever the number of workers.
inline constexpr int64_t kOwnTextGroup = 32;

struct OwnTextForm {
  std::vector<int32_t> starts;  // the first token of each sequence
  int64_t sequence_tokens = 0;  // of each
  std::vector<int64_t> ends;    // what the model ends a document with,
  std::optional<int32_t> bos;   // and what the next one begins with in the training text
};

// One sequence per start, drawn from the model's own distribution: one after the other, a function
// of form and seed. Like the training text it has no ends of documents but begins the next one, if
// there is something to begin it with. The calling thread often tells `keep_going` how many
// sequences are written, in parts; empty if it said no.
std::vector<int32_t> WriteOwnText(const TrainableModel& model, const Teacher& teacher,
                                  const OwnTextForm& form, uint64_t seed, at::Device device,
                                  WorkerPool& workers,
                                  const std::function<bool(double)>& keep_going);

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_OWN_TEXT_H_
