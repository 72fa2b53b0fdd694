#include "llamacpp/chat_template_keys.h"

#include <fmt/format.h>

#include <algorithm>

#include "llmq/error.h"
#include "text/utf8.h"

namespace llmq {
namespace {

constexpr std::string_view kDefaultKey = "tokenizer.chat_template";
constexpr std::string_view kNamedKeys = "tokenizer.chat_template.";
constexpr std::string_view kNamesKey = "tokenizer.chat_templates";

// "chat_template" of the JSON file `name`; null if the file or the key is missing.
SortedJson TemplateInFile(const ModelFiles& files, const char* name, const std::string& where) {
  const auto file = files.find(name);
  if (file == files.end()) return {};
  const std::string inside = fmt::format("{}: {}", where, name);
  const SortedJson json = ParseSortedJson(file->second, inside);
  if (!json.is_object()) throw Error(ErrorCode::kGeneral, inside + ": expected an object");
  return json.value("chat_template", SortedJson());
}

// The default and those of the folder beside it, as tokenizer_config.json writes several.
SortedJson WithNamedTemplates(const std::string& standard, const ModelFiles& files) {
  const std::string prefix = std::string(kChatTemplateFolder) + ".";
  SortedJson list = {{{"name", "default"}, {"template", standard}}};
  for (const auto& [file, text] : files) {
    if (!file.starts_with(prefix) || !file.ends_with(kChatTemplateEnding)) continue;
    const size_t size = file.size() - prefix.size() - kChatTemplateEnding.size();
    list.push_back({{"name", file.substr(prefix.size(), size)}, {"template", text}});
  }
  return list.size() == 1 ? SortedJson(standard) : list;
}

SortedJson FindTemplate(const ModelFiles& files, const std::string& where) {
  SortedJson found = TemplateInFile(files, "tokenizer_config.json", where);
  if (!found.is_null()) return found;
  const auto jinja = files.find("chat_template.jinja");
  if (jinja != files.end()) return WithNamedTemplates(jinja->second, files);
  return TemplateInFile(files, "chat_template.json", where);
}

// A name as a part of a key.
std::string KeyPart(std::string name) {
  for (char& c : name) {
    const bool kept = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!kept) c = '_';
  }
  return name;
}

}  // namespace

std::vector<GgufKey> ChatTemplateKeys(const ModelFiles& files, const std::string& where) {
  const SortedJson found = FindTemplate(files, where);
  std::vector<GgufKey> keys;
  if (found.is_null()) return keys;
  if (found.is_string()) {
    keys.push_back({std::string(kDefaultKey), found.get<std::string>()});
    return keys;
  }
  const std::string inside = where + ": chat_template";
  if (!found.is_array()) {
    throw Error(ErrorCode::kGeneral, inside + ": expected a text or a list of them");
  }
  std::vector<std::string> names;
  for (const SortedJson& entry : found) {
    const bool complete = entry.is_object() && entry.contains("template");
    const std::string name = complete ? KeyPart(GetString(entry, "name", "", inside)) : "";
    if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) {
      throw Error(ErrorCode::kGeneral,
                  inside + ": expected entries with a template and a name of their own");
    }
    names.push_back(name);
    const std::string key =
        name == "default" ? std::string(kDefaultKey) : fmt::format("{}{}", kNamedKeys, name);
    keys.push_back({key, GetString(entry, "template", "", inside)});
  }
  std::erase(names, "default");
  if (!names.empty()) keys.push_back({std::string(kNamesKey), std::move(names)});
  return keys;
}

SortedJson ChatTemplateFromKeys(std::span<const GgufKey> keys, const std::string& where) {
  SortedJson list = SortedJson::array();
  for (const GgufKey& key : keys) {
    const bool is_default = key.name == kDefaultKey;
    if (!is_default && !key.name.starts_with(kNamedKeys)) continue;
    const auto* text = std::get_if<std::string>(&key.value);
    if (text == nullptr || !IsValidUtf8(*text) || !IsValidUtf8(key.name)) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: {}: expected a text in UTF-8, found something else", where,
                              ReplaceInvalidUtf8(key.name)));
    }
    const std::string name = is_default ? "default" : key.name.substr(kNamedKeys.size());
    list.push_back({{"name", name}, {"template", *text}});
  }
  if (list.empty()) return {};
  if (list.size() == 1 && list[0]["name"] == "default") return list[0]["template"];
  return list;
}

}  // namespace llmq
