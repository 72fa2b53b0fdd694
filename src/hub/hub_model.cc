// A revision of a repository becomes a directory with the files that are needed: which ones, in
// which order, and what to do without a network.
//
// Before: a text that named a model. After: a directory that formats/checkpoint reads like any
// other. Small files come first, so that a model that cannot be used is refused before its weights
// are fetched, and so that a snapshot with all weights has everything.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "hub/hub_errors.h"
#include "hub/hub_snapshot.h"
#include "hub/wanted_files.h"
#include "llmq/error.h"
#include "llmq/hub.h"

namespace llmq {

namespace fs = std::filesystem;

struct HubModel::State {
  State(HubSettings settings, HubRepository repository, HubObserver& observer)
      : snapshot(std::move(settings), std::move(repository), observer) {}

  HubSnapshot snapshot;
  std::vector<HubFile> files;

  void List();
  void Fetch(bool weights);
  void FetchThose(const std::function<bool(const HubFile&)>& wanted);
  std::vector<std::string> WantedWeights() const;
};

void HubModel::State::List() {
  files = snapshot.List();
  CheckRepository(files, snapshot.id());
  for (const std::string& name : UsualSmallFiles()) {
    const bool there = std::ranges::count(files, name, &HubFile::name) > 0;
    if (!there) snapshot.cache().NoteAbsent(snapshot.commit(), name);
  }
}

void HubModel::State::FetchThose(const std::function<bool(const HubFile&)>& wanted) {
  std::vector<HubFile> some;
  std::ranges::copy_if(files, std::back_inserter(some), wanted);
  snapshot.Fetch(some);
}

// By the index among the small files, which is there.
std::vector<std::string> HubModel::State::WantedWeights() const {
  if (std::ranges::count(files, kHubWeights, &HubFile::name) > 0) return {kHubWeights};
  std::vector<std::string> names = ShardNames(snapshot.directory() / kHubIndex);
  for (const std::string& name : names) {
    if (std::ranges::count(files, name, &HubFile::name) > 0) continue;
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: {}: expected this shard that {} names, found none", snapshot.id(),
                            Shown(name), kHubIndex),
                "The repository is damaged; choose another revision");
  }
  return names;
}

void HubModel::State::Fetch(bool weights) {
  if (!snapshot.connected() && IsComplete(snapshot.directory(), weights)) return;
  if (snapshot.offline()) snapshot.ThrowNotCached();
  if (files.empty()) List();
  FetchThose([](const HubFile& file) { return IsSmallWantedFile(file.name); });
  if (!weights) return;
  const std::vector<std::string> names = WantedWeights();
  FetchThose([&](const HubFile& file) { return std::ranges::count(names, file.name) > 0; });
}

HubModel::HubModel(HubSettings settings, HubRepository repository, HubObserver& observer)
    : state_(std::make_unique<State>(std::move(settings), std::move(repository), observer)) {
  state_->snapshot.FindCommit(
      [](const fs::path& directory) { return IsComplete(directory, /*weights=*/false); });
}

HubModel::~HubModel() = default;

fs::path HubModel::FetchSmallFiles() {
  state_->Fetch(/*weights=*/false);
  return state_->snapshot.directory();
}

fs::path HubModel::FetchAll() {
  state_->Fetch(/*weights=*/true);
  return state_->snapshot.directory();
}

bool HubModel::HasWeights() const {
  return IsComplete(state_->snapshot.directory(), /*weights=*/true);
}

const std::string& HubModel::commit() const { return state_->snapshot.commit(); }

}  // namespace llmq
