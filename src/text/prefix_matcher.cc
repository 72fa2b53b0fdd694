#include "text/prefix_matcher.h"

#include <fmt/format.h>

#include "llmq/error.h"

namespace llmq {

void PrefixMatcher::Add(std::string_view text, int32_t id, const std::string& where) {
  if (text.size() > kMaxBytes) {
    throw Error(
        ErrorCode::kGeneral,
        fmt::format("{}: expected tokens to search for of at most {} bytes, found one of {}", where,
                    kMaxBytes, text.size()));
  }
  first_bytes_.set(static_cast<unsigned char>(text[0]));
  uint64_t node = 0;
  for (const char c : text) {
    const auto fresh = static_cast<uint32_t>(node_ids_.size());
    node = next_nodes_.Insert(node << 8 | static_cast<unsigned char>(c), fresh);
    if (node == fresh) node_ids_.push_back(kNone);
  }
  if (node_ids_[node] == kNone) node_ids_[node] = id;
}

std::optional<PrefixMatcher::Match> PrefixMatcher::Longest(std::string_view text, size_t at) const {
  std::optional<Match> longest;
  ForEach(text, at, [&](int32_t id, size_t length) { longest = Match{id, length}; });
  return longest;
}

}  // namespace llmq
