// The "tokenizer.*" keys of a GGUF file as the small files that Tokenizer::FromFiles reads, whoever
// wrote the file: the tokenizer makes the ids that llama.cpp makes.
//
// Before this: GgufFile::keys(). After this: llmq/tokenizer.h. Reference: docs/tokenizers.md, "In
// GGUF".
#ifndef LLMQ_LLAMACPP_TOKENIZER_READER_H_
#define LLMQ_LLAMACPP_TOKENIZER_READER_H_

#include <span>
#include <string>

#include "llmq/checkpoint.h"
#include "llmq/gguf.h"

namespace llmq {

// tokenizer.model (model "llama") or tokenizer.json (model "gpt2"), and tokenizer_config.json with
// special tokens and chat templates. Other keys are ignored. Throws Error{kGeneral} "where: key:
// expected .., found .." for what is missing, contradicts itself or is not known.
ModelFiles TokenizerFilesFromKeys(std::span<const GgufKey> keys, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_TOKENIZER_READER_H_
