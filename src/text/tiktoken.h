// A tiktoken file: every token in Base64 and its rank, a line each. Llama 3's and GLM-4's original
// tokenizer.model are such files, and Qwen's qwen.tiktoken.
//
// It becomes the tokenizer.json that it stands for, with src/text/bpe_model joining by rank.
// Reference: the Python package "tiktoken". What the file does not say comes from
// tokenizer_config.json: the special tokens, and by its class how text is cut into words.
#ifndef LLMQ_TEXT_TIKTOKEN_H_
#define LLMQ_TEXT_TIKTOKEN_H_

#include <memory>
#include <string>
#include <string_view>

#include "llmq/tokenizer.h"
#include "text/tokenizer_config.h"

namespace llmq {

// Whether the first line is one of a tiktoken file.
bool LooksLikeTiktoken(std::string_view bytes);

// Throws Error{kGeneral}, beginning with `where`: a damaged file, or one of a class whose words are
// not known.
std::unique_ptr<Tokenizer> ReadTiktoken(std::string_view bytes, const TokenizerConfig& config,
                                        const std::string& where);

}  // namespace llmq

#endif  // LLMQ_TEXT_TIKTOKEN_H_
