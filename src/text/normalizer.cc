#include "text/normalizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "llmq/error.h"
#include "text/json_steps.h"
#include "text/pattern.h"
#include "text/utf8.h"

namespace llmq {
namespace {

// The longest honest growth is NFKD's, 18 code points for one.
constexpr size_t kMaxGrowth = 64;
constexpr size_t kMaxExtraBytes = 4096;

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::string UnicodeForm(std::string text, utf8proc_option_t form, const std::string& where) {
  if (IsAscii(text)) return text;  // every form leaves ASCII alone
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &out, form);
  if (length < 0) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", where, utf8proc_errmsg(length)));
  }
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(out, &std::free);
  return {reinterpret_cast<const char*>(out), static_cast<size_t>(length)};
}

std::string Lowercase(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = ReadUtf8(text, at);
    at += unit.length;
    if (unit.code == 0x130) {  // the one letter whose lower case is two code points
      out += "i\xCC\x87";
    } else {
      AppendUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(unit.code))),
                 out);
    }
  }
  return out;
}

std::string Strip(const std::string& text, bool left, bool right) {
  size_t begin = 0;
  size_t end = 0;  // behind the last character to keep
  bool seen = !left;
  for (size_t at = 0; at < text.size();) {
    const Utf8Unit unit = ReadUtf8(text, at);
    const bool space = IsWhiteSpace(unit.code);
    if (!seen && space) begin = at + unit.length;
    seen = seen || !space;
    at += unit.length;
    if (!space || !right) end = at;
  }
  return end <= begin ? std::string() : text.substr(begin, end - begin);
}

std::string Replace(const std::string& text, const Pattern& pattern, const std::string& content,
                    const std::string& where) {
  std::string out;
  out.reserve(text.size());
  size_t done = 0;
  pattern.ForEachMatch(text, [&](size_t begin, size_t end) {
    out.append(text, done, begin - done).append(content);
    done = end;
    if (out.size() > kMaxGrowth * text.size() + kMaxExtraBytes) {
      throw Error(ErrorCode::kGeneral,
                  where + ": expected text of a similar length, found it grows");
    }
  });
  return out.append(text, done);
}

std::function<std::string(std::string)> ParseStep(const JsonStep& step) {
  const SortedJson& json = *step.json;
  const auto form = [&](int options) {
    return [options, where = step.where](std::string text) {
      return UnicodeForm(std::move(text), static_cast<utf8proc_option_t>(options), where);
    };
  };
  if (step.type == "NFC") return form(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  if (step.type == "NFD") return form(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  if (step.type == "NFKC") return form(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
  if (step.type == "NFKD") return form(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  if (step.type == "Lowercase") return [](std::string text) { return Lowercase(text); };
  if (step.type == "Prepend") {
    return [prefix = RequireString(json, "prepend", step.where)](std::string text) {
      return text.empty() ? text : prefix + text;
    };
  }
  if (step.type == "Replace") {
    return [pattern = Pattern::FromJson(RequireKey(json, "pattern", step.where), step.where),
            content = RequireString(json, "content", step.where), where = step.where](
               std::string text) { return Replace(text, pattern, content, where); };
  }
  if (step.type == "Strip") {
    return [left = GetBool(json, "strip_left", true, step.where),
            right = GetBool(json, "strip_right", true, step.where)](std::string text) {
      return Strip(text, left, right);
    };
  }
  FailUnsupported(step);
}

}  // namespace

Normalizer Normalizer::FromJson(const SortedJson& file, const std::string& where) {
  Normalizer normalizer;
  normalizer.where_ = where + ": normalizer";
  for (const JsonStep& step : FlattenSteps(file, "normalizer", "normalizers", where)) {
    normalizer.steps_.push_back(ParseStep(step));
  }
  return normalizer;
}

std::string Normalizer::Normalize(std::string_view text) const {
  std::string out(text);
  const size_t most = kMaxGrowth * text.size() + kMaxExtraBytes;
  for (const Step& step : steps_) {
    out = step(std::move(out));
    if (out.size() > most) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected at most {} bytes from a text of {}, found {}", where_,
                              most, text.size(), out.size()));
    }
  }
  return out;
}

}  // namespace llmq
