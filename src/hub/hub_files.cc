// Files of a repository by their names: data sets.
//
// Before: names that somebody knows. After: paths in the cache. A model's files, whose names depend
// on the model, are fetched by hub_model.cc.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <system_error>
#include <utility>

#include "hub/hub_snapshot.h"
#include "llmq/error.h"
#include "llmq/hub.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

std::string FolderOf(const std::string& name) { return fs::path(name).parent_path().string(); }

// What the Hub's lists say about the files.
std::vector<HubFile> Find(HubSnapshot& snapshot, const std::vector<std::string>& names) {
  std::map<std::string, std::vector<HubFile>> lists;  // by folder
  std::vector<HubFile> found;
  for (const std::string& name : names) {
    const std::string folder = FolderOf(name);
    if (!lists.contains(folder)) lists[folder] = snapshot.List(folder);
    const auto file = std::ranges::find(lists[folder], name, &HubFile::name);
    if (file == lists[folder].end()) {
      throw Error(ErrorCode::kModelNotFound,
                  fmt::format("{}: {}: expected this file in commit {}, found none", snapshot.id(),
                              name, snapshot.commit()),
                  "The repository has changed; give a local file");
    }
    found.push_back(*file);
  }
  return found;
}

}  // namespace

std::vector<fs::path> FetchHubFiles(HubSettings settings, HubRepository repository,
                                    const std::vector<std::string>& names, HubObserver& observer) {
  HubSnapshot snapshot(std::move(settings), std::move(repository), observer);
  const auto has_all = [&](const fs::path& directory) {
    return std::ranges::all_of(names, [&](const std::string& name) {
      std::error_code ignored;
      return fs::is_regular_file(directory / name, ignored);
    });
  };
  snapshot.FindCommit(has_all);
  if (!has_all(snapshot.directory())) {
    if (snapshot.offline()) snapshot.ThrowNotCached();
    snapshot.Fetch(Find(snapshot, names));
  }
  std::vector<fs::path> paths;
  for (const std::string& name : names) paths.push_back(snapshot.directory() / name);
  return paths;
}

}  // namespace llmq
