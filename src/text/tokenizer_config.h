// What tokenizer_config.json says that the tokenizer itself needs.
#ifndef LLMQ_TEXT_TOKENIZER_CONFIG_H_
#define LLMQ_TEXT_TOKENIZER_CONFIG_H_

#include <string>

#include "base/json.h"
#include "llmq/checkpoint.h"

namespace llmq {

struct TokenizerConfig {
  std::string tokenizer_class;  // "" if not said
  std::string bos_token;        // "" if not said
  std::string eos_token;
  bool add_bos_token = true;  // meant for tokenizer.model; a tokenizer.json has its own template
  bool add_eos_token = false;
  SortedJson added_tokens = SortedJson::array();  // as a tokenizer.json lists them

  // The file may be missing. Throws Error{kGeneral} if it is damaged.
  static TokenizerConfig FromFiles(const ModelFiles& files, const std::string& where);
};

}  // namespace llmq

#endif  // LLMQ_TEXT_TOKENIZER_CONFIG_H_
