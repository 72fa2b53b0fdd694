#include "llamacpp/tokenizer_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "base/json.h"
#include "base/log.h"
#include "llamacpp/chat_template_keys.h"
#include "llamacpp/pre_tokenizer_digests.h"
#include "llamacpp/pre_tokenizer_name.h"
#include "llamacpp/special_token_keys.h"
#include "llamacpp/tokenizer_reader.h"
#include "llamacpp/vocabulary_pieces.h"
#include "llmq/error.h"
#include "llmq/tokenizer.h"
#include "text/builtin_text.h"
#include "text/json_steps.h"
#include "text/json_tokenizer.h"
#include "text/sentencepiece_model.h"
#include "text/tiktoken.h"
#include "text/vocabulary.h"

namespace llmq {
namespace {

[[noreturn]] void FailConversion(const std::string& message) {
  throw Error(ErrorCode::kUnsupportedConversion, message,
              "llama.cpp could not tokenize as this model needs");
}

// The tokenizer.json, or the one that GPT-2's older files stand for; null if there is neither.
SortedJson ReadTokenizerJson(const ModelFiles& files, const std::string& where) {
  if (const auto file = files.find("tokenizer.json"); file != files.end()) {
    return ParseSortedJson(file->second, where + ": tokenizer.json");
  }
  const auto vocab = files.find("vocab.json");
  const auto merges = files.find("merges.txt");
  if (files.contains("tokenizer.model") || vocab == files.end() || merges == files.end()) return {};
  return Gpt2TokenizerJson(vocab->second, merges->second, TokenizerConfig::FromFiles(files, where),
                           where);
}

bool IsByteLevel(const SortedJson& file, const std::string& where) {
  const auto steps = FlattenSteps(file, "pre_tokenizer", "pretokenizers", where);
  return std::any_of(steps.begin(), steps.end(),
                     [](const JsonStep& step) { return step.type == "ByteLevel"; });
}

bool HasByteFallback(const SortedJson& file, const std::string& where) {
  return !file.is_null() &&
         GetBool(RequireKey(file, "model", where), "byte_fallback", false, where + ": model");
}

// Where the steps of a tokenizer.json do what SentencePiece does to spaces, whether they also put
// one before a text.
bool AddsSpacePrefix(const SortedJson& file, const std::string& where) {
  bool prefix = false;
  bool escaped = false;
  for (const JsonStep& step : FlattenSteps(file, "normalizer", "normalizers", where)) {
    const SortedJson& json = *step.json;
    const bool visible = GetString(json, step.type == "Prepend" ? "prepend" : "content", "",
                                   step.where) == kVisibleSpace;
    if (step.type == "Prepend" && visible && !escaped) {
      prefix = true;
    } else if (step.type == "Replace" && visible &&
               json.value("pattern", SortedJson()) == SortedJson{{"String", " "}}) {
      escaped = true;
    } else {
      FailConversion(fmt::format("{}: expected only visible spaces", step.where));
    }
  }
  for (const JsonStep& step : FlattenSteps(file, "pre_tokenizer", "pretokenizers", where)) {
    const SortedJson& json = *step.json;
    if (step.type != "Metaspace" || escaped ||
        GetString(json, "replacement", "\u2581", step.where) != kVisibleSpace) {
      FailConversion(fmt::format("{}: expected a step that only makes spaces visible", step.where));
    }
    const bool always = GetBool(json, "add_prefix_space", true, step.where);
    prefix = GetString(json, "prepend_scheme", always ? "always" : "never", step.where) != "never";
    escaped = true;
  }
  if (!escaped) FailConversion(where + ": expected a step that makes spaces visible, found none");
  return prefix;
}

// Only byte-pair encoding whose words are not marked at begin or end can be written.
void RequirePlainBpe(const SortedJson& file, const std::string& where) {
  const std::string inside = where + ": model";
  const SortedJson& model = RequireKey(file, "model", where);
  const std::string type = GetString(model, "type", "BPE", inside);
  if (type != "BPE") FailConversion(fmt::format("{}: expected type BPE, found {}", inside, type));
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!GetString(model, key, "", inside).empty()) {
      FailConversion(fmt::format("{}: expected no {}, found one", inside, key));
    }
  }
}

void AppendPieces(const VocabularyPieces& pieces, bool with_scores, std::vector<GgufKey>& keys) {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const SentencePiece& piece : pieces) {
    texts.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  keys.push_back({"tokenizer.ggml.tokens", std::move(texts)});
  if (with_scores) keys.push_back({"tokenizer.ggml.scores", std::move(scores)});
  keys.push_back({"tokenizer.ggml.token_type", std::move(types)});
}

// Keys of model "llama", which needs a token for every byte.
std::vector<GgufKey> ScoreKeys(const VocabularyPieces& pieces, bool space_prefix,
                               const std::string& where) {
  const auto bytes = std::count_if(pieces.begin(), pieces.end(), [](const SentencePiece& piece) {
    return piece.type == PieceType::kByte;
  });
  if (bytes != 256) {
    FailConversion(
        fmt::format("{}: expected a token for each of 256 bytes, found {}", where, bytes));
  }
  std::vector<GgufKey> keys = {{"tokenizer.ggml.model", std::string("llama")},
                               {"tokenizer.ggml.pre", std::string("default")}};
  AppendPieces(pieces, /*with_scores=*/true, keys);
  keys.push_back({"tokenizer.ggml.add_space_prefix", space_prefix});
  return keys;
}

// A part of a merge has no space in a GGUF file: it is written as U+0120.
std::string WithoutSpaces(const std::string& part) {
  std::string out;
  for (const char c : part) c == ' ' ? out += "\u0120" : out += c;
  return out;
}

// Keys of model "gpt2".
std::vector<GgufKey> MergeKeys(const SortedJson& file, const VocabularyPieces& pieces,
                               const std::string& pre_tokenizer, const std::string& where) {
  for (const JsonStep& step : FlattenSteps(file, "normalizer", "normalizers", where)) {
    if (step.type != "NFC") {
      FailConversion(fmt::format("{}: expected no normalizer but NFC", step.where));
    }
  }
  std::vector<GgufKey> keys = {{"tokenizer.ggml.model", std::string("gpt2")},
                               {"tokenizer.ggml.pre", pre_tokenizer}};
  AppendPieces(pieces, /*with_scores=*/false, keys);
  const std::string inside = where + ": model: merges";
  std::vector<std::string> merges;
  for (const SortedJson& merge : RequireKey(RequireKey(file, "model", where), "merges", where)) {
    const auto [left, right] = MergeHalves(merge, inside);
    merges.push_back(fmt::format("{} {}", WithoutSpaces(left), WithoutSpaces(right)));
  }
  keys.push_back({"tokenizer.ggml.merges", std::move(merges)});
  return keys;
}

// Scores can say less than ranks of pairs: the ids of sample texts must stay.
void CheckScores(const std::vector<GgufKey>& keys, const Tokenizer& tokenizer,
                 const std::string& where) {
  const auto again = Tokenizer::FromFiles(TokenizerFilesFromKeys(keys, where), where);
  for (const std::string_view text : {PreTokenizerCheckText(), BuiltInHeldOutFile()}) {
    if (tokenizer.Encode(text, true) != again->Encode(text, true)) {
      FailConversion(where +
                     ": tokenizer.json: expected merges that scores of tokens can stand "
                     "for, found others; a tokenizer.model would have scores");
    }
  }
}

class KeyBuilder {
 public:
  KeyBuilder(const ModelFiles& files, const ModelConfig& config, const std::string& where)
      : files_(files),
        vocab_size_(config.vocab_size),
        where_(where),
        tokenizer_(Tokenizer::FromFiles(files, where)),
        json_(ReadTokenizerJson(files, where)),
        listed_(ReadListedTokens(files, json_, where)) {}

  std::vector<GgufKey> Build(const std::string& pre_tokenizer) const {
    if (!json_.is_null()) RequirePlainBpe(json_, json_where());
    if (!json_.is_null() && IsByteLevel(json_, json_where())) return ByteLevel(pre_tokenizer);
    if (!pre_tokenizer.empty()) {
      throw Error(
          ErrorCode::kInvalidArguments,
          fmt::format("{}: a pre-tokenizer is given, \"{}\", but only byte-level tokenizers "
                      "have one",
                      where_, pre_tokenizer),
          "Leave --pre-tokenizer out");
    }
    const auto model = files_.find("tokenizer.model");
    if (model != files_.end()) return Scored(model->second);
    if (HasByteFallback(json_, json_where())) return Ranked();
    FailConversion(where_ +
                   ": expected a SentencePiece tokenizer.model or a tokenizer.json with "
                   "byte fallback or byte-level BPE, found neither");
  }

 private:
  std::string json_where() const { return where_ + ": tokenizer.json"; }

  std::vector<GgufKey> ByteLevel(const std::string& pre_tokenizer) const {
    const auto pieces = PiecesOfByteLevel(json_, listed_, vocab_size_, json_where());
    const std::string name =
        pre_tokenizer.empty() ? PreTokenizerName(json_, *tokenizer_, json_where()) : pre_tokenizer;
    return WithSpecialTokens(MergeKeys(json_, pieces, name, json_where()), pieces);
  }

  std::vector<GgufKey> Scored(const std::string& bytes) const {
    const std::string inside = where_ + ": tokenizer.model";
    if (LooksLikeTiktoken(bytes)) {
      FailConversion(inside + ": expected a SentencePiece model, found a tiktoken file");
    }
    const auto model = SentencePieceModel::Parse(bytes, inside);
    if (model.model_type != kBpeModelType) {
      FailConversion(inside + ": expected a model of type BPE, found unigram");
    }
    if (model.treat_whitespace_as_suffix) {
      FailConversion(inside + ": expected spaces before words, found them behind");
    }
    if (!model.precompiled_charsmap.empty()) {
      LogWarning(inside +
                 ": llama.cpp does not apply this model's rules for characters; texts "
                 "that they change get other ids there");
    }
    // A tokenizer.json beside it is what a model is used with, and it can differ in this.
    const bool prefix = HasByteFallback(json_, json_where()) ? AddsSpacePrefix(json_, json_where())
                                                             : model.add_dummy_prefix;
    const auto pieces = PiecesOfModel(model, listed_, vocab_size_, inside);
    return WithSpecialTokens(ScoreKeys(pieces, prefix, inside), pieces);
  }

  std::vector<GgufKey> Ranked() const {
    const bool prefix = AddsSpacePrefix(json_, json_where());
    const auto pieces = PiecesOfMerges(json_, listed_, vocab_size_, json_where());
    auto keys = WithSpecialTokens(ScoreKeys(pieces, prefix, json_where()), pieces);
    CheckScores(keys, *tokenizer_, where_);
    return keys;
  }

  std::vector<GgufKey> WithSpecialTokens(std::vector<GgufKey> keys,
                                         const VocabularyPieces& pieces) const {
    for (auto more : {SpecialTokenKeys(files_, pieces, *tokenizer_, where_),
                      ChatTemplateKeys(files_, where_)}) {
      keys.insert(keys.end(), more.begin(), more.end());
    }
    return keys;
  }

  const ModelFiles& files_;
  const int64_t vocab_size_;
  const std::string& where_;
  const std::unique_ptr<Tokenizer> tokenizer_;
  const SortedJson json_;
  const std::vector<ListedToken> listed_;
};

}  // namespace

std::vector<GgufKey> TokenizerKeys(const ModelFiles& files, const ModelConfig& config,
                                   const std::string& pre_tokenizer, const std::string& where) {
  return KeyBuilder(files, config, where).Build(pre_tokenizer);
}

}  // namespace llmq
