// Finds which of a set of strings a text goes on with: added tokens, user-defined symbols, the
// pieces of a unigram model.
#ifndef LLMQ_TEXT_PREFIX_MATCHER_H_
#define LLMQ_TEXT_PREFIX_MATCHER_H_

#include <bitset>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/flat_map.h"

namespace llmq {

class PrefixMatcher {
 public:
  // Every position of a text may be compared with a whole string of the set: were they as long as
  // the text, its square. Pieces of published models are at most some hundred bytes long.
  static constexpr size_t kMaxBytes = 1024;

  // `text` is not empty. The first id given to a text stays. Throws Error{kGeneral} for one that is
  // longer than kMaxBytes; `where` begins its message.
  void Add(std::string_view text, int32_t id, const std::string& where);

  // Calls `visit(id, length)` for every string of the set with which `text` continues at `at`,
  // shortest first.
  template <typename Visit>
  void ForEach(std::string_view text, size_t at, const Visit& visit) const {
    if (!first_bytes_.test(static_cast<unsigned char>(text[at]))) return;
    uint64_t node = 0;
    for (size_t i = at; i < text.size(); ++i) {
      const uint32_t* next = next_nodes_.Find(node << 8 | static_cast<unsigned char>(text[i]));
      if (next == nullptr) return;
      node = *next;
      if (node_ids_[node] != kNone) visit(node_ids_[node], i + 1 - at);
    }
  }

  struct Match {
    int32_t id;
    size_t length;  // bytes
  };
  // The longest of them.
  std::optional<Match> Longest(std::string_view text, size_t at) const;
  bool empty() const { return node_ids_.size() == 1; }

 private:
  static constexpr int32_t kNone = -1;
  std::bitset<256> first_bytes_;          // most positions are decided here
  FlatMap<uint32_t> next_nodes_;          // (node << 8 | byte) -> node
  std::vector<int32_t> node_ids_{kNone};  // [nodes]: id of the string ending there
};

}  // namespace llmq

#endif  // LLMQ_TEXT_PREFIX_MATCHER_H_
