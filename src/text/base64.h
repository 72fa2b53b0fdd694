// Base64, as tokenizer files write bytes that are not text.
#ifndef LLMQ_TEXT_BASE64_H_
#define LLMQ_TEXT_BASE64_H_

#include <optional>
#include <string>
#include <string_view>

namespace llmq {

// The bytes; nullopt if `text` is not Base64 (RFC 4648, the alphabet with + and /, padded).
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace llmq

#endif  // LLMQ_TEXT_BASE64_H_
