// What a key, a tensor and an alignment may be: one place, so that the reader and the writer refuse
// the same things. Each answers "expected X, found Y", or nothing if all is well.
#ifndef LLMQ_GGUF_GGUF_RULES_H_
#define LLMQ_GGUF_GGUF_RULES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "llmq/gguf.h"

namespace llmq {

std::optional<std::string> KeyNameFault(std::string_view name);
std::optional<std::string> TensorNameFault(std::string_view name);
std::optional<std::string> AlignmentFault(uint64_t alignment);
// A string or an array that is longer than a reader takes, or truth values that are not 0 or 1.
std::optional<std::string> ValueFault(const GgufValue& value);
// `shape` is row-major, as in GgufTensor. Type and shape without fault have a size in bytes, which
// num_bytes() gives.
std::optional<std::string> TensorFault(uint32_t type, std::span<const uint64_t> shape);

// Throws Error{kGeneral} "where: what".
[[noreturn]] void FailGguf(
    const std::string& where, const std::string& what,
    const std::string& suggestion = "The file is truncated or damaged; fetch or write it again");

// A name as it may stand in a message: its beginning.
std::string Shorten(std::string_view name);

}  // namespace llmq

#endif  // LLMQ_GGUF_GGUF_RULES_H_
