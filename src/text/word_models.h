// A tokenizer.json's models that look words up: WordPiece, longest part first, and WordLevel.
#ifndef LLMQ_TEXT_WORD_MODELS_H_
#define LLMQ_TEXT_WORD_MODELS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/token_model.h"

namespace llmq {

class WordPieceModel : public TokenModel {
 public:
  WordPieceModel(const SortedJson& model, uint64_t file_bytes, const std::string& where);

 private:
  void EncodeWord(std::string_view word, std::vector<int32_t>& ids) const override;
  // The id of the longest token that `rest` begins with, and its bytes there; 0 bytes if none.
  struct Part {
    int32_t id;
    size_t length;
  };
  Part LongestPart(std::string_view rest, bool first) const;

  std::string unknown_token_;
  std::string prefix_;        // of every part but a word's first
  int64_t max_characters_;    // longer words are unknown
  size_t longest_token_ = 0;  // bytes
};

class WordLevelModel : public TokenModel {
 public:
  WordLevelModel(const SortedJson& model, uint64_t file_bytes, const std::string& where);

 private:
  void EncodeWord(std::string_view word, std::vector<int32_t>& ids) const override;

  std::string unknown_token_;
};

}  // namespace llmq

#endif  // LLMQ_TEXT_WORD_MODELS_H_
