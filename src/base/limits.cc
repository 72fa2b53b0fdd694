// Rules for names and shapes; see the header.
#include "base/limits.h"

#include <algorithm>

#include "base/bytes.h"

namespace llmq {

bool HasControlCharacters(std::string_view name) {
  return std::any_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

bool IsAllowedName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && !HasControlCharacters(name);
}

bool IsPlainFileName(std::string_view name) {
  return IsAllowedName(name) && name.front() != '.' && name.find_first_of("/\\") == name.npos;
}

std::optional<uint64_t> CountElements(std::span<const uint64_t> shape) {
  if (shape.size() > kMaxDimensions) return std::nullopt;
  uint64_t elements = 1;
  for (const uint64_t dimension : shape) {
    const std::optional<uint64_t> product = CheckedMul(elements, dimension);
    // A dimension is bounded by itself too: [2^60, 0] has no elements, but no arithmetic would bear
    // it.
    if (dimension > kMaxElements || !product || *product > kMaxElements) return std::nullopt;
    elements = *product;
  }
  return elements;
}

}  // namespace llmq
