// Token sequences for training: cut, shuffled and repeated, the same for a seed whatever else
// happens.
//
// Before: text/text_dataset joins and tokenizes. After: trainer takes a batch per step. A batch is
// a function of the seed and the step, so a resumed run sees what an uninterrupted one would have.
#ifndef LLMQ_COMPRESS_TRAIN_DATA_LOADER_H_
#define LLMQ_COMPRESS_TRAIN_DATA_LOADER_H_

#include <cstdint>
#include <vector>

#include "compress/torch_headers.h"

namespace llmq {

class DataLoader {
 public:
  // Cuts `tokens` into sequences of `sequence_tokens`; what is left over is not used. Precondition:
  // 1 <= sequence_tokens <= tokens.size().
  DataLoader(std::vector<int32_t> tokens, int64_t sequence_tokens, int64_t batch_sequences,
             uint64_t seed);

  // From here on a share (0 to 1) of all sequences is taken from `other`, in its order and evenly
  // spread, from its start again where it ends. Precondition: at least one sequence of it.
  void MixIn(std::vector<int32_t> other, double share);

  // [batch_sequences, sequence_tokens] i64. Each epoch is one pass over all sequences in a new
  // order.
  at::Tensor Batch(int64_t step);

  int64_t sequences() const { return sequences_; }

 private:
  void Shuffle(int64_t epoch);
  // Of sequence number `drawn` of all that are handed out.
  std::vector<int32_t>::const_iterator Sequence(int64_t drawn);

  std::vector<int32_t> tokens_;
  int64_t sequence_tokens_;
  int64_t batch_sequences_;
  uint64_t seed_;
  int64_t sequences_;
  int64_t epoch_ = -1;          // of order_
  std::vector<int64_t> order_;  // permutation of [0, sequences_)
  std::vector<int32_t> other_;
  double other_share_ = 0;
};

}  // namespace llmq

#endif  // LLMQ_COMPRESS_TRAIN_DATA_LOADER_H_
