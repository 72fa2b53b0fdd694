// The decoders of a tokenizer.json as a chain of small stream machines: tokens in, text out.
//
// Before this: ids turned into token texts (src/text/json_tokenizer). After this: the terminal, or
// the end of Tokenizer::Decode(). There is one implementation for whole texts and for streams, so
// they cannot differ: each stage hands on what no later token can change and keeps the rest.
// Supported: ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, WordPiece, BPEDecoder,
// Sequence.
#ifndef LLMQ_TEXT_TOKEN_DECODER_H_
#define LLMQ_TEXT_TOKEN_DECODER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace llmq {

class DecoderStage {
 public:
  virtual ~DecoderStage() = default;
  // A part of a token's text, whole characters; `ends_token` with its last part.
  virtual void Push(std::string_view text, bool ends_token) = 0;
  // No more tokens. Every token pushed has been ended.
  virtual void Flush() = 0;

  void set_next(DecoderStage* next) { next_ = next; }

 protected:
  DecoderStage& next() const { return *next_; }

 private:
  DecoderStage* next_ = nullptr;  // borrowed; the chain owns all stages
};

// One decoding in progress.
class DecoderChain {
 public:
  explicit DecoderChain(std::vector<std::unique_ptr<DecoderStage>> stages);
  void PushToken(std::string_view token) { stages_.front()->Push(token, true); }
  void Flush() { stages_.front()->Flush(); }
  std::string TakeOutput();  // what has come out since the last call

 private:
  std::vector<std::unique_ptr<DecoderStage>> stages_;
  std::unique_ptr<std::string> output_;
};

class DecoderSpec {
 public:
  // Reads the part "decoder" of a tokenizer.json; without one, tokens are joined by spaces.
  static DecoderSpec FromJson(const SortedJson& file, const std::string& where);
  DecoderChain NewChain() const;

 private:
  std::vector<std::function<std::unique_ptr<DecoderStage>()>> factories_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_TOKEN_DECODER_H_
