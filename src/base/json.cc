#include "base/json.h"

#include <fmt/core.h>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kMaxDepth = 128;

template <typename AnyJson>
const AnyJson* Find(const AnyJson& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

template <typename AnyJson>
[[noreturn]] void ThrowType(const char* key, const char* expected, const AnyJson& found,
                            const std::string& where) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: \"{}\": expected {}, found {}", where, key,
                                               expected, DumpJson(found).substr(0, 60)));
}

// Before parsing, as the parser's own callback, which could do it on the way, makes it quadratic in
// the length of a list of lists.
void CheckDepth(std::string_view text, const std::string& where) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      i += c == '\\' ? 1 : 0;
      in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxDepth) {
        throw Error(
            ErrorCode::kGeneral,
            fmt::format("{}: expected at most {} nested levels, found more", where, kMaxDepth));
      }
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

template <typename AnyJson>
AnyJson Parse(std::string_view text, const std::string& where) {
  CheckDepth(text, where);
  try {
    return AnyJson::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected JSON, found: {}", where, e.what()),
                "The file is damaged or not JSON");
  }
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) { return Parse<Json>(text, where); }

SortedJson ParseSortedJson(std::string_view text, const std::string& where) {
  return Parse<SortedJson>(text, where);
}

template <typename AnyJson>
int64_t GetInt(const AnyJson& object, const char* key, int64_t fallback, const std::string& where) {
  const AnyJson* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) ThrowType(key, "an integer", *value, where);
  return value->template get<int64_t>();
}

template <typename AnyJson>
double GetNumber(const AnyJson& object, const char* key, double fallback,
                 const std::string& where) {
  const AnyJson* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) ThrowType(key, "a number", *value, where);
  return value->template get<double>();
}

template <typename AnyJson>
bool GetBool(const AnyJson& object, const char* key, bool fallback, const std::string& where) {
  const AnyJson* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) ThrowType(key, "true or false", *value, where);
  return value->template get<bool>();
}

template <typename AnyJson>
std::string GetString(const AnyJson& object, const char* key, const std::string& fallback,
                      const std::string& where) {
  const AnyJson* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) ThrowType(key, "a string", *value, where);
  return value->template get<std::string>();
}

template <typename AnyJson>
std::string DumpJson(const AnyJson& value, int indent) {
  return value.dump(indent, ' ', false, AnyJson::error_handler_t::replace);
}

template int64_t GetInt(const Json&, const char*, int64_t, const std::string&);
template double GetNumber(const Json&, const char*, double, const std::string&);
template bool GetBool(const Json&, const char*, bool, const std::string&);
template std::string GetString(const Json&, const char*, const std::string&, const std::string&);
template std::string DumpJson(const Json&, int);
template int64_t GetInt(const SortedJson&, const char*, int64_t, const std::string&);
template double GetNumber(const SortedJson&, const char*, double, const std::string&);
template bool GetBool(const SortedJson&, const char*, bool, const std::string&);
template std::string GetString(const SortedJson&, const char*, const std::string&,
                               const std::string&);
template std::string DumpJson(const SortedJson&, int);

}  // namespace llmq
