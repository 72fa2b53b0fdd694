// The published tokenizer test vectors of llama.cpp and the tokenizers of known models. Both have
// licences that keep some of them out of this repository, so tests read the folder that
// LLM_QUANTIZE_TOKENIZERS_DIR names (docs/tokenizers.md) and are skipped without it.
#ifndef LLMQ_TESTS_TEXT_LLAMA_CPP_VECTORS_H_
#define LLMQ_TESTS_TEXT_LLAMA_CPP_VECTORS_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "llmq/checkpoint.h"

namespace llmq {

std::optional<std::filesystem::path> PublicTokenizers();

// Files of a model in that folder.
struct PublicTokenizer {
  std::string folder;
  std::vector<std::pair<std::string, std::string>> files;  // its name there, its name here
};
ModelFiles ReadPublicTokenizer(const std::filesystem::path& root, const PublicTokenizer& tokenizer);

struct LlamaCppVector {
  std::string text;
  std::vector<int32_t> ids;
};
// vectors/ggml-vocab-NAME.gguf.inp and .out. Fails the test if they do not belong together.
std::vector<LlamaCppVector> ReadLlamaCppVectors(const std::filesystem::path& root,
                                                const std::string& name);

}  // namespace llmq

#endif  // LLMQ_TESTS_TEXT_LLAMA_CPP_VECTORS_H_
