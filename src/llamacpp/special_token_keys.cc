#include "llamacpp/special_token_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "llmq/error.h"

namespace llmq {
namespace {

// The file as JSON; an empty object if it is missing.
SortedJson ObjectInFile(const ModelFiles& files, const char* name, const std::string& where) {
  const auto file = files.find(name);
  if (file == files.end()) return SortedJson::object();
  SortedJson json = ParseSortedJson(file->second, fmt::format("{}: {}", where, name));
  if (json.is_object()) return json;
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}: expected an object", where, name));
}

// "bos_token": a text, or an object with "content".
std::string ConfiguredText(const SortedJson& config, const std::string& key) {
  const auto it = config.find(key);
  if (it == config.end()) return "";
  if (it->is_string()) return it->get<std::string>();
  if (it->is_object() && it->contains("content") && (*it)["content"].is_string()) {
    return (*it)["content"].get<std::string>();
  }
  return "";
}

// "bos_token_id": a number, or a list whose first counts.
std::optional<int64_t> ConfiguredId(const SortedJson& config, const std::string& key) {
  const auto it = config.find(key);
  if (it == config.end()) return std::nullopt;
  const SortedJson& value = it->is_array() && !it->empty() ? (*it)[0] : *it;
  return value.is_number_integer() ? std::optional(value.get<int64_t>()) : std::nullopt;
}

using SpecialIds = std::map<std::string_view, int64_t>;  // by SpecialTokenName::config

SpecialIds ReadIds(const ModelFiles& files, const VocabularyPieces& pieces,
                   const Tokenizer& tokenizer, const std::string& where) {
  const SortedJson texts = ObjectInFile(files, "tokenizer_config.json", where);
  const SortedJson config = ObjectInFile(files, "config.json", where);
  const SortedJson generation = ObjectInFile(files, "generation_config.json", where);
  SpecialIds ids;
  const auto take = [&](std::string_view name, std::optional<int64_t> id) {
    if (id && *id >= 0 && *id < static_cast<int64_t>(pieces.size())) ids.try_emplace(name, *id);
  };
  for (const SpecialTokenName& name : kSpecialTokenNames) {
    const std::string text = ConfiguredText(texts, fmt::format("{}_token", name.config));
    const auto piece = std::find_if(pieces.begin(), pieces.end(), [&](const SentencePiece& other) {
      return !text.empty() && other.text == text;
    });
    if (piece != pieces.end()) take(name.config, piece - pieces.begin());
    const std::string key = fmt::format("{}_token_id", name.config);
    take(name.config, ConfiguredId(config, key));
    take(name.config, ConfiguredId(generation, key));
  }
  take("bos", tokenizer.bos_id());
  take("eos", tokenizer.eos_id());
  const auto unknown = std::find_if(pieces.begin(), pieces.end(), [](const SentencePiece& piece) {
    return piece.type == PieceType::kUnknown;
  });
  if (unknown != pieces.end()) take("unk", unknown - pieces.begin());
  return ids;
}

// What a tokenizer puts around a text.
struct Frame {
  std::vector<int32_t> before;
  std::vector<int32_t> after;
};

Frame FindFrame(const Tokenizer& tokenizer) {
  const std::vector<int32_t> inner = tokenizer.Encode("a", false);
  const std::vector<int32_t> whole = tokenizer.Encode("a", true);
  const auto begin = std::search(whole.begin(), whole.end(), inner.begin(), inner.end());
  Frame frame;
  frame.before.assign(whole.begin(), begin);
  if (begin != whole.end()) {
    frame.after.assign(begin + static_cast<std::ptrdiff_t>(inner.size()), whole.end());
  }
  return frame;
}

}  // namespace

std::vector<GgufKey> SpecialTokenKeys(const ModelFiles& files, const VocabularyPieces& pieces,
                                      const Tokenizer& tokenizer, const std::string& where) {
  SpecialIds ids = ReadIds(files, pieces, tokenizer, where);
  const Frame frame = FindFrame(tokenizer);
  if (frame.before.size() > 1 || frame.after.size() > 1) {
    throw Error(ErrorCode::kUnsupportedConversion,
                fmt::format("{}: expected at most one special token before and after a text, found "
                            "{} and {}",
                            where, frame.before.size(), frame.after.size()),
                "GGUF cannot describe this tokenizer");
  }
  // The token that a text really begins with is the begin token, whatever the files call it.
  if (!frame.before.empty()) ids["bos"] = frame.before[0];
  if (!frame.after.empty()) {
    const auto eos = ids.find("eos");
    if (eos != ids.end() && eos->second != frame.after[0]) ids.try_emplace("eot", eos->second);
    ids["eos"] = frame.after[0];
  }
  std::vector<GgufKey> keys;
  for (const SpecialTokenName& name : kSpecialTokenNames) {
    const auto id = ids.find(name.config);
    if (id != ids.end()) {
      keys.push_back({std::string(name.key), static_cast<uint32_t>(id->second)});
    }
  }
  keys.push_back({"tokenizer.ggml.add_bos_token", !frame.before.empty()});
  keys.push_back({"tokenizer.ggml.add_eos_token", !frame.after.empty()});
  return keys;
}

}  // namespace llmq
