#include "base/json.h"

#include <fmt/core.h>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kMaxDepth = 128;

const Json* Find(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

[[noreturn]] void ThrowType(const char* key, const char* expected, const Json& found,
                            const std::string& where) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: \"{}\": expected {}, found {}", where, key,
                                               expected, DumpJson(found).substr(0, 60)));
}

}  // namespace

Json ParseJson(std::string_view text, const std::string& where) {
  const auto limit_depth = [&](int depth, nlohmann::detail::parse_event_t, Json&) {
    if (depth > kMaxDepth) {
      throw Error(
          ErrorCode::kGeneral,
          fmt::format("{}: expected at most {} nested levels, found more", where, kMaxDepth));
    }
    return true;
  };
  try {
    return Json::parse(text.begin(), text.end(), limit_depth);
  } catch (const nlohmann::json::exception& e) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected JSON, found: {}", where, e.what()),
                "The file is damaged or not JSON");
  }
}

int64_t GetInt(const Json& object, const char* key, int64_t fallback, const std::string& where) {
  const Json* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) ThrowType(key, "an integer", *value, where);
  return value->get<int64_t>();
}

double GetNumber(const Json& object, const char* key, double fallback, const std::string& where) {
  const Json* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) ThrowType(key, "a number", *value, where);
  return value->get<double>();
}

bool GetBool(const Json& object, const char* key, bool fallback, const std::string& where) {
  const Json* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) ThrowType(key, "true or false", *value, where);
  return value->get<bool>();
}

std::string GetString(const Json& object, const char* key, const std::string& fallback,
                      const std::string& where) {
  const Json* value = Find(object, key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) ThrowType(key, "a string", *value, where);
  return value->get<std::string>();
}

std::string DumpJson(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace llmq
