// Reading the steps of a tokenizer.json: {"type": ".."} objects, nested in "Sequence" objects.
#ifndef LLMQ_TEXT_JSON_STEPS_H_
#define LLMQ_TEXT_JSON_STEPS_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace llmq {

// A step that is not a Sequence, still JSON; borrows from the parsed file.
struct JsonStep {
  const SortedJson* json;
  std::string type;
  std::string where;  // "path: tokenizer.json: decoder: Replace", begins messages
};

// `part` ("decoder", say) as a flat list: none if it is null or missing; a Sequence, at any depth,
// gives the steps under its key `list_key`. Throws Error{kGeneral} if it is none of that or has
// more than 64 steps (each step calls the next, so their number bounds the stack).
std::vector<JsonStep> FlattenSteps(const SortedJson& file, const char* part, const char* list_key,
                                   const std::string& where);

[[noreturn]] void FailUnsupported(const JsonStep& step);

// A key that must be there with that type. Throws Error{kGeneral} naming it.
std::string RequireString(const SortedJson& object, const char* key, const std::string& where);
const SortedJson& RequireKey(const SortedJson& object, const char* key, const std::string& where);
int64_t RequireIntInRange(const SortedJson& value, int64_t low, int64_t high, const char* what,
                          const std::string& where);

}  // namespace llmq

#endif  // LLMQ_TEXT_JSON_STEPS_H_
