#include "tests/text/llama_cpp_vectors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "base/file.h"

namespace llmq {
namespace {

// The parts that end with `end`.
std::vector<std::string> SplitAt(const std::string& text, const std::string& end) {
  std::vector<std::string> parts;
  size_t at = 0;
  for (size_t stop; (stop = text.find(end, at)) != std::string::npos; at = stop + end.size()) {
    parts.push_back(text.substr(at, stop - at));
  }
  return parts;
}

}  // namespace

std::optional<std::filesystem::path> PublicTokenizers() {
  const char* directory = std::getenv("LLM_QUANTIZE_TOKENIZERS_DIR");
  return directory == nullptr ? std::nullopt : std::optional<std::filesystem::path>(directory);
}

ModelFiles ReadPublicTokenizer(const std::filesystem::path& root,
                               const PublicTokenizer& tokenizer) {
  ModelFiles files;
  for (const auto& [there, here] : tokenizer.files) {
    files[here] = ReadTextFile(root / tokenizer.folder / there);
  }
  return files;
}

std::vector<LlamaCppVector> ReadLlamaCppVectors(const std::filesystem::path& root,
                                                const std::string& name) {
  const std::string base = "ggml-vocab-" + name + ".gguf";
  const auto texts =
      SplitAt(ReadTextFile(root / "vectors" / (base + ".inp")), "\n__ggml_vocab_test__\n");
  const auto lines = SplitAt(ReadTextFile(root / "vectors" / (base + ".out")), "\n");
  EXPECT_EQ(texts.size(), lines.size());
  EXPECT_GT(texts.size(), 40u);
  std::vector<LlamaCppVector> vectors;
  for (size_t i = 0; i < std::min(texts.size(), lines.size()); ++i) {
    LlamaCppVector vector{texts[i], {}};
    std::istringstream line(lines[i]);
    for (int32_t id; line >> id;) vector.ids.push_back(id);
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

}  // namespace llmq
