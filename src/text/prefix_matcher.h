// Finds which of a set of strings a text goes on with: added tokens and user-defined symbols.
#ifndef LLMQ_TEXT_PREFIX_MATCHER_H_
#define LLMQ_TEXT_PREFIX_MATCHER_H_

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace llmq {

class PrefixMatcher {
 public:
  // `text` is not empty. The first id given to a text stays.
  void Add(std::string_view text, int32_t id);

  struct Match {
    int32_t id;
    size_t length;  // bytes
  };
  // The longest string of the set with which `text` continues at `at`.
  std::optional<Match> Longest(std::string_view text, size_t at) const;
  bool empty() const { return node_ids_.size() == 1; }

 private:
  static constexpr int32_t kNone = -1;
  std::bitset<256> first_bytes_;                       // most positions are decided here
  std::unordered_map<uint64_t, uint32_t> next_nodes_;  // (node << 8 | byte) -> node
  std::vector<int32_t> node_ids_{kNone};               // [nodes]: id of the string ending there
};

}  // namespace llmq

#endif  // LLMQ_TEXT_PREFIX_MATCHER_H_
