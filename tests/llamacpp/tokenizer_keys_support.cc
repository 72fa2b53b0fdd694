#include "tests/llamacpp/tokenizer_keys_support.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace llmq {

std::vector<GgufKey> KeysFor(const ModelFiles& files, int64_t vocab_size,
                             const std::string& pre_tokenizer) {
  ModelConfig config;
  config.vocab_size = vocab_size;
  return TokenizerKeys(files, config, pre_tokenizer, "model");
}

std::unique_ptr<Tokenizer> TokenizerFrom(std::span<const GgufKey> keys) {
  return Tokenizer::FromFiles(TokenizerFilesFromKeys(keys, "file.gguf"), "file.gguf");
}

ModelFiles GoldenFiles(const std::string& name) {
  return ReadFiles(GoldenPath(name),
                   {"tokenizer.json", "tokenizer.model", "tokenizer_config.json"});
}

ModelFiles StoriesFiles(const std::string& folder) {
  return ReadModelFiles(std::filesystem::path(LLMQ_TEST_MODEL_DIR) / folder);
}

bool HasKey(std::span<const GgufKey> keys, std::string_view name) {
  return std::any_of(keys.begin(), keys.end(), [&](const GgufKey& k) { return k.name == name; });
}

std::string ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return fmt::format("{}: {} | {}", error.exit_code(), error.message(), error.suggestion());
  }
  return "none";
}

}  // namespace llmq
