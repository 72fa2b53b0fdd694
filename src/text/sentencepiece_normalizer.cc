#include "text/sentencepiece_normalizer.h"

#include "text/utf8.h"
#include "text/vocabulary.h"

namespace llmq {

SentencePieceNormalizer::SentencePieceNormalizer(const SentencePieceModel& model,
                                                 const PrefixMatcher& user_defined,
                                                 const std::string& where)
    : user_defined_(user_defined),
      add_dummy_prefix_(model.add_dummy_prefix),
      remove_extra_whitespaces_(model.remove_extra_whitespaces),
      suffix_(model.treat_whitespace_as_suffix),
      space_(model.escape_whitespaces ? kVisibleSpace : " ") {
  if (model.precompiled_charsmap.empty()) return;
  rules_ = CharacterRules(model.precompiled_charsmap, where + ": precompiled_charsmap");
}

SentencePieceNormalizer::Prefix SentencePieceNormalizer::NormalizePrefix(
    std::string_view text) const {
  if (const auto match = user_defined_.Longest(text, 0)) {
    return {text.substr(0, match->length), match->length};
  }
  const CharacterRules::Match rule = rules_.Longest(text);
  if (rule.length > 0) return {rule.replacement, rule.length};
  const size_t length = Utf8Length(text[0]);
  return {text.substr(0, length), length};
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
