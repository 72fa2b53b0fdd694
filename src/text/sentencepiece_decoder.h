// The way back of a tokenizer.model: ids in, text out.
//
// Before this: whoever has ids. After this: the terminal, or the end of Tokenizer::Decode().
#ifndef LLMQ_TEXT_SENTENCEPIECE_DECODER_H_
#define LLMQ_TEXT_SENTENCEPIECE_DECODER_H_

#include <memory>

#include "llmq/tokenizer.h"
#include "text/sentencepiece_model.h"

namespace llmq {

// Borrows `model`, which must outlive it.
std::unique_ptr<TokenDecoder> NewSentencePieceDecoder(const SentencePieceModel& model,
                                                      bool skip_special);

}  // namespace llmq

#endif  // LLMQ_TEXT_SENTENCEPIECE_DECODER_H_
