// Normalizers, pre-tokenizers and decoders one at a time, against what "tokenizers" answered, and
// the parts below them.
#include <gtest/gtest.h>

#include "llmq/error.h"
#include "tests/text/text_test_support.h"
#include "text/byte_alphabet.h"
#include "text/normalizer.h"
#include "text/pattern.h"
#include "text/pre_tokenizer.h"
#include "text/prefix_matcher.h"
#include "text/token_decoder.h"
#include "text/utf8.h"

namespace llmq {
namespace {

SortedJson FileWith(const char* part, const SortedJson& step) {
  SortedJson file;
  file[part] = step;
  return file;
}

TEST(TokenizerSteps, NormalizersAsTheReference) {
  const SortedJson golden = ReadGolden("steps.json")["normalizer"];
  EXPECT_GT(golden.size(), 15u);
  for (const SortedJson& entry : golden) {
    const auto normalizer = Normalizer::FromJson(FileWith("normalizer", entry[0]), "test");
    for (const SortedJson& c : entry[1]) {
      EXPECT_EQ(normalizer.Normalize(c[0].get<std::string>()), c[1].get<std::string>())
          << entry[0] << " of " << c[0];
    }
  }
}

TEST(TokenizerSteps, PreTokenizersAsTheReference) {
  const SortedJson golden = ReadGolden("steps.json")["pre_tokenizer"];
  EXPECT_GT(golden.size(), 90u);
  for (const SortedJson& entry : golden) {
    const auto pre_tokenizer = PreTokenizer::FromJson(FileWith("pre_tokenizer", entry[0]), "test");
    for (const SortedJson& c : entry[1]) {
      std::vector<std::string> pieces;
      const auto text = c[0].get<std::string>();
      pre_tokenizer.Split({text, true},
                          [&](const TextPiece& piece) { pieces.emplace_back(piece.text); });
      EXPECT_EQ(pieces, c[1].get<std::vector<std::string>>()) << entry[0] << " of " << c[0];
    }
  }
}

TEST(TokenizerSteps, DecodersAsTheReference) {
  const SortedJson golden = ReadGolden("steps.json")["decoder"];
  EXPECT_GT(golden.size(), 15u);
  for (const SortedJson& entry : golden) {
    const auto spec = DecoderSpec::FromJson(FileWith("decoder", entry[0]), "test");
    for (const SortedJson& c : entry[1]) {
      DecoderChain chain = spec.NewChain();
      std::string text;
      for (const SortedJson& token : c[0]) {
        chain.PushToken(token.get<std::string>());
        text += chain.TakeOutput();
      }
      chain.Flush();
      EXPECT_EQ(text + chain.TakeOutput(), c[1].get<std::string>()) << entry[0] << " of " << c[0];
    }
  }
}

TEST(TokenizerSteps, NoDecoderJoinsBySpaces) {
  DecoderChain chain = DecoderSpec::FromJson(SortedJson::object(), "test").NewChain();
  for (const char* token : {"a", "b", "c"}) chain.PushToken(token);
  chain.Flush();
  EXPECT_EQ(chain.TakeOutput(), "a b c");
}

std::vector<std::string> Matches(const Pattern& pattern, const std::string& text) {
  std::vector<std::string> matches;
  pattern.ForEachMatch(
      text, [&](size_t begin, size_t end) { matches.push_back(text.substr(begin, end - begin)); });
  return matches;
}

TEST(Pattern, ReadsOnigurumaExpressions) {
  using Strings = std::vector<std::string>;
  // U+180E is white space for PCRE2 alone; a combining mark is a word character for Oniguruma.
  EXPECT_EQ(Matches(Pattern::Regex(R"(\s)", "t"), "a \u180E\u3000"), (Strings{" ", "\u3000"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"([^\s]+)", "t"), "a\u180E b"), (Strings{"a\u180E", "b"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"([\w]+)", "t"), "e\u0301 _"), (Strings{"e\u0301", "_"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"(\W)", "t"), "e\u0301-"), (Strings{"-"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"([]a]+)", "t"), "a]b"), (Strings{"a]"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"([[:digit:]]+)", "t"), "a12"), (Strings{"12"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"([\[\]]+)", "t"), "a[]"), (Strings{"[]"}));
  // A class inside a class adds to it (BLOOM's expression has one).
  EXPECT_EQ(Matches(Pattern::Regex(R"( ?[^(\s|[.,!])]+)", "t"), "ab c.d|e(f"),
            (Strings{"ab", " c", "d", "e", "f"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"([a[b[c]]d]+)", "t"), "xabcdx"), (Strings{"abcd"}));
  // U+3001 is used with Han, but its script is Common.
  EXPECT_EQ(Matches(Pattern::Regex(R"(\p{Han}+|[\p{Hangul}x]+)", "t"), "漢、字x한"),
            (Strings{"漢", "字", "x한"}));
  EXPECT_EQ(Matches(Pattern::Regex(R"(\P{Han}\p{L}\p{Lu}\p{^Lu})", "t"), "漢aBBc"),
            (Strings{"aBBc"}));
}

std::string RegexError(const std::string& expression, const std::string& text = "") {
  try {
    Matches(Pattern::Regex(expression, "t"), text);
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

TEST(Pattern, RefusesWhatItWouldReadDifferently) {
  for (const char* expression : {R"(\h)", R"([\W])", "[a-z&&[^b]]", "[a[^b]]", "[a-[b]]", "[[a]-z]",
                                 "[a[]b]]", "[a[b-]c]", "[[:alpha", "\\"}) {
    EXPECT_NE(RegexError(expression).find("not supported"), std::string::npos) << expression;
  }
  for (const char* expression : {"(", "a{2,1}", "[z-a]", R"(\p{Nope})", R"(\C)", "(?<=a*)b"}) {
    EXPECT_NE(RegexError(expression).find("expected a regular expression"), std::string::npos)
        << expression;
  }
  EXPECT_NE(RegexError(std::string(1 << 17, 'a')).find("at most"), std::string::npos);
}

TEST(Pattern, ExplodingExpressionIsAnError) {
  EXPECT_NE(RegexError("(a+)+$", std::string(60, 'a') + "b").find("failed"), std::string::npos);
}

TEST(Pattern, LongMatchesNeedNoStack) {
  const std::string text = std::string(2'000'000, ' ') + "x";
  const auto matches = Matches(Pattern::Regex(R"(\s+(?!\S)|\s+)", "t"), text);
  ASSERT_EQ(matches.size(), 2u);
  EXPECT_EQ(matches[0].size(), 1'999'999u);
}

TEST(PrefixMatcher, FindsTheLongest) {
  PrefixMatcher matcher;
  EXPECT_TRUE(matcher.empty());
  for (const char* text : {"a", "abc", "abcdef", "b"}) {
    matcher.Add(text, static_cast<int32_t>(std::string(text).size()), "test");
  }
  EXPECT_EQ(matcher.Longest("abcde", 0)->length, 3u);
  EXPECT_EQ(matcher.Longest("abcdef", 0)->id, 6);
  EXPECT_EQ(matcher.Longest("xab", 1)->id, 1);
  EXPECT_FALSE(matcher.Longest("cab", 0));
}

TEST(ByteAlphabet, IsABijection) {
  EXPECT_EQ(ByteCharacters()[' '], "\u0120");
  EXPECT_EQ(ByteCharacters()['\n'], "\u010A");
  EXPECT_EQ(ByteCharacters()['~'], "~");
  for (size_t byte = 0; byte < 256; ++byte) {
    const Utf8Unit unit = ReadUtf8(ByteCharacters()[byte], 0);
    EXPECT_EQ(ByteOfCharacter(unit.code), byte);
  }
  EXPECT_FALSE(ByteOfCharacter(' '));
  EXPECT_FALSE(ByteOfCharacter(0xAD));
  EXPECT_FALSE(ByteOfCharacter(0x144));
  EXPECT_FALSE(ByteOfCharacter(0x10FFFF));
}

TEST(Utf8, ReplacesEachLongestBeginning) {
  // Examples of the Unicode standard, chapter 3, "U+FFFD substitution of maximal subparts".
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82"
                               "A"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80\xED\xBF\xBF\xED\xAF"
                               "A"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x91\x92\x93\xFF"
                               "A\x80\xBF"
                               "B"),
            "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA\uFFFD\uFFFDB");
  EXPECT_EQ(ReplaceInvalidUtf8("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
                               "A"),
            "\uFFFD\uFFFD\uFFFD\uFFFDA");
  EXPECT_EQ(ReplaceInvalidUtf8("\xE2\x82"), "\uFFFD");
}

TEST(Utf8, EveryCodePointComesBack) {
  for (char32_t code = 0; code <= 0x10FFFF; ++code) {
    if (code >= 0xD800 && code <= 0xDFFF) continue;
    std::string text;
    AppendUtf8(code, text);
    const Utf8Unit unit = ReadUtf8(text, 0);
    ASSERT_EQ(unit.status, Utf8Status::kValid);
    ASSERT_EQ(unit.code, code);
    ASSERT_EQ(unit.length, text.size());
    ASSERT_EQ(Utf8Length(text[0]), text.size());
  }
}

}  // namespace
}  // namespace llmq
