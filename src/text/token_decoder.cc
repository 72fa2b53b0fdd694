#include "text/token_decoder.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "llmq/error.h"
#include "text/byte_alphabet.h"
#include "text/json_steps.h"
#include "text/pattern.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace llmq {
namespace {

// A chain of replacements could let a token grow without end.
constexpr size_t kMaxTokenBytes = size_t{16} << 20;

void ReplaceAll(std::string_view from, std::string_view to, std::string& text) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
}

// For stages that must see a token whole.
class WholeTokenStage : public DecoderStage {
 public:
  void Push(std::string_view text, bool ends_token) final {
    if (ends_token && part_.empty()) return OnToken(text);
    part_ += text;
    if (ends_token) OnToken(std::exchange(part_, {}));
  }
  void Flush() override { next().Flush(); }

 protected:
  virtual void OnToken(std::string_view token) = 0;

 private:
  std::string part_;
};

class ReplaceStage : public WholeTokenStage {
 public:
  ReplaceStage(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

 private:
  void OnToken(std::string_view token) override {
    std::string out;
    pattern_.ForEachSpan(token, [&](size_t begin, size_t end, bool is_match) {
      out += is_match ? std::string_view(content_) : token.substr(begin, end - begin);
      if (out.size() > kMaxTokenBytes) {
        throw Error(ErrorCode::kGeneral, "decoder: Replace: expected tokens of an honest length");
      }
    });
    next().Push(out, true);
  }

  const Pattern pattern_;
  const std::string content_;
};

// Joins runs of tokens "<0xE2>" into characters. A run is good or bad as a whole, so it waits for
// the token after it.
class ByteFallbackStage : public WholeTokenStage {
 public:
  void Flush() override {
    EmitRun();
    next().Flush();
  }

 private:
  void OnToken(std::string_view token) override {
    if (const auto byte = ParseByteToken(token)) {
      run_.push_back(static_cast<char>(*byte));
      return;
    }
    EmitRun();
    next().Push(token, true);
  }

  void EmitRun() {
    const std::string run = std::exchange(run_, {});
    if (run.empty()) return;
    if (IsValidUtf8(run)) return next().Push(run, true);
    for (size_t i = 0; i < run.size(); ++i) next().Push(kReplacementCharacter, true);
  }

  std::string run_;
};

class FuseStage : public DecoderStage {
 public:
  void Push(std::string_view text, bool) override { next().Push(text, false); }
  void Flush() override {
    next().Push("", true);
    next().Flush();
  }
};

// Takes up to `start` copies of a character from a token's begin and `stop` from its end.
class StripStage : public DecoderStage {
 public:
  StripStage(std::string content, int64_t start, int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop), start_left_(start) {}

  void Push(std::string_view text, bool ends_token) override {
    while (start_left_ > 0 && text.starts_with(content_)) {
      text.remove_prefix(content_.size());
      --start_left_;
    }
    if (!text.empty()) start_left_ = 0;
    if (stop_ > 0) {
      kept_ += text;
      if (!ends_token) return;
      std::string token = std::exchange(kept_, {});
      for (int64_t i = 0; i < stop_ && token.ends_with(content_); ++i) {
        token.resize(token.size() - content_.size());
      }
      next().Push(token, true);
    } else {
      next().Push(text, ends_token);
    }
    if (ends_token) start_left_ = start_;
  }
  void Flush() override { next().Flush(); }

 private:
  const std::string content_;  // one character
  const int64_t start_;
  const int64_t stop_;
  int64_t start_left_;  // still to take from this token
  std::string kept_;
};

class ByteLevelStage : public WholeTokenStage {
 public:
  void Flush() override {
    next().Push(ReplaceInvalidUtf8(bytes_), true);
    bytes_.clear();
    next().Flush();
  }

 private:
  void OnToken(std::string_view token) override {
    const size_t before = bytes_.size();
    for (size_t at = 0; at < token.size();) {
      const Utf8Unit unit = ReadUtf8(token, at);
      at += unit.length;
      if (const auto byte = ByteOfCharacter(unit.code)) {
        bytes_.push_back(static_cast<char>(*byte));
      } else {  // not in the byte alphabet: the token is plain text
        bytes_.resize(before);
        bytes_ += token;
        break;
      }
    }
    EmitCharacters();
  }

  // Hands on all but an unfinished character at the end.
  void EmitCharacters() {
    size_t certain = 0;
    while (certain < bytes_.size()) {
      const Utf8Unit unit = ReadUtf8(bytes_, certain);
      if (unit.status == Utf8Status::kIncomplete) break;
      certain += unit.length;
    }
    next().Push(ReplaceInvalidUtf8(std::string_view(bytes_).substr(0, certain)), false);
    bytes_.erase(0, certain);
  }

  std::string bytes_;
};

class MetaspaceStage : public DecoderStage {
 public:
  MetaspaceStage(std::string replacement, bool prepended)
      : replacement_(std::move(replacement)), drop_(prepended) {}

  void Push(std::string_view text, bool ends_token) override {
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const std::string_view character = text.substr(at, Utf8Length(text[at]));
      at += character.size();
      if (character != replacement_) {
        out += character;
      } else if (!drop_) {
        out += ' ';
      }
    }
    next().Push(out, ends_token);
    drop_ = drop_ && !ends_token;
  }
  void Flush() override { next().Flush(); }

 private:
  const std::string replacement_;
  bool drop_;  // in the first token, if a space was put before it
};

// Parts of words marked at their begin; between words goes a space.
class WordPieceStage : public WholeTokenStage {
 public:
  WordPieceStage(std::string prefix, bool cleanup)
      : prefix_(std::move(prefix)), cleanup_(cleanup) {}

 private:
  void OnToken(std::string_view token) override {
    std::string out(token);
    if (!first_) {
      const bool part = token.starts_with(prefix_);
      out = part ? out.substr(prefix_.size()) : " " + out;
    }
    first_ = false;
    if (cleanup_) CleanUp(out);
    next().Push(out, true);
  }

  // The spaces of English that a tokenizer put before punctuation and in contractions.
  static void CleanUp(std::string& text) {
    constexpr std::pair<std::string_view, std::string_view> kRules[] = {
        {" .", "."},   {" ?", "?"},     {" !", "!"},    {" ,", ","},
        {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},  {" do not", " don't"},
        {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kRules) ReplaceAll(from, to, text);
  }

  const std::string prefix_;
  const bool cleanup_;
  bool first_ = true;
};

// Words marked at their end, where a space goes; not behind the last token, which therefore waits.
class WordSuffixStage : public WholeTokenStage {
 public:
  explicit WordSuffixStage(std::string suffix) : suffix_(std::move(suffix)) {}

  void Flush() override {
    Emit("");
    next().Flush();
  }

 private:
  void OnToken(std::string_view token) override {
    Emit(" ");
    waiting_ = token;
  }

  void Emit(std::string_view space) {
    if (!waiting_) return;
    ReplaceAll(suffix_, space, *waiting_);
    next().Push(*std::exchange(waiting_, std::nullopt), true);
  }

  const std::string suffix_;  // not empty
  std::optional<std::string> waiting_;
};

class JoinStage : public DecoderStage {
 public:
  void Push(std::string_view text, bool ends_token) override {
    if (at_begin_ && !first_) next().Push(" ", false);
    next().Push(text, ends_token);
    first_ = false;
    at_begin_ = ends_token;
  }
  void Flush() override { next().Flush(); }

 private:
  bool first_ = true;
  bool at_begin_ = true;
};

class OutputStage : public DecoderStage {
 public:
  explicit OutputStage(std::string& output) : output_(output) {}
  void Push(std::string_view text, bool) override { output_ += text; }
  void Flush() override {}

 private:
  std::string& output_;
};

std::string RequireCharacter(const SortedJson& json, const char* key, const std::string& where) {
  std::string text = RequireString(json, key, where);
  if (text.empty() || ReadUtf8(text, 0).length != text.size()) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: \"{}\": expected one character, found \"{}\"",
                                                 where, key, text.substr(0, 60)));
  }
  return text;
}

using StageFactory = std::function<std::unique_ptr<DecoderStage>()>;

StageFactory ParseStage(const JsonStep& step) {
  const SortedJson& json = *step.json;
  const std::string& where = step.where;
  if (step.type == "ByteLevel") return [] { return std::make_unique<ByteLevelStage>(); };
  if (step.type == "ByteFallback") return [] { return std::make_unique<ByteFallbackStage>(); };
  if (step.type == "Fuse") return [] { return std::make_unique<FuseStage>(); };
  if (step.type == "Replace") {
    return [pattern = Pattern::FromJson(RequireKey(json, "pattern", where), where),
            content = RequireString(json, "content", where)] {
      return std::make_unique<ReplaceStage>(pattern, content);
    };
  }
  if (step.type == "Strip") {
    constexpr int64_t kMost = INT32_MAX;
    return [content = RequireCharacter(json, "content", where),
            start = RequireIntInRange(RequireKey(json, "start", where), 0, kMost, "start", where),
            stop = RequireIntInRange(RequireKey(json, "stop", where), 0, kMost, "stop", where)] {
      return std::make_unique<StripStage>(content, start, stop);
    };
  }
  if (step.type == "WordPiece") {
    return [prefix = GetString(json, "prefix", "##", where),
            cleanup = GetBool(json, "cleanup", true, where)] {
      return std::make_unique<WordPieceStage>(prefix, cleanup);
    };
  }
  if (step.type == "BPEDecoder") {
    const std::string suffix = GetString(json, "suffix", "</w>", where);
    if (suffix.empty()) throw Error(ErrorCode::kGeneral, where + ": suffix: expected a text");
    return [suffix] { return std::make_unique<WordSuffixStage>(suffix); };
  }
  if (step.type == "Metaspace") {
    const bool legacy = GetBool(json, "add_prefix_space", true, where);
    const std::string scheme =
        GetString(json, "prepend_scheme", legacy ? "always" : "never", where);
    return [replacement = RequireCharacter(json, "replacement", where),
            prepended = scheme != "never"] {
      return std::make_unique<MetaspaceStage>(replacement, prepended);
    };
  }
  FailUnsupported(step);
}

}  // namespace

DecoderChain::DecoderChain(std::vector<std::unique_ptr<DecoderStage>> stages)
    : stages_(std::move(stages)), output_(std::make_unique<std::string>()) {
  stages_.push_back(std::make_unique<OutputStage>(*output_));
  for (size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->set_next(stages_[i + 1].get());
}

std::string DecoderChain::TakeOutput() { return std::exchange(*output_, {}); }

DecoderSpec DecoderSpec::FromJson(const SortedJson& file, const std::string& where) {
  DecoderSpec spec;
  for (const JsonStep& step : FlattenSteps(file, "decoder", "decoders", where)) {
    spec.factories_.push_back(ParseStage(step));
  }
  const auto decoder = file.find("decoder");
  if (decoder == file.end() || decoder->is_null()) {
    spec.factories_.push_back([] { return std::make_unique<JoinStage>(); });
  }
  return spec;
}

DecoderChain DecoderSpec::NewChain() const {
  std::vector<std::unique_ptr<DecoderStage>> stages;
  for (const auto& factory : factories_) stages.push_back(factory());
  return DecoderChain(std::move(stages));
}

}  // namespace llmq
