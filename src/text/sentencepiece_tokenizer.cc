#include "text/sentencepiece_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <unordered_map>
#include <utility>

#include "llmq/error.h"
#include "text/bpe_merge.h"
#include "text/prefix_matcher.h"
#include "text/sentencepiece_decoder.h"
#include "text/sentencepiece_model.h"
#include "text/sentencepiece_normalizer.h"
#include "text/unigram_path.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace llmq {
namespace {

constexpr int32_t kNoPiece = -1;

class SentencePieceTokenizer : public Tokenizer {
 public:
  // `added`: pieces that are sought in the raw text, whatever their type.
  SentencePieceTokenizer(SentencePieceModel model, const std::vector<int32_t>& added,
                         const TokenizerConfig& config, std::string where)
      : where_(std::move(where)),
        model_(std::move(model)),
        normalizer_(model_, user_defined_, where_) {
    IndexPieces();
    for (const int32_t id : added)
      special_.Add(model_.pieces[static_cast<size_t>(id)].text, id, where_);
    IsUnigram() ? IndexScores() : RankScores();
    byte_ids_ = vocabulary_.ByteTokens();
    for (size_t byte = 0; model_.byte_fallback && byte < 256; ++byte) {
      if (byte_ids_[byte] < 0 || TypeOf(byte_ids_[byte]) != PieceType::kByte) {
        throw Error(
            ErrorCode::kGeneral,
            fmt::format("{}: expected a piece for each byte, found none for {}", where_, byte));
      }
    }
    const auto space = FindMergeable(kVisibleSpace);
    words_are_independent_ = words_are_independent_ && space != kNoPiece;
    bos_id_ = FindControl(config.bos_token, model_.bos_piece);
    eos_id_ = FindControl(config.eos_token, model_.eos_piece);
    add_bos_ = config.add_bos_token.value_or(true);
    add_eos_ = config.add_eos_token;
  }

  std::vector<int32_t> Encode(std::string_view text, bool add_special) const override {
    const std::string valid = ReplaceInvalidUtf8(text);
    std::vector<int32_t> ids;
    if (add_special && add_bos_ && bos_id_) ids.push_back(*bos_id_);
    WordCache cache;
    size_t done = 0;
    for (size_t at = 0; !special_.empty() && at < valid.size();) {
      const auto match = special_.Longest(valid, at);
      if (!match) {
        ++at;
        continue;
      }
      EncodeText(std::string_view(valid).substr(done, at - done), cache, ids);
      ids.push_back(match->id);
      done = at += match->length;
    }
    EncodeText(std::string_view(valid).substr(done), cache, ids);
    if (add_special && add_eos_ && eos_id_) ids.push_back(*eos_id_);
    return ids;
  }

  std::unique_ptr<TokenDecoder> NewDecoder(bool skip_special) const override {
    return NewSentencePieceDecoder(model_, skip_special);
  }

  int64_t vocab_size() const override { return vocabulary_.size(); }
  std::optional<int32_t> TokenToId(std::string_view token) const override {
    return vocabulary_.Find(token);
  }
  std::string IdToToken(int32_t id) const override {
    const std::string* text = vocabulary_.Text(id);
    return text == nullptr ? std::string() : *text;
  }
  std::optional<int32_t> bos_id() const override { return bos_id_; }
  std::optional<int32_t> eos_id() const override { return eos_id_; }

 private:
  PieceType TypeOf(int32_t id) const { return model_.pieces[static_cast<size_t>(id)].type; }

  void IndexPieces() {
    for (size_t i = 0; i < model_.pieces.size(); ++i) {
      const SentencePiece& piece = model_.pieces[i];
      const auto id = static_cast<int32_t>(i);
      if (!vocabulary_.Add(piece.text, id)) {
        throw Error(ErrorCode::kGeneral,
                    fmt::format("{}: piece {}: expected a new text, found \"{}\" again", where_, i,
                                piece.text.substr(0, 60)));
      }
      if (piece.type == PieceType::kUserDefined) user_defined_.Add(piece.text, id, where_);
      if (piece.type == PieceType::kUnknown) unknown_id_ = id;
      if (piece.type == PieceType::kControl || piece.type == PieceType::kUnknown) {
        special_.Add(piece.text, id, where_);
      }
      if (piece.type == PieceType::kByte && !ParseByteToken(piece.text)) {
        throw Error(ErrorCode::kGeneral,
                    fmt::format("{}: piece {}: expected a byte like <0x0A>, found \"{}\"", where_,
                                i, piece.text.substr(0, 60)));
      }
      if (IsMergeable(piece.type) && CrossesWordBorder(piece.text)) words_are_independent_ = false;
    }
    if (unknown_id_ == kNoPiece && !model_.byte_fallback) {  // bytes leave nothing unknown
      throw Error(ErrorCode::kGeneral, where_ + ": expected a piece for the unknown, found none");
    }
  }

  bool IsUnigram() const { return model_.model_type == kUnigramModelType; }

  // For unigram models: pieces by their beginnings, and the range of the normal ones' scores.
  void IndexScores() {
    bool first = true;
    for (size_t i = 0; i < model_.pieces.size(); ++i) {
      const SentencePiece& piece = model_.pieces[i];
      const bool normal = piece.type == PieceType::kNormal;
      if (normal || piece.type == PieceType::kUserDefined) {
        pieces_.Add(piece.text, static_cast<int32_t>(i), where_);
      }
      if (!normal) continue;
      min_score_ = first ? piece.score : std::min(min_score_, piece.score);
      max_score_ = first ? piece.score : std::max(max_score_, piece.score);
      first = false;
    }
  }

  // For BPE models: scores: the highest score is 0.
  void RankScores() {
    std::vector<float> scores;  // falling, each once
    for (const SentencePiece& piece : model_.pieces) scores.push_back(piece.score);
    std::sort(scores.begin(), scores.end(), std::greater<>());
    scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
    for (const SentencePiece& piece : model_.pieces) {
      const auto it = std::lower_bound(scores.begin(), scores.end(), piece.score, std::greater<>());
      priorities_.push_back(static_cast<uint32_t>(it - scores.begin()));
    }
  }

  static bool IsMergeable(PieceType type) {
    return type == PieceType::kNormal || type == PieceType::kUserDefined ||
           type == PieceType::kUnused;
  }
  int32_t FindMergeable(std::string_view text) const {
    const auto id = vocabulary_.Find(text);
    return id && IsMergeable(TypeOf(*id)) ? *id : kNoPiece;
  }

  std::optional<int32_t> FindControl(const std::string& configured,
                                     const std::string& piece) const {
    if (!configured.empty()) return vocabulary_.Find(configured);
    const auto id = vocabulary_.Find(piece);
    return id && TypeOf(*id) == PieceType::kControl ? id : std::nullopt;
  }

  void EncodeText(std::string_view text, WordCache& cache, std::vector<int32_t>& ids) const {
    if (text.empty()) return;
    const std::string normalized = normalizer_.Normalize(text);
    const std::string_view all = normalized;
    if (IsUnigram()) return EncodeUnigram(all, ids);
    for (size_t begin = 0; begin < all.size();) {
      const size_t end = words_are_independent_ ? WordEnd(all, begin) : all.size();
      const std::string_view word = all.substr(begin, end - begin);
      begin = end;
      if (const std::vector<int32_t>* known = cache.Find(word)) {
        ids.insert(ids.end(), known->begin(), known->end());
        continue;
      }
      const size_t before = ids.size();
      EncodeWord(word, ids);
      cache.Add(word, ids.data() + before, ids.size() - before);
    }
  }

  void EncodeWord(std::string_view word, std::vector<int32_t>& ids) const;
  void EncodeUnigram(std::string_view text, std::vector<int32_t>& ids) const;
  std::vector<BpeSymbol> SplitCharacters(std::string_view word) const;
  void AppendPiece(std::string_view text, int32_t id, bool after_unknown,
                   std::vector<int32_t>& ids) const;

  const std::string where_;
  const SentencePieceModel model_;
  PrefixMatcher special_;
  PrefixMatcher user_defined_;
  const SentencePieceNormalizer normalizer_;
  Vocabulary vocabulary_;
  std::vector<uint32_t> priorities_;  // [vocabulary], BPE
  PrefixMatcher pieces_;              // unigram: normal and user-defined pieces
  float min_score_ = 0;
  float max_score_ = 0;
  std::vector<int32_t> byte_ids_;  // [256]
  int32_t unknown_id_ = kNoPiece;
  bool words_are_independent_ = true;  // no piece crosses from a word into the next word's U+2581
  std::optional<int32_t> bos_id_;
  std::optional<int32_t> eos_id_;
  bool add_bos_;
  bool add_eos_;
};

// Symbols know their piece, kNoPiece if the character is none.
std::vector<BpeSymbol> SentencePieceTokenizer::SplitCharacters(std::string_view word) const {
  if (word.size() > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a text below 2 GiB, found {} bytes", where_, word.size()),
                "Cut the text into documents");
  }
  std::vector<BpeSymbol> symbols;
  for (size_t at = 0; at < word.size();) {
    const auto match = user_defined_.Longest(word, at);
    const size_t length = match ? match->length : Utf8Length(word[at]);
    const int32_t id = match ? match->id : FindMergeable(word.substr(at, length));
    symbols.push_back({id, static_cast<uint32_t>(at), static_cast<uint32_t>(length)});
    at += length;
  }
  return symbols;
}

void SentencePieceTokenizer::EncodeWord(std::string_view word, std::vector<int32_t>& ids) const {
  std::vector<BpeSymbol> symbols = SplitCharacters(word);
  std::vector<bool> frozen(symbols.size(), false);  // user-defined pieces take part in no merge
  for (size_t i = 0; i < symbols.size(); ++i) {
    frozen[i] = user_defined_.Longest(word, symbols[i].begin).has_value();
  }
  // Unused pieces serve as steps to longer ones; those left at the end come apart again, as the
  // last merge that was considered for them says.
  std::unordered_map<std::string_view, size_t> halves;  // text of the piece -> bytes of its left
  MergeSymbols(symbols, [&](const BpeSymbol& left, const BpeSymbol& right) {
    const bool fixed = frozen[static_cast<size_t>(&left - symbols.data())] ||
                       frozen[static_cast<size_t>(&right - symbols.data())];
    const std::string_view joined = word.substr(left.begin, left.length + right.length);
    const int32_t id = fixed ? kNoPiece : FindMergeable(joined);
    if (id == kNoPiece) return std::optional<BpeRule>();
    if (TypeOf(id) == PieceType::kUnused) halves[joined] = left.length;
    return std::optional<BpeRule>(BpeRule{priorities_[static_cast<size_t>(id)], id});
  });
  bool after_unknown = false;
  std::vector<std::string_view> parts;  // a stack, the next part last
  for (const BpeSymbol& symbol : symbols) {
    if (symbol.length == 0) continue;
    parts.push_back(word.substr(symbol.begin, symbol.length));
    while (!parts.empty()) {
      const std::string_view part = parts.back();
      parts.pop_back();
      const int32_t id = FindMergeable(part);
      const auto it =
          id != kNoPiece && TypeOf(id) == PieceType::kUnused ? halves.find(part) : halves.end();
      if (it != halves.end()) {
        parts.push_back(part.substr(it->second));
        parts.push_back(part.substr(0, it->second));
        continue;
      }
      AppendPiece(part, id, after_unknown, ids);
      after_unknown = id == kNoPiece;
    }
  }
}

// The text at once, not word by word: sums in float depend on what is before.
void SentencePieceTokenizer::EncodeUnigram(std::string_view text, std::vector<int32_t>& ids) const {
  const auto score = [&](int32_t id, size_t length) -> double {
    const SentencePiece& piece = model_.pieces[static_cast<size_t>(id)];
    if (piece.type != PieceType::kUserDefined) return piece.score;
    return static_cast<float>(length) * max_score_ - 0.1;  // likelier than anything of its length
  };
  const auto unknown_score = static_cast<float>(min_score_ - kUnknownPenalty);
  const auto path = LikeliestPath(text, unknown_score, [&](size_t at, const auto& visit) {
    pieces_.ForEach(text, at,
                    [&](int32_t id, size_t length) { visit(id, length, score(id, length)); });
  });
  bool after_unknown = false;
  for (const PathPiece& piece : path) {
    AppendPiece(text.substr(piece.begin, piece.length), piece.id, after_unknown, ids);
    after_unknown = piece.id == kUnknownPiece;
  }
}

void SentencePieceTokenizer::AppendPiece(std::string_view text, int32_t id, bool after_unknown,
                                         std::vector<int32_t>& ids) const {
  if (id != kNoPiece) {
    ids.push_back(id);
  } else if (model_.byte_fallback) {
    for (const char byte : text) ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
  } else if (!after_unknown) {  // a run of unknown characters is one unknown piece
    ids.push_back(unknown_id_);
  }
}

// Takes the added tokens of tokenizer_config.json into `model`; returns their ids. A text that is a
// piece keeps its id, others stand at their id or become the next piece.
std::vector<int32_t> AddTokens(const SortedJson& list, SentencePieceModel& model,
                               const std::string& where) {
  std::map<int64_t, const SortedJson*> by_id;
  for (const SortedJson& token : list) by_id[GetInt(token, "id", -1, where)] = &token;
  std::unordered_map<std::string, size_t> known;
  for (size_t i = 0; i < model.pieces.size(); ++i) known.try_emplace(model.pieces[i].text, i);
  std::vector<int32_t> added;
  for (const auto& [listed_id, token] : by_id) {
    const std::string text = GetString(*token, "content", "", where);
    if (text.empty()) continue;
    const auto it = known.find(text);
    const auto id = it == known.end() ? static_cast<uint64_t>(listed_id) : it->second;
    if (id > model.pieces.size()) {
      throw Error(
          ErrorCode::kGeneral,
          fmt::format("{}: added_tokens_decoder: expected ids up to {}, found {} for \"{}\"", where,
                      model.pieces.size(), listed_id, text.substr(0, 60)));
    }
    const bool special = GetBool(*token, "special", false, where);
    if (id == model.pieces.size()) {
      model.pieces.push_back({text, 0, special ? PieceType::kControl : PieceType::kUserDefined});
    }
    SentencePiece& piece = model.pieces[id];
    if (piece.type == PieceType::kByte) continue;
    piece.text = text;
    if (special && piece.type != PieceType::kUnknown) piece.type = PieceType::kControl;
    known[text] = id;
    added.push_back(static_cast<int32_t>(id));
  }
  return added;
}

}  // namespace

std::unique_ptr<Tokenizer> ReadSentencePieceTokenizer(std::string_view bytes,
                                                      const TokenizerConfig& config,
                                                      const std::string& where) {
  SentencePieceModel model = SentencePieceModel::Parse(bytes, where);
  const std::vector<int32_t> added = AddTokens(config.added_tokens, model, where);
  return std::make_unique<SentencePieceTokenizer>(std::move(model), added, config, where);
}

}  // namespace llmq
