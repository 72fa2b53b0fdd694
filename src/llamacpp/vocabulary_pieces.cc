#include "llamacpp/vocabulary_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "llmq/error.h"
#include "text/json_steps.h"
#include "text/tokenizer_config.h"
#include "text/vocabulary.h"

namespace llmq {
namespace {

// What llama.cpp's converter writes; no merge depends on them.
constexpr float kPaddingScore = -10000;
constexpr float kAddedScore = -1000;

// Some files do not mark all control tokens as such; the same names as in llama.cpp's converter.
bool LooksSpecial(std::string_view text) {
  for (const char* known : {"<pad>", "<mask>", "<2mass>", "[@BOS@]"}) {
    if (text == known) return true;
  }
  return (text.starts_with("<|") && text.ends_with("|>")) ||
         (text.starts_with("<\uFF5C") && text.ends_with("\uFF5C>")) ||
         (text.starts_with("<unused") && text.ends_with(">"));
}

class PieceTable {
 public:
  PieceTable(int64_t vocab_size, const std::string& where) : where_(where) {
    pieces_.resize(static_cast<size_t>(vocab_size), {"", kPaddingScore, PieceType::kUnused});
  }

  // A token that the model itself has.
  void Add(int64_t id, SentencePiece piece) {
    if (id < 0 || id >= static_cast<int64_t>(pieces_.size())) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected ids below the vocab_size of config.json, {}, found {} "
                              "for \"{}\"",
                              where_, pieces_.size(), id, piece.text.substr(0, 60)));
    }
    // llama.cpp reads a text up to a zero byte, and never makes an empty token: stays padding.
    if (piece.text.empty() || piece.text.find('\0') != std::string::npos) return;
    if (!ids_.try_emplace(piece.text, id).second) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected each token once, found \"{}\" twice", where_,
                              piece.text.substr(0, 60)));
    }
    pieces_[static_cast<size_t>(id)] = std::move(piece);
  }

  // `spaces`: U+2581 in this vocabulary stands for a space.
  void AddListed(const ListedToken& token, bool spaces) {
    const auto known = ids_.find(token.text);
    const int64_t id = known == ids_.end() ? token.id : known->second;
    if (token.text.empty()) return;
    if (id < 0 || id >= static_cast<int64_t>(pieces_.size())) {
      LogVerbose(
          fmt::format("{}: added token \"{}\" has id {}, which the model's {} embeddings do "
                      "not cover: left out",
                      where_, token.text.substr(0, 60), id, pieces_.size()));
      return;
    }
    SentencePiece& piece = pieces_[static_cast<size_t>(id)];
    const bool control = token.special || LooksSpecial(token.text);
    const PieceType type = control ? PieceType::kControl : PieceType::kUserDefined;
    const bool settled =
        piece.type == type || piece.type == PieceType::kUnknown || piece.type == PieceType::kByte;
    if (settled && piece.text == token.text) return;
    ids_.erase(piece.text);
    const bool plain = control || !spaces || !token.normalized;
    piece = {plain ? token.text : PlainSpaces(token.text), spaces ? kAddedScore : 0, type};
    if (!ids_.try_emplace(piece.text, id).second) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: added tokens: expected each text once, found \"{}\" twice",
                              where_, piece.text.substr(0, 60)));
    }
  }

  // What is left becomes padding; every text is there once, or llama.cpp would abort.
  VocabularyPieces Finish() {
    for (size_t id = 0; id < pieces_.size(); ++id) {
      std::string& text = pieces_[id].text;
      if (!text.empty()) continue;
      text = fmt::format("[PAD{}]", id);
      while (ids_.contains(text)) text += '_';
      ids_.emplace(text, static_cast<int64_t>(id));
    }
    return std::move(pieces_);
  }

 private:
  const std::string& where_;
  VocabularyPieces pieces_;
  std::unordered_map<std::string, int64_t> ids_;
};

// The tokens of "model", without those that are added anyway; `make(text, id)` gives a piece.
template <typename MakePiece>
void AddVocabulary(const SortedJson& model, const std::vector<ListedToken>& listed,
                   int64_t vocab_size, const std::string& where, PieceTable& table,
                   const MakePiece& make) {
  const SortedJson& vocabulary = RequireKey(model, "vocab", where);
  for (const auto& [text, id] : vocabulary.items()) {
    const int64_t number = RequireIntInRange(id, 0, INT32_MAX, "an id", where + ": vocab");
    const bool beyond = number >= vocab_size;
    if (beyond && std::any_of(listed.begin(), listed.end(),
                              [&](const ListedToken& token) { return token.text == text; })) {
      continue;
    }
    table.Add(number, make(text));
  }
}

}  // namespace

std::vector<ListedToken> ReadListedTokens(const ModelFiles& files, const SortedJson& tokenizer_json,
                                          const std::string& where) {
  std::map<int64_t, ListedToken> by_id;
  const auto add = [&](const SortedJson& list, const std::string& inside) {
    for (const SortedJson& json : list) {
      const bool special = GetBool(json, "special", false, inside);
      ListedToken token{GetInt(json, "id", -1, inside), RequireString(json, "content", inside),
                        special, GetBool(json, "normalized", !special, inside)};
      by_id.insert_or_assign(token.id, std::move(token));
    }
  };
  if (const auto file = files.find("added_tokens.json"); file != files.end()) {
    const std::string inside = where + ": added_tokens.json";
    SortedJson list = SortedJson::array();
    const SortedJson ids = ParseSortedJson(file->second, inside);
    for (const auto& [text, id] : ids.items()) {
      list.push_back({{"id", id}, {"content", text}});
    }
    add(list, inside);
  }
  add(TokenizerConfig::FromFiles(files, where).added_tokens, where + ": tokenizer_config.json");
  if (tokenizer_json.contains("added_tokens")) {
    add(tokenizer_json["added_tokens"], where + ": tokenizer.json: added_tokens");
  }
  std::vector<ListedToken> tokens;
  for (auto& [id, token] : by_id) tokens.push_back(std::move(token));
  return tokens;
}

VocabularyPieces PiecesOfModel(const SentencePieceModel& model,
                               const std::vector<ListedToken>& listed, int64_t vocab_size,
                               const std::string& where) {
  PieceTable table(vocab_size, where);
  for (size_t id = 0; id < model.pieces.size(); ++id) {
    SentencePiece piece = model.pieces[id];
    if (piece.type == PieceType::kUserDefined) piece.text = PlainSpaces(piece.text);
    table.Add(static_cast<int64_t>(id), std::move(piece));
  }
  for (const ListedToken& token : listed) table.AddListed(token, /*spaces=*/true);
  return table.Finish();
}

VocabularyPieces PiecesOfMerges(const SortedJson& file, const std::vector<ListedToken>& listed,
                                int64_t vocab_size, const std::string& where) {
  const std::string inside = where + ": model";
  const SortedJson& model = RequireKey(file, "model", where);
  std::unordered_map<std::string, float>
      scores;  // of tokens that merges make; the best rank counts
  const SortedJson& merges = RequireKey(model, "merges", inside);
  for (const SortedJson& merge : merges) {
    const auto [left, right] = MergeHalves(merge, inside + ": merges");
    scores.try_emplace(left + right, -static_cast<float>(scores.size()));
  }
  const float unmerged = -static_cast<float>(scores.size());
  const std::string unknown = GetString(model, "unk_token", "", inside);
  PieceTable table(vocab_size, where);
  AddVocabulary(model, listed, vocab_size, inside, table, [&](const std::string& text) {
    if (text == unknown) return SentencePiece{text, 0, PieceType::kUnknown};
    if (ParseByteToken(text)) return SentencePiece{text, 0, PieceType::kByte};
    const auto score = scores.find(text);
    return SentencePiece{text, score == scores.end() ? unmerged : score->second};
  });
  for (const ListedToken& token : listed) table.AddListed(token, /*spaces=*/true);
  return table.Finish();
}

VocabularyPieces PiecesOfByteLevel(const SortedJson& file, const std::vector<ListedToken>& listed,
                                   int64_t vocab_size, const std::string& where) {
  PieceTable table(vocab_size, where);
  AddVocabulary(RequireKey(file, "model", where), listed, vocab_size, where + ": model", table,
                [](const std::string& text) { return SentencePiece{text}; });
  for (const ListedToken& token : listed) table.AddListed(token, /*spaces=*/false);
  return table.Finish();
}

std::pair<std::string, std::string> MergeHalves(const SortedJson& merge, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  }
  const std::string text = merge.is_string() ? merge.get<std::string>() : "";
  const size_t space = text.find(' ');
  if (space == std::string::npos) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected two tokens, found {}", where,
                                                 DumpJson(merge).substr(0, 60)));
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

}  // namespace llmq
