// What to write as "tokenizer.ggml.pre": the name by which llama.cpp knows a tokenizer's way of
// cutting text into words. It is recognised or refused, never guessed.
#ifndef LLMQ_LLAMACPP_PRE_TOKENIZER_NAME_H_
#define LLMQ_LLAMACPP_PRE_TOKENIZER_NAME_H_

#include <string>

#include "base/json.h"
#include "llmq/tokenizer.h"

namespace llmq {

// `file`: a tokenizer.json with byte-level BPE; `tokenizer`: the same, loaded. In order: the
// SHA-256 of its Split expressions; that of its ids for a known text
// (llamacpp/pre_tokenizer_digests); its steps, if they are just those of a rule
// (llamacpp/pre_tokenizers). Throws Error{kUnsupportedConversion} saying what was found and how to
// name one.
std::string PreTokenizerName(const SortedJson& file, const Tokenizer& tokenizer,
                             const std::string& where);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_PRE_TOKENIZER_NAME_H_
