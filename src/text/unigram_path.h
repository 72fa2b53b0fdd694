// The likeliest way to cut a text into pieces that have log probabilities: Viterbi's algorithm.
//
// One algorithm for both kinds of file; src/text/unigram_model (tokenizer.json) sums in double,
// src/text/sentencepiece_tokenizer (tokenizer.model) in float, as the reference libraries do.
#ifndef LLMQ_TEXT_UNIGRAM_PATH_H_
#define LLMQ_TEXT_UNIGRAM_PATH_H_

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "text/utf8.h"

namespace llmq {

inline constexpr int32_t kUnknownPiece = -1;
// An unknown character costs this much more than the unlikeliest piece.
inline constexpr double kUnknownPenalty = 10;

struct PathPiece {
  int32_t id;    // kUnknownPiece: one character that no piece stands for
  size_t begin;  // bytes
  size_t length;
};

// The pieces of `text`, valid UTF-8, in order. `for_each_piece(at, visit)` calls
// `visit(id, length, score)`, score a double, for every piece with which the text continues at
// `at`, shortest first. Of equally likely ways the one found first stays.
template <typename Sum, typename ForEachPiece>
std::vector<PathPiece> LikeliestPath(std::string_view text, Sum unknown_score,
                                     const ForEachPiece& for_each_piece) {
  struct Node {  // the best way to come to a place
    Sum score = 0;
    uint32_t length = 0;  // of the last piece; 0: no way yet
    int32_t id = kUnknownPiece;
  };
  std::vector<Node> nodes(text.size() + 1);
  for (size_t at = 0; at < text.size();) {
    const Sum here = nodes[at].score;
    const size_t character = Utf8Length(text[at]);
    bool known = false;
    const auto offer = [&](int32_t id, size_t length, Sum score) {
      Node& node = nodes[at + length];
      if (node.length > 0 && !(score > node.score)) return;
      node = {score, static_cast<uint32_t>(length), id};
    };
    for_each_piece(at, [&](int32_t id, size_t length, double score) {
      offer(id, length, static_cast<Sum>(score + here));
      known = known || length == character;
    });
    if (!known) offer(kUnknownPiece, character, unknown_score + here);
    at += character;
  }
  std::vector<PathPiece> path;
  for (size_t end = text.size(); end > 0;) {
    const Node& node = nodes[end];
    end -= node.length;
    path.push_back({node.id, end, node.length});
  }
  std::reverse(path.begin(), path.end());
  return path;
}

}  // namespace llmq

#endif  // LLMQ_TEXT_UNIGRAM_PATH_H_
