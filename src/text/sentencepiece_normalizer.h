// SentencePiece's normalizer: character rules, then white space made visible.
//
// Before this: a stretch of text between control pieces. After this:
// src/text/sentencepiece_tokenizer. The rules ("nmt_nfkc", say) lie in the model as a compiled
// trie.
#ifndef LLMQ_TEXT_SENTENCEPIECE_NORMALIZER_H_
#define LLMQ_TEXT_SENTENCEPIECE_NORMALIZER_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/prefix_matcher.h"
#include "text/sentencepiece_model.h"

namespace llmq {

class SentencePieceNormalizer {
 public:
  // Throws Error{kGeneral} if the compiled rules are damaged. `user_defined` (borrowed) are pieces
  // that no rule touches.
  SentencePieceNormalizer(const SentencePieceModel& model, const PrefixMatcher& user_defined,
                          const std::string& where);

  // `text` is valid UTF-8, and so is the result.
  std::string Normalize(std::string_view text) const;

 private:
  void ReadRules(std::string_view charsmap, const std::string& where);
  // The first character or rule match of `text` (not empty): what it becomes, and its bytes.
  struct Prefix {
    std::string_view normalized;
    size_t length;
  };
  Prefix NormalizePrefix(std::string_view text) const;
  // Index into replacements_ and length of the longest rule that `text` begins with.
  struct RuleMatch {
    size_t replacement;
    size_t length;  // 0: no rule
  };
  RuleMatch LongestRule(std::string_view text) const;

  const PrefixMatcher& user_defined_;
  const std::string where_;
  bool add_dummy_prefix_;
  bool remove_extra_whitespaces_;
  bool suffix_;  // the dummy space goes behind
  std::string space_;
  std::vector<uint32_t> trie_;  // [units], a double array
  std::string replacements_;    // texts, each ended by a zero byte
};

}  // namespace llmq

#endif  // LLMQ_TEXT_SENTENCEPIECE_NORMALIZER_H_
