#include "text/unigram_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "llmq/error.h"
#include "text/json_steps.h"
#include "text/unigram_path.h"

namespace llmq {

UnigramModel::UnigramModel(const SortedJson& model, const std::string& where) : TokenModel(where) {
  const SortedJson& list = RequireKey(model, "vocab", where_);
  if (!list.is_array() || list.empty() || list.size() > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorCode::kGeneral, where_ + ": vocab: expected an array of pieces and scores");
  }
  for (const SortedJson& entry : list) {
    const auto id = static_cast<int32_t>(scores_.size());
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_number() ||
        !std::isfinite(entry[1].get<double>())) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: vocab: entry {}: expected a piece and its score, found {}",
                              where_, id, DumpJson(entry).substr(0, 60)));
    }
    const auto& text = entry[0].get_ref<const std::string&>();
    if (!vocabulary_.Add(text, id)) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: vocab: entry {}: expected a new piece, found \"{}\" again",
                              where_, id, text.substr(0, 60)));
    }
    if (!text.empty()) pieces_.Add(text, id, where_);
    scores_.push_back(entry[1].get<double>());
  }
  unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
  const auto unknown = model.find("unk_id");
  if (unknown != model.end() && !unknown->is_null()) {
    unknown_id_ = static_cast<int32_t>(RequireIntInRange(
        *unknown, 0, static_cast<int64_t>(scores_.size()) - 1, "an id", where_ + ": unk_id"));
  }
  byte_fallback_ = GetBool(model, "byte_fallback", false, where_);
  byte_tokens_ = vocabulary_.ByteTokens();
}

void UnigramModel::EncodeWord(std::string_view word, std::vector<int32_t>& ids) const {
  if (word.size() > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a text below 2 GiB, found {} bytes", where_, word.size()),
                "Cut the text into documents");
  }
  const auto path = LikeliestPath(word, unknown_score_, [&](size_t at, const auto& visit) {
    pieces_.ForEach(word, at, [&](int32_t id, size_t length) {
      visit(id, length, scores_[static_cast<size_t>(id)]);
    });
  });
  size_t unknown_begin = 0;
  size_t unknown_end = 0;
  const auto flush_unknown = [&] {
    if (unknown_begin < unknown_end) {
      AppendUnknown(word.substr(unknown_begin, unknown_end - unknown_begin), ids);
    }
  };
  for (const PathPiece& piece : path) {
    if (piece.id == kUnknownPiece || piece.id == unknown_id_) {
      unknown_end = piece.begin + piece.length;
      continue;
    }
    flush_unknown();
    ids.push_back(piece.id);
    unknown_begin = unknown_end = piece.begin + piece.length;
  }
  flush_unknown();
}

void UnigramModel::AppendUnknown(std::string_view text, std::vector<int32_t>& ids) const {
  if (const auto id = vocabulary_.Find(text)) return ids.push_back(*id);
  const auto token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
  if (byte_fallback_ &&
      std::all_of(text.begin(), text.end(), [&](char byte) { return token(byte) >= 0; })) {
    for (const char byte : text) ids.push_back(token(byte));
    return;
  }
  if (!unknown_id_) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: unk_id: expected an id for the unknown, found none, and the text "
                            "has \"{}\"",
                            where_, text.substr(0, 60)));
  }
  ids.push_back(*unknown_id_);
}

}  // namespace llmq
