// The model of most files: one word to token ids by byte-pair encoding.
#ifndef LLMQ_TEXT_BPE_MODEL_H_
#define LLMQ_TEXT_BPE_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/bpe_merge.h"
#include "text/flat_map.h"
#include "text/token_model.h"

namespace llmq {

class BpeModel : public TokenModel {
 public:
  // The part "model" of a tokenizer.json of `file_bytes` bytes.
  BpeModel(const SortedJson& model, uint64_t file_bytes, const std::string& where);
  // Tokens in the byte alphabet, the index being id and rank: any two neighbours that together are
  // a token are joined, the lowest rank first, and a word that is a token needs no joining. This
  // is what the library "tiktoken" does.
  BpeModel(const std::vector<std::string>& tokens, const std::string& where);

  void Encode(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const override;

 private:
  void ReadMerges(const SortedJson& model);
  void AddMerge(std::string_view left, std::string_view right, uint32_t rank);

  void EncodeWord(std::string_view word, std::vector<int32_t>& ids) const override;
  void Merge(std::string_view word, std::vector<BpeSymbol>& symbols) const;
  std::vector<BpeSymbol> SplitCharacters(std::string_view word) const;
  bool AddByteSymbols(std::string_view character, size_t begin,
                      std::vector<BpeSymbol>& symbols) const;

  FlatMap<BpeRule> merges_;     // (left id << 32 | right id)
  bool joins_by_rank_ = false;  // instead: the rule is the joined token's id
  std::string unknown_token_;   // "": characters without a token are dropped
  std::string part_prefix_;     // written before every character of a word but the first
  std::string word_suffix_;     // written behind the last
  bool fuse_unknown_ = false;
  bool byte_fallback_ = false;
  bool ignore_merges_ = false;        // a word that is a token needs no merges
  std::vector<int32_t> byte_tokens_;  // [256]
  // No merge crosses from a word into the U+2581 before the next, so that a text without
  // pre-tokenizer may still be taken word by word.
  bool words_are_independent_ = false;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_BPE_MODEL_H_
