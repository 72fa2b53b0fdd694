#include "text/bpe_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "llmq/error.h"
#include "text/json_steps.h"
#include "text/utf8.h"

namespace llmq {
namespace {

uint64_t PairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

BpeModel::BpeModel(const SortedJson& model, uint64_t file_bytes, const std::string& where)
    : TokenModel(where) {
  if (GetNumber(model, "dropout", 0.0, where_) != 0.0) {
    throw Error(ErrorCode::kGeneral, where_ + ": dropout: expected none, found some");
  }
  unknown_token_ = GetString(model, "unk_token", "", where_);
  part_prefix_ = GetString(model, "continuing_subword_prefix", "", where_);
  word_suffix_ = GetString(model, "end_of_word_suffix", "", where_);
  fuse_unknown_ = GetBool(model, "fuse_unk", false, where_);
  byte_fallback_ = GetBool(model, "byte_fallback", false, where_);
  ignore_merges_ = GetBool(model, "ignore_merges", false, where_);
  ReadVocabularyObject(model, file_bytes);
  words_are_independent_ = !ignore_merges_ && part_prefix_.empty() && word_suffix_.empty() &&
                           vocabulary_.Find(kVisibleSpace).has_value();
  ReadMerges(model);
  byte_tokens_ = vocabulary_.ByteTokens();
}

BpeModel::BpeModel(const std::vector<std::string>& tokens, const std::string& where)
    : TokenModel(where), joins_by_rank_(true), ignore_merges_(true) {
  for (const std::string& token : tokens) {
    const int64_t rank = vocabulary_.size();
    if (!vocabulary_.Add(token, static_cast<int32_t>(rank))) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: rank {}: expected a new token, found \"{}\" again", where_, rank,
                              token.substr(0, 60)));
    }
  }
}

void BpeModel::ReadMerges(const SortedJson& model) {
  const SortedJson& merges = RequireKey(model, "merges", where_);
  if (!merges.is_array()) throw Error(ErrorCode::kGeneral, where_ + ": merges: expected an array");
  uint32_t rank = 0;
  for (const SortedJson& merge : merges) {
    const bool pair =
        merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
    if (pair) {
      AddMerge(merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>(),
               rank);
    } else {
      const std::string_view text =
          merge.is_string() ? std::string_view(merge.get_ref<const std::string&>()) : "";
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        throw Error(ErrorCode::kGeneral,
                    fmt::format("{}: merges: entry {}: expected two tokens, found {}", where_, rank,
                                DumpJson(merge).substr(0, 60)));
      }
      AddMerge(text.substr(0, space), text.substr(space + 1), rank);
    }
    ++rank;
  }
}

void BpeModel::AddMerge(std::string_view left, std::string_view right, uint32_t rank) {
  const bool long_enough = right.size() >= part_prefix_.size();
  const std::string joined =
      fmt::format("{}{}", left, long_enough ? right.substr(part_prefix_.size()) : right);
  const auto find = [&](std::string_view token) {
    const auto id = vocabulary_.Find(token);
    if (id) return *id;
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: merges: entry {}: expected tokens of the vocabulary, found \"{}\"",
                            where_, rank, token.substr(0, 60)));
  };
  const int32_t joined_id = find(joined);
  merges_.Insert(PairKey(find(left), find(right)), {}) = {rank, joined_id};  // the last one counts
  words_are_independent_ = words_are_independent_ && !CrossesWordBorder(joined);
}

void BpeModel::Encode(std::string_view word, WordCache& cache, std::vector<int32_t>& ids) const {
  if (!words_are_independent_) return EncodeCached(word, cache, ids);
  for (size_t begin = 0; begin < word.size();) {
    const size_t end = WordEnd(word, begin);
    EncodeCached(word.substr(begin, end - begin), cache, ids);
    begin = end;
  }
}

void BpeModel::EncodeWord(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    if (const auto id = vocabulary_.Find(word)) return ids.push_back(*id);
  }
  std::vector<BpeSymbol> symbols = SplitCharacters(word);
  Merge(word, symbols);
  for (const BpeSymbol& symbol : symbols) {
    if (symbol.length > 0) ids.push_back(symbol.id);
  }
}

void BpeModel::Merge(std::string_view word, std::vector<BpeSymbol>& symbols) const {
  if (joins_by_rank_) {
    return MergeSymbols(symbols, [&](const BpeSymbol& left, const BpeSymbol& right) {
      const auto id = vocabulary_.Find(word.substr(left.begin, left.length + right.length));
      return id ? std::optional<BpeRule>({static_cast<uint32_t>(*id), *id}) : std::nullopt;
    });
  }
  MergeSymbols(symbols, [&](const BpeSymbol& left, const BpeSymbol& right) {
    const BpeRule* rule = merges_.Find(PairKey(left.id, right.id));
    return rule == nullptr ? std::nullopt : std::optional<BpeRule>(*rule);
  });
}

std::vector<BpeSymbol> BpeModel::SplitCharacters(std::string_view word) const {
  if (word.size() > std::numeric_limits<int32_t>::max()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a text below 2 GiB, found {} bytes", where_, word.size()),
                "Cut the text into documents");
  }
  std::vector<BpeSymbol> symbols;
  std::optional<BpeSymbol> unknown;  // waits for unknown characters that may join it
  const auto flush_unknown = [&] {
    if (unknown) symbols.push_back(*unknown);
    unknown.reset();
  };
  std::string marked;
  for (size_t at = 0; at < word.size();) {
    const size_t length = Utf8Length(word[at]);
    std::string_view character = word.substr(at, length);
    const auto begin = static_cast<uint32_t>(at);
    at += length;
    if (!part_prefix_.empty() || !word_suffix_.empty()) {
      marked = begin > 0 ? part_prefix_ : "";
      marked += character;
      if (at == word.size()) marked += word_suffix_;
      character = marked;
    }
    if (const auto id = vocabulary_.Find(character)) {
      flush_unknown();
      symbols.push_back({*id, begin, static_cast<uint32_t>(length)});
    } else if (byte_fallback_ && AddByteSymbols(character, begin, symbols)) {
      continue;
    } else if (!unknown_token_.empty()) {
      if (unknown && fuse_unknown_) {
        unknown->length += static_cast<uint32_t>(length);
      } else {
        flush_unknown();
        unknown = BpeSymbol{RequireUnknown(unknown_token_), begin, static_cast<uint32_t>(length)};
      }
    }
  }
  flush_unknown();
  return symbols;
}

bool BpeModel::AddByteSymbols(std::string_view character, size_t begin,
                              std::vector<BpeSymbol>& symbols) const {
  const auto token = [&](char byte) { return byte_tokens_[static_cast<unsigned char>(byte)]; };
  if (!std::all_of(character.begin(), character.end(), [&](char c) { return token(c) >= 0; })) {
    return false;
  }
  for (const char byte : character) {
    symbols.push_back({token(byte), static_cast<uint32_t>(begin++), 1});
  }
  return true;
}

}  // namespace llmq
