// The rules; see the header.
#include "gguf/gguf_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "base/bytes.h"
#include "base/limits.h"
#include "gguf/gguf_layout.h"
#include "llmq/error.h"
#include "llmq/ggml_type.h"

namespace llmq {
namespace {

std::optional<std::string> NameFault(std::string_view name, uint64_t max_bytes) {
  if (name.empty() || name.size() > max_bytes) {
    return fmt::format("name: expected 1 to {} bytes, found {}", max_bytes, name.size());
  }
  if (HasControlCharacters(name)) return "name: expected no control characters, found one";
  return std::nullopt;
}

std::optional<std::string> LengthFault(const char* what, uint64_t limit, uint64_t found) {
  if (found <= limit) return std::nullopt;
  return fmt::format("expected at most {} {}, found {}", limit, what, found);
}

std::optional<std::string> StringFault(const std::string& text) {
  return LengthFault("bytes in a string", gguf_layout::kMaxStringBytes, text.size());
}

std::optional<std::string> ArrayFault(uint64_t elements) {
  return LengthFault("elements", gguf_layout::kMaxArrayElements, elements);
}

struct ValueFaults {
  template <typename T>
  std::optional<std::string> operator()(const T&) const {
    return std::nullopt;
  }
  template <typename T>
  std::optional<std::string> operator()(const std::vector<T>& array) const {
    return ArrayFault(array.size());
  }
  std::optional<std::string> operator()(const std::string& text) const { return StringFault(text); }
  std::optional<std::string> operator()(const std::vector<std::string>& texts) const {
    for (const std::string& text : texts) {
      if (auto fault = StringFault(text)) return fault;
    }
    return ArrayFault(texts.size());
  }
  std::optional<std::string> operator()(const GgufBools& bools) const {
    const auto wrong =
        std::find_if(bools.values.begin(), bools.values.end(), [](uint8_t b) { return b > 1; });
    if (wrong != bools.values.end()) {
      return fmt::format("expected BOOL values 0 or 1, found {}", *wrong);
    }
    return ArrayFault(bools.values.size());
  }
};

}  // namespace

std::string Shorten(std::string_view name) {
  constexpr size_t kShown = 100;
  return std::string(name.substr(0, kShown)) + (name.size() > kShown ? "..." : "");
}

std::optional<std::string> KeyNameFault(std::string_view name) {
  return NameFault(name, gguf_layout::kMaxKeyNameBytes);
}

std::optional<std::string> TensorNameFault(std::string_view name) {
  return NameFault(name, kMaxGgufTensorName);
}

std::optional<std::string> AlignmentFault(uint64_t alignment) {
  const bool power_of_two = (alignment & (alignment - 1)) == 0;
  if (power_of_two && alignment >= gguf_layout::kMinAlignment &&
      alignment <= gguf_layout::kMaxAlignment) {
    return std::nullopt;
  }
  return fmt::format("expected a power of two from {} to {}, found {}", gguf_layout::kMinAlignment,
                     gguf_layout::kMaxAlignment, alignment);
}

std::optional<std::string> ValueFault(const GgufValue& value) {
  return std::visit(ValueFaults{}, value);
}

std::optional<std::string> TensorFault(uint32_t type, std::span<const uint64_t> shape) {
  const GgmlTypeInfo* info = FindGgmlType(type);
  if (info == nullptr) return fmt::format("type: expected one that ggml has, found {}", type);
  if (shape.size() > kMaxGgufDimensions) {
    return fmt::format("expected at most {} dimensions, found {}", kMaxGgufDimensions,
                       shape.size());
  }
  const std::optional<uint64_t> elements = CountElements(shape);
  if (!elements) {
    return fmt::format("shape: expected at most {} elements, found [{}]", kMaxElements,
                       fmt::join(shape, ", "));
  }
  const uint64_t row = shape.empty() ? 1 : shape.back();
  if (row % static_cast<uint64_t>(info->block_values) != 0) {
    return fmt::format("shape: expected rows of whole {} blocks of {} values, found {} values",
                       info->name, info->block_values, row);
  }
  return std::nullopt;
}

void FailGguf(const std::string& where, const std::string& what, const std::string& suggestion) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, what), suggestion);
}

}  // namespace llmq
