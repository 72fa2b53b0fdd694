#include "text/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <optional>

#include "llmq/error.h"
#include "text/utf8.h"

namespace llmq {
namespace {

constexpr size_t kMaxExpressionBytes = 1 << 16;
constexpr uint32_t kMatchLimit = 10'000'000;       // backtracking steps from one starting point
constexpr uint32_t kHeapLimitKilobytes = 1 << 18;  // for the interpreter

// \s and \w as Oniguruma has them. PCRE2's \s also takes U+180E, its \w no marks. (The last six are
// superscripts and fractions of Latin-1, word characters to Oniguruma alone.)
constexpr std::string_view kSpaceClass = R"(\p{White_Space})";
constexpr std::string_view kNotSpaceClass = R"(\P{White_Space})";
constexpr std::string_view kWordClass =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";

using Code = std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>;

// Whether PCRE2 knows a script of that name and tells Script from Script_Extensions (since 10.40).
bool IsScript(std::string_view name) {
  const std::string expression = fmt::format(R"(\p{{sc:{}}})", name);
  int error = 0;
  size_t offset = 0;
  const Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                                PCRE2_UTF, &error, &offset, nullptr),
                  &pcre2_code_free);
  return code != nullptr;
}

// Rewrites an Oniguruma expression for PCRE2, character by character.
class Translator {
 public:
  Translator(std::string_view expression, const std::string& where)
      : in_(expression), where_(where) {}

  std::string Run() {
    while (at_ < in_.size()) {
      if (in_[at_] == '\\') {
        Escape();
      } else if (in_class_) {
        ClassCharacter();
      } else {
        in_class_ = in_[at_] == '[';
        out_ += in_[at_++];
        if (in_class_) ClassOpening();
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void Refuse(std::string_view what) const {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: regular expression: {} is not supported", where_, what),
                "This tokenizer cannot be used");
  }

  void Escape() {
    if (at_ + 1 == in_.size()) Refuse("a backslash at the end");
    const char letter = in_[at_ + 1];
    at_ += 2;
    if (letter == 's') {
      out_ += kSpaceClass;
    } else if (letter == 'S') {
      out_ += kNotSpaceClass;
    } else if (letter == 'w') {
      out_ += in_class_ ? std::string(kWordClass) : fmt::format("[{}]", kWordClass);
    } else if (letter == 'W' && !in_class_) {
      out_ += fmt::format("[^{}]", kWordClass);
    } else if ((letter == 'p' || letter == 'P') && in_.substr(at_).starts_with('{')) {
      Property(letter);
    } else if (letter == 'W' || letter == 'h' || letter == 'H') {
      Refuse(fmt::format("\\{}{}", letter, in_class_ ? " in a class" : ""));
    } else {
      out_ += '\\';
      out_ += letter;
    }
  }

  // \p{Han} means the script; to PCRE2 alone it means every character used with it.
  void Property(char letter) {
    const size_t end = std::min(in_.find('}', at_), in_.size());
    const std::string_view name = in_.substr(at_ + 1, end - at_ - 1);
    const bool longer_than_category = name.size() > 2 && name.find_first_of(":=^") == name.npos;
    out_ += fmt::format("\\{}{{{}", letter, longer_than_category && IsScript(name) ? "sc:" : "");
    at_ += 1;  // the name and the '}' follow as they are
  }

  // A ']' that comes first in a class stands for itself.
  void ClassOpening() {
    if (at_ < in_.size() && in_[at_] == '^') out_ += in_[at_++];
    if (at_ < in_.size() && in_[at_] == ']') out_ += "\\]", ++at_;
  }

  void ClassCharacter() {
    const std::string_view rest = in_.substr(at_);
    if (rest.starts_with("[:")) {  // [:alpha:], the same in both
      const size_t end = rest.find(":]");
      if (end == std::string_view::npos) Refuse("an unfinished [: :]");
      out_ += rest.substr(0, end + 2);
      at_ += end + 2;
      return;
    }
    if (rest.starts_with("&&")) Refuse("&& in a class");
    if (rest[0] == '[' || (rest[0] == ']' && inner_classes_ > 0)) return InnerClass(rest);
    in_class_ = rest[0] != ']';
    out_ += in_[at_++];
  }

  // A class inside a class adds its characters: it is written without its brackets, unless it is
  // negated or they keep a '-' from making a range.
  void InnerClass(std::string_view rest) {
    const bool opens = rest[0] == '[';
    const bool plain =
        opens ? !rest.starts_with("[^") && !rest.starts_with("[]") && in_[at_ - 1] != '-'
              : !rest.starts_with("]-") && in_[at_ - 1] != '-';
    if (!plain) Refuse("such a class inside a class");
    inner_classes_ += opens ? 1 : -1;
    ++at_;
  }

  std::string_view in_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
  int inner_classes_ = 0;  // that are open inside it
};

std::string Pcre2Message(int code) {
  PCRE2_UCHAR text[200] = {};
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

struct MatchState {
  MatchState() {
    pcre2_set_match_limit(context.get(), kMatchLimit);
    pcre2_set_heap_limit(context.get(), kHeapLimitKilobytes);
  }
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data{
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free};
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context{
      pcre2_match_context_create(nullptr), &pcre2_match_context_free};
};

}  // namespace

Pattern Pattern::Literal(std::string_view text, const std::string& where) {
  if (text.empty()) {
    throw Error(ErrorCode::kGeneral, where + ": expected a pattern, found an empty string");
  }
  Pattern pattern;
  pattern.where_ = where;
  pattern.literal_ = text;
  return pattern;
}

Pattern Pattern::Regex(std::string_view expression, const std::string& where) {
  if (expression.size() > kMaxExpressionBytes) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a regular expression of at most {} bytes, found {}",
                            where, kMaxExpressionBytes, expression.size()));
  }
  const std::string translated = Translator(expression, where).Run();
  int error = 0;
  size_t offset = 0;
  // MULTILINE: in Ruby syntax ^ and $ always match at line ends.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()),
                                   translated.size(), options, &error, &offset, context.get());
  if (code == nullptr) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected a regular expression, found: {} at byte {}", where,
                            Pcre2Message(error), offset));
  }
  Pattern pattern;
  pattern.where_ = where;
  pattern.code_.reset(code, &pcre2_code_free);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where there is no JIT, the interpreter serves
  return pattern;
}

Pattern Pattern::FromJson(const SortedJson& json, const std::string& where) {
  if (json.is_object() && json.size() == 1 && json.begin()->is_string()) {
    const auto& text = json.begin()->get_ref<const std::string&>();
    if (json.contains("String")) return Literal(text, where);
    if (json.contains("Regex")) return Regex(text, where);
  }
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: pattern: expected {{\"String\": ..}} or {{\"Regex\": ..}}, found {}",
                          where, DumpJson(json).substr(0, 60)));
}

void Pattern::ForEachMatch(std::string_view text, const MatchVisitor& visit) const {
  if (code_ != nullptr) return ForEachRegexMatch(text, visit);
  for (size_t at = text.find(literal_); at != std::string_view::npos;
       at = text.find(literal_, at + literal_.size())) {
    visit(at, at + literal_.size());
  }
}

void Pattern::ForEachRegexMatch(std::string_view text, const MatchVisitor& visit) const {
  const MatchState state;
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  // The text is valid; checking it again at each match would make a long text quadratic.
  const auto match = [&](size_t at, uint32_t more) {
    return pcre2_match(code_.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK | more,
                       state.data.get(), state.context.get());
  };
  size_t at = 0;
  std::optional<size_t> last_end;
  while (at <= text.size()) {
    int result = match(at, 0);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(at, PCRE2_NO_JIT);
    if (result == PCRE2_ERROR_NOMATCH) return;
    if (result < 0) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: regular expression failed on a text of {} bytes at byte {}: {}",
                              where_, text.size(), at, Pcre2Message(result)));
    }
    const size_t* ends = pcre2_get_ovector_pointer(state.data.get());
    const size_t begin = ends[0];
    const size_t end = ends[1];
    if (begin < at || end < begin) {  // \K can do this
      throw Error(ErrorCode::kGeneral, where_ + ": regular expression matched backwards");
    }
    if (begin == end && last_end == end) {
      at = end + (end < text.size() ? Utf8Length(text[end]) : 1);
      continue;
    }
    visit(begin, end);
    at = end;
    last_end = end;
  }
}

void Pattern::ForEachSpan(std::string_view text, const SpanVisitor& visit) const {
  size_t done = 0;
  ForEachMatch(text, [&](size_t begin, size_t end) {
    if (done < begin) visit(done, begin, false);
    visit(begin, end, true);
    done = end;
  });
  if (done < text.size()) visit(done, text.size(), false);
}

}  // namespace llmq
