#include "text/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "llmq/error.h"
#include "text/json_steps.h"
#include "text/utf8.h"

namespace llmq {
namespace {

// Where the character that ends before `end` > 0 begins.
size_t PreviousCharacter(std::string_view text, size_t end) {
  size_t at = end - 1;
  while (at > 0 && (text[at] & 0xC0) == 0x80) --at;
  return at;
}

bool WordBefore(std::string_view text, size_t at) {
  return at > 0 && IsWordCharacter(ReadUtf8(text, PreviousCharacter(text, at)).code);
}

bool WordAt(std::string_view text, size_t at) {
  return at < text.size() && IsWordCharacter(ReadUtf8(text, at).code);
}

size_t SkipSpaceBack(std::string_view text, size_t at, size_t lowest) {
  while (at > lowest) {
    const size_t previous = PreviousCharacter(text, at);
    if (previous < lowest || !IsWhiteSpace(ReadUtf8(text, previous).code)) break;
    at = previous;
  }
  return at;
}

size_t SkipSpace(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Unit unit = ReadUtf8(text, at);
    if (!IsWhiteSpace(unit.code)) break;
    at += unit.length;
  }
  return at;
}

AddedToken ParseToken(const SortedJson& json, int64_t highest, const std::string& where) {
  AddedToken token;
  token.content = RequireString(json, "content", where);
  token.id = static_cast<int32_t>(
      RequireIntInRange(RequireKey(json, "id", where), 0, highest, "an id", where));
  token.special = GetBool(json, "special", false, where);
  token.single_word = GetBool(json, "single_word", false, where);
  token.lstrip = GetBool(json, "lstrip", false, where);
  token.rstrip = GetBool(json, "rstrip", false, where);
  token.normalized = GetBool(json, "normalized", !token.special, where);
  return token;
}

}  // namespace

AddedTokens::AddedTokens(const SortedJson& list, const Vocabulary& model,
                         const Normalizer& normalizer, uint64_t file_bytes,
                         const std::string& where) {
  if (list.is_null()) return;
  const std::string inside = where + ": added_tokens";
  if (!list.is_array()) throw Error(ErrorCode::kGeneral, inside + ": expected an array");
  const auto highest =
      static_cast<int64_t>(std::min<uint64_t>(file_bytes, std::numeric_limits<int32_t>::max()));
  for (const SortedJson& json : list) {
    AddedToken token = ParseToken(json, highest, inside);
    if (token.content.empty()) continue;
    const std::string* taken = model.Text(token.id);
    if (const auto id = model.Find(token.content)) {
      token.id = *id;
    } else if (taken != nullptr) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected a free id for \"{}\", found {}, which is \"{}\"",
                              inside, token.content, token.id, *taken));
    }
    const auto index = static_cast<int32_t>(tokens_.size());
    if (token.normalized) {
      const std::string content = normalizer.Normalize(token.content);
      if (!content.empty()) normalized_.Add(content, index, inside);
    } else {
      raw_.Add(token.content, index, inside);
    }
    tokens_.push_back(std::move(token));
  }
}

void AddedTokens::SplitRaw(std::string_view text, const TextVisitor& on_text,
                           const TokenVisitor& on_token) const {
  Split(raw_, text, on_text, on_token);
}

void AddedTokens::SplitNormalized(std::string_view text, const TextVisitor& on_text,
                                  const TokenVisitor& on_token) const {
  Split(normalized_, text, on_text, on_token);
}

void AddedTokens::Split(const PrefixMatcher& matcher, std::string_view text,
                        const TextVisitor& on_text, const TokenVisitor& on_token) const {
  size_t done = 0;
  for (size_t at = 0; !matcher.empty() && at < text.size();) {
    const auto match = matcher.Longest(text, at);
    if (!match) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(match->id)];
    size_t begin = at;
    size_t end = at + match->length;
    at = end;  // the search goes on behind the match itself, whatever it strips
    if (token.single_word && (WordBefore(text, begin) || WordAt(text, end))) continue;
    if (token.lstrip) begin = SkipSpaceBack(text, begin, done);
    if (token.rstrip) end = SkipSpace(text, end);
    if (done < begin) on_text(text.substr(done, begin - done), done);
    on_token(token.id);
    done = end;
  }
  if (done < text.size()) on_text(text.substr(done), done);
}

}  // namespace llmq
