// A Hugging Face tokenizer as the "tokenizer.*" keys of a GGUF file, so that llama.cpp makes the
// same ids of a text.
//
// Before this: the small files of a model directory. After this: GgufWriter. The way back:
// llamacpp/tokenizer_reader. Reference: docs/tokenizers.md, "In GGUF".
#ifndef LLMQ_LLAMACPP_TOKENIZER_WRITER_H_
#define LLMQ_LLAMACPP_TOKENIZER_WRITER_H_

#include <string>
#include <vector>

#include "llmq/checkpoint.h"
#include "llmq/gguf.h"
#include "llmq/model_config.h"

namespace llmq {

// Vocabulary, padded to config.vocab_size; merges or scores; special tokens; chat templates.
// `pre_tokenizer` overrides what a byte-level tokenizer is recognised as; usually empty. Throws
// Error: kUnsupportedConversion if llama.cpp could not make the same ids, or no name of a
// pre-tokenizer is known; kGeneral if the files are damaged. Messages begin with `where`.
std::vector<GgufKey> TokenizerKeys(const ModelFiles& files, const ModelConfig& config,
                                   const std::string& pre_tokenizer, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_TOKENIZER_WRITER_H_
