#include "text/character_steps.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

#include "llmq/error.h"
#include "text/byte_alphabet.h"
#include "text/utf8.h"

namespace llmq {
namespace {

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

int Category(char32_t code) { return utf8proc_category(static_cast<utf8proc_int32_t>(code)); }

bool IsMark(char32_t code) {
  const int category = Category(code);
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ME;
}

// Control, format and private characters, but for the three that are white space to everyone.
bool IsControl(char32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  const int category = Category(code);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
         category == UTF8PROC_CATEGORY_CO;
}

// The ranges of BERT's own code; its last but three begins at 2B920, not 2B820.
bool IsBertHan(char32_t code) {
  constexpr std::pair<char32_t, char32_t> kRanges[] = {
      {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
      {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::any_of(std::begin(kRanges), std::end(kRanges), [&](const auto& range) {
    return code >= range.first && code <= range.second;
  });
}

// Rewrites a text: `visit(code, character, out)` appends what a character becomes.
template <typename Visit>
std::string Rewrite(std::string_view text, const Visit& visit) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = ReadUtf8(text, at);
    visit(unit.code, text.substr(at, unit.length), out);
    at += unit.length;
  }
  return out;
}

// The bytes of the grapheme cluster that begins at `at`.
size_t GraphemeLength(std::string_view text, size_t at) {
  Utf8Unit unit = ReadUtf8(text, at);
  utf8proc_int32_t state = 0;
  size_t end = at + unit.length;
  while (end < text.size()) {
    const Utf8Unit next = ReadUtf8(text, end);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(unit.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state)) {
      break;
    }
    unit = next;
    end += next.length;
  }
  return end - at;
}

}  // namespace

std::string ToNormalForm(std::string text, NormalForm form) {
  if (IsAscii(text)) return text;  // every form leaves ASCII alone
  const bool compose = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const int options = UTF8PROC_STABLE | (compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                      (compatible ? UTF8PROC_COMPAT : 0);
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t length = utf8proc_map(
      reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
      static_cast<utf8proc_ssize_t>(text.size()), &out, static_cast<utf8proc_option_t>(options));
  if (length < 0) {
    throw Error(ErrorCode::kGeneral, std::string("normalizer: ") + utf8proc_errmsg(length));
  }
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, &std::free);
  return {reinterpret_cast<const char*>(out), static_cast<size_t>(length)};
}

std::string Lowercase(const std::string& text) {
  return Rewrite(text, [](char32_t code, std::string_view, std::string& out) {
    if (code == 0x130) {  // the one letter whose lower case is two code points
      out += "i\xCC\x87";
    } else {
      AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))), out);
    }
  });
}

std::string StripMarks(const std::string& text) {
  return Rewrite(text, [](char32_t code, std::string_view character, std::string& out) {
    if (!IsMark(code)) out += character;
  });
}

std::string CleanForTranslation(const std::string& text) {
  return Rewrite(text, [](char32_t code, std::string_view character, std::string& out) {
    const bool gone = (code >= 1 && code <= 8) || code == 0xB || (code >= 0xE && code <= 0x1F) ||
                      code == 0x7F || code == 0x8F || code == 0x9F;
    const bool space = code == 9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
                       (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
                       code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
    if (!gone) out += space ? " " : character;
  });
}

std::string WriteBytes(const std::string& text) {
  std::string out;
  out.reserve(2 * text.size());
  for (const char byte : text) out += ByteCharacters()[static_cast<uint8_t>(byte)];
  return out;
}

std::string NormalizeForBert(std::string text, const BertOptions& options) {
  text = Rewrite(text, [&](char32_t code, std::string_view character, std::string& out) {
    if (options.clean_text) {
      if (code == 0 || code == 0xFFFD || IsControl(code)) return;
      if (IsWhiteSpace(code)) character = " ";
    }
    const bool pad = options.space_around_han && IsBertHan(code);
    if (pad) out += ' ';
    out += character;
    if (pad) out += ' ';
  });
  if (options.strip_accents) {
    text = Rewrite(ToNormalForm(std::move(text), NormalForm::kNfd),
                   [](char32_t code, std::string_view character, std::string& out) {
                     if (Category(code) != UTF8PROC_CATEGORY_MN) out += character;
                   });
  }
  return options.lowercase ? Lowercase(text) : text;
}

std::string ApplyRules(std::string_view text, const CharacterRules& rules) {
  constexpr size_t kShortGrapheme = 6;
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const std::string_view grapheme = text.substr(at, GraphemeLength(text, at));
    at += grapheme.size();
    if (grapheme.size() < kShortGrapheme) {
      const CharacterRules::Match rule = rules.Shortest(grapheme);
      if (rule.length > 0) {
        out += rule.replacement;
        continue;
      }
    }
    out += Rewrite(grapheme, [&](char32_t, std::string_view character, std::string& part) {
      const CharacterRules::Match rule = rules.Shortest(character);
      part += rule.length > 0 ? rule.replacement : character;
    });
  }
  return out;
}

}  // namespace llmq
