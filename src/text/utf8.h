// UTF-8 as the tokenizers need it: one code point at a time, and repair of damaged text.
//
// Everything else in src/text may take valid UTF-8 for granted: text enters through
// ReplaceInvalidUtf8() and vocabularies are checked when they are read.
#ifndef LLMQ_TEXT_UTF8_H_
#define LLMQ_TEXT_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace llmq {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

enum class Utf8Status { kValid, kInvalid, kIncomplete };

struct Utf8Unit {
  Utf8Status status;
  char32_t code;  // U+FFFD unless kValid
  // Bytes of the character; if it is not valid, of its longest valid beginning, at least 1 (the
  // Unicode practice: one U+FFFD stands for such a beginning). kIncomplete: `text` ends inside it.
  size_t length;
};

// The character at `at` < text.size().
Utf8Unit ReadUtf8(std::string_view text, size_t at);

bool IsValidUtf8(std::string_view text);
std::string ReplaceInvalidUtf8(std::string_view text);
void AppendUtf8(char32_t code, std::string& out);

// Length of the character that begins with this byte of valid UTF-8.
inline size_t Utf8Length(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

bool IsWhiteSpace(char32_t code);     // the Unicode property White_Space
bool IsWordCharacter(char32_t code);  // letters, marks, digits, connectors: \w of UTS #18

}  // namespace llmq

#endif  // LLMQ_TEXT_UTF8_H_
