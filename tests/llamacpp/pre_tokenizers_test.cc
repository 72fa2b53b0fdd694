// The tables of pre-tokenizers against published digests, and the recognition of a name.
#include "llamacpp/pre_tokenizers.h"

#include <map>

#include "base/digest.h"
#include "llamacpp/pre_tokenizer_digests.h"
#include "llamacpp/pre_tokenizer_name.h"
#include "tests/llamacpp/tokenizer_keys_support.h"

namespace llmq {
namespace {

// As ollama publishes them (convert/tokenizer.go), of the models' own files.
TEST(PreTokenizers, ExpressionsHaveThePublishedDigests) {
  const struct {
    const char* name;
    size_t without;  // expressions at the end that are no Split step in the model's file
    const char* digest;
  } cases[] = {
      {"llama-bpe", 0, "d98f9631be1e9607a9848c26c1f9eac1aa9fc21ac6ba82a2fc0741af9780a48f"},
      {"qwen2", 0, "1ff7f41064896984db5d1bb6ff64fa4bc29007d08c1b439e505b7392777a319e"},
      {"tekken", 0, "1d64a9a8eaf9f1bd80331984d81fdd514e7feafe8df83a525dd31472f275699a"},
      {"deepseek-llm", 1, "03df5c5863ad70781dcfdef491ead25140f895fe8010964be0daefe27be32b02"},
      {"deepseek-coder", 1, "21cde974d587f0d54dc8d56b183cc1e6239600172035c68fbd6d4b9f8da0576e"},
      {"qwen35", 0, "00431aed57e696b747435f734d1e3b9b1bfd931a121fb5cac7129e97c181e9ba"},
  };
  for (const auto& c : cases) {
    const PreTokenizerRule& rule = FindPreTokenizerRule(c.name, "test");
    std::string joined;
    for (size_t i = 0; i + c.without < rule.expressions.size(); ++i) joined += rule.expressions[i];
    EXPECT_EQ(Sha256Hex(joined), c.digest) << c.name;
  }
}

TEST(PreTokenizers, TheCheckTextIsTheOriginal) {
  EXPECT_EQ(Sha256Hex(PreTokenizerCheckText()),
            "a36179c1e2b1cfcfbfad1dc779addad2ffc778201e4cf0d538bddeafa2c526da");
  EXPECT_EQ(
      PreTokenizerOfDigest("3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454"),
      "gpt-2");
  // Two lines of llama.cpp's list share this digest; the later one holds.
  EXPECT_EQ(
      PreTokenizerOfDigest("b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166"),
      "olmo");
  EXPECT_EQ(PreTokenizerOfDigest(Sha256Hex("")), "");
}

// Every rule makes a tokenizer that loses nothing, and no name stands for two rules.
TEST(PreTokenizers, EveryRuleCompilesAndKeepsTheText) {
  std::map<std::string_view, int> uses;
  auto keys = KeysFor(GoldenFiles("gpt2"), 1200);
  for (const PreTokenizerRule& rule : PreTokenizerRules()) {
    for (const std::string_view name : rule.names) {
      EXPECT_EQ(++uses[name], 1) << name;
      for (GgufKey& key : keys) {
        if (key.name == "tokenizer.ggml.pre") key.value = std::string(name);
      }
      const auto tokenizer = TokenizerFrom(keys);
      const auto ids = tokenizer->Encode(PreTokenizerCheckText(), false);
      EXPECT_EQ(tokenizer->Decode(ids, true), PreTokenizerCheckText()) << name;
    }
  }
  EXPECT_GT(uses.size(), 50u);
}

TEST(PreTokenizers, UnknownNamesAreRefusedWithTheKnownOnes) {
  const std::string error = ErrorOf([] { FindPreTokenizerRule("no-such", "f.gguf"); });
  EXPECT_TRUE(error.starts_with("1: f.gguf: tokenizer.ggml.pre: ")) << error;
  EXPECT_NE(error.find("\"no-such\""), std::string::npos) << error;
  EXPECT_NE(error.find("llama-bpe, llama3"), std::string::npos) << error;
}

// A small byte-level tokenizer with these steps; `expressions` become Split steps.
std::string NameOf(const std::string& steps, bool ignore_merges) {
  SortedJson file = ReadGolden("gpt2/tokenizer.json");
  file["pre_tokenizer"] =
      ParseSortedJson(R"({"type": "Sequence", "pretokenizers": [)" + steps + "]}", "test");
  file["model"]["ignore_merges"] = ignore_merges;
  std::string name;
  const std::string error = ErrorOf([&] {
    name = Value<std::string>(KeysFor({{"tokenizer.json", DumpJson(file)}}, 1200),
                              "tokenizer.ggml.pre");
  });
  return error == "none" ? name : error;
}

std::string SplitStep(std::string_view expression, const char* behavior = "Isolated") {
  return DumpJson(SortedJson{{"type", "Split"},
                             {"pattern", {{"Regex", expression}}},
                             {"behavior", behavior},
                             {"invert", false}}) +
         ", ";
}

TEST(PreTokenizerName, IsRecognisedBySteps) {
  const std::string bytes =
      R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})";
  const std::string words =
      R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})";
  const std::string digits = R"({"type": "Digits", "individual_digits": true}, )";
  const std::string llama3 =
      SplitStep(FindPreTokenizerRule("llama-bpe", "test").expressions.front());
  EXPECT_EQ(NameOf(llama3 + bytes, true), "llama-bpe");
  // llama.cpp takes "llama-bpe" to mean ignore_merges; another name has the same expression.
  EXPECT_EQ(NameOf(llama3 + bytes, false), "dbrx");
  EXPECT_EQ(NameOf(words, false), "gpt-2");
  EXPECT_EQ(NameOf(digits + words, false), "smollm");
  std::string coder;
  for (size_t i = 0; i < 4; ++i) {
    coder += SplitStep(FindPreTokenizerRule("deepseek-coder", "test").expressions[i]);
  }
  EXPECT_EQ(NameOf(coder + digits + bytes, false), "deepseek-coder");
}

// What the reader makes of a name is recognised again.
TEST(PreTokenizerName, OfEveryRule) {
  auto keys = KeysFor(GoldenFiles("gpt2"), 1200);
  for (const PreTokenizerRule& rule : PreTokenizerRules()) {
    for (GgufKey& key : keys) {
      if (key.name == "tokenizer.ggml.pre") key.value = std::string(rule.names.back());
    }
    std::erase_if(keys, [](const GgufKey& key) { return key.name.ends_with("bos_token_id"); });
    keys.push_back({"tokenizer.ggml.bos_token_id", uint32_t{0}});
    const auto again = KeysFor(TokenizerFilesFromKeys(keys, "file.gguf"), 1200);
    const PreTokenizerRule& found =
        FindPreTokenizerRule(Value<std::string>(again, "tokenizer.ggml.pre"), "test");
    EXPECT_EQ(found.expressions, rule.expressions);
    EXPECT_EQ(found.ignore_merges, rule.ignore_merges);
  }
}

TEST(PreTokenizerName, IsNeverGuessed) {
  const std::string bytes =
      R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})";
  const std::string words =
      R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})";
  const auto& llama3 = FindPreTokenizerRule("llama-bpe", "test").expressions.front();
  const auto& coder = FindPreTokenizerRule("deepseek-coder", "test").expressions;
  const std::vector<std::string> unknown = {
      NameOf(SplitStep("[a-z]+") + bytes, false),
      NameOf(SplitStep(llama3, "Removed") + bytes, true),
      NameOf(SplitStep(llama3) + words, true),  // a second cut
      NameOf(SplitStep(coder[0]) + SplitStep(coder[1]) + SplitStep(coder[2]) + SplitStep(coder[3]) +
                 bytes,
             false),         // without Digits
      NameOf(bytes, false),  // no words at all
      NameOf(words, true),   // no name has this with ignore_merges
      NameOf(R"({"type": "ByteLevel", "add_prefix_space": true})", false),
      NameOf(R"({"type": "Digits", "individual_digits": false}, )" + words, false),
      NameOf(R"({"type": "Punctuation"}, )" + words, false),
  };
  for (const std::string& error : unknown) {
    EXPECT_TRUE(error.starts_with("8: model: tokenizer.json: expected a pre-tokenizer")) << error;
    EXPECT_NE(error.find("--pre-tokenizer NAME"), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace llmq
