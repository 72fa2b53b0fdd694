// The vocabulary of a tokenizer's files as the table that a GGUF file holds: text, score and type
// of each id.
//
// Before this: the files. After this: llamacpp/tokenizer_writer makes keys of it.
#ifndef LLMQ_LLAMACPP_VOCABULARY_PIECES_H_
#define LLMQ_LLAMACPP_VOCABULARY_PIECES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "llmq/checkpoint.h"
#include "text/sentencepiece_model.h"

namespace llmq {

using VocabularyPieces = std::vector<SentencePiece>;  // [vocab_size]; the index is the id

// A token that added_tokens.json, tokenizer_config.json or tokenizer.json lists as added.
struct ListedToken {
  int64_t id;
  std::string text;
  bool special;
  bool normalized;  // sought in the normalized text, where U+2581 stands for a space
};
// By rising id; where files disagree about an id, tokenizer.json is right, then
// tokenizer_config.json. `tokenizer_json` is null if there is none.
std::vector<ListedToken> ReadListedTokens(const ModelFiles& files, const SortedJson& tokenizer_json,
                                          const std::string& where);

// Pieces of a SentencePiece model and the listed tokens.
VocabularyPieces PiecesOfModel(const SentencePieceModel& model,
                               const std::vector<ListedToken>& listed, int64_t vocab_size,
                               const std::string& where);
// The same of a tokenizer.json with byte fallback, whose merges have ranks where SentencePiece has
// scores: a token that rank r makes has score -r.
VocabularyPieces PiecesOfMerges(const SortedJson& file, const std::vector<ListedToken>& listed,
                                int64_t vocab_size, const std::string& where);
// Of a tokenizer.json with byte-level BPE; no scores.
VocabularyPieces PiecesOfByteLevel(const SortedJson& file, const std::vector<ListedToken>& listed,
                                   int64_t vocab_size, const std::string& where);

// The two halves of an entry of "merges", which is "a b" or ["a", "b"].
std::pair<std::string, std::string> MergeHalves(const SortedJson& merge, const std::string& where);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_VOCABULARY_PIECES_H_
