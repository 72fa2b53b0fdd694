// A tokenizer.json's model Unigram: pieces with log probabilities, the likeliest cut wins.
#ifndef LLMQ_TEXT_UNIGRAM_MODEL_H_
#define LLMQ_TEXT_UNIGRAM_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/prefix_matcher.h"
#include "text/token_model.h"

namespace llmq {

class UnigramModel : public TokenModel {
 public:
  UnigramModel(const SortedJson& model, const std::string& where);

 private:
  void EncodeWord(std::string_view word, std::vector<int32_t>& ids) const override;
  // Characters that are no pieces, joined: one token of that text, its bytes, or the unknown token.
  void AppendUnknown(std::string_view text, std::vector<int32_t>& ids) const;

  std::vector<double> scores_;  // [vocabulary]
  double unknown_score_;
  std::optional<int32_t> unknown_id_;
  bool byte_fallback_;
  std::vector<int32_t> byte_tokens_;  // [256]
  PrefixMatcher pieces_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_UNIGRAM_MODEL_H_
