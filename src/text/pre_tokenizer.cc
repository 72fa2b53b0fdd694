#include "text/pre_tokenizer.h"

#include <fmt/format.h>

#include <optional>

#include "llmq/error.h"
#include "text/byte_alphabet.h"
#include "text/json_steps.h"
#include "text/pattern.h"
#include "text/utf8.h"

namespace llmq {
namespace {

// What GPT-2 calls a word.
constexpr std::string_view kByteLevelWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// Words and runs of other characters for "Whitespace", which has the \w of UTS #18.
constexpr std::string_view kWhitespaceWords =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+)"
    R"(|[^\s\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{200C}\x{200D}]+)";

constexpr std::string_view kPunctuation = R"([!-/:-@\[-`{-~\p{P}])";

// The scripts of Unicode 14 by their codes, but for Common and what counts as Han.
constexpr std::string_view kScripts =
    "Latn Cyrl Grek Arab Hebr Hang Thai Deva Adlm Aghb Ahom Armi Armn Avst Bali Bamu Bass "
    "Batk Beng Bhks Bopo Brah Brai Bugi Buhd Cakm Cans Cari Cham Cher Chrs Copt Cpmn Cprt "
    "Diak Dogr Dsrt Dupl Egyp Elba Elym Ethi Geor Glag Gong Gonm Goth Gran Gujr Guru Hano "
    "Hatr Hluw Hmng Hmnp Hung Ital Java Kali Khar Khmr Khoj Kits Knda Kthi Lana Laoo Lepc "
    "Limb Lina Linb Lisu Lyci Lydi Mahj Maka Mand Mani Marc Medf Mend Merc Mero Mlym Modi "
    "Mong Mroo Mtei Mult Mymr Nand Narb Nbat Newa Nkoo Nshu Ogam Olck Orkh Orya Osge Osma "
    "Ougr Palm Pauc Perm Phag Phli Phlp Phnx Plrd Prti Qaai Rjng Rohg Runr Samr Sarb Saur "
    "Sgnw Shaw Shrd Sidd Sind Sinh Sogd Sogo Sora Soyo Sund Sylo Syrc Tagb Takr Tale Talu "
    "Taml Tang Tavt Telu Tfng Tglg Thaa Tibt Tirh Tnsa Toto Ugar Vaii Vith Wara Wcho Xpeo "
    "Xsux Yezi Yiii Zanb";

// Runs of one script for "UnicodeScripts". Kana count as Han; a space and what is no character
// belong to the script before them, and those before all others to none.
std::string ScriptRuns() {
  constexpr std::string_view kAny = R"( \p{sc:Zzzz})";
  constexpr std::string_view kHan = R"(\p{sc:Hani}\p{sc:Hira}\p{sc:Kana}\x{30FC})";
  std::string runs = fmt::format("[{}][{}{}]*|", kHan, kHan, kAny);
  for (size_t at = 0; at < kScripts.size(); at += 5) {
    const std::string script = fmt::format(R"(\p{{sc:{}}})", kScripts.substr(at, 4));
    runs += fmt::format("{}[{}{}]*|", script, script, kAny);
  }
  return runs +
         fmt::format(R"((?![ \x{{30FC}}])\p{{sc:Zyyy}}(?:(?!\x{{30FC}})[\p{{sc:Zyyy}}{}])*)", kAny);
}

// What becomes of the matches of a pattern; the names are the format's.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior ParseBehavior(const std::string& name, const std::string& where) {
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: behavior: expected a known one, found \"{}\"", where, name));
}

// Joins spans by a behaviour: the span last seen waits here until it is known not to grow.
class SpanJoiner {
 public:
  SpanJoiner(const TextPiece& piece, Behavior behavior, const PieceSink& sink)
      : piece_(piece), behavior_(behavior), sink_(sink) {}

  void Add(size_t begin, size_t end, bool is_match) {
    if (waiting_ && Joins(is_match)) {
      end_ = end;
    } else {
      Emit();
      if (is_match && behavior_ == Behavior::kRemoved) return;
      begin_ = begin;
      end_ = end;
      waiting_ = true;
    }
    is_match_ = is_match;
  }

  void Emit() {
    if (waiting_ && begin_ < end_) {
      sink_({piece_.text.substr(begin_, end_ - begin_), piece_.at_start && begin_ == 0});
    }
    waiting_ = false;
  }

 private:
  bool Joins(bool is_match) const {
    switch (behavior_) {
      case Behavior::kMergedWithPrevious: return is_match && !is_match_;
      case Behavior::kMergedWithNext: return !is_match && is_match_;
      case Behavior::kContiguous: return is_match == is_match_;
      default: return false;
    }
  }

  const TextPiece& piece_;
  const Behavior behavior_;
  const PieceSink& sink_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool is_match_ = false;
  bool waiting_ = false;
};

class SplitStep : public PreTokenizerStep {
 public:
  SplitStep(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void Split(const TextPiece& piece, const PieceSink& sink) const override {
    SpanJoiner joiner(piece, behavior_, sink);
    pattern_.ForEachSpan(piece.text, [&](size_t begin, size_t end, bool is_match) {
      joiner.Add(begin, end, is_match != invert_);
    });
    joiner.Emit();
  }

 private:
  const Pattern pattern_;
  const Behavior behavior_;
  const bool invert_;
};

class ByteLevelStep : public PreTokenizerStep {
 public:
  ByteLevelStep(const SortedJson& json, const std::string& where)
      : add_prefix_space_(GetBool(json, "add_prefix_space", true, where)) {
    if (GetBool(json, "use_regex", true, where)) {
      words_.emplace(Pattern::Regex(kByteLevelWords, where), Behavior::kIsolated, false);
    }
  }

  void Split(const TextPiece& piece, const PieceSink& sink) const override {
    std::string spaced;
    TextPiece whole = piece;
    if (add_prefix_space_ && !piece.text.starts_with(' ')) {
      spaced.assign(1, ' ').append(piece.text);
      whole.text = spaced;
    }
    std::string written;  // in the byte alphabet
    const auto write = [&](const TextPiece& word) {
      written.clear();
      for (const char byte : word.text) written += ByteCharacters()[static_cast<uint8_t>(byte)];
      sink({written, word.at_start});
    };
    if (words_) {
      words_->Split(whole, std::ref(write));
    } else {
      write(whole);
    }
  }

 private:
  const bool add_prefix_space_;
  std::optional<SplitStep> words_;
};

class MetaspaceStep : public PreTokenizerStep {
 public:
  MetaspaceStep(const SortedJson& json, const std::string& where)
      : replacement_(GetString(json, "replacement", "\u2581", where)),
        scheme_(GetString(json, "prepend_scheme",
                          GetBool(json, "add_prefix_space", true, where) ? "always" : "never",
                          where)),
        before_words_(Pattern::Literal(replacement_, where), Behavior::kMergedWithNext, false),
        split_(GetBool(json, "split", true, where)) {
    if (scheme_ != "always" && scheme_ != "never" && scheme_ != "first") {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: prepend_scheme: expected always, never or first, found \"{}\"",
                              where, scheme_));
    }
    if (ReadUtf8(replacement_, 0).length != replacement_.size()) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: replacement: expected one character, found \"{}\"", where,
                              replacement_.substr(0, 60)));
    }
  }

  void Split(const TextPiece& piece, const PieceSink& sink) const override {
    std::string text;
    for (const char c : piece.text) c == ' ' ? text += replacement_ : text += c;
    if ((scheme_ == "always" || (scheme_ == "first" && piece.at_start)) &&
        !text.starts_with(replacement_)) {
      text.insert(0, replacement_);
    }
    const TextPiece whole{text, piece.at_start};
    split_ ? before_words_.Split(whole, sink) : sink(whole);
  }

 private:
  const std::string replacement_;
  const std::string scheme_;
  const SplitStep before_words_;
  const bool split_;
};

// Words between white space, punctuation by itself.
class BertStep : public PreTokenizerStep {
 public:
  explicit BertStep(const std::string& where)
      : spaces_(Pattern::Regex(R"(\s)", where), Behavior::kRemoved, false),
        punctuation_(Pattern::Regex(kPunctuation, where), Behavior::kIsolated, false) {}

  void Split(const TextPiece& piece, const PieceSink& sink) const override {
    const auto word = [&](const TextPiece& part) { punctuation_.Split(part, sink); };
    spaces_.Split(piece, std::ref(word));
  }

 private:
  const SplitStep spaces_;
  const SplitStep punctuation_;
};

// Pieces of so many characters.
class FixedLengthStep : public PreTokenizerStep {
 public:
  explicit FixedLengthStep(int64_t length) : length_(length) {}

  void Split(const TextPiece& piece, const PieceSink& sink) const override {
    for (size_t begin = 0; begin < piece.text.size();) {
      size_t end = begin;
      for (int64_t i = 0; i < length_ && end < piece.text.size(); ++i) {
        end += Utf8Length(piece.text[end]);
      }
      sink({piece.text.substr(begin, end - begin), piece.at_start && begin == 0});
      begin = end;
    }
  }

 private:
  const int64_t length_;
};

std::unique_ptr<const PreTokenizerStep> ParseStep(const JsonStep& step) {
  const SortedJson& json = *step.json;
  const std::string& where = step.where;
  const auto split = [&](std::string_view regex, Behavior behavior, bool invert) {
    return std::make_unique<SplitStep>(Pattern::Regex(regex, where), behavior, invert);
  };
  if (step.type == "Split") {
    return std::make_unique<SplitStep>(Pattern::FromJson(RequireKey(json, "pattern", where), where),
                                       ParseBehavior(RequireString(json, "behavior", where), where),
                                       GetBool(json, "invert", false, where));
  }
  if (step.type == "ByteLevel") return std::make_unique<ByteLevelStep>(json, where);
  if (step.type == "Metaspace") return std::make_unique<MetaspaceStep>(json, where);
  if (step.type == "Digits") {
    const bool each = GetBool(json, "individual_digits", false, where);
    return split(R"(\p{N})", each ? Behavior::kIsolated : Behavior::kContiguous, false);
  }
  if (step.type == "CharDelimiterSplit") {
    return std::make_unique<SplitStep>(
        Pattern::Literal(RequireString(json, "delimiter", where), where), Behavior::kRemoved,
        false);
  }
  if (step.type == "FixedLength") {
    return std::make_unique<FixedLengthStep>(
        RequireIntInRange(RequireKey(json, "length", where), 1, INT32_MAX, "a length", where));
  }
  if (step.type == "UnicodeScripts") return split(ScriptRuns(), Behavior::kRemoved, true);
  if (step.type == "BertPreTokenizer") return std::make_unique<BertStep>(where);
  if (step.type == "Punctuation") {
    const std::string behavior = GetString(json, "behavior", "Isolated", where);
    return split(kPunctuation, ParseBehavior(behavior, where), false);
  }
  if (step.type == "Whitespace") return split(kWhitespaceWords, Behavior::kRemoved, true);
  if (step.type == "WhitespaceSplit") return split(R"(\s)", Behavior::kRemoved, false);
  FailUnsupported(step);
}

}  // namespace

PreTokenizer PreTokenizer::FromJson(const SortedJson& file, const std::string& where) {
  PreTokenizer result;
  for (const JsonStep& step : FlattenSteps(file, "pre_tokenizer", "pretokenizers", where)) {
    result.steps_.push_back(ParseStep(step));
  }
  return result;
}

void PreTokenizer::Split(const TextPiece& piece, const PieceSink& sink) const {
  SplitFrom(0, piece, sink);
}

void PreTokenizer::SplitFrom(size_t step, const TextPiece& piece, const PieceSink& sink) const {
  if (step == steps_.size()) return sink(piece);
  const auto next = [&](const TextPiece& part) { SplitFrom(step + 1, part, sink); };
  steps_[step]->Split(piece, std::ref(next));
}

}  // namespace llmq
