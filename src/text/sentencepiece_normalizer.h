// SentencePiece's normalizer: character rules, then white space made visible.
//
// Before this: a stretch of text between control pieces. After this:
// src/text/sentencepiece_tokenizer.
#ifndef LLMQ_TEXT_SENTENCEPIECE_NORMALIZER_H_
#define LLMQ_TEXT_SENTENCEPIECE_NORMALIZER_H_

#include <string>
#include <string_view>

#include "text/character_rules.h"
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
  // The first character or rule match of `text` (not empty): what it becomes, and its bytes.
  struct Prefix {
    std::string_view normalized;
    size_t length;
  };
  Prefix NormalizePrefix(std::string_view text) const;

  const PrefixMatcher& user_defined_;
  bool add_dummy_prefix_;
  bool remove_extra_whitespaces_;
  bool suffix_;  // the dummy space goes behind
  std::string space_;
  CharacterRules rules_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_SENTENCEPIECE_NORMALIZER_H_
