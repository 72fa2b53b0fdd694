#include "text/utf8.h"

#include <utf8proc.h>

namespace llmq {
namespace {

struct LeadByte {
  size_t length;              // 0: cannot begin a character
  unsigned char second_low;   // the second byte's range, narrower than 80..BF where an overlong
  unsigned char second_high;  // form, a surrogate or a code above 10FFFF would begin
};

LeadByte Classify(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Unit ReadUtf8(std::string_view text, size_t at) {
  constexpr char32_t kBad = 0xFFFD;
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const LeadByte lead = Classify(byte(0));
  if (lead.length == 0) return {Utf8Status::kInvalid, kBad, 1};
  if (lead.length == 1) return {Utf8Status::kValid, byte(0), 1};
  char32_t code = byte(0) & (0x7Fu >> lead.length);
  for (size_t i = 1; i < lead.length; ++i) {
    if (at + i == text.size()) return {Utf8Status::kIncomplete, kBad, i};
    const unsigned char low = i == 1 ? lead.second_low : 0x80;
    const unsigned char high = i == 1 ? lead.second_high : 0xBF;
    if (byte(i) < low || byte(i) > high) return {Utf8Status::kInvalid, kBad, i};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  return {Utf8Status::kValid, code, lead.length};
}

bool IsValidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = ReadUtf8(text, at);
    if (unit.status != Utf8Status::kValid) return false;
    at += unit.length;
  }
  return true;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = ReadUtf8(text, at);
    out += unit.status == Utf8Status::kValid ? text.substr(at, unit.length) : kReplacementCharacter;
    at += unit.length;
  }
  return out;
}

void AppendUtf8(char32_t code, std::string& out) {
  const auto add = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  const auto tail = [&](int shift) { add(0x80 | (code >> shift & 0x3F)); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xC0 | code >> 6), tail(0);
  } else if (code < 0x10000) {
    add(0xE0 | code >> 12), tail(6), tail(0);
  } else {
    add(0xF0 | code >> 18), tail(12), tail(6), tail(0);
  }
}

bool IsWhiteSpace(char32_t code) {
  return (code >= 0x09 && code <= 0x0D) || code == 0x20 || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || (code >= 0x2000 && code <= 0x200A) || code == 0x2028 || code == 0x2029 ||
         code == 0x202F || code == 0x205F || code == 0x3000;
}

bool IsWordCharacter(char32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC: return true;
    default:  // the joiners, and the circled letters that are alphabetic though symbols
      return code == 0x200C || code == 0x200D || (code >= 0x24B6 && code <= 0x24E9) ||
             (code >= 0x1F130 && code <= 0x1F149) || (code >= 0x1F150 && code <= 0x1F169) ||
             (code >= 0x1F170 && code <= 0x1F189);
  }
}

}  // namespace llmq
