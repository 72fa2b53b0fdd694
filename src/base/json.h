// JSON in and out. The converter between nlohmann's exceptions and llmq::Error; JSON is parsed only
// here.
#ifndef LLMQ_BASE_JSON_H_
#define LLMQ_BASE_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace llmq {

// Keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

// Keys sorted. For files with very many keys in one object (a vocabulary), where Json, which
// searches its keys in order, would take quadratic time.
using SortedJson = nlohmann::json;

// Throws Error{kGeneral} "where: expected JSON, found ... at byte N". Nesting is limited to 128
// levels.
Json ParseJson(std::string_view text, const std::string& where);
SortedJson ParseSortedJson(std::string_view text, const std::string& where);

// Typed look-ups in an object (Json or SortedJson). Get* throws Error{kGeneral} "where: key:
// expected an integer, found ..." if the key is there with another type; a missing or null key
// gives the fallback.
template <typename AnyJson>
int64_t GetInt(const AnyJson& object, const char* key, int64_t fallback, const std::string& where);
template <typename AnyJson>
double GetNumber(const AnyJson& object, const char* key, double fallback, const std::string& where);
template <typename AnyJson>
bool GetBool(const AnyJson& object, const char* key, bool fallback, const std::string& where);
template <typename AnyJson>
std::string GetString(const AnyJson& object, const char* key, const std::string& fallback,
                      const std::string& where);

// Invalid UTF-8 in strings is replaced by U+FFFD, so dumping never throws.
template <typename AnyJson>
std::string DumpJson(const AnyJson& value, int indent = -1);

}  // namespace llmq

#endif  // LLMQ_BASE_JSON_H_
