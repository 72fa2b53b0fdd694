// The model of a tokenizer.json: one word to token ids, and the vocabulary.
//
// Before this: src/text/pre_tokenizer. After this: ids, as the runtime eats them.
// Kinds: src/text/bpe_model, src/text/unigram_model, src/text/word_models.
#ifndef LLMQ_TEXT_TOKEN_MODEL_H_
#define LLMQ_TEXT_TOKEN_MODEL_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/vocabulary.h"

namespace llmq {

class TokenModel {
 public:
  virtual ~TokenModel() = default;

  // Appends the ids of `word`, valid UTF-8.
  virtual void Encode(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const {
    EncodeCached(word, cache, ids);
  }
  const Vocabulary& vocabulary() const { return vocabulary_; }

 protected:
  explicit TokenModel(std::string where) : where_(std::move(where)) {}

  virtual void EncodeWord(std::string_view word, std::vector<int32_t>& ids) const = 0;
  void EncodeCached(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const;
  // "vocab" as an object of tokens and ids, none larger than `file_bytes`.
  void ReadVocabularyObject(const SortedJson& model, uint64_t file_bytes);
  // The id of "unk_token"; throws Error{kGeneral} if it is not in the vocabulary.
  int32_t RequireUnknown(const std::string& token) const;

  const std::string where_;  // begins messages
  Vocabulary vocabulary_;
};

// `model` is the part "model" of a tokenizer.json of `file_bytes` bytes: no id may be larger, so
// that the tables stay in proportion to the file. Throws Error{kGeneral} naming what is damaged or
// not supported.
std::unique_ptr<const TokenModel> ReadTokenModel(const SortedJson& model, uint64_t file_bytes,
                                                 const std::string& where);

}  // namespace llmq

#endif  // LLMQ_TEXT_TOKEN_MODEL_H_
