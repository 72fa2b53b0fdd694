// Which pre-tokenizer a known vocabulary has, by what it makes of one text: data of llama.cpp's
// converter, by which it gives "tokenizer.ggml.pre" its name.
#ifndef LLMQ_LLAMACPP_PRE_TOKENIZER_DIGESTS_H_
#define LLMQ_LLAMACPP_PRE_TOKENIZER_DIGESTS_H_

#include <string_view>

namespace llmq {

// The text: digits, spaces, emoji, contractions, scripts.
std::string_view PreTokenizerCheckText();

// `digest`: the SHA-256, in hexadecimal, of the text's ids written like "[1, 2, 3]", special tokens
// included. "" if no known vocabulary has it.
std::string_view PreTokenizerOfDigest(std::string_view digest);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_PRE_TOKENIZER_DIGESTS_H_
