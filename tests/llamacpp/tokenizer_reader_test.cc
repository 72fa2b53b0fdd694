// Keys as anybody writes them, honest and lying, become a tokenizer or an Error that names the key.
#include <cmath>
#include <limits>

#include "tests/llamacpp/tokenizer_keys_support.h"

namespace llmq {
namespace {

using Texts = std::vector<std::string>;

// Model "llama" with all bytes, the letters a and b, "ab" and "\u2581".
std::vector<GgufKey> SmallLlama(const Texts& more = {}, const std::vector<int32_t>& types = {}) {
  Texts tokens = {"<unk>", "<s>", "</s>"};
  std::vector<int32_t> token_types = {2, 3, 3};
  for (int byte = 0; byte < 256; ++byte) {
    constexpr const char* kDigits = "0123456789ABCDEF";
    tokens.push_back(std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + ">");
    token_types.push_back(6);
  }
  for (const char* text : {"a", "b", "ab", "\u2581"}) {
    tokens.push_back(text);
    token_types.push_back(1);
  }
  tokens.insert(tokens.end(), more.begin(), more.end());
  token_types.insert(token_types.end(), types.begin(), types.end());
  std::vector<float> scores(tokens.size(), -1);
  return {{"general.architecture", std::string("llama")},
          {"tokenizer.ggml.model", std::string("llama")},
          {"tokenizer.ggml.tokens", tokens},
          {"tokenizer.ggml.scores", scores},
          {"tokenizer.ggml.token_type", token_types}};
}

// Model "gpt2": the two letters, "ab", and "<x>", a control token.
std::vector<GgufKey> SmallGpt2() {
  return {{"tokenizer.ggml.model", std::string("gpt2")},
          {"tokenizer.ggml.pre", std::string("gpt-2")},
          {"tokenizer.ggml.tokens", Texts{"a", "b", "ab", "<x>", "\u0120"}},
          {"tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1, 3, 1}},
          {"tokenizer.ggml.merges", Texts{"a b"}}};
}

void Set(std::vector<GgufKey>& keys, const std::string& name, GgufValue value) {
  std::erase_if(keys, [&](const GgufKey& key) { return key.name == name; });
  keys.push_back({name, std::move(value)});
}

using Ids = std::vector<int32_t>;
constexpr int32_t kA = 259, kB = 260, kAb = 261, kSpace = 262;  // of SmallLlama

TEST(TokenizerReader, SmallFilesAreRead) {
  const auto llama = TokenizerFrom(SmallLlama());
  EXPECT_EQ(llama->Encode("ab  a", true), (Ids{1, kSpace, kAb, kSpace, kSpace, kA}));
  EXPECT_EQ(llama->Encode("é", false), (Ids{kSpace, 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(llama->bos_id(), 1);
  EXPECT_EQ(llama->eos_id(), 2);
  const auto gpt2 = TokenizerFrom(SmallGpt2());
  EXPECT_EQ(gpt2->Encode("ab<x>ba a", true), (Ids{2, 3, 1, 0, 4, 0}));
  EXPECT_EQ(gpt2->Decode(Ids{2, 3, 1, 0, 4, 0}, true), "abba a");
}

// llama.cpp puts a space behind every token that is sought in the raw text, too.
TEST(TokenizerReader, UserDefinedTokensAreCutOut) {
  const auto tokenizer = TokenizerFrom(SmallLlama({"<tool>", "  "}, {4, 4}));
  EXPECT_EQ(tokenizer->Encode("a<tool>b", false), (Ids{kSpace, kA, 263, kSpace, kB}));
  EXPECT_EQ(tokenizer->Encode("a   b", false), (Ids{kSpace, kA, 264, kSpace, kSpace, kB}));
  EXPECT_EQ(tokenizer->Decode(Ids{kA, 263, kB}, true), "a<tool>b");
  const auto control = TokenizerFrom(SmallLlama({"<tool>"}, {3}));
  EXPECT_EQ(control->Decode(Ids{kA, 263, kB}, true), "ab");
}

TEST(TokenizerReader, FlagsAndIds) {
  auto keys = SmallLlama();
  Set(keys, "tokenizer.ggml.add_space_prefix", false);
  Set(keys, "tokenizer.ggml.add_bos_token", false);
  Set(keys, "tokenizer.ggml.add_eos_token", true);
  Set(keys, "tokenizer.ggml.eos_token_id", uint32_t{0});
  EXPECT_EQ(TokenizerFrom(keys)->Encode("ab", true), (Ids{kAb, 0}));

  auto gpt2 = SmallGpt2();
  Set(gpt2, "tokenizer.ggml.add_bos_token", true);
  Set(gpt2, "tokenizer.ggml.bos_token_id", uint32_t{3});
  EXPECT_EQ(TokenizerFrom(gpt2)->Encode("ab", true), (Ids{3, 2}));
  // The name of the pre-tokenizer can imply it.
  std::erase_if(gpt2,
                [](const GgufKey& key) { return key.name == "tokenizer.ggml.add_bos_token"; });
  EXPECT_EQ(TokenizerFrom(gpt2)->Encode("ab", true), (Ids{2}));
  Set(gpt2, "tokenizer.ggml.pre", std::string("llama-bpe"));
  EXPECT_EQ(TokenizerFrom(gpt2)->Encode("ab", true), (Ids{3, 2}));
}

// Without types and scores all tokens are alike, but those that end a text are known by name.
TEST(TokenizerReader, OldFiles) {
  auto keys = SmallLlama();
  std::erase_if(keys, [](const GgufKey& key) { return key.name == "tokenizer.ggml.scores"; });
  EXPECT_EQ(TokenizerFrom(keys)->Encode("ab", false), (Ids{kSpace, kAb}));

  std::vector<GgufKey> gpt2 = SmallGpt2();
  Set(gpt2, "tokenizer.ggml.tokens", Texts{"a", "b", "ab", "<|im_end|>", "\u0120"});
  std::erase_if(gpt2, [](const GgufKey& key) {
    return key.name == "tokenizer.ggml.token_type" || key.name == "tokenizer.ggml.pre";
  });
  EXPECT_EQ(TokenizerFrom(gpt2)->Encode("ab<|im_end|>", false), (Ids{2, 3}));
}

// llama.cpp gives empty tokens a name, and reads a text up to a zero byte.
TEST(TokenizerReader, EmptyTokens) {
  const auto tokenizer = TokenizerFrom(SmallLlama({"", std::string("\0x", 2)}, {1, 1}));
  EXPECT_EQ(tokenizer->IdToToken(263), "[EMPTY_263]");
  EXPECT_EQ(tokenizer->IdToToken(264), "[EMPTY_264]");
}

TEST(TokenizerReader, UnusedTokensAreNotTakenApart) {
  auto keys = SmallLlama({"ba"}, {5});
  EXPECT_EQ(TokenizerFrom(keys)->Encode("ba", false), (Ids{kSpace, 263}));
}

TEST(TokenizerReader, MergesMayBeginWithASpace) {
  auto keys = SmallGpt2();
  Set(keys, "tokenizer.ggml.tokens", Texts{" x", "y", " xy"});
  Set(keys, "tokenizer.ggml.token_type", std::vector<int32_t>{1, 1, 1});
  Set(keys, "tokenizer.ggml.merges", Texts{" x y"});
  EXPECT_EQ(TokenizerFrom(keys)->vocab_size(), 3);
}

struct Lie {
  const char* name;
  std::vector<GgufKey> (*base)();
  const char* key;
  GgufValue value;
  const char* message;  // behind "1: file.gguf: "
};

std::vector<GgufKey> Llama() { return SmallLlama(); }

TEST(TokenizerReader, LiesAreNamed) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> nan_scores(263, 0);
  nan_scores[5] = nan;
  std::vector<int32_t> bad_types(263, 1);
  bad_types[262] = 7;
  const Lie lies[] = {
      {"model unknown", Llama, "tokenizer.ggml.model", std::string("bert"),
       "tokenizer.ggml.model: expected \"llama\" or \"gpt2\", found \"bert\""},
      {"model no text", Llama, "tokenizer.ggml.model", uint32_t{1},
       "tokenizer.ggml.model: expected STRING"},
      {"model not UTF-8", Llama, "tokenizer.ggml.model", std::string("\xFF"),
       "tokenizer.ggml.model: expected"},
      {"tokens no array", Llama, "tokenizer.ggml.tokens", std::string("a"),
       "tokenizer.ggml.tokens: expected ARRAY of STRING"},
      {"tokens empty", Llama, "tokenizer.ggml.tokens", Texts{},
       "tokenizer.ggml.tokens: expected tokens, found 0"},
      {"token twice", SmallGpt2, "tokenizer.ggml.tokens", Texts{"a", "b", "ab", "a", "\u0120"},
       "tokenizer.ggml.tokens: expected each text once, found \"a\" for 0 and 3"},
      {"token not UTF-8", SmallGpt2, "tokenizer.ggml.tokens",
       Texts{"a", "b", "ab", "\xC3", "\u0120"}, "tokenizer.ggml.tokens: entry 3: expected UTF-8"},
      {"scores short", Llama, "tokenizer.ggml.scores", std::vector<float>(262, 0),
       "tokenizer.ggml.scores: expected 263 scores"},
      {"scores long", Llama, "tokenizer.ggml.scores", std::vector<float>(264, 0),
       "tokenizer.ggml.scores: expected 263 scores"},
      {"scores no numbers", Llama, "tokenizer.ggml.scores", Texts{"1"},
       "tokenizer.ggml.scores: expected ARRAY of FLOAT32"},
      {"score no number", Llama, "tokenizer.ggml.scores", nan_scores,
       "tokenizer.ggml.scores: entry 5: expected a finite score"},
      {"types short", Llama, "tokenizer.ggml.token_type", std::vector<int32_t>(1, 1),
       "tokenizer.ggml.token_type: expected 263 types"},
      {"types long", SmallGpt2, "tokenizer.ggml.token_type", std::vector<int32_t>(6, 1),
       "tokenizer.ggml.token_type: expected 5 types"},
      {"types unsigned", SmallGpt2, "tokenizer.ggml.token_type", std::vector<uint32_t>(5, 1),
       "tokenizer.ggml.token_type: expected ARRAY of INT32"},
      {"type too high", Llama, "tokenizer.ggml.token_type", bad_types,
       "tokenizer.ggml.token_type: entry 262: expected a type from 0 to 6, found 7"},
      {"type negative", SmallGpt2, "tokenizer.ggml.token_type",
       std::vector<int32_t>{1, 1, 1, -1, 1}, "tokenizer.ggml.token_type: entry 3"},
      {"byte that is none", Llama, "tokenizer.ggml.token_type", std::vector<int32_t>(263, 6),
       "tokenizer.ggml.tokens: entry 0: expected a byte"},
      {"id too high", Llama, "tokenizer.ggml.bos_token_id", uint32_t{263},
       "tokenizer.ggml.bos_token_id: expected an id below 263, found 263"},
      {"id enormous", SmallGpt2, "tokenizer.ggml.padding_token_id", UINT32_MAX,
       "tokenizer.ggml.padding_token_id: expected an id below 5"},
      {"id signed", Llama, "tokenizer.ggml.eos_token_id", int32_t{1},
       "tokenizer.ggml.eos_token_id: expected UINT32"},
      {"flag a number", Llama, "tokenizer.ggml.add_bos_token", uint32_t{1},
       "tokenizer.ggml.add_bos_token: expected BOOL"},
      {"added but unknown", SmallGpt2, "tokenizer.ggml.add_eos_token", true,
       "tokenizer.ggml.eos_token_id: expected an id"},
      {"pre unknown", SmallGpt2, "tokenizer.ggml.pre", std::string("x-y"),
       "tokenizer.ggml.pre: expected a known pre-tokenizer, found \"x-y\""},
      {"pre no text", SmallGpt2, "tokenizer.ggml.pre", Texts{"gpt-2"},
       "tokenizer.ggml.pre: expected STRING"},
      {"merges no array", SmallGpt2, "tokenizer.ggml.merges", std::string("a b"),
       "tokenizer.ggml.merges: expected ARRAY of STRING"},
      {"merge of one", SmallGpt2, "tokenizer.ggml.merges", Texts{"a b", "ab"},
       "tokenizer.ggml.merges: entry 1: expected two tokens"},
      {"merge empty", SmallGpt2, "tokenizer.ggml.merges", Texts{""},
       "tokenizer.ggml.merges: entry 0: expected two tokens"},
      {"merge not UTF-8", SmallGpt2, "tokenizer.ggml.merges", Texts{"a \xFF"},
       "tokenizer.ggml.merges: entry 0: expected two tokens in UTF-8"},
      {"merge of unknown", SmallGpt2, "tokenizer.ggml.merges", Texts{"a x"}, "tokenizer.json"},
      {"template a number", SmallGpt2, "tokenizer.chat_template", uint32_t{1},
       "tokenizer.chat_template: expected a text"},
  };
  for (const Lie& lie : lies) {
    auto keys = lie.base();
    Set(keys, lie.key, lie.value);
    const std::string error = ErrorOf([&] { TokenizerFrom(keys); });
    EXPECT_TRUE(error.starts_with(std::string("1: file.gguf: ") + lie.message))
        << lie.name << ": " << error;
  }
}

TEST(TokenizerReader, MissingKeysAreNamed) {
  for (const char* name :
       {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.merges"}) {
    auto keys = SmallGpt2();
    std::erase_if(keys, [&](const GgufKey& key) { return key.name == name; });
    const std::string error = ErrorOf([&] { TokenizerFrom(keys); });
    EXPECT_TRUE(error.starts_with(std::string("1: file.gguf: ") + name + ": expected")) << error;
  }
  EXPECT_NE(ErrorOf([] { TokenizerFrom({}); }), "none");
}

// A value of every type under every key: an Error or a tokenizer, nothing else.
TEST(TokenizerReader, AnyTypeAnywhere) {
  const std::vector<GgufValue> values = {uint8_t{1},
                                         int8_t{-1},
                                         uint16_t{1},
                                         int16_t{-1},
                                         uint32_t{1},
                                         int32_t{-1},
                                         1.0f,
                                         true,
                                         std::string("x"),
                                         uint64_t{1},
                                         int64_t{-1},
                                         1.0,
                                         std::vector<uint8_t>{1},
                                         std::vector<int32_t>{},
                                         std::vector<float>{NAN},
                                         GgufBools{{1}},
                                         Texts{"", "\xFF"}};
  for (const auto& base : {SmallLlama(), SmallGpt2()}) {
    for (size_t i = 0; i < base.size(); ++i) {
      for (const GgufValue& value : values) {
        auto keys = base;
        keys[i].value = value;
        const std::string error = ErrorOf([&] { TokenizerFrom(keys); });
        EXPECT_TRUE(error == "none" || error.starts_with("1: file.gguf: ")) << error;
      }
    }
  }
}

}  // namespace
}  // namespace llmq
