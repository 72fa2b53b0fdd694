// Strings to token ids and back, for tokenizer.json (BPE) and SentencePiece tokenizer.model files.
#ifndef LLMQ_TOKENIZER_H_
#define LLMQ_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llmq/checkpoint.h"

namespace llmq {

// Turns ids into text one at a time: returns what has become certain, holding back what later ids
// can still change (incomplete UTF-8, for one). All that Push() gave plus Flush() equals
// Tokenizer::Decode() of all ids.
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  virtual std::string Push(int32_t id) = 0;
  virtual std::string Flush() = 0;  // the rest; the last call
};

class Tokenizer {
 public:
  // Chooses tokenizer.json if present, else tokenizer.model, else vocab.json with merges.txt
  // (GPT-2); reads tokenizer_config.json beside them. `where` (the model's path) begins messages.
  // Throws Error{kGeneral} if there is none, it is damaged, or it needs something unsupported
  // (named).
  static std::unique_ptr<Tokenizer> FromFiles(const ModelFiles& files, const std::string& where);
  virtual ~Tokenizer() = default;

  // `add_special`: add what the tokenizer adds around a text (BOS for Llama). Special tokens
  // written in the text are recognised. Invalid UTF-8 is treated as U+FFFD. Thread-safe.
  virtual std::vector<int32_t> Encode(std::string_view text, bool add_special) const = 0;
  // Invalid ids are skipped. `skip_special` leaves out control tokens. Always valid UTF-8.
  std::string Decode(std::span<const int32_t> ids, bool skip_special) const;
  // The decoder behind Decode(). It borrows this tokenizer, which must outlive it.
  virtual std::unique_ptr<TokenDecoder> NewDecoder(bool skip_special) const = 0;

  virtual int64_t vocab_size() const = 0;  // highest id + 1
  virtual std::optional<int32_t> TokenToId(std::string_view token) const = 0;
  virtual std::string IdToToken(int32_t id) const = 0;  // as the vocabulary writes it; "" if none
  virtual std::optional<int32_t> bos_id() const = 0;
  virtual std::optional<int32_t> eos_id() const = 0;
};

// What a generating program prints: a TokenDecoder that leaves out special tokens.
class TokenStream {
 public:
  explicit TokenStream(const Tokenizer& tokenizer)  // borrowed; must outlive this
      : decoder_(tokenizer.NewDecoder(/*skip_special=*/true)) {}
  std::string Push(int32_t id) { return decoder_->Push(id); }
  std::string Flush() { return decoder_->Flush(); }

 private:
  std::unique_ptr<TokenDecoder> decoder_;
};

}  // namespace llmq

#endif  // LLMQ_TOKENIZER_H_
