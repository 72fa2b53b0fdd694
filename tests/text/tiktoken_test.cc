// tiktoken files: recognised by content, refused where they are damaged or do not say enough. Ids
// are compared in tokenizer_golden_test.cc.
#include <gtest/gtest.h>

#include "tests/text/text_test_support.h"
#include "text/base64.h"
#include "text/tiktoken.h"

namespace llmq {
namespace {

using Ids = std::vector<int32_t>;

ModelFiles Files(const std::string& config = R"({"tokenizer_class": "QWenTokenizer"})") {
  ModelFiles files = ReadFiles(GoldenPath("tiktoken-qwen"), {"qwen.tiktoken"});
  files["tokenizer_config.json"] = config;
  return files;
}

TEST(Tiktoken, IsRecognisedByContent) {
  EXPECT_TRUE(LooksLikeTiktoken("IQ== 0\n"));
  EXPECT_TRUE(LooksLikeTiktoken("IQ== 0\r\nIg== 1\r\n"));
  for (const char* other :
       {"", "\n", "IQ==", "IQ== ", " 0", "IQ= 0", "IQ== 0x", "\x0A\x0E\x0A", "{"}) {
    EXPECT_FALSE(LooksLikeTiktoken(other)) << other;
  }
  ModelFiles files = Files();
  files["tokenizer.model"] = files["qwen.tiktoken"];
  files.erase("qwen.tiktoken");
  EXPECT_EQ(Tokenizer::FromFiles(files, "t")->Encode("Hello 123", false),
            Tokenizer::FromFiles(Files(), "t")->Encode("Hello 123", false));
}

TEST(Tiktoken, ClassDecidesHowDigitsAreCut) {
  const auto encode = [](const char* tokenizer_class) {
    const auto files = Files(std::string(R"({"tokenizer_class": ")") + tokenizer_class + "\"}");
    return Tokenizer::FromFiles(files, "t")->Encode("1st 0x7F", false);
  };
  EXPECT_EQ(encode("QWenTokenizer"), encode("Qwen2Tokenizer"));
  EXPECT_EQ(encode("LlamaTokenizer"), encode("ChatGLM4Tokenizer"));
  for (const char* config : {R"({"tokenizer_class": "TikTokenTokenizer"})", "{}"}) {
    EXPECT_NE(LoadError(Files(config)).find("how"), std::string::npos) << config;
  }
}

TEST(Tiktoken, BeginTokenOfTheConfig) {
  const std::string config =
      R"({"tokenizer_class": "QWenTokenizer", "bos_token": "<b>",
          "added_tokens_decoder": {"600": {"content": "<b>", "special": true}})";
  const auto with = Tokenizer::FromFiles(Files(config + "}"), "t");
  EXPECT_EQ(with->bos_id(), 600);
  EXPECT_EQ(with->Encode("!", true), (Ids{600, 0}));
  EXPECT_EQ(with->Encode("<b>!", false), (Ids{600, 0}));
  const auto without = Tokenizer::FromFiles(Files(config + R"(, "add_bos_token": false})"), "t");
  EXPECT_EQ(without->Encode("!", true), (Ids{0}));
}

TEST(Tiktoken, Lies) {
  const std::string good = Files()["qwen.tiktoken"];
  const size_t second = good.find('\n') + 1;
  const std::pair<std::string, const char*> lies[] = {
      {good.substr(0, second), "a token for each byte"},
      {good.substr(0, second) + good, "line 2: expected a token in Base64 and rank 1"},
      {good + "IQ== 599\n", "again"},
      {good + "\n", "expected a token in Base64"},
      {good + "!!!! 600\n", "expected a token in Base64"},
      {good + " 600\n", "expected a token in Base64"},
      {good + "YWJjZGVm -1\n", "expected a token in Base64"},
      {good + "YWJjZGVm 99999999999999999999\n", "expected a token in Base64"},
  };
  for (const auto& [text, message] : lies) {
    ModelFiles files = Files();
    files["qwen.tiktoken"] = text;
    EXPECT_NE(LoadError(files).find(message), std::string::npos) << LoadError(files);
  }
}

TEST(Base64, IsReadOrRefused) {
  EXPECT_EQ(DecodeBase64(""), "");
  EXPECT_EQ(DecodeBase64("Zg=="), "f");
  EXPECT_EQ(DecodeBase64("Zm8="), "fo");
  EXPECT_EQ(DecodeBase64("Zm9v"), "foo");
  EXPECT_EQ(DecodeBase64("/+8A"), std::string("\xFF\xEF\0", 3));
  for (const char* bad : {"Z", "Zg", "Zg=", "Z===", "====", "Zm9v\n", "Zm 9", "Z-_v", "=m9v"}) {
    EXPECT_EQ(DecodeBase64(bad), std::nullopt) << bad;
  }
}

// GPT-2's two files with what OPT's tokenizer_config.json says.
TEST(Gpt2Files, SpecialTokensAndBeginToken) {
  const ModelFiles vocabulary = {
      {"vocab.json", R"({"<s>": 0, "<pad>": 1, "</s>": 2, "a": 3, "b": 4, "ab": 5})"},
      {"merges.txt", "#version: 0.2\na b\n"}};
  ModelFiles files = vocabulary;
  files["tokenizer_config.json"] =
      R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": {"content": "</s>"}})";
  files["special_tokens_map.json"] =
      R"({"eos_token": "</s>", "pad_token": "<pad>", "bos_token": "<s>"})";
  const auto opt = Tokenizer::FromFiles(files, "opt");
  EXPECT_EQ(opt->Encode("ab<pad>", true), (Ids{2, 5, 1}));
  EXPECT_EQ(opt->bos_id(), 2);
  EXPECT_EQ(opt->eos_id(), 2);
  EXPECT_EQ(opt->Decode(Ids{2, 5, 1}, true), "ab");
  EXPECT_EQ(Tokenizer::FromFiles(vocabulary, "gpt2")->Encode("ab", true), (Ids{5}));
}

}  // namespace
}  // namespace llmq
