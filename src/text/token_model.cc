#include "text/token_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "llmq/error.h"
#include "text/bpe_model.h"
#include "text/json_steps.h"
#include "text/unigram_model.h"
#include "text/word_models.h"

namespace llmq {

void TokenModel::EncodeCached(std::string_view word, WordCache& cache,
                              std::vector<int32_t>& ids) const {
  if (const std::vector<int32_t>* known = cache.Find(word)) {
    ids.insert(ids.end(), known->begin(), known->end());
    return;
  }
  const size_t before = ids.size();
  EncodeWord(word, ids);
  cache.Add(word, ids.data() + before, ids.size() - before);
}

void TokenModel::ReadVocabularyObject(const SortedJson& model, uint64_t file_bytes) {
  const SortedJson& vocabulary = RequireKey(model, "vocab", where_);
  if (!vocabulary.is_object() || vocabulary.empty()) {
    throw Error(ErrorCode::kGeneral, where_ + ": vocab: expected an object with tokens");
  }
  const auto highest =
      static_cast<int64_t>(std::min<uint64_t>(file_bytes, std::numeric_limits<int32_t>::max()));
  for (const auto& [token, id] : vocabulary.items()) {
    const auto number =
        static_cast<int32_t>(RequireIntInRange(id, 0, highest, "an id", where_ + ": vocab"));
    if (!vocabulary_.Add(token, number)) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: vocab: expected one token for each id, found \"{}\" and \"{}\" "
                              "for {}",
                              where_, *vocabulary_.Text(number), token, number));
    }
  }
}

int32_t TokenModel::RequireUnknown(const std::string& token) const {
  if (const auto id = vocabulary_.Find(token)) return *id;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: unk_token: expected a token of the vocabulary, found \"{}\"", where_,
                          token.substr(0, 60)));
}

std::unique_ptr<const TokenModel> ReadTokenModel(const SortedJson& model, uint64_t file_bytes,
                                                 const std::string& where) {
  const std::string inside = where + ": model";
  if (!model.is_object()) throw Error(ErrorCode::kGeneral, inside + ": expected an object");
  const std::string type = GetString(model, "type", "BPE", inside);
  if (type == "BPE") return std::make_unique<BpeModel>(model, file_bytes, inside);
  if (type == "Unigram") return std::make_unique<UnigramModel>(model, inside);
  if (type == "WordPiece") return std::make_unique<WordPieceModel>(model, file_bytes, inside);
  if (type == "WordLevel") return std::make_unique<WordLevelModel>(model, file_bytes, inside);
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: type: expected BPE, Unigram, WordPiece or WordLevel, found \"{}\"",
                          inside, type.substr(0, 60)),
              "This tokenizer cannot be used");
}

}  // namespace llmq
