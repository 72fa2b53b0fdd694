#include "runtime/python_text.h"

#include "text/character_steps.h"
#include "text/utf8.h"

namespace llmq {
namespace {

// str.isspace(): also the separators of ASCII, which Unicode does not count as white space.
bool IsSpace(char32_t code) { return IsWhiteSpace(code) || (code >= 0x1c && code <= 0x1f); }

}  // namespace

size_t LengthWithoutSpacesBehind(std::string_view text) {
  size_t length = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = ReadUtf8(text, at);
    at += unit.length;
    if (!IsSpace(unit.code)) length = at;
  }
  return length;
}

std::string Strip(std::string_view text) {
  text = text.substr(0, LengthWithoutSpacesBehind(text));
  while (!text.empty()) {
    const Utf8Unit unit = ReadUtf8(text, 0);
    if (!IsSpace(unit.code)) break;
    text.remove_prefix(unit.length);
  }
  return std::string(text);
}

std::string Capitalize(const std::string& text) {
  std::string lower = Lowercase(ReplaceInvalidUtf8(text));
  if (!lower.empty() && lower[0] >= 'a' && lower[0] <= 'z') {
    lower[0] = static_cast<char>(lower[0] - 'a' + 'A');
  }
  return lower;
}

}  // namespace llmq
