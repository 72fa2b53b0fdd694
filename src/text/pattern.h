// What a tokenizer.json calls a pattern: a literal string or a regular expression, and the pieces
// between its matches.
//
// The files are written for Oniguruma (Ruby syntax); PCRE2 does the matching here. Where the two
// read the same characters differently, the constructor rewrites the expression or refuses it.
#ifndef LLMQ_TEXT_PATTERN_H_
#define LLMQ_TEXT_PATTERN_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"

struct pcre2_real_code_8;

namespace llmq {

class Pattern {
 public:
  // `where` begins messages. All throw Error{kGeneral}: an empty literal, an expression that does
  // not compile or means something else in PCRE2.
  static Pattern Literal(std::string_view text, const std::string& where);
  static Pattern Regex(std::string_view expression, const std::string& where);
  // {"String": ".."} or {"Regex": ".."}.
  static Pattern FromJson(const SortedJson& json, const std::string& where);

  using MatchVisitor = std::function<void(size_t begin, size_t end)>;
  // Every match in order; none overlaps another; an empty match is reported unless the match
  // before it ended there. `text` is valid UTF-8. Throws Error{kGeneral} if the expression needs
  // more steps than an honest one ever does.
  void ForEachMatch(std::string_view text, const MatchVisitor& visit) const;

  using SpanVisitor = std::function<void(size_t begin, size_t end, bool is_match)>;
  // The whole of `text` as matches and the non-empty stretches between them, in order.
  void ForEachSpan(std::string_view text, const SpanVisitor& visit) const;

 private:
  Pattern() = default;
  void ForEachRegexMatch(std::string_view text, const MatchVisitor& visit) const;

  std::string where_;
  std::string literal_;                            // used if code_ is null
  std::shared_ptr<const pcre2_real_code_8> code_;  // immutable once compiled, so threads share it
};

}  // namespace llmq

#endif  // LLMQ_TEXT_PATTERN_H_
