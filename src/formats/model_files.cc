// The small files of a model directory: config, tokenizer, chat template.
//
// Before this: a directory in Hugging Face's layout. After this: parsed by core/model_config and by
// text, and copied verbatim into a compressed model. Weights are formats/checkpoint's matter.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <system_error>

#include "base/file.h"
#include "base/limits.h"
#include "llmq/checkpoint.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr std::array kNames = {
    "config.json",       "generation_config.json", "tokenizer.json",
    "tokenizer.model",   "tokenizer_config.json",  "special_tokens_map.json",
    "added_tokens.json", "qwen.tiktoken",          "vocab.json",
    "merges.txt",        "chat_template.jinja",    "chat_template.json"};
constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr size_t kMostTemplates = 64;

// NAME.jinja in the folder of further chat templates. Files of a model have no folders: each gets
// the folder's name and a dot before its own.
void AddChatTemplates(const std::filesystem::path& directory, ModelFiles& files) {
  std::error_code ignored;
  const std::filesystem::path folder = directory / kChatTemplateFolder;
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kChatTemplateEnding)) continue;
    if (++count > kMostTemplates || !IsPlainFileName(name)) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: expected at most {} templates with plain names, found more or "
                              "another name",
                              folder.string(), kMostTemplates),
                  "Remove the templates that are not needed");
    }
    files[fmt::format("{}.{}", kChatTemplateFolder, name)] =
        ReadTextFile(entry.path(), kMaxFileBytes);
  }
}

}  // namespace

ModelFiles ReadTokenizerFiles(const std::filesystem::path& directory) {
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
  AddChatTemplates(directory, files);
  return files;
}

ModelFiles ReadModelFiles(const std::filesystem::path& directory) {
  ModelFiles files = ReadTokenizerFiles(directory);
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
  const auto last = [](const std::filesystem::path& path) {  // "a/dir/" -> "dir"
    return (path.has_filename() ? path : path.parent_path()).filename().string();
  };
  std::string name = last(model);
  if (name == "." || name == ".." || name.empty()) {
    std::error_code ignored;
    name =
        last(std::filesystem::weakly_canonical(std::filesystem::absolute(model, ignored), ignored));
  }
  return name.empty() ? "model" : name;
}

}  // namespace llmq
