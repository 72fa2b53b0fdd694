// Damaged and lying tokenizer files: an Error that names the place, never a crash, never memory out
// of proportion to the file.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/file.h"
#include "llmq/error.h"
#include "tests/text/text_test_support.h"

namespace llmq {
namespace {

// A small valid tokenizer.json; each lie changes one part.
SortedJson SmallFile() {
  return ParseSortedJson(R"({
    "added_tokens": [{"id": 6, "content": "<s>", "special": true, "normalized": false}],
    "normalizer": {"type": "NFC"},
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
      "special_tokens": {"<s>": {"ids": [6]}}},
    "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "unk_token": "u", "vocab": {"a": 0, "b": 1, "ab": 2, "u": 3},
              "merges": ["a b"]}})",
                         "test");
}

std::string JsonError(const SortedJson& file) {
  return LoadError({{"tokenizer.json", DumpJson(file)}});
}

struct JsonLie {
  const char* name;
  const char* pointer;  // what is replaced
  const char* value;
  const char* message;  // a part of it
};

const JsonLie kJsonLies[] = {
    {"NotAnObject", "", "[]", "expected an object"},
    {"NoModel", "", "{}", "\"model\""},
    {"UnknownModel", "/model/type", "\"Nonsense\"", "found \"Nonsense\""},
    {"UnigramOfObject", "/model/type", "\"Unigram\"", "an array of pieces"},
    {"UnigramEmpty", "/model", R"({"type":"Unigram","vocab":[]})", "an array of pieces"},
    {"UnigramNoScore", "/model", R"({"type":"Unigram","vocab":[["a"]]})", "entry 0"},
    {"UnigramTextScore", "/model", R"({"type":"Unigram","vocab":[["a","-1"]]})", "entry 0"},
    {"UnigramTwice", "/model", R"({"type":"Unigram","vocab":[["a",-1],["a",-2]]})", "again"},
    {"UnigramUnknownId", "/model", R"({"type":"Unigram","vocab":[["a",-1]],"unk_id":1})", "unk_id"},
    {"WordPieceNoVocab", "/model", R"({"type":"WordPiece"})", "vocab"},
    {"WordPieceBigId", "/model", R"({"type":"WordPiece","vocab":{"a":2000000000}})", "an id from"},
    {"WordLevelNoVocab", "/model", R"({"type":"WordLevel","vocab":[]})", "vocab"},
    {"ModelIsText", "/model", "\"x\"", "model"},
    {"VocabIsList", "/model/vocab", "[1]", "vocab"},
    {"VocabEmpty", "/model/vocab", "{}", "vocab"},
    {"NegativeId", "/model/vocab/a", "-1", "an id from 0"},
    {"HugeId", "/model/vocab/a", "2147483647", "an id from 0"},
    {"EnormousId", "/model/vocab/a", "18446744073709551615", "an id from 0"},
    {"FractionId", "/model/vocab/a", "1.5", "an id from 0"},
    {"DuplicateId", "/model/vocab/a", "1", "one token for each id"},
    {"MergesAreNumbers", "/model/merges", "[1]", "expected two tokens"},
    {"MergeOfOne", "/model/merges", "[\"ab\"]", "expected two tokens"},
    {"MergeOfThree", "/model/merges", "[[\"a\", \"b\", \"a\"]]", "expected two tokens"},
    {"MergeOfUnknown", "/model/merges", "[\"a x\"]", "tokens of the vocabulary"},
    {"MergeToUnknown", "/model/merges", "[\"b a\"]", "tokens of the vocabulary"},
    {"MergesMissing", "/model/merges", "null", "merges"},
    {"Dropout", "/model/dropout", "0.5", "dropout"},
    {"SubwordPrefix", "/model/continuing_subword_prefix", "7", "continuing_subword_prefix"},
    {"AddedIsObject", "/added_tokens", "{\"a\": 1}", "added_tokens"},
    {"AddedNegative", "/added_tokens/0/id", "-5", "an id from 0"},
    {"AddedHuge", "/added_tokens/0/id", "4294967296", "an id from 0"},
    {"AddedTakesId", "/added_tokens/0/id", "1", "a free id"},
    {"AddedNoContent", "/added_tokens/0/content", "7", "content"},
    {"UnknownNormalizer", "/normalizer/type", "\"Nonsense\"", "Nonsense"},
    {"RulesMissing", "/normalizer/type", "\"Precompiled\"", "precompiled_charsmap"},
    {"RulesNotBase64", "/normalizer", R"({"type":"Precompiled","precompiled_charsmap":"a*=="})",
     "expected Base64"},
    {"RulesDamaged", "/normalizer", R"({"type":"Precompiled","precompiled_charsmap":"////fwAA"})",
     "expected a trie"},
    {"BertNormalizerText", "/normalizer", R"({"type":"BertNormalizer","clean_text":"yes"})",
     "clean_text"},
    {"UnknownPreTokenizer", "/pre_tokenizer/type", "\"Nonsense\"", "Nonsense"},
    {"UnknownDecoder", "/decoder/type", "\"CTC\"", "CTC"},
    {"EmptySuffix", "/decoder", R"({"type":"BPEDecoder","suffix":""})", "suffix"},
    {"UnknownProcessor", "/post_processor/type", "\"Nonsense\"", "Nonsense"},
    {"ProcessorNoPair", "/post_processor/type", "\"BertProcessing\"", "cls"},
    {"ProcessorBigId", "/post_processor",
     R"({"type":"RobertaProcessing","cls":["<s>",6],"sep":["</s>",7]})", "the id of a token"},
    {"ProcessorNoId", "/post_processor",
     R"({"type":"RobertaProcessing","cls":["<s>"],"sep":["</s>",6]})", "a token and its id"},
    {"EmptyDelimiter", "/pre_tokenizer", R"({"type":"CharDelimiterSplit","delimiter":""})",
     "empty string"},
    {"LengthZero", "/pre_tokenizer", R"({"type":"FixedLength","length":0})", "a length"},
    {"TypelessStep", "/decoder", "{}", "\"type\""},
    {"SequenceWithoutList", "/decoder", R"({"type": "Sequence"})", "decoders"},
    {"SequenceOfNumber", "/decoder", R"({"type": "Sequence", "decoders": 3})", "array"},
    {"TemplateUnknownId", "/post_processor/special_tokens/<s>/ids", "[99]", "the id of a token"},
    {"TemplateNoText", "/post_processor/single", "[]", "expected one Sequence"},
    {"TemplateTwoTexts", "/post_processor/single", R"([{"Sequence":{}},{"Sequence":{}}])",
     "expected one Sequence"},
    {"TemplateUnknownName", "/post_processor/single/0/SpecialToken/id", "\"<t>\"", "<t>"},
    {"BadRegex", "/normalizer", R"({"type":"Replace","pattern":{"Regex":"("},"content":""})",
     "regular expression"},
    {"EmptyPattern", "/normalizer", R"({"type":"Replace","pattern":{"String":""},"content":""})",
     "empty string"},
    {"PatternOfTwo", "/normalizer",
     R"({"type":"Replace","pattern":{"String":"a","Regex":"b"},"content":""})", "pattern"},
    {"UnknownBehavior", "/pre_tokenizer",
     R"({"type":"Split","pattern":{"String":"a"},"behavior":"Explode"})", "Explode"},
    {"StripNegative", "/decoder", R"({"type":"Strip","content":" ","start":-1,"stop":0})", "start"},
    {"StripLongContent", "/decoder", R"({"type":"Strip","content":"ab","start":1,"stop":0})",
     "one character"},
    {"EmptyMetaspace", "/pre_tokenizer", R"({"type":"Metaspace","replacement":""})", "Metaspace"},
};

TEST(HostileTokenizerJson, TheSmallFileIsValid) {
  EXPECT_EQ(JsonError(SmallFile()), "");
  const auto tokenizer = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(SmallFile())}}, "t");
  EXPECT_EQ(tokenizer->Encode("ab x", true), (std::vector<int32_t>{6, 2, 3}));
  EXPECT_EQ(tokenizer->vocab_size(), 7);
}

TEST(HostileTokenizerJson, NamedLies) {
  for (const JsonLie& lie : kJsonLies) {
    SortedJson file = SmallFile();
    file[SortedJson::json_pointer(lie.pointer)] = ParseSortedJson(lie.value, lie.name);
    EXPECT_NE(JsonError(file).find(lie.message), std::string::npos)
        << lie.name << ": " << JsonError(file);
  }
}

TEST(HostileTokenizerJson, TwoAddedTokensForOneId) {
  SortedJson file = SmallFile();
  file["added_tokens"].push_back({{"id", 6}, {"content", "<t>"}});
  EXPECT_NE(JsonError(file).find("one id for each token"), std::string::npos);
}

TEST(HostileTokenizerJson, TooManySteps) {
  SortedJson step = {{"type", "NFC"}};
  for (const char* list : {"normalizers"}) {
    SortedJson steps = SortedJson::array();
    for (int i = 0; i < 100'000; ++i) steps.push_back(step);
    SortedJson file = SmallFile();
    file["normalizer"] = {{"type", "Sequence"}, {list, steps}};
    EXPECT_NE(JsonError(file).find("at most 64 steps"), std::string::npos);
  }
}

TEST(HostileTokenizerJson, DeepNesting) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += R"({"type":"Sequence","decoders":[)";
  EXPECT_NE(LoadError({{"tokenizer.json", R"({"decoder":)" + text}}), "");
}

// Each step doubles the text: 2^60 bytes, were there no limit.
TEST(HostileTokenizerJson, TextBomb) {
  SortedJson double_it = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aa"}};
  SortedJson steps = SortedJson::array();
  for (int i = 0; i < 60; ++i) steps.push_back(double_it);
  SortedJson file = SmallFile();
  file["normalizer"] = {{"type", "Sequence"}, {"normalizers", steps}};
  const auto encoder = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(file)}}, "t");
  EXPECT_THROW(encoder->Encode("aaaa", false), Error);

  file = SmallFile();
  file["decoder"] = {{"type", "Sequence"}, {"decoders", steps}};
  const auto decoder = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(file)}}, "t");
  EXPECT_THROW(decoder->Decode(std::vector<int32_t>{0}, false), Error);
}

TEST(HostileTokenizerJson, ExplodingRegex) {
  SortedJson file = SmallFile();
  file["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}};
  const auto tokenizer = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(file)}}, "t");
  EXPECT_THROW(tokenizer->Encode(std::string(80, 'a') + 'b', false), Error);
}

TEST(HostileTokenizerJson, UnknownTokenOutsideTheVocabulary) {
  SortedJson file = SmallFile();
  file["model"]["unk_token"] = "nope";
  const auto tokenizer = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(file)}}, "t");
  EXPECT_EQ(tokenizer->Encode("ab", false), std::vector<int32_t>{2});
  EXPECT_THROW(tokenizer->Encode("x", false), Error);
}

// What a text is searched for at every position is short: else "aaa..." of a megabyte would be
// compared a million times with a piece of a million bytes.
TEST(HostileTokenizerJson, PiecesThatAreSearchedForAreShort) {
  const auto unigram = [](size_t bytes) {
    SortedJson file = SmallFile();
    file["model"] = {{"type", "Unigram"}, {"unk_id", 0}};
    file["model"]["vocab"] = SortedJson::array();
    file["model"]["vocab"].push_back(SortedJson::array({"a", -9.0}));
    file["model"]["vocab"].push_back(SortedJson::array({std::string(bytes, 'a'), -1.0}));
    for (const char* key : {"added_tokens", "normalizer", "pre_tokenizer", "post_processor"}) {
      file.erase(key);
    }
    return file;
  };
  const auto longest = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(unigram(1024))}}, "t");
  EXPECT_EQ(longest->Encode(std::string(3 * 1024 + 1, 'a'), false).size(), 4u);
  EXPECT_NE(JsonError(unigram(1025)).find("at most 1024 bytes, found one of 1025"),
            std::string::npos);
  SortedJson added = SmallFile();
  added["added_tokens"][0]["content"] = std::string(1025, 'a');
  EXPECT_NE(JsonError(added).find("at most 1024 bytes"), std::string::npos) << JsonError(added);
}

// A unigram model without an unknown token, and a word model whose token for it is not there.
TEST(HostileTokenizerJson, NothingForTheUnknown) {
  for (const char* model : {R"({"type":"Unigram","vocab":[["ab",-1]]})",
                            R"({"type":"WordPiece","vocab":{"ab":0},"unk_token":"?"})",
                            R"({"type":"WordLevel","vocab":{"ab":0},"unk_token":"?"})"}) {
    SortedJson file = SmallFile();
    file["model"] = ParseSortedJson(model, "test");
    const auto tokenizer = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(file)}}, "t");
    EXPECT_EQ(tokenizer->Encode("ab", false), std::vector<int32_t>{0}) << model;
    EXPECT_THROW(tokenizer->Encode("x", false), Error) << model;
  }
}

TEST(HostileTokenizerJson, BadUtf8) {
  std::string text = DumpJson(SmallFile());
  text.replace(text.find("\"ab\""), 4, "\"\xC3(\"");
  EXPECT_NE(LoadError({{"tokenizer.json", text}}), "");
}

TEST(HostileTokenizerJson, EveryPrefixIsAnError) {
  const std::string small = DumpJson(SmallFile());
  for (size_t size = 0; size < small.size(); ++size) {
    EXPECT_NE(LoadError({{"tokenizer.json", small.substr(0, size)}}), "") << size;
  }
  const std::string real = ReadTextFile(std::filesystem::path(LLMQ_TEST_MODEL_DIR) /
                                        "stories260k/hf-f32/tokenizer.json");
  const size_t last = real.find_last_of('}');
  for (size_t size = 0; size <= last; size += 97) {
    EXPECT_NE(LoadError({{"tokenizer.json", real.substr(0, size)}}), "") << size;
  }
}

TEST(HostileTokenizerConfig, Lies) {
  const std::string json = DumpJson(SmallFile());
  for (const char* config : {"[", "[]", R"({"bos_token": 5})", R"({"add_bos_token": "yes"})",
                             R"({"added_tokens_decoder": {"x": {}}})",
                             R"({"added_tokens_decoder": {"99999999999999999999": {}}})"}) {
    EXPECT_NE(LoadError({{"tokenizer.json", json}, {"tokenizer_config.json", config}}), "")
        << config;
  }
  EXPECT_NE(LoadError({}).find("expected a tokenizer"), std::string::npos);
}

TEST(TokenizerConfig, NamesBosAndEos) {
  ModelFiles files = {{"tokenizer.json", DumpJson(SmallFile())}};
  EXPECT_EQ(Tokenizer::FromFiles(files, "t")->bos_id(), 6);
  EXPECT_EQ(Tokenizer::FromFiles(files, "t")->eos_id(), std::nullopt);
  files["tokenizer_config.json"] = R"({"bos_token": {"content": "a"}, "eos_token": "ab"})";
  EXPECT_EQ(Tokenizer::FromFiles(files, "t")->bos_id(), 0);
  EXPECT_EQ(Tokenizer::FromFiles(files, "t")->eos_id(), 2);
}

// ---------------------------------------------------------------------------- SentencePiece models

constexpr int kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

std::vector<WirePiece> SmallPieces() {
  return {{"<unk>", 0, kUnknown},
          {"<s>", 0, kControl},
          {"</s>", 0, kControl},
          {"\u2581", -1},
          {"a", -2},
          {"b", -3},
          {"ab", -0.5f}};
}

const std::string kBpe = WireNumber(3, 2);

std::string ModelError(const std::string& bytes) { return LoadError({{"tokenizer.model", bytes}}); }

std::vector<int32_t> EncodeWith(const std::string& model, const std::string& text,
                                const std::string& config = "{}") {
  return Tokenizer::FromFiles({{"tokenizer.model", model}, {"tokenizer_config.json", config}}, "t")
      ->Encode(text, true);
}

TEST(SentencePieceModel, ConfigDecidesBosAndEos) {
  const std::string model = WireModel(SmallPieces(), kBpe, "");
  EXPECT_EQ(EncodeWith(model, "ab"), (std::vector<int32_t>{1, 3, 6}));
  EXPECT_EQ(EncodeWith(model, "ab", R"({"add_bos_token": false, "add_eos_token": true})"),
            (std::vector<int32_t>{3, 6, 2}));
  EXPECT_EQ(EncodeWith(model, "a</s><unk>b"), (std::vector<int32_t>{1, 3, 4, 2, 0, 3, 5}));
}

// "abc" is unused: it may be a step on the way, and comes apart again where it is left.
TEST(SentencePieceModel, UnusedPiecesComeApart) {
  std::vector<WirePiece> pieces = SmallPieces();
  pieces.push_back({"c", -4});
  pieces.push_back({"abc", -0.25f, kUnused});
  pieces.push_back({"abcb", -0.125f});
  const std::string model = WireModel(pieces, kBpe, "");
  EXPECT_EQ(EncodeWith(model, "abc"), (std::vector<int32_t>{1, 3, 6, 7}));
  EXPECT_EQ(EncodeWith(model, "abcb"), (std::vector<int32_t>{1, 3, 9}));
}

TEST(HostileSentencePiece, NamedLies) {
  const auto with = [](WirePiece piece) {
    std::vector<WirePiece> pieces = SmallPieces();
    pieces.push_back(piece);
    return WireModel(pieces, kBpe, "");
  };
  const std::string valid = WireModel(SmallPieces(), kBpe, "");
  ASSERT_EQ(ModelError(valid), "");
  const std::string four(4, '\0');
  const std::pair<std::string, std::string> lies[] = {
      {"", "expected pieces"},
      {WireModel({}, kBpe, ""), "expected pieces"},
      {WireModel(SmallPieces(), WireNumber(3, 3), ""), "found 3"},
      {WireModel(SmallPieces(), WireNumber(3, 4), ""), "unigram (1) or BPE (2)"},
      {WireModel({{"a", 0}}, kBpe, ""), "the unknown"},
      {with({"ab", -9}), "again"},
      {with({"", -9}), "expected a text"},
      {with({"\xFF", -9}), "UTF-8"},
      {with({"x", std::nanf("")}), "finite"},
      {with({"x", std::numeric_limits<float>::infinity()}), "finite"},
      {with({"x", 0, 9}), "type from 1 to 6"},
      {with({"x", 0, kByte}), "expected a byte"},
      {WireModel(SmallPieces(), kBpe + WireNumber(35, 1), ""), "piece for each byte"},
      {WireModel(SmallPieces(), WireField(3, "2"), ""), "wire type"},
      {WireModel(SmallPieces(), kBpe, WireField(2, "ab")), "precompiled_charsmap"},
      {WireModel(SmallPieces(), kBpe, WireField(2, std::string("\xFF\xFF\xFF\x7F") + four)),
       "expected a trie"},
      {WireModel(SmallPieces(), kBpe, WireField(2, std::string("\4\0\0\0", 4) + four + "x")),
       "ended by 0"},
      {valid + WireField(5, WireField(2, "rules")), "denormalizing"},
      {valid + "\x0B", "wire type 3"},
      {valid + std::string(11, '\xFF'), "at most 10 bytes"},
      {valid + "\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", "expected"},
      {WireNumber(1, 5), "wire type"},
  };
  for (const auto& [bytes, message] : lies) {
    EXPECT_NE(ModelError(bytes).find(message), std::string::npos)
        << message << " in: " << ModelError(bytes);
  }
}

// A trie whose offsets point outside, or at replacements that are not there.
TEST(HostileSentencePiece, LyingTrie) {
  const auto charsmap = [](const std::vector<uint32_t>& units, const std::string& replacements) {
    std::string bytes;
    const auto add = [&](uint32_t value) {
      for (int shift = 0; shift < 32; shift += 8)
        bytes.push_back(static_cast<char>(value >> shift));
    };
    add(static_cast<uint32_t>(units.size() * 4));
    for (const uint32_t unit : units) add(unit);
    return WireModel(SmallPieces(), kBpe, WireField(2, bytes + replacements));
  };
  const auto encode = [](const std::string& model) { return EncodeWith(model, "a\u00e9"); };
  // Everything from the root onward leads outside: no rule matches.
  EXPECT_EQ(encode(charsmap({0xFFFFFC00}, std::string(1, '\0'))),
            EncodeWith(WireModel(SmallPieces(), kBpe, ""), "a\u00e9"));
  // 'a' -> a value at unit 0x62: first a good one, then ones that lie.
  std::vector<uint32_t> units(0x80, 0);
  units[0x61] = 'a' | 1 << 8 | 3 << 10;  // children at 0x61 ^ 3 = 0x62
  units[0x62] = 0x80000000u | 0;
  EXPECT_EQ(EncodeWith(charsmap(units, std::string("b\0", 2)), "a"),
            (std::vector<int32_t>{1, 3, 5}));
  units[0x62] = 0x80000000u | 77;
  EXPECT_THROW(encode(charsmap(units, std::string("b\0", 2))), Error);
  units[0x61] = 'a' | 1 << 8 | 0x3FFFu << 10;
  EXPECT_THROW(encode(charsmap(units, std::string("b\0", 2))), Error);
  units[0x61] = 'a' | 1 << 8 | 3 << 10;
  units[0x62] = 0x80000000u | 1;  // into the middle of a character
  EXPECT_THROW(encode(charsmap(units, std::string("\xC3\xA9\0", 3))), Error);
}

TEST(HostileSentencePiece, EveryPrefixIsAnErrorOrASmallerModel) {
  const std::string real = ReadTextFile(std::filesystem::path(LLMQ_TEST_MODEL_DIR) /
                                        "stories260k/hf-f32/tokenizer.model");
  size_t errors = 0;
  for (size_t size = 0; size < real.size(); size += size < 600 ? 1 : 13) {
    errors += !ModelError(real.substr(0, size)).empty();
  }
  // Pieces come first: a prefix that ends between two is a unigram model.
  EXPECT_GT(errors, 1000u);
}

// Flipping any byte gives an error or a tokenizer that still answers.
TEST(HostileSentencePiece, FlippedBytes) {
  const std::string valid = ReadTextFile(GoldenPath("sp-rules") / "tokenizer.model");
  uint32_t state = 1;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = valid;
    for (int k = 0; k < 2; ++k) {
      state = state * 1664525u + 1013904223u;
      bytes[state % bytes.size()] = static_cast<char>(state >> 24);
    }
    try {
      const auto tokenizer = Tokenizer::FromFiles({{"tokenizer.model", bytes}}, "t");
      const auto ids = tokenizer->Encode("The ＡＢ dog ﬁne\u00ad <tool> \u3300", true);
      tokenizer->Decode(ids, true);
    } catch (const Error&) {
    }
  }
}

TEST(HostileTokenizerJson, FlippedBytes) {
  const std::string valid = ReadTextFile(GoldenPath("unknown") / "tokenizer.json");
  uint32_t state = 1;
  for (int i = 0; i < 500; ++i) {
    std::string bytes = valid;
    state = state * 1664525u + 1013904223u;
    bytes[state % bytes.size()] = static_cast<char>(state >> 24);
    try {
      const auto tokenizer = Tokenizer::FromFiles({{"tokenizer.json", bytes}}, "t");
      tokenizer->Decode(tokenizer->Encode("The ＡＢ dog ﬁne 42", true), true);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace llmq
