// The pre-tokenizers of a tokenizer.json: text is cut into words that no merge may cross.
//
// Before this: src/text/normalizer. After this: src/text/token_model, one word at a time.
// Supported: Split, ByteLevel, Digits, Metaspace, Whitespace, WhitespaceSplit, Punctuation,
// BertPreTokenizer, CharDelimiterSplit, FixedLength, UnicodeScripts, Sequence.
#ifndef LLMQ_TEXT_PRE_TOKENIZER_H_
#define LLMQ_TEXT_PRE_TOKENIZER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace llmq {

// A part of the text on its way; borrowed, valid during the call it is handed to.
struct TextPiece {
  std::string_view text;  // valid UTF-8, not empty
  bool at_start;          // it begins where the whole text begins
};
using PieceSink = std::function<void(const TextPiece&)>;

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual void Split(const TextPiece& piece, const PieceSink& sink) const = 0;
};

class PreTokenizer {
 public:
  // Reads the part "pre_tokenizer" of a tokenizer.json.
  static PreTokenizer FromJson(const SortedJson& file, const std::string& where);

  // Hands the words of `piece` to `sink` in order, without ever holding them all.
  void Split(const TextPiece& piece, const PieceSink& sink) const;

 private:
  void SplitFrom(size_t step, const TextPiece& piece, const PieceSink& sink) const;
  std::vector<std::unique_ptr<const PreTokenizerStep>> steps_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_PRE_TOKENIZER_H_
