// Files -> keys -> files: the same ids. The expected ids are those of the reference libraries
// (scripts/golden/make_tokenizer_golden.py) and of llama.cpp's published vectors.
#include <map>

#include "tests/llamacpp/tokenizer_keys_support.h"
#include "tests/text/llama_cpp_vectors.h"

namespace llmq {
namespace {

struct Case {
  std::string name;
  ModelFiles (*files)();
  int64_t vocab_size;
  std::string golden;
};

ModelFiles Only(ModelFiles files, const char* left_out) {
  files.erase(left_out);
  return files;
}

const Case kCases[] = {
    {"Gpt2", [] { return GoldenFiles("gpt2"); }, 1300, "gpt2/golden.json"},
    {"Llama3", [] { return GoldenFiles("llama3"); }, 1000, "llama3/golden.json"},
    {"SentencePiecePlain", [] { return GoldenFiles("sp-plain"); }, 640, "sp-plain/golden.json"},
    // llama.cpp removes no spaces, so a GGUF file is like the tokenizer.json of these models; the
    // scores come from tokenizer.model,
    {"Stories19m", [] { return StoriesFiles("stories-19m"); }, 2048,
     "stories-19m/golden_json.json"},
    {"Stories260k", [] { return StoriesFiles("stories260k/hf-f32"); }, 512,
     "stories260k/golden_json.json"},
    // and here from the merges.
    {"Stories19mMerges", [] { return Only(StoriesFiles("stories-19m"), "tokenizer.model"); }, 2100,
     "stories-19m/golden_json.json"},
    {"Stories260kMerges",
     [] { return Only(StoriesFiles("stories260k/hf-f32"), "tokenizer.model"); }, 512,
     "stories260k/golden_json.json"},
};

class RoundTrip : public ::testing::TestWithParam<Case> {};

TEST_P(RoundTrip, EncodesAsTheReference) {
  const Case& c = GetParam();
  const auto keys = KeysFor(c.files(), c.vocab_size);
  const auto tokenizer = TokenizerFrom(keys);
  EXPECT_LE(tokenizer->vocab_size(), c.vocab_size);
  const SortedJson texts = ReadGolden("texts.json");
  const SortedJson golden = ReadGolden(c.golden);
  size_t compared = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (golden["encode"][i].is_null()) continue;
    const auto text = texts[i].get<std::string>();
    EXPECT_EQ(tokenizer->Encode(text, false), golden["encode"][i].get<std::vector<int32_t>>())
        << "text " << i << ": " << text;
    ++compared;
  }
  EXPECT_GT(compared, 250u);
}

TEST_P(RoundTrip, KeepsSpecialTokensAndTexts) {
  const Case& c = GetParam();
  const ModelFiles files = c.files();
  const auto original = Tokenizer::FromFiles(files, c.name);
  const auto tokenizer = TokenizerFrom(KeysFor(files, c.vocab_size));
  EXPECT_EQ(tokenizer->bos_id(), original->bos_id());
  EXPECT_EQ(tokenizer->eos_id(), original->eos_id());
  for (const SortedJson& entry : ReadGolden("texts.json")) {
    const auto text = entry.get<std::string>();
    if (text.find("<unk>") != std::string::npos) continue;  // SentencePiece shows it, llama.cpp not
    const auto ids = tokenizer->Encode(text, true);
    EXPECT_EQ(tokenizer->Decode(ids, true), original->Decode(ids, true)) << entry;
  }
}

// What comes back can be written again, to the same keys.
TEST_P(RoundTrip, KeysStayTheSame) {
  const Case& c = GetParam();
  const auto keys = KeysFor(c.files(), c.vocab_size);
  const auto again = KeysFor(TokenizerFilesFromKeys(keys, "file.gguf"), c.vocab_size);
  const std::map<std::string, GgufValue> left = [&] {
    std::map<std::string, GgufValue> map;
    for (const GgufKey& key : keys) map.emplace(key.name, key.value);
    return map;
  }();
  std::map<std::string, GgufValue> right;
  for (const GgufKey& key : again) right.emplace(key.name, key.value);
  ASSERT_EQ(left.size(), keys.size());
  ASSERT_EQ(left.size(), right.size());
  for (const auto& [name, value] : left) EXPECT_TRUE(right.at(name) == value) << name;
}

INSTANTIATE_TEST_SUITE_P(All, RoundTrip, ::testing::ValuesIn(kCases),
                         [](const auto& case_info) { return case_info.param.name; });

// What GGUF cannot say is gone: the normalizer NFC and the options of added tokens. The rest is as
// before.
TEST(TokenizerRoundTrip, WithoutWhatGgufCannotSay) {
  SortedJson plain = ReadGolden("qwen2/tokenizer.json");
  plain["normalizer"] = nullptr;
  for (SortedJson& token : plain["added_tokens"]) {
    for (const char* option : {"lstrip", "rstrip", "single_word", "normalized"}) {
      token[option] = false;
    }
  }
  const auto expected = Tokenizer::FromFiles({{"tokenizer.json", DumpJson(plain)}}, "qwen2");
  const auto tokenizer = TokenizerFrom(KeysFor(GoldenFiles("qwen2"), 950));
  const SortedJson texts = ReadGolden("texts.json");
  const SortedJson golden = ReadGolden("qwen2/golden.json");
  size_t as_the_reference = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto ids = tokenizer->Encode(texts[i].get<std::string>(), true);
    EXPECT_EQ(ids, expected->Encode(texts[i].get<std::string>(), true)) << texts[i];
    as_the_reference += ids == golden["encode"][i].get<std::vector<int32_t>>();
  }
  EXPECT_GT(as_the_reference, 250u);
}

// "prepend_scheme": "first" puts no space before a text that begins with one; llama.cpp does.
TEST(TokenizerRoundTrip, Metaspace) {
  const auto tokenizer = TokenizerFrom(KeysFor(GoldenFiles("metaspace"), 900));
  const SortedJson texts = ReadGolden("texts.json");
  const SortedJson golden = ReadGolden("metaspace/golden.json");
  size_t compared = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    bool other = text.starts_with(' ') || text.starts_with("\u2581");
    for (const std::string_view part : {std::string_view("<"), std::string_view("\0", 1)}) {
      other = other || text.find(part) != std::string::npos;
    }
    if (other) continue;
    EXPECT_EQ(tokenizer->Encode(text, false), golden["encode"][i].get<std::vector<int32_t>>())
        << text;
    ++compared;
  }
  EXPECT_GT(compared, 200u);
}

TEST(TokenizerRoundTrip, ChatTemplates) {
  ModelFiles files = StoriesFiles("stories260k/hf-f32");
  files["chat_template.jinja"] = "{{ bos_token }}\n\u2581 \"x\"";
  const auto back = TokenizerFilesFromKeys(KeysFor(files, 512), "file.gguf");
  const SortedJson config = ParseSortedJson(back.at("tokenizer_config.json"), "config");
  EXPECT_EQ(config["chat_template"], files["chat_template.jinja"]);
  EXPECT_EQ(config["unk_token"], "<unk>");
}

struct Vectors {
  std::string name;
  std::string vectors;
  PublicTokenizer tokenizer;
  int64_t vocab_size;
  std::string pre;
};

const Vectors kVectors[] = {
    {"Llama2",
     "llama-spm",
     {"llama-2", {{"tokenizer.model", "tokenizer.model"}}},
     32000,
     "default"},
    {"Llama3",
     "llama-bpe",
     {"llama-3.2", {{"tokenizer.assembled.json", "tokenizer.json"}}},
     128256,
     "llama-bpe"},
    {"Qwen2",
     "qwen2",
     {"qwen2.5",
      {{"tokenizer.assembled.json", "tokenizer.json"},
       {"tokenizer_config.json", "tokenizer_config.json"}}},
     151936,
     "qwen2"},
    {"Gpt2",
     "gpt-2",
     {"gpt2", {{"vocab.json", "vocab.json"}, {"merges.txt", "merges.txt"}}},
     50257,
     "gpt-2"},
    {"Phi3",
     "phi-3",
     {"phi-3",
      {{"tokenizer.json", "tokenizer.json"}, {"tokenizer_config.json", "tokenizer_config.json"}}},
     32064,
     "default"},
    // No vectors are published for these; their vocabularies contain Llama-2's.
    {"MistralV1", "", {"mistral", {{"tokenizer.model.v1", "tokenizer.model"}}}, 32000, "default"},
    {"MistralV3",
     "",
     {"mistral", {{"mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model"}}},
     32768,
     "default"},
};

class RoundTripVectors : public ::testing::TestWithParam<Vectors> {};

TEST_P(RoundTripVectors, EqualLlamaCpp) {
  const auto root = PublicTokenizers();
  if (!root) GTEST_SKIP() << "LLM_QUANTIZE_TOKENIZERS_DIR is not set";
  const Vectors& c = GetParam();
  const ModelFiles files = ReadPublicTokenizer(*root, c.tokenizer);
  const auto keys = KeysFor(files, c.vocab_size);
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.ggml.pre"), c.pre);
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.ggml.model"),
            c.pre == "default" ? "llama" : "gpt2");
  const auto tokenizer = TokenizerFrom(keys);
  const auto original = Tokenizer::FromFiles(files, c.name);
  const bool published = !c.vectors.empty();
  const auto vectors = ReadLlamaCppVectors(*root, published ? c.vectors : "llama-spm");
  for (const auto& [text, ids] : vectors) {
    EXPECT_EQ(tokenizer->Encode(text, false), published ? ids : original->Encode(text, false))
        << text;
  }
  EXPECT_EQ(tokenizer->Encode(vectors[0].text, true), original->Encode(vectors[0].text, true));
}

INSTANTIATE_TEST_SUITE_P(All, RoundTripVectors, ::testing::ValuesIn(kVectors),
                         [](const auto& case_info) { return case_info.param.name; });

}  // namespace
}  // namespace llmq
