// Byte-pair encoding itself: joining neighbours, best rule first, until no rule applies.
//
// One algorithm for both kinds of file: in a tokenizer.json the priority is the rank in the list of
// merges (src/text/bpe_model), in a tokenizer.model the score of the joined piece
// (src/text/sentencepiece_tokenizer). A heap of candidates over a linked list of symbols: a text of
// n characters takes O(n log n).
#ifndef LLMQ_TEXT_BPE_MERGE_H_
#define LLMQ_TEXT_BPE_MERGE_H_

#include <cstdint>
#include <optional>
#include <queue>
#include <tuple>
#include <vector>

namespace llmq {

struct BpeSymbol {
  int32_t id;
  uint32_t begin;         // offset in the word, bytes
  uint32_t length;        // bytes; 0 once it has been joined to its left neighbour
  int32_t previous = -1;  // indices of neighbours, -1 at the ends; set by MergeSymbols
  int32_t next = -1;
};

struct BpeRule {
  uint32_t priority;  // lower goes first; among equals the leftmost
  int32_t id;         // of the joined symbol
};

// Joins symbols in place; those with length 0 are gone. `find_rule(left, right)` gives the rule for
// two neighbours, std::optional<BpeRule>.
template <typename FindRule>
void MergeSymbols(std::vector<BpeSymbol>& symbols, const FindRule& find_rule) {
  struct Candidate {
    uint32_t priority;
    int32_t left;     // index of the left symbol
    uint32_t length;  // of both together
    int32_t id;
    bool operator<(const Candidate& other) const {  // the queue's top is its greatest
      return std::tie(priority, left) > std::tie(other.priority, other.left);
    }
  };
  std::vector<Candidate> candidates;
  const auto consider = [&](int32_t left) -> std::optional<Candidate> {
    const int32_t right = left < 0 ? -1 : symbols[left].next;
    if (right < 0) return std::nullopt;
    const std::optional<BpeRule> rule = find_rule(symbols[left], symbols[right]);
    if (!rule) return std::nullopt;
    return Candidate{rule->priority, left, symbols[left].length + symbols[right].length, rule->id};
  };
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t i = 0; i < count; ++i) {
    symbols[i].previous = i - 1;
    symbols[i].next = i + 1 < count ? i + 1 : -1;
  }
  for (int32_t i = 0; i < count; ++i) {
    if (const auto candidate = consider(i)) candidates.push_back(*candidate);
  }
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(candidates));
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    BpeSymbol& left = symbols[best.left];
    if (left.length == 0 || left.next < 0) continue;
    BpeSymbol& right = symbols[left.next];
    // Symbols only grow, so the same length together means that neither has changed.
    if (left.length + right.length != best.length) continue;
    left.length = best.length;
    left.id = best.id;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0) symbols[left.next].previous = best.left;
    if (const auto candidate = consider(left.previous)) queue.push(*candidate);
    if (const auto candidate = consider(best.left)) queue.push(*candidate);
  }
}

}  // namespace llmq

#endif  // LLMQ_TEXT_BPE_MERGE_H_
