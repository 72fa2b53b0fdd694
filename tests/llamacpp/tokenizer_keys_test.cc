// The keys that are written: their values and types, and what is refused.
#include <algorithm>
#include <set>

#include "tests/llamacpp/tokenizer_keys_support.h"
#include "text/sentencepiece_model.h"

namespace llmq {
namespace {

TEST(TokenizerKeys, SentencePieceModel) {
  const ModelFiles files = StoriesFiles("stories-19m");
  const auto keys = KeysFor(files, 2048);
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.ggml.model"), "llama");
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.ggml.pre"), "default");
  const auto tokens = Value<std::vector<std::string>>(keys, "tokenizer.ggml.tokens");
  const auto scores = Value<std::vector<float>>(keys, "tokenizer.ggml.scores");
  const auto types = Value<std::vector<int32_t>>(keys, "tokenizer.ggml.token_type");
  const auto model = SentencePieceModel::Parse(files.at("tokenizer.model"), "model");
  ASSERT_EQ(tokens.size(), model.pieces.size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    EXPECT_EQ(tokens[id], model.pieces[id].text);
    EXPECT_EQ(scores[id], model.pieces[id].score);
    EXPECT_EQ(types[id], static_cast<int32_t>(model.pieces[id].type));
  }
  EXPECT_EQ(Value<uint32_t>(keys, "tokenizer.ggml.bos_token_id"), 1u);
  EXPECT_EQ(Value<uint32_t>(keys, "tokenizer.ggml.eos_token_id"), 2u);
  EXPECT_EQ(Value<uint32_t>(keys, "tokenizer.ggml.unknown_token_id"), 0u);
  EXPECT_TRUE(Value<bool>(keys, "tokenizer.ggml.add_bos_token"));
  EXPECT_FALSE(Value<bool>(keys, "tokenizer.ggml.add_eos_token"));
  EXPECT_TRUE(Value<bool>(keys, "tokenizer.ggml.add_space_prefix"));
  EXPECT_FALSE(HasKey(keys, "tokenizer.ggml.merges"));
}

TEST(TokenizerKeys, ByteLevel) {
  const ModelFiles files = GoldenFiles("llama3");
  const auto keys = KeysFor(files, 1003);
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.ggml.model"), "gpt2");
  EXPECT_EQ(Value<std::string>(keys, "tokenizer.ggml.pre"), "llama-bpe");
  const auto tokens = Value<std::vector<std::string>>(keys, "tokenizer.ggml.tokens");
  const auto types = Value<std::vector<int32_t>>(keys, "tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), 1003u);
  ASSERT_EQ(types.size(), 1003u);
  EXPECT_EQ(tokens[0], "<|begin_of_text|>");
  EXPECT_EQ(types[0], 3);
  EXPECT_EQ(types[2], 1);
  EXPECT_EQ(tokens[1002], "[PAD1002]");
  EXPECT_EQ(types[1002], 5);
  EXPECT_FALSE(HasKey(keys, "tokenizer.ggml.scores"));
  EXPECT_FALSE(HasKey(keys, "tokenizer.ggml.add_space_prefix"));
  const auto merges = Value<std::vector<std::string>>(keys, "tokenizer.ggml.merges");
  EXPECT_EQ(merges.size(), ReadGolden("llama3/tokenizer.json")["model"]["merges"].size());
  EXPECT_EQ(merges[0], "h e");
  EXPECT_EQ(Value<uint32_t>(keys, "tokenizer.ggml.bos_token_id"), 0u);
  EXPECT_TRUE(Value<bool>(keys, "tokenizer.ggml.add_bos_token"));
}

// Pairs may hold spaces, which a GGUF file cannot tell from the separator.
TEST(TokenizerKeys, SpacesInMergesAreWritten) {
  SortedJson file = ReadGolden("gpt2/tokenizer.json");
  file["model"]["vocab"]["x y"] = 1200;
  file["model"]["vocab"]["x "] = 1201;
  file["model"]["merges"].push_back({"x ", "y"});
  const auto keys = KeysFor({{"tokenizer.json", DumpJson(file)}}, 1202);
  EXPECT_EQ(Value<std::vector<std::string>>(keys, "tokenizer.ggml.merges").back(), "x\u0120 y");
}

TEST(TokenizerKeys, AddedTokensHaveTheirTypes) {
  const auto keys = KeysFor(GoldenFiles("qwen2"), 905);
  const auto tokens = Value<std::vector<std::string>>(keys, "tokenizer.ggml.tokens");
  const auto types = Value<std::vector<int32_t>>(keys, "tokenizer.ggml.token_type");
  EXPECT_EQ(types[0], 3);  // <|endoftext|>
  EXPECT_EQ(tokens[287], "ing");
  EXPECT_EQ(types[287], 4);
  EXPECT_EQ(types[900], 3);  // <|im_start|>
  EXPECT_EQ(tokens[902], "<tool>");
  EXPECT_EQ(types[902], 4);
  // Those that the embeddings do not cover are left out.
  EXPECT_EQ(
      Value<std::vector<std::string>>(KeysFor(GoldenFiles("qwen2"), 902), "tokenizer.ggml.tokens")
          .size(),
      902u);
}

TEST(TokenizerKeys, AddedTokensBesideAModelFile) {
  ModelFiles files = StoriesFiles("stories260k/hf-f32");
  SortedJson config = ParseSortedJson(files["tokenizer_config.json"], "config");
  config["added_tokens_decoder"] = ParseSortedJson(
      R"({"2": {"content": "</s>", "special": true},
          "514": {"content": "\u2581\u2581x", "special": false, "normalized": true},
          "515": {"content": "\u2581yq", "special": false, "normalized": false},
          "516": {"content": "[X]", "special": true}})",
      "config");
  config["pad_token"] = {{"content", "[X]"}};
  config["mask_token"] = "plain";
  files.erase("tokenizer.json");
  config["added_tokens_decoder"]["512"] = {{"content", "plain"}, {"special", false}};
  config["added_tokens_decoder"]["513"] = {{"content", "<|looks|>"}, {"special", false}};
  files["tokenizer_config.json"] = DumpJson(config);
  const auto keys = KeysFor(files, 520);
  const auto tokens = Value<std::vector<std::string>>(keys, "tokenizer.ggml.tokens");
  const auto types = Value<std::vector<int32_t>>(keys, "tokenizer.ggml.token_type");
  const auto check = [&](size_t id, const std::string& text, int32_t type) {
    EXPECT_EQ(tokens[id], text) << id;
    EXPECT_EQ(types[id], type) << id;
  };
  check(2, "</s>", 3);
  check(512, "plain", 4);
  check(513, "<|looks|>", 3);
  check(514, "  x", 4);
  check(515, "\u2581yq", 4);
  check(516, "[X]", 3);
  check(517, "[PAD517]", 5);
  EXPECT_EQ(Value<uint32_t>(keys, "tokenizer.ggml.padding_token_id"), 516u);
  EXPECT_EQ(Value<uint32_t>(keys, "tokenizer.ggml.mask_token_id"), 512u);
}

TEST(TokenizerKeys, AddedTokensJson) {
  ModelFiles files = StoriesFiles("stories260k/hf-f32");
  files["added_tokens.json"] = R"({"plain": 512, "<|looks|>": 513, "late": 900})";
  const auto keys = KeysFor(files, 514);
  const auto tokens = Value<std::vector<std::string>>(keys, "tokenizer.ggml.tokens");
  const auto types = Value<std::vector<int32_t>>(keys, "tokenizer.ggml.token_type");
  EXPECT_EQ(tokens[512], "plain");
  EXPECT_EQ(types[512], 4);
  EXPECT_EQ(tokens[513], "<|looks|>");
  EXPECT_EQ(types[513], 3);
}

// llama.cpp ends the program for a text that is there twice.
TEST(TokenizerKeys, TextsAreUnique) {
  SortedJson file = ReadGolden("gpt2/tokenizer.json");
  file["model"]["vocab"]["[PAD1202]"] = 1200;
  file["model"]["vocab"]["[PAD1203]"] = 1202;
  const auto keys = KeysFor({{"tokenizer.json", DumpJson(file)}}, 1206);
  const auto tokens = Value<std::vector<std::string>>(keys, "tokenizer.ggml.tokens");
  EXPECT_EQ(std::set<std::string>(tokens.begin(), tokens.end()).size(), 1206u);
  EXPECT_EQ(tokens[1201], "[PAD1201]");
  EXPECT_EQ(tokens[1203], "[PAD1203]_");
}

TEST(TokenizerKeys, IdsComeFromTheFilesInOrder) {
  ModelFiles files = GoldenFiles("gpt2");
  const auto id = [&](const char* name) {
    return Value<uint32_t>(KeysFor(files, 1200), std::string("tokenizer.ggml.") + name);
  };
  files["generation_config.json"] = R"({"eos_token_id": [7, 8], "pad_token_id": 9})";
  EXPECT_EQ(id("eos_token_id"), 7u);
  files["config.json"] = R"({"eos_token_id": 5, "bos_token_id": [3], "pad_token_id": 5000})";
  EXPECT_EQ(id("eos_token_id"), 5u);
  EXPECT_EQ(id("bos_token_id"), 3u);
  EXPECT_EQ(id("padding_token_id"), 9u);  // 5000 is none of the model's
  files["tokenizer_config.json"] =
      R"({"eos_token": "<|endoftext|>", "bos_token": null, "sep_token": {"content": "he"}})";
  EXPECT_EQ(id("eos_token_id"), 0u);
  EXPECT_EQ(id("bos_token_id"), 3u);
  EXPECT_EQ(Value<std::vector<std::string>>(KeysFor(files, 1200),
                                            "tokenizer.ggml.tokens")[id("seperator_token_id")],
            "he");
}

// What the post-processor does counts, whatever the names say.
TEST(TokenizerKeys, FrameIsWhatTheTokenizerDoes) {
  SortedJson file = ReadGolden("gpt2/tokenizer.json");
  const auto frame = [&](const char* single) {
    file["post_processor"] = {{"type", "TemplateProcessing"},
                              {"single", ParseSortedJson(single, "test")},
                              {"special_tokens", {{"x", {{"ids", {5}}}}, {"y", {{"ids", {6}}}}}}};
    return ModelFiles{{"tokenizer.json", DumpJson(file)},
                      {"tokenizer_config.json", R"({"eos_token": "<|endoftext|>"})"}};
  };
  const auto both = KeysFor(frame(R"([{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}},
                                      {"SpecialToken": {"id": "y"}}])"),
                            1200);
  EXPECT_TRUE(Value<bool>(both, "tokenizer.ggml.add_bos_token"));
  EXPECT_TRUE(Value<bool>(both, "tokenizer.ggml.add_eos_token"));
  EXPECT_EQ(Value<uint32_t>(both, "tokenizer.ggml.bos_token_id"), 5u);
  EXPECT_EQ(Value<uint32_t>(both, "tokenizer.ggml.eos_token_id"), 6u);
  EXPECT_EQ(Value<uint32_t>(both, "tokenizer.ggml.eot_token_id"), 0u);
  const auto none = KeysFor(frame(R"([{"Sequence": {"id": "A"}}])"), 1200);
  EXPECT_FALSE(Value<bool>(none, "tokenizer.ggml.add_bos_token"));
  EXPECT_FALSE(Value<bool>(none, "tokenizer.ggml.add_eos_token"));
  const ModelFiles two = frame(R"([{"SpecialToken": {"id": "x"}}, {"SpecialToken": {"id": "y"}},
                                   {"Sequence": {"id": "A"}}])");
  const std::string error = ErrorOf([&] { KeysFor(two, 1200); });
  EXPECT_TRUE(error.starts_with("8: model: expected at most one special token")) << error;
}

TEST(TokenizerKeys, PreTokenizerOverride) {
  EXPECT_EQ(Value<std::string>(KeysFor(GoldenFiles("smollm"), 700, "smollm"), "tokenizer.ggml.pre"),
            "smollm");
  const std::string error =
      ErrorOf([] { KeysFor(StoriesFiles("stories-19m"), 2048, "llama-bpe"); });
  EXPECT_TRUE(error.starts_with("2: model: ")) << error;
}

struct Refusal {
  const char* name;
  const char* golden;
  int64_t vocab_size;
  const char* error;
};

TEST(TokenizerKeys, RefusesWhatLlamaCppCannotDo) {
  const Refusal refusals[] = {
      {"a space before every text", "smollm", 700, "8: model: tokenizer.json: expected a pre-"},
      {"spaces behind words", "sp-suffix", 600, "8: model: tokenizer.model: expected spaces"},
      {"no byte tokens", "sp-rules", 500, "8: model: tokenizer.model: expected a token for each"},
      {"no BPE", "unigram-bytes", 700, "8: model: tokenizer.json: model: expected type BPE"},
      {"words marked", "clip", 600, "8: model: tokenizer.json: model: expected no end_of_word"},
      {"no BPE", "sp-unigram-bytes", 700,
       "8: model: tokenizer.model: expected a model of type BPE"},
      {"no merges", "tiktoken-llama3", 700, "8: model: tokenizer.model: expected a SentencePiece"},
      {"neither kind of BPE", "unknown", 500, "8: model: expected a SentencePiece"},
      {"fewer embeddings than tokens", "gpt2", 1199, "1: model: tokenizer.json: expected ids"},
      {"fewer embeddings than pieces", "sp-plain", 599, "1: model: tokenizer.model: expected ids"},
  };
  for (const Refusal& refusal : refusals) {
    const std::string error =
        ErrorOf([&] { KeysFor(GoldenFiles(refusal.golden), refusal.vocab_size); });
    EXPECT_TRUE(error.starts_with(refusal.error)) << refusal.name << ": " << error;
  }
}

TEST(TokenizerKeys, RefusesOtherSteps) {
  SortedJson bytes = ReadGolden("gpt2/tokenizer.json");
  bytes["normalizer"] = {{"type", "Lowercase"}};
  SortedJson pieces =
      ParseSortedJson(StoriesFiles("stories-19m").at("tokenizer.json"), "stories-19m");
  SortedJson no_spaces = pieces;
  no_spaces["normalizer"] = nullptr;
  SortedJson other_normalizer = pieces;
  other_normalizer["normalizer"]["normalizers"].push_back({{"type", "NFKC"}});
  SortedJson other_step = pieces;
  other_step["pre_tokenizer"] = {{"type", "Whitespace"}};
  for (const SortedJson& file : {bytes, no_spaces, other_normalizer, other_step}) {
    const std::string error = ErrorOf([&] { KeysFor({{"tokenizer.json", DumpJson(file)}}, 2048); });
    EXPECT_TRUE(error.starts_with("8: model: tokenizer.json: ")) << error;
  }
}

// Ranks of pairs that no scores of tokens can express: "ab" + "c" goes before "b" + "c", which
// goes before "a" + "b".
TEST(TokenizerKeys, RefusesMergesThatScoresCannotExpress) {
  SortedJson file =
      ParseSortedJson(StoriesFiles("stories-19m").at("tokenizer.json"), "stories-19m");
  std::reverse(file["model"]["merges"].begin(), file["model"]["merges"].end());
  SortedJson& merges = file["model"]["merges"];
  // All but the last way to make a token: it is then made at another time than its score says.
  merges.erase(merges.begin(), merges.begin() + static_cast<std::ptrdiff_t>(merges.size() / 2));
  const std::string error = ErrorOf([&] { KeysFor({{"tokenizer.json", DumpJson(file)}}, 2048); });
  EXPECT_TRUE(error.starts_with("8: model: tokenizer.json: expected merges")) << error;
}

}  // namespace
}  // namespace llmq
