// The published test vectors of llama.cpp with the tokenizers of known models. Both have licences
// that keep some of them out of this repository, so the test reads the folder that
// LLM_QUANTIZE_TOKENIZERS_DIR names (docs/tokenizers.md) and is skipped without it.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "base/file.h"
#include "tests/text/text_test_support.h"

namespace llmq {
namespace {

struct VectorCase {
  std::string name;
  std::string vectors;  // vectors/ggml-vocab-<this>.gguf.inp, .out
  std::string folder;   // of the tokenizer
  std::vector<std::pair<std::string, std::string>> files;  // its name there, its name here
};

const VectorCase kCases[] = {
    {"Llama2Model", "llama-spm", "llama-2", {{"tokenizer.model", "tokenizer.model"}}},
    {"Llama2Json", "llama-spm", "llama-2", {{"tokenizer.json", "tokenizer.json"}}},
    {"Llama3", "llama-bpe", "llama-3.2", {{"tokenizer.assembled.json", "tokenizer.json"}}},
    {"Qwen2", "qwen2", "qwen2.5", {{"tokenizer.assembled.json", "tokenizer.json"}}},
    {"Gpt2", "gpt-2", "gpt2", {{"vocab.json", "vocab.json"}, {"merges.txt", "merges.txt"}}},
    {"Phi3", "phi-3", "phi-3", {{"tokenizer.json", "tokenizer.json"}}},
};

std::vector<std::string> SplitAt(const std::string& text, const std::string& separator) {
  std::vector<std::string> parts;
  size_t at = 0;
  for (size_t end; (end = text.find(separator, at)) != std::string::npos;
       at = end + separator.size()) {
    parts.push_back(text.substr(at, end - at));
  }
  parts.push_back(text.substr(at));
  return parts;
}

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
  const char* directory = std::getenv("LLM_QUANTIZE_TOKENIZERS_DIR");
  if (directory == nullptr) GTEST_SKIP() << "LLM_QUANTIZE_TOKENIZERS_DIR is not set";
  const std::filesystem::path root(directory);
  const VectorCase& c = GetParam();
  ModelFiles files;
  for (const auto& [there, here] : c.files) files[here] = ReadTextFile(root / c.folder / there);
  if (c.folder == "llama-2" && files.contains("tokenizer.json")) {
    RestoreNoBreakSpaces(files["tokenizer.json"]);
  }
  const auto tokenizer = Tokenizer::FromFiles(files, c.name);

  const std::string base = "ggml-vocab-" + c.vectors + ".gguf";
  auto texts = SplitAt(ReadTextFile(root / "vectors" / (base + ".inp")), "\n__ggml_vocab_test__\n");
  texts.pop_back();  // behind the last separator
  auto lines = SplitAt(ReadTextFile(root / "vectors" / (base + ".out")), "\n");
  lines.pop_back();  // behind the last line's end
  ASSERT_EQ(texts.size(), lines.size());
  ASSERT_GT(texts.size(), 40u);
  size_t equal = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    std::istringstream line(lines[i]);
    std::vector<int32_t> expected;
    for (int32_t id; line >> id;) expected.push_back(id);
    const std::vector<int32_t> found = tokenizer->Encode(texts[i], false);
    EXPECT_EQ(found, expected) << "case " << i << ": " << texts[i];
    equal += found == expected;
  }
  std::printf("%s: %zu of %zu equal\n", c.name.c_str(), equal, texts.size());
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerVectors, ::testing::ValuesIn(kCases),
                         [](const auto& case_info) { return case_info.param.name; });

}  // namespace
}  // namespace llmq
