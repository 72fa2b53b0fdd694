#include "hub/wanted_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <system_error>

#include "base/file.h"
#include "base/json.h"
#include "base/limits.h"
#include "hub/hub_errors.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSmallFiles = {"config.json",
                                    "generation_config.json",
                                    "tokenizer.json",
                                    "tokenizer.model",
                                    "tokenizer_config.json",
                                    "special_tokens_map.json",
                                    "added_tokens.json",
                                    "vocab.json",
                                    "merges.txt",
                                    "chat_template.jinja",
                                    "chat_template.json",
                                    kHubIndex};
// Other tokenizer and template files: tokenizer.model.v3; tekken.json is none of ours.
constexpr std::array kSmallPrefixes = {"tokenizer", "chat_template", "qwen.tiktoken"};
constexpr uint64_t kMaxIndexBytes = uint64_t{256} << 20;

bool Exists(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

bool Has(const std::vector<HubFile>& files, std::string_view name) {
  return std::ranges::any_of(files, [&](const HubFile& file) { return file.name == name; });
}

}  // namespace

bool IsSmallWantedFile(std::string_view name) {
  return std::ranges::find(kSmallFiles, name) != kSmallFiles.end() ||
         std::ranges::any_of(kSmallPrefixes,
                             [&](const char* prefix) { return name.starts_with(prefix); });
}

std::vector<std::string> UsualSmallFiles() { return {kSmallFiles.begin(), kSmallFiles.end()}; }

void CheckRepository(const std::vector<HubFile>& files, const std::string& id) {
  if (!Has(files, "config.json")) {
    throw Error(ErrorCode::kModelNotFound,
                fmt::format("{}: expected config.json in the repository, found none", id),
                "Give a repository of a model in Hugging Face's layout");
  }
  if (Has(files, kHubWeights) || Has(files, kHubIndex)) return;
  const auto pickled = std::ranges::find_if(files, [](const HubFile& file) {
    return file.name.starts_with("pytorch_model") || file.name.ends_with(".bin") ||
           file.name.ends_with(".pt") || file.name.ends_with(".pth");
  });
  if (pickled != files.end()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: expected {} or {}, found only pickled weights ({})", id,
                            kHubWeights, kHubIndex, Shown(pickled->name)),
                "Pickled weights can run code when they are read; look for a revision with "
                "safetensors, or convert them first");
  }
  throw Error(ErrorCode::kModelNotFound,
              fmt::format("{}: expected {} or {} in the repository, found neither", id, kHubWeights,
                          kHubIndex),
              "Give the repository of the original model, with its weights in safetensors");
}

std::vector<std::string> ShardNames(const fs::path& index) {
  const std::string where = index.string();
  const SortedJson json = ParseSortedJson(ReadTextFile(index, kMaxIndexBytes), where);
  const auto fail = [&](const std::string& found) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: \"weight_map\": expected names of .safetensors files, found {}",
                            where, found),
                "The repository is damaged; choose another revision");
  };
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object() || map->empty()) {
    fail("none");
    return {};
  }
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string()) fail("another JSON value");
    const auto name = shard.get<std::string>();
    if (!IsPlainFileName(name) || !name.ends_with(".safetensors")) {
      fail(fmt::format("'{}'", Shown(name)));
    }
    names.insert(name);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> WeightNames(const fs::path& snapshot) {
  if (Exists(snapshot / kHubWeights)) return {kHubWeights};
  if (!Exists(snapshot / kHubIndex)) return {};
  return ShardNames(snapshot / kHubIndex);
}

bool IsComplete(const fs::path& snapshot, bool weights) {
  constexpr std::array kTokenizers = {"tokenizer.json", "tokenizer.model", "vocab.json",
                                      "qwen.tiktoken"};
  if (!Exists(snapshot / "config.json")) return false;
  if (std::ranges::none_of(kTokenizers, [&](auto name) { return Exists(snapshot / name); })) {
    return false;
  }
  if (!weights) return true;
  const std::vector<std::string> names = WeightNames(snapshot);
  return !names.empty() &&
         std::ranges::all_of(names, [&](const auto& name) { return Exists(snapshot / name); });
}

}  // namespace llmq
