#include "llamacpp/tokenizer_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/json.h"
#include "llamacpp/chat_template_keys.h"
#include "llamacpp/pre_tokenizers.h"
#include "llamacpp/special_token_keys.h"
#include "llamacpp/vocabulary_pieces.h"
#include "llmq/error.h"
#include "text/sentencepiece_model.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace llmq {
namespace {

// Tokens that end a text, by whatever type a file gives them: llama.cpp takes them for control
// tokens by name (src/llama-vocab.cpp, "end-of-generation").
constexpr std::array<std::string_view, 22> kEndNames = {
    "<|eot_id|>",    "<|im_end|>",
    "<|end|>",       "<|return|>",
    "<|call|>",      "<|flush|>",
    "<|calls|>",     "<end_of_turn>",
    "<|endoftext|>", "</s>",
    "<|eom_id|>",    "<EOT>",
    "_<EOT>",        "[EOT]",
    "[EOS]",         "<|end_of_text|>",
    "<eos>",         "<end_of_utterance>",
    "<turn|>",       "<|tool_response>",
    "[e~[",          "<\uFF5Cend\u2581of\u2581sentence\uFF5C>"};

class Keys {
 public:
  Keys(std::span<const GgufKey> keys, const std::string& where) : keys_(keys), where_(where) {}

  // nullptr if the key is absent.
  template <typename T>
  const T* Get(std::string_view name, const char* type) const {
    const auto it =
        std::find_if(keys_.begin(), keys_.end(), [&](const GgufKey& k) { return k.name == name; });
    if (it == keys_.end()) return nullptr;
    if (const T* value = std::get_if<T>(&it->value)) return value;
    Fail(name, fmt::format("expected {}, found another type", type));
  }
  template <typename T>
  const T& Require(std::string_view name, const char* type) const {
    if (const T* value = Get<T>(name, type)) return *value;
    Fail(name, fmt::format("expected {}, found no such key", type));
  }
  bool GetFlag(std::string_view name, bool fallback) const {
    const bool* value = Get<bool>(name, "BOOL");
    return value == nullptr ? fallback : *value;
  }

  [[noreturn]] void Fail(std::string_view name, const std::string& what) const {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: {}: {}", where_, name, what));
  }
  std::span<const GgufKey> all() const { return keys_; }
  const std::string& where() const { return where_; }

 private:
  const std::span<const GgufKey> keys_;
  const std::string& where_;
};

// The texts of all tokens: valid UTF-8, each once, none empty.
std::vector<std::string> ReadTexts(const Keys& keys) {
  constexpr const char* kName = "tokenizer.ggml.tokens";
  auto texts = keys.Require<std::vector<std::string>>(kName, "ARRAY of STRING");
  if (texts.empty() || texts.size() > std::numeric_limits<int32_t>::max()) {
    keys.Fail(kName, fmt::format("expected tokens, found {}", texts.size()));
  }
  std::unordered_map<std::string_view, size_t> ids;
  for (size_t id = 0; id < texts.size(); ++id) {
    std::string& text = texts[id];
    text.resize(std::min(text.find('\0'), text.size()));     // llama.cpp reads no further,
    if (text.empty()) text = fmt::format("[EMPTY_{}]", id);  // and gives it this name
    if (!IsValidUtf8(text)) {
      keys.Fail(kName, fmt::format("entry {}: expected UTF-8, found other bytes", id));
    }
    const auto [other, is_new] = ids.try_emplace(text, id);
    if (!is_new) {
      keys.Fail(kName, fmt::format("expected each text once, found \"{}\" for {} and {}",
                                   text.substr(0, 60), other->second, id));
    }
  }
  return texts;
}

std::vector<PieceType> ReadTypes(const Keys& keys, const std::vector<std::string>& texts) {
  constexpr const char* kName = "tokenizer.ggml.token_type";
  std::vector<PieceType> types(texts.size(), PieceType::kNormal);
  const auto* values = keys.Get<std::vector<int32_t>>(kName, "ARRAY of INT32");
  if (values != nullptr && values->size() != texts.size()) {
    keys.Fail(kName, fmt::format("expected {} types, one for each token, found {}", texts.size(),
                                 values->size()));
  }
  for (size_t id = 0; id < texts.size(); ++id) {
    const int32_t value = values == nullptr ? 1 : (*values)[id];
    if (value < 0 || value > 6) {
      keys.Fail(kName, fmt::format("entry {}: expected a type from 0 to 6, found {}", id, value));
    }
    if (value > 0) types[id] = static_cast<PieceType>(value);  // 0, undefined, is like normal
    if (std::find(kEndNames.begin(), kEndNames.end(), texts[id]) != kEndNames.end()) {
      types[id] = PieceType::kControl;
    }
  }
  return types;
}

std::vector<float> ReadScores(const Keys& keys, size_t count) {
  constexpr const char* kName = "tokenizer.ggml.scores";
  const auto* scores = keys.Get<std::vector<float>>(kName, "ARRAY of FLOAT32");
  if (scores == nullptr) return std::vector<float>(count, 0);
  if (scores->size() != count) {
    keys.Fail(kName, fmt::format("expected {} scores, one for each token, found {}", count,
                                 scores->size()));
  }
  const auto bad = std::find_if(scores->begin(), scores->end(),
                                [](float score) { return !std::isfinite(score); });
  if (bad != scores->end()) {
    keys.Fail(kName, fmt::format("entry {}: expected a finite score, found another",
                                 bad - scores->begin()));
  }
  return *scores;
}

// Fills the vocabulary up to the number of embeddings; no text is ever encoded to it.
bool IsPadding(const std::string& text, PieceType type) {
  return type == PieceType::kUnused && text.starts_with("[PAD");
}

struct Specials {
  std::array<std::optional<uint32_t>, kSpecialTokenNames.size()> ids;  // like kSpecialTokenNames
  std::optional<uint32_t> bos() const { return ids[0]; }
  std::optional<uint32_t> eos() const { return ids[1]; }
  bool add_bos;
  bool add_eos;
};

Specials ReadSpecials(const Keys& keys, size_t tokens, bool add_bos) {
  Specials specials;
  for (size_t i = 0; i < kSpecialTokenNames.size(); ++i) {
    const std::string_view name = kSpecialTokenNames[i].key;
    const auto* id = keys.Get<uint32_t>(name, "UINT32");
    if (id == nullptr) continue;
    if (*id >= tokens) {
      keys.Fail(name, fmt::format("expected an id below {}, found {}", tokens, *id));
    }
    specials.ids[i] = *id;
  }
  specials.add_bos = keys.GetFlag("tokenizer.ggml.add_bos_token", add_bos);
  specials.add_eos = keys.GetFlag("tokenizer.ggml.add_eos_token", false);
  return specials;
}

SortedJson TokenizerConfigJson(const Keys& keys, const Specials& specials,
                               const std::vector<std::string>& texts) {
  SortedJson json;
  for (size_t i = 0; i < kSpecialTokenNames.size(); ++i) {
    const std::string key = fmt::format("{}_token", kSpecialTokenNames[i].config);
    if (specials.ids[i]) json[key] = texts[*specials.ids[i]];
  }
  json["add_bos_token"] = specials.add_bos;
  json["add_eos_token"] = specials.add_eos;
  const SortedJson chat_template = ChatTemplateFromKeys(keys.all(), keys.where());
  if (!chat_template.is_null()) json["chat_template"] = chat_template;
  return json;
}

// Model "llama".
ModelFiles SentencePieceFiles(const Keys& keys) {
  const std::vector<std::string> texts = ReadTexts(keys);
  const std::vector<PieceType> types = ReadTypes(keys, texts);
  const std::vector<float> scores = ReadScores(keys, texts.size());
  Specials specials = ReadSpecials(keys, texts.size(), /*add_bos=*/true);
  for (uint32_t i = 0; i < 2; ++i) {  // where the file does not say, they are 1 and 2
    if (!specials.ids[i] && i + 1 < texts.size()) specials.ids[i] = i + 1;
  }
  SentencePieceModel model;
  model.model_type = 2;
  model.add_dummy_prefix = keys.GetFlag("tokenizer.ggml.add_space_prefix", true);
  model.remove_extra_whitespaces = false;  // llama.cpp keeps every space
  model.unk_surface = "";                  // and shows no unknown token
  if (specials.bos()) model.bos_piece = texts[*specials.bos()];
  if (specials.eos()) model.eos_piece = texts[*specials.eos()];
  SortedJson config = TokenizerConfigJson(keys, specials, texts);
  config["tokenizer_class"] = "LlamaTokenizer";
  size_t bytes = 0;
  for (size_t id = 0; id < texts.size(); ++id) {
    PieceType type = types[id];
    if (type == PieceType::kByte && !ParseByteToken(texts[id])) {
      keys.Fail("tokenizer.ggml.tokens",
                fmt::format("entry {}: expected a byte like <0x0A>, found \"{}\"", id,
                            texts[id].substr(0, 60)));
    }
    bytes += type == PieceType::kByte;
    // llama.cpp does not take unused tokens apart again.
    if (type == PieceType::kUnused && !IsPadding(texts[id], type)) type = PieceType::kNormal;
    // llama.cpp seeks these in the raw text, SentencePiece does not: they are listed as added.
    if (type == PieceType::kUserDefined) {
      config["added_tokens_decoder"][std::to_string(id)] = {
          {"content", texts[id]}, {"special", false}, {"normalized", false}};
    }
    model.pieces.push_back({texts[id], scores[id], type});
  }
  model.byte_fallback = bytes == 256;
  return {{"tokenizer.model", model.Serialize()}, {"tokenizer_config.json", DumpJson(config, 1)}};
}

SortedJson PreTokenizerJson(const PreTokenizerRule& rule) {
  SortedJson steps = SortedJson::array();
  for (const std::string_view expression : rule.expressions) {
    steps.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", expression}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// The special tokens around a text.
SortedJson PostProcessorJson(const Keys& keys, const Specials& specials,
                             const std::vector<std::string>& texts) {
  SortedJson single = SortedJson::array();
  SortedJson tokens = SortedJson::object();
  const auto add = [&](std::optional<uint32_t> id, std::string_view key) {
    if (!id) keys.Fail(key, "expected an id, as the token is added to every text, found none");
    const std::string& text = texts[*id];
    single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
    tokens[text] = {{"id", text}, {"ids", {*id}}, {"tokens", {text}}};
  };
  if (specials.add_bos) add(specials.bos(), kSpecialTokenNames[0].key);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  if (specials.add_eos) add(specials.eos(), kSpecialTokenNames[1].key);
  return {{"type", "TemplateProcessing"}, {"single", single}, {"special_tokens", tokens}};
}

SortedJson MergesJson(const Keys& keys) {
  constexpr const char* kName = "tokenizer.ggml.merges";
  SortedJson merges = SortedJson::array();
  for (const auto& merge : keys.Require<std::vector<std::string>>(kName, "ARRAY of STRING")) {
    // A token may begin with a space, so the first one is no separator.
    const size_t space = merge.find(' ', 1);
    if (space == std::string::npos || !IsValidUtf8(merge)) {
      keys.Fail(kName, fmt::format("entry {}: expected two tokens in UTF-8, found \"{}\"",
                                   merges.size(), ReplaceInvalidUtf8(merge.substr(0, 60))));
    }
    merges.push_back({merge.substr(0, space), merge.substr(space + 1)});
  }
  return merges;
}

// Model "gpt2".
ModelFiles ByteLevelFiles(const Keys& keys) {
  const std::vector<std::string> texts = ReadTexts(keys);
  const std::vector<PieceType> types = ReadTypes(keys, texts);
  const auto* name = keys.Get<std::string>("tokenizer.ggml.pre", "STRING");
  const PreTokenizerRule& rule =
      FindPreTokenizerRule(name == nullptr || name->empty() ? "default" : *name, keys.where());
  const Specials specials = ReadSpecials(keys, texts.size(), rule.add_bos);
  SortedJson file;
  SortedJson& vocabulary = file["model"]["vocab"];
  SortedJson& added = file["added_tokens"] = SortedJson::array();
  for (size_t id = 0; id < texts.size(); ++id) {
    if (IsPadding(texts[id], types[id])) continue;
    vocabulary[texts[id]] = id;
    const bool control = types[id] == PieceType::kControl || types[id] == PieceType::kUnknown;
    if (!control && types[id] != PieceType::kUserDefined) continue;
    added.push_back(
        {{"id", id}, {"content", texts[id]}, {"special", control}, {"normalized", false}});
  }
  file["version"] = "1.0";
  file["model"]["type"] = "BPE";
  file["model"]["merges"] = MergesJson(keys);
  file["model"]["ignore_merges"] = rule.ignore_merges;
  file["pre_tokenizer"] = PreTokenizerJson(rule);
  file["post_processor"] = PostProcessorJson(keys, specials, texts);
  file["decoder"] = {{"type", "ByteLevel"}};
  SortedJson config = TokenizerConfigJson(keys, specials, texts);
  config["tokenizer_class"] = "PreTrainedTokenizerFast";
  return {{"tokenizer.json", DumpJson(file)}, {"tokenizer_config.json", DumpJson(config, 1)}};
}

}  // namespace

ModelFiles TokenizerFilesFromKeys(std::span<const GgufKey> keys, const std::string& where) {
  const Keys reader(keys, where);
  const auto& model = reader.Require<std::string>("tokenizer.ggml.model", "STRING");
  if (model == "llama") return SentencePieceFiles(reader);
  if (model == "gpt2") return ByteLevelFiles(reader);
  reader.Fail("tokenizer.ggml.model", fmt::format("expected \"llama\" or \"gpt2\", found \"{}\"",
                                                  ReplaceInvalidUtf8(model.substr(0, 60))));
}

}  // namespace llmq
