#include "text/word_models.h"

#include <algorithm>

#include "text/json_steps.h"

namespace llmq {

WordPieceModel::WordPieceModel(const SortedJson& model, uint64_t file_bytes,
                               const std::string& where)
    : TokenModel(where),
      unknown_token_(GetString(model, "unk_token", "[UNK]", where)),
      prefix_(GetString(model, "continuing_subword_prefix", "##", where)),
      max_characters_(GetInt(model, "max_input_chars_per_word", 100, where)) {
  ReadVocabularyObject(model, file_bytes);
  for (int32_t id = 0; id < vocabulary_.size(); ++id) {
    const std::string* text = vocabulary_.Text(id);
    if (text != nullptr) longest_token_ = std::max(longest_token_, text->size());
  }
}

void WordPieceModel::EncodeWord(std::string_view word, std::vector<int32_t>& ids) const {
  const auto characters =
      std::count_if(word.begin(), word.end(), [](char c) { return (c & 0xC0) != 0x80; });
  const size_t before = ids.size();
  for (size_t at = 0; characters <= max_characters_ && at < word.size();) {
    const Part part = LongestPart(word.substr(at), at == 0);
    if (part.length == 0) {
      ids.resize(before);
      break;
    }
    ids.push_back(part.id);
    at += part.length;
  }
  if (ids.size() == before) ids.push_back(RequireUnknown(unknown_token_));
}

WordPieceModel::Part WordPieceModel::LongestPart(std::string_view rest, bool first) const {
  std::string written = first ? "" : prefix_;
  const size_t marks = written.size();
  written += rest.substr(0, longest_token_);
  for (; written.size() > marks; written.pop_back()) {
    // A part that ends inside a character is no token: those are valid UTF-8.
    if (const auto id = vocabulary_.Find(written)) return {*id, written.size() - marks};
  }
  return {0, 0};
}

WordLevelModel::WordLevelModel(const SortedJson& model, uint64_t file_bytes,
                               const std::string& where)
    : TokenModel(where), unknown_token_(GetString(model, "unk_token", "<unk>", where)) {
  ReadVocabularyObject(model, file_bytes);
}

void WordLevelModel::EncodeWord(std::string_view word, std::vector<int32_t>& ids) const {
  const auto id = vocabulary_.Find(word);
  ids.push_back(id ? *id : RequireUnknown(unknown_token_));
}

}  // namespace llmq
