#include "text/json_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <unordered_set>
#include <utility>

#include "llmq/error.h"
#include "text/added_tokens.h"
#include "text/json_steps.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/token_decoder.h"
#include "text/token_model.h"
#include "text/utf8.h"

namespace llmq {
namespace {

// Ids that a text gets around it.
struct Frame {
  std::vector<int32_t> before;
  std::vector<int32_t> after;
};

// Special tokens of a TemplateProcessing step, wrapped around what `frame` already has.
void AddTemplate(const JsonStep& step, int64_t highest_id, Frame& frame) {
  const SortedJson& pieces = RequireKey(*step.json, "single", step.where);
  const SortedJson& special = RequireKey(*step.json, "special_tokens", step.where);
  Frame added;
  int sequences = 0;
  for (const SortedJson& piece : pieces) {
    if (piece.is_object() && piece.contains("Sequence")) {
      ++sequences;
      continue;
    }
    const SortedJson& token = RequireKey(piece, "SpecialToken", step.where);
    const std::string name = RequireString(token, "id", step.where);
    const SortedJson& entry = RequireKey(special, name.c_str(), step.where);
    for (const SortedJson& id : RequireKey(entry, "ids", step.where)) {
      (sequences == 0 ? added.before : added.after)
          .push_back(static_cast<int32_t>(
              RequireIntInRange(id, 0, highest_id, "the id of a token", step.where)));
    }
  }
  if (sequences != 1) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: single: expected one Sequence, found {}", step.where, sequences));
  }
  frame.before.insert(frame.before.begin(), added.before.begin(), added.before.end());
  frame.after.insert(frame.after.end(), added.after.begin(), added.after.end());
}

// BertProcessing and RobertaProcessing: one token before the text, another behind.
void AddPair(const JsonStep& step, int64_t highest_id, Frame& frame) {
  const auto id = [&](const char* key) {  // of ["</s>", 2]
    const SortedJson& pair = RequireKey(*step.json, key, step.where);
    if (!pair.is_array() || pair.size() != 2) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: {}: expected a token and its id", step.where, key));
    }
    return static_cast<int32_t>(
        RequireIntInRange(pair[1], 0, highest_id, "the id of a token", step.where));
  };
  frame.before.insert(frame.before.begin(), id("cls"));
  frame.after.push_back(id("sep"));
}

class JsonTokenizer : public Tokenizer {
 public:
  JsonTokenizer(const SortedJson& file, std::unique_ptr<const TokenModel> model,
                uint64_t file_bytes, const TokenizerConfig& config, const std::string& where)
      : normalizer_(Normalizer::FromJson(file, where)),
        pre_tokenizer_(PreTokenizer::FromJson(file, where)),
        model_(std::move(model)),
        added_(file.value("added_tokens", SortedJson()), model_->vocabulary(), normalizer_,
               file_bytes, where),
        decoder_(DecoderSpec::FromJson(file, where)) {
    IndexAddedTokens(where);
    for (const JsonStep& step : FlattenSteps(file, "post_processor", "processors", where)) {
      if (step.type == "TemplateProcessing") {
        AddTemplate(step, vocab_size() - 1, frame_);
      } else if (step.type == "BertProcessing" || step.type == "RobertaProcessing") {
        AddPair(step, vocab_size() - 1, frame_);
      } else if (step.type != "ByteLevel") {  // ByteLevel only concerns offsets
        FailUnsupported(step);
      }
    }
    bos_id_ = FindSpecial(config.bos_token, {"<s>", "<|begin_of_text|>", "<bos>"});
    eos_id_ = FindSpecial(config.eos_token, {"</s>", "<|end_of_text|>", "<|endoftext|>"});
  }

  std::vector<int32_t> Encode(std::string_view text, bool add_special) const override {
    const std::string valid = ReplaceInvalidUtf8(text);
    std::vector<int32_t> ids;
    if (add_special) ids = frame_.before;
    WordCache cache;
    const auto on_token = [&](int32_t id) { ids.push_back(id); };
    const auto on_word = [&](const TextPiece& word) { model_->Encode(word.text, cache, ids); };
    const auto on_raw_text = [&](std::string_view part, size_t offset) {
      const auto on_text = [&](std::string_view stretch, size_t offset_in_part) {
        pre_tokenizer_.Split({stretch, offset == 0 && offset_in_part == 0}, std::ref(on_word));
      };
      added_.SplitNormalized(normalizer_.Normalize(part), on_text, on_token);
    };
    added_.SplitRaw(valid, on_raw_text, on_token);
    if (add_special) ids.insert(ids.end(), frame_.after.begin(), frame_.after.end());
    return ids;
  }

  std::unique_ptr<TokenDecoder> NewDecoder(bool skip_special) const override;

  int64_t vocab_size() const override {
    return std::max(model_->vocabulary().size(), added_index_.size());
  }
  std::optional<int32_t> TokenToId(std::string_view token) const override {
    const auto added = added_index_.Find(token);
    return added ? added : model_->vocabulary().Find(token);
  }
  std::string IdToToken(int32_t id) const override {
    const std::string* text = Text(id);
    return text == nullptr ? std::string() : *text;
  }
  std::optional<int32_t> bos_id() const override { return bos_id_; }
  std::optional<int32_t> eos_id() const override { return eos_id_; }

  const std::string* Text(int32_t id) const {  // nullptr if there is no such id
    const std::string* added = added_index_.Text(id);
    return added != nullptr ? added : model_->vocabulary().Text(id);
  }
  bool IsSpecial(int32_t id) const { return special_ids_.contains(id); }
  const DecoderSpec& decoder() const { return decoder_; }

 private:
  void IndexAddedTokens(const std::string& where) {
    for (const AddedToken& token : added_.tokens()) {
      if (token.special) special_ids_.insert(token.id);
      if (!added_index_.Add(token.content, token.id) &&
          added_index_.Find(token.content) != token.id) {
        throw Error(ErrorCode::kGeneral,
                    fmt::format("{}: added_tokens: expected one id for each token, found \"{}\" "
                                "and another for {}",
                                where, token.content, token.id));
      }
    }
  }

  // The configured token, or the first of the usual names that is a special token here.
  std::optional<int32_t> FindSpecial(const std::string& configured,
                                     std::initializer_list<const char*> usual) const {
    if (!configured.empty()) return TokenToId(configured);
    for (const char* name : usual) {
      const auto id = TokenToId(name);
      if (id && IsSpecial(*id)) return id;
    }
    return std::nullopt;
  }

  const Normalizer normalizer_;
  const PreTokenizer pre_tokenizer_;
  const std::unique_ptr<const TokenModel> model_;
  const AddedTokens added_;
  const DecoderSpec decoder_;
  Vocabulary added_index_;
  std::unordered_set<int32_t> special_ids_;
  Frame frame_;
  std::optional<int32_t> bos_id_;
  std::optional<int32_t> eos_id_;
};

class JsonTokenDecoder : public TokenDecoder {
 public:
  JsonTokenDecoder(const JsonTokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer),
        skip_special_(skip_special),
        chain_(tokenizer.decoder().NewChain()) {}

  std::string Push(int32_t id) override {
    const std::string* text = tokenizer_.Text(id);
    if (text == nullptr || (skip_special_ && tokenizer_.IsSpecial(id))) return "";
    chain_.PushToken(*text);
    return chain_.TakeOutput();
  }
  std::string Flush() override {
    chain_.Flush();
    return chain_.TakeOutput();
  }

 private:
  const JsonTokenizer& tokenizer_;
  const bool skip_special_;
  DecoderChain chain_;
};

std::unique_ptr<TokenDecoder> JsonTokenizer::NewDecoder(bool skip_special) const {
  return std::make_unique<JsonTokenDecoder>(*this, skip_special);
}

// merges.txt: "a b" lines, the first perhaps "#version: ..".
SortedJson ListMerges(std::string_view text) {
  SortedJson merges = SortedJson::array();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool version = at == 0 && line.starts_with("#version");
    if (!line.empty() && !version) merges.push_back(std::string(line));
    at = end + 1;
  }
  return merges;
}

}  // namespace

std::unique_ptr<Tokenizer> MakeTokenizer(const SortedJson& file,
                                         std::unique_ptr<const TokenModel> model,
                                         uint64_t file_bytes, const TokenizerConfig& config,
                                         const std::string& where) {
  return std::make_unique<JsonTokenizer>(file, std::move(model), file_bytes, config, where);
}

std::unique_ptr<Tokenizer> ReadJsonTokenizer(std::string_view text, const TokenizerConfig& config,
                                             const std::string& where) {
  const SortedJson file = ParseSortedJson(text, where);
  if (!file.is_object()) throw Error(ErrorCode::kGeneral, where + ": expected an object");
  auto model = ReadTokenModel(RequireKey(file, "model", where), text.size(), where);
  return MakeTokenizer(file, std::move(model), text.size(), config, where);
}

SortedJson BeginTemplate(const TokenizerConfig& config) {
  for (const SortedJson& token : config.added_tokens) {
    if (config.bos_token.empty() || token.value("content", SortedJson()) != config.bos_token) {
      continue;
    }
    const SortedJson special = {{"ids", {token["id"]}}};
    return {
        {"type", "TemplateProcessing"},
        {"single", {{{"SpecialToken", {{"id", config.bos_token}}}}, {{"Sequence", {{"id", "A"}}}}}},
        {"special_tokens", {{config.bos_token, special}}}};
  }
  return {};
}

SortedJson Gpt2TokenizerJson(std::string_view vocab_json, std::string_view merges_txt,
                             const TokenizerConfig& config, const std::string& where) {
  if (!config.tokenizer_class.empty() && !config.tokenizer_class.starts_with("GPT2Tokenizer")) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: vocab.json and merges.txt do not say how {} cuts text into words",
                            where, config.tokenizer_class),
                "Add the model's tokenizer.json");
  }
  SortedJson file;
  file["model"]["vocab"] = ParseSortedJson(vocab_json, where + ": vocab.json");
  file["model"]["merges"] = ListMerges(merges_txt);
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  file["decoder"] = {{"type", "ByteLevel"}};
  TokenizerConfig complete = config;
  const SortedJson& vocab = file["model"]["vocab"];
  if (config.added_tokens.empty() && vocab.is_object()) {
    std::vector<std::string> specials = config.special_tokens;
    if (specials.empty()) specials.push_back("<|endoftext|>");
    for (const std::string& special : specials) {
      if (!vocab.contains(special)) continue;
      complete.added_tokens.push_back(
          {{"id", vocab[special]}, {"content", special}, {"special", true}});
    }
  }
  file["added_tokens"] = complete.added_tokens;
  if (config.add_bos_token.value_or(false)) file["post_processor"] = BeginTemplate(complete);
  return file;
}

std::unique_ptr<Tokenizer> ReadGpt2Tokenizer(std::string_view vocab_json,
                                             std::string_view merges_txt,
                                             const TokenizerConfig& config,
                                             const std::string& where) {
  const SortedJson file = Gpt2TokenizerJson(vocab_json, merges_txt, config, where);
  TokenizerConfig with_names = config;
  if (with_names.bos_token.empty()) with_names.bos_token = "<|endoftext|>";
  if (with_names.eos_token.empty()) with_names.eos_token = "<|endoftext|>";
  auto model = ReadTokenModel(RequireKey(file, "model", where), vocab_json.size(), where);
  return MakeTokenizer(file, std::move(model), vocab_json.size(), with_names, where);
}

}  // namespace llmq
