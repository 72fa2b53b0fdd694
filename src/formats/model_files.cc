// The small files of a model directory: config, tokenizer, chat template.
//
// Before this: a directory in Hugging Face's layout. After this: parsed by core/model_config and by
// text, and copied verbatim into a compressed model. Weights are formats/checkpoint's matter.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "base/file.h"
#include "llmq/checkpoint.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr std::array kNames = {"config.json",
                               "generation_config.json",
                               "tokenizer.json",
                               "tokenizer.model",
                               "tokenizer_config.json",
                               "special_tokens_map.json",
                               "added_tokens.json",
                               "vocab.json",
                               "merges.txt",
                               "chat_template.jinja",
                               "chat_template.json"};
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

}  // namespace

ModelFiles ReadModelFiles(const std::filesystem::path& directory) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(directory, ignored)) {
    throw Error(
        ErrorCode::kModelNotFound,
        fmt::format("{}: expected a model directory, found {}", directory.string(),
                    std::filesystem::exists(directory, ignored) ? "something else" : "nothing"),
        "Give a directory with config.json and *.safetensors files");
  }
  ModelFiles files;
  for (const char* name : kNames) {
    const std::filesystem::path path = directory / name;
    if (std::filesystem::exists(path, ignored)) files[name] = ReadTextFile(path, kMaxFileBytes);
  }
  if (!files.contains("config.json")) {
    throw Error(ErrorCode::kModelNotFound,
                fmt::format("{}: expected config.json, found none", directory.string()),
                "Give a directory with config.json and *.safetensors files");
  }
  return files;
}

ModelConfig ParseModelConfig(const ModelFiles& files, const std::string& where) {
  const auto text = [&](const char* name) -> std::string_view {
    const auto it = files.find(name);
    return it == files.end() ? std::string_view() : it->second;
  };
  return ParseModelConfig(text("config.json"), text("generation_config.json"), where);
}

std::string ModelName(const std::filesystem::path& model) {
  std::filesystem::path path =
      model.has_filename() ? model : model.parent_path();  // "dir/" -> "dir"
  if (path.filename() == "." || path.filename() == ".." || path.empty()) {
    std::error_code ignored;
    path = std::filesystem::weakly_canonical(std::filesystem::absolute(path, ignored), ignored);
  }
  const std::string name = path.filename().string();
  return name.empty() ? "model" : name;
}

}  // namespace llmq
