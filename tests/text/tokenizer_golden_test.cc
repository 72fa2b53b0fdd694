// Ids and texts must equal what the libraries "tokenizers" and "sentencepiece" answered
// (scripts/golden/make_tokenizer_golden.py).
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <thread>

#include "tests/text/text_test_support.h"

namespace llmq {
namespace {

struct GoldenCase {
  std::string name;
  std::string golden;  // in tests/golden/tokenizers
  std::string folder;  // of the tokenizer; "" beside the golden file
  std::string file;
  bool keeps_text = false;  // decoding, special tokens shown, gives the text back
};

const GoldenCase kCases[] = {
    {"Gpt2", "gpt2/golden.json", "", "tokenizer.json", true},
    {"Llama3", "llama3/golden.json", "", "tokenizer.json", true},
    {"Qwen2", "qwen2/golden.json", "", "tokenizer.json"},
    {"Smollm", "smollm/golden.json", "", "tokenizer.json"},
    {"Metaspace", "metaspace/golden.json", "", "tokenizer.json", true},
    {"Unknown", "unknown/golden.json", "", "tokenizer.json"},
    {"SentencePieceRules", "sp-rules/golden.json", "", "tokenizer.model"},
    {"SentencePieceSuffix", "sp-suffix/golden.json", "", "tokenizer.model"},
    {"SentencePiecePlain", "sp-plain/golden.json", "", "tokenizer.model"},
    {"Unigram", "unigram-t5/golden.json", "", "tokenizer.json"},
    {"UnigramBytes", "unigram-bytes/golden.json", "", "tokenizer.json", true},
    {"BertUncased", "bert-uncased/golden.json", "", "tokenizer.json"},
    {"BertCased", "bert-cased/golden.json", "", "tokenizer.json"},
    {"WordLevel", "word-level/golden.json", "", "tokenizer.json"},
    {"Clip", "clip/golden.json", "", "tokenizer.json"},
    {"Gpt1", "gpt1/golden.json", "", "tokenizer.json"},
    {"BpePrefix", "bpe-prefix/golden.json", "", "tokenizer.json"},
    {"ByteNormalizer", "byte-normalizer/golden.json", "", "tokenizer.json", true},
    {"SentencePieceUnigram", "sp-unigram/golden.json", "", "tokenizer.model"},
    {"SentencePieceUnigramBytes", "sp-unigram-bytes/golden.json", "", "tokenizer.model"},
    {"TiktokenQwen", "tiktoken-qwen/golden.json", "", "qwen.tiktoken", true},
    {"TiktokenLlama3", "tiktoken-llama3/golden.json", "", "tokenizer.model", true},
    {"Stories19mJson", "stories-19m/golden_json.json", "stories-19m", "tokenizer.json", true},
    {"Stories19mModel", "stories-19m/golden_model.json", "stories-19m", "tokenizer.model"},
    {"Stories260kJson", "stories260k/golden_json.json", "stories260k/hf-f32", "tokenizer.json",
     true},
    {"Stories260kModel", "stories260k/golden_model.json", "stories260k/hf-f32", "tokenizer.model"},
};

const GoldenCase& Named(const std::string& name) {
  return *std::find_if(std::begin(kCases), std::end(kCases),
                       [&](const GoldenCase& c) { return c.name == name; });
}

std::unique_ptr<Tokenizer> Load(const GoldenCase& c) {
  const std::filesystem::path folder = c.folder.empty()
                                           ? GoldenPath(c.golden).parent_path()
                                           : std::filesystem::path(LLMQ_TEST_MODEL_DIR) / c.folder;
  return Tokenizer::FromFiles(ReadFiles(folder, {c.file, "tokenizer_config.json"}), c.name);
}

class TokenizerGolden : public ::testing::TestWithParam<GoldenCase> {};

TEST_P(TokenizerGolden, EncodesAsTheReference) {
  const auto tokenizer = Load(GetParam());
  const SortedJson texts = ReadGolden("texts.json");
  const SortedJson golden = ReadGolden(GetParam().golden);
  ASSERT_EQ(golden["encode"].size(), texts.size());
  size_t compared = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (golden["encode"][i].is_null()) continue;  // not asked, or control pieces in it: see below
    const auto text = texts[i].get<std::string>();
    EXPECT_EQ(tokenizer->Encode(text, false), golden["encode"][i].get<std::vector<int32_t>>())
        << "text " << i << ": " << text;
    ++compared;
  }
  EXPECT_GT(compared, 80u);
}

TEST_P(TokenizerGolden, DecodesAsTheReference) {
  const auto tokenizer = Load(GetParam());
  const SortedJson golden = ReadGolden(GetParam().golden);
  EXPECT_GT(golden["decode"].size(), 50u);
  for (const SortedJson& entry : golden["decode"]) {
    const auto ids = entry[0].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->Decode(ids, true), entry[1].get<std::string>()) << entry[0];
    EXPECT_EQ(DecodeByStream(*tokenizer, ids, true), entry[1].get<std::string>()) << entry[0];
    if (entry.size() > 2) {
      EXPECT_EQ(tokenizer->Decode(ids, false), entry[2].get<std::string>()) << entry[0];
    }
  }
}

TEST_P(TokenizerGolden, AddsItsSpecialTokens) {
  const auto tokenizer = Load(GetParam());
  const SortedJson golden = ReadGolden(GetParam().golden);
  if (!golden.contains("special")) GTEST_SKIP() << "decided by tokenizer_config.json";
  EXPECT_EQ(tokenizer->Encode("a", true), golden["special"].get<std::vector<int32_t>>());
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden, ::testing::ValuesIn(kCases),
                         [](const auto& case_info) { return case_info.param.name; });

// The same model in both forms gives the same ids, also for special tokens in text, of which
// sentencepiece itself knows nothing. They differ in one thing: these models' tokenizer.model
// removes extra spaces, their tokenizer.json does not.
TEST(TokenizerGolden, BothFormsOfAModelAgree) {
  const auto json = Load(Named("Stories260kJson"));
  const auto model = Load(Named("Stories260kModel"));
  EXPECT_EQ(json->vocab_size(), model->vocab_size());
  for (const auto* tokenizer : {json.get(), model.get()}) {
    EXPECT_EQ(tokenizer->bos_id(), 1);
    EXPECT_EQ(tokenizer->eos_id(), 2);
  }
  size_t compared = 0;
  for (const SortedJson& entry : ReadGolden("texts.json")) {
    const auto text = entry.get<std::string>();
    bool extra_spaces = text.starts_with(' ') || text.ends_with(' ');
    for (const char* extra : {"  ", "\u2581", " <", "> "}) {
      extra_spaces = extra_spaces || text.find(extra) != std::string::npos;
    }
    if (extra_spaces) continue;
    EXPECT_EQ(json->Encode(text, true), model->Encode(text, true)) << text;
    ++compared;
  }
  EXPECT_GT(compared, 100u);
}

TEST(TokenizerGolden, IdsAndTokensAreInverse) {
  for (const GoldenCase& c : kCases) {
    const auto tokenizer = Load(c);
    for (int32_t id = 0; id < tokenizer->vocab_size(); ++id) {
      EXPECT_EQ(tokenizer->TokenToId(tokenizer->IdToToken(id)), id) << c.name;
    }
    EXPECT_EQ(tokenizer->IdToToken(-1), "");
    EXPECT_EQ(tokenizer->IdToToken(static_cast<int32_t>(tokenizer->vocab_size())), "");
    EXPECT_EQ(tokenizer->TokenToId("no such token"), std::nullopt);
  }
}

TEST(TokenizerGolden, DecodingSkipsInvalidIds) {
  for (const GoldenCase& c : kCases) {
    const auto tokenizer = Load(c);
    const std::vector<int32_t> ids = tokenizer->Encode("Hello little dog", false);
    std::vector<int32_t> dirty = {-1, INT32_MIN};
    for (const int32_t id : ids) dirty.insert(dirty.end(), {id, 1 << 30, INT32_MAX});
    EXPECT_EQ(tokenizer->Decode(dirty, true), tokenizer->Decode(ids, true)) << c.name;
  }
}

TEST(TokenizerGolden, InvalidUtf8IsTheReplacementCharacter) {
  for (const GoldenCase& c : kCases) {
    const auto tokenizer = Load(c);
    EXPECT_EQ(tokenizer->Encode("a\xC3 \xF0\x9F\x98z\xFF", false),
              tokenizer->Encode("a\uFFFD \uFFFDz\uFFFD", false))
        << c.name;
  }
}

// A text as one word of 100,000 characters: quadratic merging would take minutes.
TEST(TokenizerGolden, LongTextWithoutSpaces) {
  std::string text;
  for (const SortedJson& entry : ReadGolden("texts.json")) text += entry.get<std::string>();
  for (const std::string gone : {" ", "<", "\u2581"}) {
    for (size_t at; (at = text.find(gone)) != std::string::npos;) text.erase(at, gone.size());
  }
  while (text.size() < 100'000) text += text;
  for (const GoldenCase& c : kCases) {
    const auto tokenizer = Load(c);
    const std::vector<int32_t> ids = tokenizer->Encode(text, false);
    EXPECT_EQ(DecodeByStream(*tokenizer, ids, true), tokenizer->Decode(ids, true)) << c.name;
    if (c.keeps_text) {
      EXPECT_EQ(tokenizer->Decode(ids, false), text) << c.name;
    }
  }
}

TEST(TokenizerGolden, EncodeFromManyThreads) {
  const auto tokenizer = Load(Named("Llama3"));
  const SortedJson texts = ReadGolden("texts.json");
  const SortedJson golden = ReadGolden(Named("Llama3").golden);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < texts.size(); ++i) {
        const auto ids = tokenizer->Encode(texts[i].get_ref<const std::string&>(), false);
        wrong[t] += ids != golden["encode"][i].get<std::vector<int32_t>>();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

// GPT-2's two older files say the same as the tokenizer.json made of them.
TEST(TokenizerGolden, VocabAndMerges) {
  const SortedJson file = ReadGolden("gpt2/tokenizer.json");
  std::string merges = "#version: 0.2\n";
  for (const SortedJson& merge : file["model"]["merges"]) {
    merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  ModelFiles files = {{"vocab.json", DumpJson(file["model"]["vocab"])}, {"merges.txt", merges}};
  const auto tokenizer = Tokenizer::FromFiles(files, "model");
  const SortedJson texts = ReadGolden("texts.json");
  const SortedJson golden = ReadGolden("gpt2/golden.json");
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(tokenizer->Encode(texts[i].get<std::string>(), false),
              golden["encode"][i].get<std::vector<int32_t>>());
  }
  EXPECT_EQ(tokenizer->eos_id(), tokenizer->TokenToId("<|endoftext|>"));
  files["tokenizer_config.json"] = R"({"tokenizer_class": "Qwen2Tokenizer"})";
  EXPECT_NE(LoadError(files).find("Qwen2Tokenizer"), std::string::npos);
}

// Every prefix of a long answer, pushed id by id, never shows half a character.
TEST(TokenStream, ShowsOnlyWholeCharacters) {
  const auto tokenizer = Load(Named("Stories260kJson"));  // bytes for nearly everything
  const std::string text = "Hi 😀 née\n日本 x";
  const std::vector<int32_t> ids = tokenizer->Encode(text, true);
  TokenStream stream(*tokenizer);
  std::string shown;
  for (const int32_t id : ids) {
    shown += stream.Push(id);
    EXPECT_TRUE(text.starts_with(shown)) << shown;
  }
  EXPECT_EQ(shown + stream.Flush(), text);
}

}  // namespace
}  // namespace llmq
