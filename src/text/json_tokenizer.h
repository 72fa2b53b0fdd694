// A tokenizer.json, or what stands for one: GPT-2's vocab.json and merges.txt, a tiktoken file.
//
// The way of a text: src/text/added_tokens -> normalizer -> added_tokens again -> pre_tokenizer ->
// token_model -> the special tokens of the post-processor. The way back: token_decoder.
// Reference: the Python package "tokenizers", whose ids these must equal (docs/tokenizers.md).
#ifndef LLMQ_TEXT_JSON_TOKENIZER_H_
#define LLMQ_TEXT_JSON_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "llmq/tokenizer.h"
#include "text/token_model.h"
#include "text/tokenizer_config.h"

namespace llmq {

// `text` is the file's. Throws Error{kGeneral}, beginning with `where`.
std::unique_ptr<Tokenizer> ReadJsonTokenizer(std::string_view text, const TokenizerConfig& config,
                                             const std::string& where);

// A tokenizer with another model than the part "model" of `file`, which may be missing.
std::unique_ptr<Tokenizer> MakeTokenizer(const SortedJson& file,
                                         std::unique_ptr<const TokenModel> model,
                                         uint64_t file_bytes, const TokenizerConfig& config,
                                         const std::string& where);

// The part "post_processor" that puts the begin token of `config` before a text; null if it names
// none, or one that is not among its added tokens.
SortedJson BeginTemplate(const TokenizerConfig& config);

// The tokenizer.json that GPT-2's two older files stand for. Throws Error{kGeneral} if `config`
// names another tokenizer: the files do not say how that one cuts text into words.
SortedJson Gpt2TokenizerJson(std::string_view vocab_json, std::string_view merges_txt,
                             const TokenizerConfig& config, const std::string& where);
// The tokenizer of that.
std::unique_ptr<Tokenizer> ReadGpt2Tokenizer(std::string_view vocab_json,
                                             std::string_view merges_txt,
                                             const TokenizerConfig& config,
                                             const std::string& where);

}  // namespace llmq

#endif  // LLMQ_TEXT_JSON_TOKENIZER_H_
