#include "text/sentencepiece_normalizer.h"

#include <fmt/format.h>

#include "base/bytes.h"
#include "llmq/error.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace llmq {
namespace {

// A unit of the double array (the layout of the Darts-clone library): bits 0..7 the label that
// leads here, bit 8 "a value follows", bits 10..31 the offset to the children, times 256 if bit 9
// is set. A unit with bit 31 set is a value, its other bits.
bool HasValue(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Label(uint32_t unit) { return unit & (0x80000000u | 0xFFu); }
uint32_t Offset(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFFu; }

}  // namespace

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceModel& model,
                                                 const PrefixMatcher& user_defined,
                                                 const std::string& where)
    : user_defined_(user_defined),
      where_(where + ": precompiled_charsmap"),
      add_dummy_prefix_(model.add_dummy_prefix),
      remove_extra_whitespaces_(model.remove_extra_whitespaces),
      suffix_(model.treat_whitespace_as_suffix),
      space_(model.escape_whitespaces ? kVisibleSpace : " ") {
  if (!model.precompiled_charsmap.empty()) ReadRules(model.precompiled_charsmap, where_);
}

void SentencePieceNormalizer::ReadRules(std::string_view charsmap, const std::string& where) {
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

SentencePieceNormalizer::RuleMatch SentencePieceNormalizer::LongestRule(
    std::string_view text) const {
  RuleMatch longest{0, 0};
  if (trie_.empty()) return longest;
  const auto unit_at = [&](size_t index) {
    if (index < trie_.size()) return trie_[index];
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected units below {}, found {}", where_, trie_.size(), index));
  };
  size_t node = Offset(unit_at(0));
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= trie_.size()) break;
    const uint32_t unit = trie_[node];
    if (Label(unit) != byte) break;
    node ^= Offset(unit);
    if (HasValue(unit)) longest = {Value(unit_at(node)), i + 1};
  }
  if (longest.length > 0 && longest.replacement >= replacements_.size()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected replacements below {}, found {}", where_,
                            replacements_.size(), longest.replacement));
  }
  return longest;
}

SentencePieceNormalizer::Prefix SentencePieceNormalizer::NormalizePrefix(
    std::string_view text) const {
  if (const auto match = user_defined_.Longest(text, 0)) {
    return {text.substr(0, match->length), match->length};
  }
  const RuleMatch rule = LongestRule(text);
  if (rule.length == 0) {
    const size_t length = Utf8Length(text[0]);
    return {text.substr(0, length), length};
  }
  // A rule that ends inside a character, or a replacement that begins inside one: only a damaged
  // file has them, and they would break the promise of valid UTF-8.
  const std::string_view replacement = &replacements_[rule.replacement];
  const bool whole = rule.length == text.size() || (text[rule.length] & 0xC0) != 0x80;
  if (!whole || !IsValidUtf8(replacement)) {
    throw Error(ErrorCode::kGeneral, where_ + ": expected rules for whole characters");
  }
  return {replacement, rule.length};
}

std::string SentencePieceNormalizer::Normalize(std::string_view text) const {
  std::string out;
  // With remove_extra_whitespaces, spaces at the begin and after another space are dropped.
  bool after_space = remove_extra_whitespaces_;
  bool started = false;
  for (size_t at = 0; at < text.size();) {
    Prefix prefix = NormalizePrefix(text.substr(at));
    at += prefix.length;
    if (!started && remove_extra_whitespaces_ && prefix.normalized == " ") continue;
    if (!started && add_dummy_prefix_ && !suffix_) out += space_;
    started = true;
    while (after_space && prefix.normalized.starts_with(' ')) prefix.normalized.remove_prefix(1);
    if (prefix.normalized.empty()) continue;
    for (const char c : prefix.normalized) c == ' ' ? out += space_ : out += c;
    after_space = remove_extra_whitespaces_ && prefix.normalized.ends_with(' ');
  }
  while (remove_extra_whitespaces_ && out.ends_with(space_)) out.resize(out.size() - space_.size());
  if (started && add_dummy_prefix_ && suffix_) out += space_;
  return out;
}

}  // namespace llmq
