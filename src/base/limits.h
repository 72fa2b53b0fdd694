// What a name and a shape found in a file may be, for every format: one place, so that whatever the
// readers accept the writers can write.
#ifndef LLMQ_BASE_LIMITS_H_
#define LLMQ_BASE_LIMITS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace llmq {

inline constexpr size_t kMaxNameBytes = 1024;
inline constexpr size_t kMaxDimensions = 8;
// Elements times the widest type, and sums over a model, stay below 2^63.
inline constexpr uint64_t kMaxElements = uint64_t{1} << 56;
// The cap of safetensors' reference implementation.
inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;

bool HasControlCharacters(std::string_view name);

// 1 to 1024 bytes without control characters: names end up in messages on a terminal.
bool IsAllowedName(std::string_view name);

// IsAllowedName, and a file of that name lies in the directory it is looked for or written in.
bool IsPlainFileName(std::string_view name);

// product(shape), or nullopt if there are too many dimensions or elements.
std::optional<uint64_t> CountElements(std::span<const uint64_t> shape);

}  // namespace llmq

#endif  // LLMQ_BASE_LIMITS_H_
