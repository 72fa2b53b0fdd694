#include "text/character_rules.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "llmq/error.h"
#include "text/utf8.h"

namespace llmq {
namespace {

constexpr size_t kMaxReplacementBytes = 256;  // the longest honest one has 33

// A unit of the double array: bits 0..7 the label that leads here, bit 8 "a value follows", bits
// 10..31 the offset to the children, times 256 if bit 9 is set. A unit with bit 31 set is a value,
// its other bits.
bool HasValue(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Label(uint32_t unit) { return unit & (0x80000000u | 0xFFu); }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFFu; }

}  // namespace

CharacterRules::CharacterRules(std::string_view charsmap, const std::string& where)
    : where_(where) {
  ByteReader reader(AsBytes(charsmap), where);
  const auto trie_bytes = reader.Read<uint32_t>();
  if (trie_bytes == 0 || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes > reader.remaining()) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected a trie inside {} bytes, found {}",
                                                 where, reader.remaining(), trie_bytes));
  }
  trie_.resize(trie_bytes / sizeof(uint32_t));
  for (uint32_t& unit : trie_) unit = reader.Read<uint32_t>();
  replacements_ = AsText(reader.Take(reader.remaining()));
  if (!replacements_.ends_with('\0') || !IsValidUtf8(replacements_)) {
    throw Error(ErrorCode::kGeneral, where + ": expected replacements in UTF-8, each ended by 0");
  }
}

CharacterRules::Match CharacterRules::Longest(std::string_view text) const {
  return Find(text, /*longest=*/true);
}

CharacterRules::Match CharacterRules::Shortest(std::string_view text) const {
  return Find(text, /*longest=*/false);
}

uint32_t CharacterRules::Unit(size_t index) const {
  if (index < trie_.size()) return trie_[index];
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected units below {}, found {}", where_, trie_.size(), index));
}

CharacterRules::Match CharacterRules::Find(std::string_view text, bool longest) const {
  if (trie_.empty()) return {{}, 0};
  size_t value = 0;
  size_t length = 0;
  size_t node = Offset(Unit(0));
  for (size_t i = 0; i < text.size() && (longest || length == 0); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= trie_.size()) break;
    const uint32_t unit = trie_[node];
    if (Label(unit) != byte) break;
    node ^= Offset(unit);
    if (HasValue(unit)) value = Value(Unit(node)), length = i + 1;
  }
  if (length == 0) return {{}, 0};
  if (value >= replacements_.size()) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected replacements below {}, found {}",
                                                 where_, replacements_.size(), value));
  }
  const std::string_view replacement = &replacements_[value];
  const bool whole = length == text.size() || (text[length] & 0xC0) != 0x80;
  if (!whole || replacement.size() > kMaxReplacementBytes || !IsValidUtf8(replacement)) {
    throw Error(ErrorCode::kGeneral,
                where_ + ": expected rules for whole characters, to a text of honest length");
  }
  return {replacement, length};
}

}  // namespace llmq
