// One sequence: checks what it is given, cuts long inputs into chunks, and hands them to the
// forward pass.
//
// Before: the user's prompt or a text to be measured. After: runtime/forward_pass; logits go to the
// caller.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "llmq/error.h"
#include "runtime/runtime_model.h"
#include "runtime/transformer.h"

namespace llmq {
namespace {

class RuntimeSession final : public Session {
 public:
  RuntimeSession(const RuntimeModel& model, int64_t capacity)
      : config_(model.config()),
        forward_(model.MakeForwardPass(capacity)),
        chunk_tokens_(static_cast<size_t>(forward_->most_tokens())) {}

  std::span<const float> Append(std::span<const int32_t> tokens) override {
    Begin(tokens);
    logits_.resize(static_cast<size_t>(config_.vocab_size));
    for (size_t begin = 0; begin < tokens.size(); begin += chunk_tokens_) {
      RunChunk(tokens.subspan(begin, std::min(chunk_tokens_, tokens.size() - begin)));
    }
    forward_->Logits(1, logits_.data());
    return logits_;
  }

  std::span<const float> AppendAll(std::span<const int32_t> tokens) override {
    Begin(tokens);
    logits_.resize(tokens.size() * static_cast<size_t>(config_.vocab_size));
    for (size_t begin = 0; begin < tokens.size(); begin += chunk_tokens_) {
      const auto chunk = tokens.subspan(begin, std::min(chunk_tokens_, tokens.size() - begin));
      RunChunk(chunk);
      forward_->Logits(static_cast<int64_t>(chunk.size()),
                       logits_.data() + begin * config_.vocab_size);
    }
    return logits_;
  }

  int64_t position() const override { return position_; }
  int64_t capacity() const override { return forward_->capacity(); }
  void Rewind(int64_t position) override {
    position_ = std::clamp<int64_t>(position, 0, position_);
  }
  void Reset() override { position_ = 0; }

 private:
  // Throws before anything is changed: a refused call leaves the sequence as it was.
  void Begin(std::span<const int32_t> tokens) {
    if (tokens.empty()) {
      throw Error(ErrorCode::kInvalidArguments, "tokens: expected at least one, found none",
                  "Give a prompt that is not empty.");
    }
    for (const int32_t id : tokens) {
      if (id < 0 || id >= config_.vocab_size) {
        throw Error(ErrorCode::kInvalidArguments,
                    fmt::format("token id: expected 0 to {}, found {}", config_.vocab_size - 1, id),
                    "The tokenizer does not belong to this model.");
      }
    }
    const auto count = static_cast<int64_t>(tokens.size());
    if (count > capacity() - position_) {
      throw Error(ErrorCode::kInvalidArguments,
                  fmt::format("context: expected at most {} more tokens, found {}",
                              capacity() - position_, count),
                  "Shorten the prompt or use a longer context.");
    }
    forward_->SetSequenceLength(position_ + count);
  }

  void RunChunk(std::span<const int32_t> tokens) {
    forward_->Forward(tokens, position_);
    position_ += static_cast<int64_t>(tokens.size());
  }

  const ModelConfig& config_;
  const std::unique_ptr<ForwardPass> forward_;
  const size_t chunk_tokens_;
  int64_t position_ = 0;
  std::vector<float> logits_;  // [1 or T, vocab]
};

}  // namespace

std::unique_ptr<Session> Session::Create(const Model& model, int64_t max_tokens) {
  if (max_tokens < 0) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("context: expected 0 or more tokens, found {}", max_tokens));
  }
  const ModelConfig& config = model.config();
  if (config.learned_positions && max_tokens > config.max_position) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("context: expected at most {} tokens, as many as the model has "
                            "positions, found {}",
                            config.max_position, max_tokens),
                "Use a shorter context.");
  }
  // RuntimeModel is the only Model that Model::Open makes.
  const auto& runtime_model = dynamic_cast<const RuntimeModel&>(model);
  return std::make_unique<RuntimeSession>(runtime_model,
                                          max_tokens > 0 ? max_tokens : config.max_position);
}

}  // namespace llmq
