// The model of a tokenizer.json: one word to token ids by byte-pair encoding.
//
// Before this: src/text/pre_tokenizer. After this: ids, as the runtime eats them.
#ifndef LLMQ_TEXT_BPE_MODEL_H_
#define LLMQ_TEXT_BPE_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/bpe_merge.h"
#include "text/vocabulary.h"

namespace llmq {

class BpeModel {
 public:
  // `model` is the part "model" of a tokenizer.json of `file_bytes` bytes: no id may be larger, so
  // that the tables stay in proportion to the file.
  BpeModel(const SortedJson& model, uint64_t file_bytes, const std::string& where);

  // Appends the ids of `word`, valid UTF-8.
  void Encode(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  void ReadVocabulary(const SortedJson& model, uint64_t file_bytes);
  void ReadMerges(const SortedJson& model);
  void AddMerge(std::string_view left, std::string_view right, uint32_t rank);

  void EncodeCached(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const;
  void EncodeWord(std::string_view word, std::vector<int32_t>& ids) const;
  std::vector<BpeSymbol> SplitCharacters(std::string_view word) const;
  bool AddByteSymbols(std::string_view character, size_t begin,
                      std::vector<BpeSymbol>& symbols) const;
  int32_t UnknownId() const;

  std::string where_;
  Vocabulary vocabulary_;
  std::unordered_map<uint64_t, BpeRule> merges_;  // (left id << 32 | right id)
  std::string unknown_token_;                     // "": characters without a token are dropped
  std::optional<int32_t> unknown_id_;
  bool fuse_unknown_;
  bool byte_fallback_;
  bool ignore_merges_;                // a word that is a token needs no merges
  std::vector<int32_t> byte_tokens_;  // [256]
  // No merge crosses from a word into the U+2581 before the next, so that a text without
  // pre-tokenizer may still be taken word by word.
  bool words_are_independent_ = false;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_BPE_MODEL_H_
