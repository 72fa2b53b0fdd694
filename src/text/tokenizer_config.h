// What tokenizer_config.json and special_tokens_map.json say that the tokenizer itself needs.
#ifndef LLMQ_TEXT_TOKENIZER_CONFIG_H_
#define LLMQ_TEXT_TOKENIZER_CONFIG_H_

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "llmq/checkpoint.h"

namespace llmq {

struct TokenizerConfig {
  std::string tokenizer_class;  // "" if not said
  std::string bos_token;        // "" if not said
  std::string eos_token;
  std::vector<std::string> special_tokens;  // those named by their use, each once
  // For the files that have no template of their own: all but a tokenizer.json.
  std::optional<bool> add_bos_token;
  bool add_eos_token = false;
  SortedJson added_tokens = SortedJson::array();  // as a tokenizer.json lists them

  // Both files may be missing; special_tokens_map.json names tokens that the other does not. Throws
  // Error{kGeneral} if it is damaged.
  static TokenizerConfig FromFiles(const ModelFiles& files, const std::string& where);
};

}  // namespace llmq

#endif  // LLMQ_TEXT_TOKENIZER_CONFIG_H_
