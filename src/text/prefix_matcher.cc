#include "text/prefix_matcher.h"

namespace llmq {

void PrefixMatcher::Add(std::string_view text, int32_t id) {
  first_bytes_.set(static_cast<unsigned char>(text[0]));
  uint64_t node = 0;
  for (const char c : text) {
    const uint64_t key = node << 8 | static_cast<unsigned char>(c);
    const auto [it, added] = next_nodes_.try_emplace(key, static_cast<uint32_t>(node_ids_.size()));
    if (added) node_ids_.push_back(kNone);
    node = it->second;
  }
  if (node_ids_[node] == kNone) node_ids_[node] = id;
}

std::optional<PrefixMatcher::Match> PrefixMatcher::Longest(std::string_view text, size_t at) const {
  if (!first_bytes_.test(static_cast<unsigned char>(text[at]))) return std::nullopt;
  std::optional<Match> longest;
  uint64_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto it = next_nodes_.find(node << 8 | static_cast<unsigned char>(text[i]));
    if (it == next_nodes_.end()) break;
    node = it->second;
    if (node_ids_[node] != kNone) longest = Match{node_ids_[node], i + 1 - at};
  }
  return longest;
}

}  // namespace llmq
