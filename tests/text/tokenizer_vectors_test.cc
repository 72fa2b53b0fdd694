// The published test vectors of llama.cpp with the tokenizers of known models.
#include <gtest/gtest.h>

#include <map>

#include "tests/text/llama_cpp_vectors.h"
#include "tests/text/text_test_support.h"

namespace llmq {
namespace {

struct VectorCase {
  std::string name;
  std::string vectors;
  PublicTokenizer tokenizer;
};

const VectorCase kCases[] = {
    {"Llama2Model", "llama-spm", {"llama-2", {{"tokenizer.model", "tokenizer.model"}}}},
    {"Llama2Json", "llama-spm", {"llama-2", {{"tokenizer.json", "tokenizer.json"}}}},
    {"Llama3", "llama-bpe", {"llama-3.2", {{"tokenizer.assembled.json", "tokenizer.json"}}}},
    {"Qwen2", "qwen2", {"qwen2.5", {{"tokenizer.assembled.json", "tokenizer.json"}}}},
    {"Gpt2", "gpt-2", {"gpt2", {{"vocab.json", "vocab.json"}, {"merges.txt", "merges.txt"}}}},
    {"Phi3", "phi-3", {"phi-3", {{"tokenizer.json", "tokenizer.json"}}}},
};

// The copy of Llama-2's tokenizer.json that goes around has spaces where no-break spaces belong,
// and three merges that cannot be read ("tokenizers" refuses them too).
void RestoreNoBreakSpaces(std::string& text) {
  SortedJson file = ParseSortedJson(text, "tokenizer.json");
  SortedJson vocab = SortedJson::object();
  for (const auto& [token, id] : file["model"]["vocab"].items()) {
    std::string restored;
    for (const char c : token) restored += c == ' ' ? "\u00a0" : std::string(1, c);
    vocab[restored] = id;
  }
  file["model"]["vocab"] = vocab;
  const std::map<std::string, std::string> merges = {{"   ", "\u00a0 \u00a0"},
                                                     {"     ", "\u00a0\u00a0 \u00a0\u00a0"},
                                                     {"\u2581  ", "\u2581 \u00a0"}};
  for (SortedJson& merge : file["model"]["merges"]) {
    const auto it = merges.find(merge.get<std::string>());
    if (it != merges.end()) merge = it->second;
  }
  text = DumpJson(file);
}

class TokenizerVectors : public ::testing::TestWithParam<VectorCase> {};

TEST_P(TokenizerVectors, EqualLlamaCpp) {
  const auto root = PublicTokenizers();
  if (!root) GTEST_SKIP() << "LLM_QUANTIZE_TOKENIZERS_DIR is not set";
  const VectorCase& c = GetParam();
  ModelFiles files = ReadPublicTokenizer(*root, c.tokenizer);
  if (c.name == "Llama2Json") RestoreNoBreakSpaces(files["tokenizer.json"]);
  const auto tokenizer = Tokenizer::FromFiles(files, c.name);
  const auto vectors = ReadLlamaCppVectors(*root, c.vectors);
  size_t equal = 0;
  for (const LlamaCppVector& vector : vectors) {
    const std::vector<int32_t> found = tokenizer->Encode(vector.text, false);
    EXPECT_EQ(found, vector.ids) << vector.text;
    equal += found == vector.ids;
  }
  std::printf("%s: %zu of %zu equal\n", c.name.c_str(), equal, vectors.size());
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerVectors, ::testing::ValuesIn(kCases),
                         [](const auto& case_info) { return case_info.param.name; });

}  // namespace
}  // namespace llmq
