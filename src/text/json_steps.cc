#include "text/json_steps.h"

#include <fmt/format.h>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr size_t kMaxSteps = 64;

void Flatten(const SortedJson& json, const char* list_key, const std::string& where,
             std::vector<JsonStep>& steps) {
  std::string type = RequireString(json, "type", where);
  if (type != "Sequence") {
    steps.push_back({&json, type, fmt::format("{}: {}", where, type)});
    if (steps.size() > kMaxSteps) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected at most {} steps, found more", where, kMaxSteps));
    }
    return;
  }
  const SortedJson& list = RequireKey(json, list_key, where);
  if (!list.is_array()) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: \"{}\": expected an array, found {}", where,
                                                 list_key, DumpJson(list).substr(0, 60)));
  }
  for (const SortedJson& step : list) Flatten(step, list_key, where, steps);
}

}  // namespace

std::vector<JsonStep> FlattenSteps(const SortedJson& file, const char* part, const char* list_key,
                                   const std::string& where) {
  std::vector<JsonStep> steps;
  const auto it = file.find(part);
  if (it == file.end() || it->is_null()) return steps;
  Flatten(*it, list_key, fmt::format("{}: {}", where, part), steps);
  return steps;
}

void FailUnsupported(const JsonStep& step) {
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected a supported type, found \"{}\"", step.where, step.type),
              "This tokenizer cannot be used; if the model also has a tokenizer.model, remove "
              "tokenizer.json from a copy of it");
}

const SortedJson& RequireKey(const SortedJson& object, const char* key, const std::string& where) {
  if (object.is_object()) {
    const auto it = object.find(key);
    if (it != object.end()) return *it;
  }
  throw Error(ErrorCode::kGeneral, fmt::format("{}: expected \"{}\", found {}", where, key,
                                               DumpJson(object).substr(0, 60)));
}

std::string RequireString(const SortedJson& object, const char* key, const std::string& where) {
  const SortedJson& value = RequireKey(object, key, where);
  if (!value.is_string()) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: \"{}\": expected a string, found {}", where,
                                                 key, DumpJson(value).substr(0, 60)));
  }
  return value.get<std::string>();
}

int64_t RequireIntInRange(const SortedJson& value, int64_t low, int64_t high, const char* what,
                          const std::string& where) {
  // An unsigned number above the range of int64_t would come out of get<>() negative.
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  if (fits && value.get<int64_t>() >= low && value.get<int64_t>() <= high) {
    return value.get<int64_t>();
  }
  throw Error(ErrorCode::kGeneral, fmt::format("{}: expected {} from {} to {}, found {}", where,
                                               what, low, high, DumpJson(value).substr(0, 60)));
}

}  // namespace llmq
