#include "core/config_reader.h"

#include <fmt/format.h>

#include "llmq/error.h"

namespace llmq {

void ConfigReader::Fail(const std::string& what, const std::string& suggestion) const {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where_, what), suggestion);
}

bool ConfigReader::Has(const char* key) const {
  const auto it = object_.find(key);
  return it != object_.end() && !it->is_null();
}

int64_t ConfigReader::Int(const char* key, int64_t fallback, int64_t low, int64_t high) const {
  const int64_t value = GetInt(object_, key, fallback, where_);
  if (value < low || value > high) {
    Fail(fmt::format("\"{}\": expected an integer from {} to {}, found {}", key, low, high, value));
  }
  return value;
}

double ConfigReader::Number(const char* key, double fallback, double low, double high) const {
  const double value = GetNumber(object_, key, fallback, where_);
  if (!(value >= low && value <= high)) {  // also refuses NaN
    Fail(fmt::format("\"{}\": expected a number from {} to {}, found {}", key, low, high, value));
  }
  return value;
}

bool ConfigReader::Bool(const char* key, bool fallback) const {
  return GetBool(object_, key, fallback, where_);
}

std::string ConfigReader::Text(const char* key, const std::string& fallback) const {
  return GetString(object_, key, fallback, where_);
}

int64_t ConfigReader::RequiredInt(const char* key, int64_t high) const {
  if (!Has(key)) Fail(fmt::format("\"{}\": expected an integer, found nothing", key));
  return Int(key, 0, 1, high);
}

void ConfigReader::Require(const char* key) const {
  if (!Has(key)) Fail(fmt::format("\"{}\": expected a number, found nothing", key));
}

}  // namespace llmq
