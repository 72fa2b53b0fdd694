// The added tokens of a tokenizer.json: strings that become one id wherever a text has them.
//
// Before this: the raw text, and again the normalized text. After this: src/text/normalizer for the
// stretches between.
#ifndef LLMQ_TEXT_ADDED_TOKENS_H_
#define LLMQ_TEXT_ADDED_TOKENS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/normalizer.h"
#include "text/prefix_matcher.h"
#include "text/vocabulary.h"

namespace llmq {

struct AddedToken {
  int32_t id;
  std::string content;
  bool special;      // a control token, left out of what people read
  bool single_word;  // only where no word character is beside it
  bool lstrip;       // takes the white space on its left with it
  bool rstrip;
  bool normalized;  // sought in the normalized text, normalized itself
};

class AddedTokens {
 public:
  // `list` is the part "added_tokens"; a token of `model` keeps the id it has there.
  AddedTokens(const SortedJson& list, const Vocabulary& model, const Normalizer& normalizer,
              uint64_t file_bytes, const std::string& where);

  // Calls `on_text(stretch, offset)` and `on_token(id)` in the order of the text.
  using TextVisitor = std::function<void(std::string_view text, size_t offset)>;
  using TokenVisitor = std::function<void(int32_t id)>;
  void SplitRaw(std::string_view text, const TextVisitor& on_text,
                const TokenVisitor& on_token) const;
  void SplitNormalized(std::string_view text, const TextVisitor& on_text,
                       const TokenVisitor& on_token) const;

  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  void Split(const PrefixMatcher& matcher, std::string_view text, const TextVisitor& on_text,
             const TokenVisitor& on_token) const;

  std::vector<AddedToken> tokens_;
  PrefixMatcher raw_;  // gives indices of tokens_
  PrefixMatcher normalized_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_ADDED_TOKENS_H_
