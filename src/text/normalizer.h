// The normalizers of a tokenizer.json: text is rewritten before it is cut into words.
//
// Before this: the text between added tokens. After this: src/text/pre_tokenizer.
// Supported: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Nmt, BertNormalizer, Precompiled,
// ByteLevel (src/text/character_steps), Prepend, Replace, Strip, Sequence.
#ifndef LLMQ_TEXT_NORMALIZER_H_
#define LLMQ_TEXT_NORMALIZER_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace llmq {

class Normalizer {
 public:
  // Reads the part "normalizer" of a tokenizer.json.
  static Normalizer FromJson(const SortedJson& file, const std::string& where);

  // `text` is valid UTF-8, and so is the result. Throws Error{kGeneral} if the rules make a text
  // absurdly longer, as only a hostile file's do.
  std::string Normalize(std::string_view text) const;

 private:
  using Step = std::function<std::string(std::string text)>;
  std::vector<Step> steps_;
  std::string where_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_NORMALIZER_H_
