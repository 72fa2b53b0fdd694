#include "text/normalizer.h"

#include <fmt/format.h>

#include <utility>

#include "llmq/error.h"
#include "text/base64.h"
#include "text/character_steps.h"
#include "text/json_steps.h"
#include "text/pattern.h"
#include "text/utf8.h"

namespace llmq {
namespace {

// The longest honest growth is NFKD's, 18 code points for one.
constexpr size_t kMaxGrowth = 64;
constexpr size_t kMaxExtraBytes = 4096;

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

// An object with two keys, "type" and the compiled rules in Base64.
std::function<std::string(std::string)> PrecompiledRules(const SortedJson& json,
                                                         const std::string& where) {
  const auto charsmap = DecodeBase64(RequireString(json, "precompiled_charsmap", where));
  if (!charsmap)
    throw Error(ErrorCode::kGeneral, where + ": precompiled_charsmap: expected Base64");
  return [rules = CharacterRules(*charsmap, where + ": precompiled_charsmap")](
             const std::string& text) { return ApplyRules(text, rules); };
}

std::function<std::string(std::string)> BertNormalizer(const SortedJson& json,
                                                       const std::string& where) {
  BertOptions options;
  options.clean_text = GetBool(json, "clean_text", true, where);
  options.space_around_han = GetBool(json, "handle_chinese_chars", true, where);
  options.lowercase = GetBool(json, "lowercase", true, where);
  options.strip_accents = GetBool(json, "strip_accents", options.lowercase, where);
  return [options](std::string text) { return NormalizeForBert(std::move(text), options); };
}

std::function<std::string(std::string)> ParseStep(const JsonStep& step) {
  const SortedJson& json = *step.json;
  const auto form = [](NormalForm which) {
    return [which](std::string text) { return ToNormalForm(std::move(text), which); };
  };
  if (step.type == "NFC") return form(NormalForm::kNfc);
  if (step.type == "NFD") return form(NormalForm::kNfd);
  if (step.type == "NFKC") return form(NormalForm::kNfkc);
  if (step.type == "NFKD") return form(NormalForm::kNfkd);
  if (step.type == "Lowercase") return Lowercase;
  if (step.type == "StripAccents") return StripMarks;
  if (step.type == "Nmt") return CleanForTranslation;
  if (step.type == "ByteLevel") return WriteBytes;
  if (step.type == "BertNormalizer") return BertNormalizer(json, step.where);
  if (step.type == "Precompiled") return PrecompiledRules(json, step.where);
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
