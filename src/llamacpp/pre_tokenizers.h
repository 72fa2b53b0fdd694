// The pre-tokenizers that "tokenizer.ggml.pre" names, as the steps of a tokenizer.json.
//
// Reference: llama.cpp, src/llama-vocab.cpp; where that approximates a model's own expression
// (docs/tokenizers.md, "In GGUF"), the model's.
#ifndef LLMQ_LLAMACPP_PRE_TOKENIZERS_H_
#define LLMQ_LLAMACPP_PRE_TOKENIZERS_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmq {

struct PreTokenizerRule {
  std::vector<std::string_view> names;
  // Each cuts the pieces that the ones before it left: its matches and what lies between them.
  std::vector<std::string_view> expressions;
  bool ignore_merges = false;  // a word that is a token needs no merges
  bool add_bos = false;        // unless "tokenizer.ggml.add_bos_token" says otherwise
};

std::span<const PreTokenizerRule> PreTokenizerRules();

// What every ByteLevel step of a tokenizer.json calls a word.
std::string_view ByteLevelExpression();

// Throws Error{kGeneral} naming `name` and the known ones.
const PreTokenizerRule& FindPreTokenizerRule(std::string_view name, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_PRE_TOKENIZERS_H_
