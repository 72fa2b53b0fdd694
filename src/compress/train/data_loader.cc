#include "compress/train/data_loader.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/random.h"

namespace llmq {
DataLoader::DataLoader(std::vector<int32_t> tokens, int64_t sequence_tokens,
                       int64_t batch_sequences, uint64_t seed)
    : tokens_(std::move(tokens)),
      sequence_tokens_(sequence_tokens),
      batch_sequences_(batch_sequences),
      seed_(seed),
      sequences_(static_cast<int64_t>(tokens_.size()) / sequence_tokens) {}

void DataLoader::Shuffle(int64_t epoch) {
  order_.resize(static_cast<size_t>(sequences_));
  std::iota(order_.begin(), order_.end(), 0);
  uint64_t state = seed_;
  state = NextRandom(state) + static_cast<uint64_t>(epoch);
  for (size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1], order_[NextRandom(state) % i]);
  epoch_ = epoch;
}

void DataLoader::MixIn(std::vector<int32_t> other, double share) {
  other_ = std::move(other);
  other_share_ = share;
}

std::vector<int32_t>::const_iterator DataLoader::Sequence(int64_t drawn) {
  const auto others_before = [&](int64_t i) {
    return static_cast<int64_t>(static_cast<double>(i) * other_share_);
  };
  const int64_t others = others_before(drawn);
  if (others_before(drawn + 1) > others) {
    const int64_t count = static_cast<int64_t>(other_.size()) / sequence_tokens_;
    return other_.begin() + others % count * sequence_tokens_;
  }
  const int64_t own = drawn - others;
  if (own / sequences_ != epoch_) Shuffle(own / sequences_);
  return tokens_.begin() + order_[static_cast<size_t>(own % sequences_)] * sequence_tokens_;
}

at::Tensor DataLoader::Batch(int64_t step) {
  at::Tensor batch = at::empty({batch_sequences_, sequence_tokens_}, at::kLong);
  auto* out = batch.data_ptr<int64_t>();
  for (int64_t i = 0; i < batch_sequences_; ++i) {
    out = std::copy_n(Sequence(step * batch_sequences_ + i), sequence_tokens_, out);
  }
  return batch;
}

}  // namespace llmq
