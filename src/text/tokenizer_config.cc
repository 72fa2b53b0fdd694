#include "text/tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "llmq/error.h"
#include "text/json_steps.h"

namespace llmq {
namespace {

// A string, or an object with "content".
std::string TokenText(const SortedJson& config, const char* key, const std::string& where) {
  const auto it = config.find(key);
  if (it != config.end() && it->is_object()) return GetString(*it, "content", "", where);
  return GetString(config, key, "", where);
}

// {"32000": {"content": ..}, ..} -> [{"id": 32000, "content": ..}, ..]
SortedJson ListAddedTokens(const SortedJson& by_id, const std::string& where) {
  SortedJson list = SortedJson::array();
  if (!by_id.is_object()) return list;
  for (const auto& [key, token] : by_id.items()) {
    int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || !token.is_object()) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: added_tokens_decoder: expected ids and tokens, found \"{}\"",
                              where, key.substr(0, 60)));
    }
    SortedJson entry = token;
    entry["id"] = id;
    list.push_back(std::move(entry));
  }
  return list;
}

// The file as an object, empty if it is missing.
SortedJson ReadObject(const ModelFiles& files, const char* name, const std::string& where) {
  const auto file = files.find(name);
  if (file == files.end()) return SortedJson::object();
  SortedJson json = ParseSortedJson(file->second, where + ": " + name);
  if (!json.is_object()) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: {}: expected an object", where, name));
  }
  return json;
}

}  // namespace

TokenizerConfig TokenizerConfig::FromFiles(const ModelFiles& files, const std::string& where) {
  TokenizerConfig result;
  const std::string inside = where + ": tokenizer_config.json";
  SortedJson json = ReadObject(files, "tokenizer_config.json", where);
  const SortedJson by_use = ReadObject(files, "special_tokens_map.json", where);
  for (const char* use : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
    if (json.value(use, SortedJson()).is_null()) json[use] = by_use.value(use, SortedJson());
    const std::string text = TokenText(json, use, inside);
    auto& all = result.special_tokens;
    if (!text.empty() && std::find(all.begin(), all.end(), text) == all.end()) all.push_back(text);
  }
  result.tokenizer_class = GetString(json, "tokenizer_class", "", inside);
  result.bos_token = TokenText(json, "bos_token", inside);
  result.eos_token = TokenText(json, "eos_token", inside);
  if (!json.value("add_bos_token", SortedJson()).is_null()) {
    result.add_bos_token = GetBool(json, "add_bos_token", true, inside);
  }
  result.add_eos_token = GetBool(json, "add_eos_token", false, inside);
  const auto added = json.find("added_tokens_decoder");
  if (added != json.end()) result.added_tokens = ListAddedTokens(*added, inside);
  return result;
}

}  // namespace llmq
