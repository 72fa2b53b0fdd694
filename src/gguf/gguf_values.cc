// Reads and writes typed values; see the header.
#include "gguf/gguf_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "gguf/gguf_layout.h"
#include "gguf/gguf_rules.h"

namespace llmq {
namespace {

using gguf_layout::ValueType;

template <typename T>
T ReadScalar(ByteReader& reader, const std::string& where) {
  if constexpr (std::is_same_v<T, std::string>) {
    return std::string(ReadGgufString(reader, where));
  } else if constexpr (std::is_same_v<T, bool>) {
    const auto byte = reader.Read<uint8_t>();
    if (byte > 1) FailGguf(where, fmt::format("expected BOOL 0 or 1, found {}", byte));
    return byte == 1;
  } else {
    return reader.Read<T>();
  }
}

// The bytes of the elements must be there. Strings take at least their lengths.
template <typename T>
uint64_t ReadCount(ByteReader& reader, const std::string& where) {
  constexpr uint64_t kElementBytes = std::is_same_v<T, std::string> ? sizeof(uint64_t) : sizeof(T);
  const auto count = reader.Read<uint64_t>();
  const uint64_t limit =
      std::min(gguf_layout::kMaxArrayElements, reader.remaining() / kElementBytes);
  if (count > limit) {
    FailGguf(where, fmt::format("expected at most {} elements, found {}", limit, count));
  }
  return count;
}

template <typename T>
GgufValue ReadArray(ByteReader& reader, const std::string& where) {
  const uint64_t count = ReadCount<T>(reader, where);
  if constexpr (std::is_same_v<T, std::string>) {
    // Not reserved: an object is four times as large as the least its string takes in the file.
    std::vector<std::string> texts;
    for (uint64_t i = 0; i < count; ++i) texts.emplace_back(ReadGgufString(reader, where));
    return texts;
  } else {
    const auto bytes = reader.Take(count * sizeof(T));
    std::vector<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>> numbers(count);
    if (count > 0) std::memcpy(numbers.data(), bytes.data(), bytes.size());
    if constexpr (std::is_same_v<T, bool>) {
      GgufBools bools{std::move(numbers)};
      if (const auto fault = ValueFault(bools)) FailGguf(where, *fault);
      return bools;
    } else {
      return numbers;
    }
  }
}

template <typename T>
GgufValue ReadOne(ByteReader& reader, const std::string& where) {
  return ReadScalar<T>(reader, where);
}

struct TypeRow {
  const char* name;
  GgufValue (*read)(ByteReader&, const std::string&);
  GgufValue (*read_array)(ByteReader&, const std::string&);
};

template <typename T>
constexpr TypeRow Row(const char* name) {
  return {name, ReadOne<T>, ReadArray<T>};
}

// Indexed by ValueType.
constexpr std::array<TypeRow, gguf_layout::kValueTypes> kTypes = {{
    Row<uint8_t>("UINT8"),
    Row<int8_t>("INT8"),
    Row<uint16_t>("UINT16"),
    Row<int16_t>("INT16"),
    Row<uint32_t>("UINT32"),
    Row<int32_t>("INT32"),
    Row<float>("FLOAT32"),
    Row<bool>("BOOL"),
    Row<std::string>("STRING"),
    {"ARRAY", nullptr, nullptr},
    Row<uint64_t>("UINT64"),
    Row<int64_t>("INT64"),
    Row<double>("FLOAT64"),
}};

// GgufValue lists the types in the order of ValueType, without ARRAY: first alone, then as arrays.
constexpr size_t kScalars = gguf_layout::kValueTypes - 1;
static_assert(std::variant_size_v<GgufValue> == 2 * kScalars);

bool IsArray(const GgufValue& value) { return value.index() >= kScalars; }

// Of the value, or of its elements.
ValueType ElementType(const GgufValue& value) {
  const size_t index = value.index() % kScalars;
  const bool behind_array = index >= static_cast<size_t>(ValueType::kArray);
  return static_cast<ValueType>(index + (behind_array ? 1 : 0));
}

struct Payload {
  std::string& out;

  template <typename T>
  void operator()(const T& number) const {
    AppendGgufNumber(number, out);
  }
  void operator()(const std::string& text) const { AppendGgufString(text, out); }
  void operator()(const GgufBools& bools) const { (*this)(bools.values); }
  template <typename T>
  void operator()(const std::vector<T>& array) const {
    AppendGgufNumber(uint64_t{array.size()}, out);
    for (const T& element : array) (*this)(element);
  }
};
static_assert(sizeof(bool) == 1);

}  // namespace

GgufValue ReadGgufValue(ByteReader& reader, const std::string& where) {
  const auto type = reader.Read<uint32_t>();
  if (type >= kTypes.size()) {
    FailGguf(where, fmt::format("value type: expected 0 to {}, found {}", kTypes.size() - 1, type));
  }
  if (type != static_cast<uint32_t>(ValueType::kArray)) return kTypes[type].read(reader, where);
  const auto element = reader.Read<uint32_t>();
  if (element == type) FailGguf(where, "array: expected plain elements, found arrays");
  if (element >= kTypes.size()) {
    FailGguf(where, fmt::format("type of array elements: expected 0 to {}, found {}",
                                kTypes.size() - 1, element));
  }
  return kTypes[element].read_array(reader, where);
}

std::string_view ReadGgufString(ByteReader& reader, const std::string& where) {
  const auto length = reader.Read<uint64_t>();
  const uint64_t limit = std::min(gguf_layout::kMaxStringBytes, reader.remaining());
  if (length > limit) {
    FailGguf(where, fmt::format("string: expected at most {} bytes, found {}", limit, length));
  }
  return AsText(reader.Take(length));
}

void AppendGgufString(std::string_view text, std::string& out) {
  AppendGgufNumber(uint64_t{text.size()}, out);
  out += text;
}

void AppendGgufValue(const GgufValue& value, std::string& out) {
  if (IsArray(value)) AppendGgufNumber(static_cast<uint32_t>(ValueType::kArray), out);
  AppendGgufNumber(static_cast<uint32_t>(ElementType(value)), out);
  std::visit(Payload{out}, value);
}

std::string GgufTypeName(const GgufValue& value) {
  const char* name = kTypes[static_cast<size_t>(ElementType(value))].name;
  return IsArray(value) ? fmt::format("ARRAY of {}", name) : name;
}

}  // namespace llmq
