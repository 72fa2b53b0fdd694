#include "cli/model_source.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <system_error>

#include "base/log.h"
#include "llmq/checkpoint.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

bool HasSafetensors(const fs::path& directory) {
  return std::ranges::any_of(fs::directory_iterator(directory), [](const auto& entry) {
    return entry.path().extension() == ".safetensors";
  });
}

[[noreturn]] void ThrowNoModel(const std::string& model, bool is_file) {
  if (is_file) {
    throw Error(ErrorCode::kModelNotFound,
                fmt::format("{}: expected a model directory, found a file", model),
                LooksLikeLittleBit(model)
                    ? "This model is already compressed; give the original"
                    : "Give the directory that holds config.json and the weights");
  }
  throw Error(ErrorCode::kModelNotFound,
              fmt::format("'{}': expected a model directory, found nothing there", model),
              "Give the directory that holds config.json and the weights, or a model of the Hub as "
              "org/name or org/name@revision");
}

HubRepository WithRevision(HubRepository id, const std::string& model,
                           const std::string& revision) {
  if (revision.empty()) return id;
  const auto refuse = [&](const std::string& expected) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("--revision '{}': expected {}", revision, expected),
                "Name a branch, a tag or a commit once");
  };
  if (!IsHubRevision(revision)) refuse("a branch, a tag or a commit");
  const bool given_twice = model.find('@') != std::string::npos && id.revision != revision;
  if (given_twice) refuse(fmt::format("that of '{}', or none in one of the two", model));
  id.revision = revision;
  return id;
}

ModelSource FromHub(const HubRepository& id, ModelNeed need, const EnvironmentLookup& look_up) {
  auto hub = std::make_shared<HubSource>(ReadHubSettings(look_up), id);
  HubModel& model = hub->model;
  ModelSource source{.directory = model.FetchSmallFiles(), .name = id.id, .hub = hub};
  if (need != ModelNeed::kSmallFiles) {
    (void)ParseModelConfig(ReadModelFiles(source.directory), id.id + ": config.json");
  }
  if (need == ModelNeed::kWeights) source.directory = model.FetchAll();
  if (need == ModelNeed::kHeaders) {
    auto files = model.FetchHeaders();
    if (files && !files->empty()) {
      hub->weights = std::make_unique<HubWeights>(model, std::move(*files), hub->observer);
    }
  }
  source.has_weights = model.HasWeights();
  LogVerbose(
      fmt::format("{} ({} of the Hub) is in {}", id.id, id.revision, source.directory.string()));
  return source;
}

}  // namespace

ModelSource ResolveModel(const std::string& model, const std::string& revision, ModelNeed need,
                         const EnvironmentLookup& look_up) {
  std::error_code failure;
  if (fs::is_directory(model, failure)) {
    if (!revision.empty()) {
      throw Error(
          ErrorCode::kInvalidArguments,
          fmt::format("--revision: expected a model of the Hub, found the directory {}", model),
          "Leave out --revision");
    }
    return {.directory = model, .name = model, .has_weights = HasSafetensors(model)};
  }
  const bool is_file = fs::exists(model, failure);
  const auto id = is_file ? std::nullopt : ParseHubModelId(model);
  if (!id) ThrowNoModel(model, is_file);
  return FromHub(WithRevision(*id, model, revision), need, look_up);
}

fs::path ResolveRunnable(const std::string& model, const EnvironmentLookup& look_up) {
  std::error_code failure;
  if (fs::exists(model, failure) || !ParseHubModelId(model)) return model;
  return ResolveModel(model, "", ModelNeed::kWeights, look_up).directory;
}

void AddRevisionOption(CLI::App& app, std::string& revision) {
  app.add_option("--revision", revision, "Branch, tag or commit of a model of the Hub (main)")
      ->type_name("TEXT");
}

}  // namespace llmq
