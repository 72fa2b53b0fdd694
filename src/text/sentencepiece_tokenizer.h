// A SentencePiece tokenizer.model of type BPE (Llama-2, Mistral, TinyLlama) or unigram (T5).
//
// The way of a text: control pieces and added tokens written in it are cut out, the stretches
// between go through src/text/sentencepiece_normalizer and byte-pair encoding by score
// (src/text/bpe_merge) or the likeliest cut (src/text/unigram_path). Added tokens are those of
// tokenizer_config.json. Reference: the library "sentencepiece", whose ids these must equal; it
// does not recognise control pieces in text, for which the "tokenizers" form of the same model is
// the reference.
#ifndef LLMQ_TEXT_SENTENCEPIECE_TOKENIZER_H_
#define LLMQ_TEXT_SENTENCEPIECE_TOKENIZER_H_

#include <memory>
#include <string>
#include <string_view>

#include "llmq/tokenizer.h"
#include "text/tokenizer_config.h"

namespace llmq {

// `bytes` is the file's. Throws Error{kGeneral}, beginning with `where`.
std::unique_ptr<Tokenizer> ReadSentencePieceTokenizer(std::string_view bytes,
                                                      const TokenizerConfig& config,
                                                      const std::string& where);

}  // namespace llmq

#endif  // LLMQ_TEXT_SENTENCEPIECE_TOKENIZER_H_
