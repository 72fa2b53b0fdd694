// Which files of a repository make a model that this program can read.
#ifndef LLMQ_HUB_WANTED_FILES_H_
#define LLMQ_HUB_WANTED_FILES_H_

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "hub/hub_api.h"

namespace llmq {

inline constexpr const char* kHubWeights = "model.safetensors";
inline constexpr const char* kHubIndex = "model.safetensors.index.json";

// config.json, generation_config.json, tokenizer and chat template files, the index of the weights.
bool IsSmallWantedFile(std::string_view name);

// Names that many models have and whose absence is worth noting.
std::vector<std::string> UsualSmallFiles();

// Throws Error for a repository that this program cannot use: kModelNotFound without config.json or
// weights, kGeneral with pickled weights only.
void CheckRepository(const std::vector<HubFile>& files, const std::string& id);

// The shards that an index names. Throws Error{kGeneral} for an index that is none.
std::vector<std::string> ShardNames(const std::filesystem::path& index);

// The weight files that a complete `snapshot` has; empty if it cannot be told yet.
std::vector<std::string> WeightNames(const std::filesystem::path& snapshot);

// `snapshot` has config.json and a tokenizer, and its weights if they are wanted.
bool IsComplete(const std::filesystem::path& snapshot, bool weights);

}  // namespace llmq

#endif  // LLMQ_HUB_WANTED_FILES_H_
