// What a session asks of a forward pass, wherever it is computed.
//
// Before: runtime/session has checked ids and positions. After: runtime/transformer on the CPU, or
// runtime/device_model on a GPU.
#ifndef LLMQ_RUNTIME_FORWARD_PASS_H_
#define LLMQ_RUNTIME_FORWARD_PASS_H_

#include <cstdint>
#include <span>

namespace llmq {

// Of one sequence, whose keys and values it keeps.
class ForwardPass {
 public:
  virtual ~ForwardPass() = default;

  // The sequence will have at least this many tokens: dynamic rotary scaling depends on it, and
  // keys that are in the cache stay as they are (so does transformers).
  virtual void SetSequenceLength(int64_t tokens) = 0;
  // Runs all blocks for tokens at positions [position, position + T) and stores their keys and
  // values. Precondition: ids in the vocabulary, positions in the cache, T at most most_tokens().
  virtual void Forward(std::span<const int32_t> tokens, int64_t position) = 0;
  // logits [count, vocab] f32 of the last `count` tokens given to Forward.
  virtual void Logits(int64_t count, float* logits) = 0;
  virtual int64_t capacity() const = 0;
  // Of one call of Forward: what memory for activations allows.
  virtual int64_t most_tokens() const = 0;
};

}  // namespace llmq

#endif  // LLMQ_RUNTIME_FORWARD_PASS_H_
