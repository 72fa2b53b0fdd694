// The ids of special tokens, and which of them stand around every text, into GGUF keys.
#ifndef LLMQ_LLAMACPP_SPECIAL_TOKEN_KEYS_H_
#define LLMQ_LLAMACPP_SPECIAL_TOKEN_KEYS_H_

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "llamacpp/vocabulary_pieces.h"
#include "llmq/gguf.h"
#include "llmq/tokenizer.h"

namespace llmq {

struct SpecialTokenName {
  std::string_view config;  // "bos": tokenizer_config.json has "bos_token", config.json
                            // "bos_token_id"
  std::string_view key;     // of the id
};
inline constexpr std::array<SpecialTokenName, 9> kSpecialTokenNames = {{
    {"bos", "tokenizer.ggml.bos_token_id"},
    {"eos", "tokenizer.ggml.eos_token_id"},
    {"unk", "tokenizer.ggml.unknown_token_id"},
    {"sep", "tokenizer.ggml.seperator_token_id"},  // spelled so
    {"pad", "tokenizer.ggml.padding_token_id"},
    {"cls", "tokenizer.ggml.cls_token_id"},
    {"mask", "tokenizer.ggml.mask_token_id"},
    {"eot", "tokenizer.ggml.eot_token_id"},
    {"eom", "tokenizer.ggml.eom_token_id"},
}};

// The ids that the files name and `pieces` has, add_bos_token and add_eos_token as `tokenizer`
// really does. Throws Error{kUnsupportedConversion} if it adds more than one token before or after
// a text, which GGUF cannot say.
std::vector<GgufKey> SpecialTokenKeys(const ModelFiles& files, const VocabularyPieces& pieces,
                                      const Tokenizer& tokenizer, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_SPECIAL_TOKEN_KEYS_H_
