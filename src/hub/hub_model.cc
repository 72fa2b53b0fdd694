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
  void FetchSmallFiles();
  std::vector<std::string> WantedWeights() const;
  std::vector<HubFile> Listed(const std::vector<std::string>& names) const;
};

void HubModel::State::List() {
  files = snapshot.List();
  CheckRepository(files, snapshot.id());
  for (const std::string& name : UsualSmallFiles()) {
    const bool there = std::ranges::count(files, name, &HubFile::name) > 0;
    if (!there) snapshot.cache().NoteAbsent(snapshot.commit(), name);
  }
}

void HubModel::State::FetchSmallFiles() {
  if (snapshot.offline()) snapshot.ThrowNotCached();
  if (files.empty()) List();
  std::vector<HubFile> small;
  std::ranges::copy_if(files, std::back_inserter(small),
                       [](const HubFile& file) { return IsSmallWantedFile(file.name); });
  snapshot.Fetch(small);
}

std::vector<HubFile> HubModel::State::Listed(const std::vector<std::string>& names) const {
  std::vector<HubFile> listed;
  for (const std::string& name : names) {
    const auto file = std::ranges::find(files, name, &HubFile::name);
    if (file != files.end()) listed.push_back(*file);
  }
  return listed;
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

HubModel::HubModel(HubSettings settings, HubRepository repository, HubObserver& observer)
    : state_(std::make_unique<State>(std::move(settings), std::move(repository), observer)) {
  state_->snapshot.FindCommit(
      [](const fs::path& directory) { return IsComplete(directory, /*weights=*/false); });
}

HubModel::~HubModel() = default;

fs::path HubModel::FetchSmallFiles() {
  const HubSnapshot& snapshot = state_->snapshot;
  const bool there = !snapshot.connected() && IsComplete(snapshot.directory(), /*weights=*/false);
  if (!there) state_->FetchSmallFiles();
  return snapshot.directory();
}

fs::path HubModel::FetchAll() {
  if (state_->snapshot.connected() || !HasWeights()) {
    FetchWeights({}, [](const std::string&) {});
  }
  return state_->snapshot.directory();
}

void HubModel::FetchWeights(const std::vector<std::string>& order,
                            const std::function<void(const std::string& name)>& arrived) {
  state_->FetchSmallFiles();
  std::vector<std::string> names = order;
  for (const std::string& name : state_->WantedWeights()) {
    if (std::ranges::count(order, name) == 0) names.push_back(name);
  }
  state_->snapshot.Fetch(state_->Listed(names), arrived);
}

std::optional<std::vector<ArrivingFile>> HubModel::FetchHeaders() {
  HubSnapshot& snapshot = state_->snapshot;
  std::vector<ArrivingFile> arriving;
  if (!snapshot.connected() && HasWeights()) return arriving;
  if (snapshot.offline() || snapshot.refused()) return std::nullopt;
  const bool from_cache = !snapshot.connected();
  try {
    state_->FetchSmallFiles();
  } catch (const Error& error) {
    if (!from_cache || error.code() == ErrorCode::kUserCancelled) throw;
    snapshot.Warn(error.message() + "; the cache has its config.json, but not its weights");
    return std::nullopt;
  }
  const std::vector<HubFile> missing = snapshot.Missing(state_->Listed(state_->WantedWeights()));
  std::vector<std::string> headers = snapshot.FetchHeaders(missing);
  for (size_t i = 0; i < missing.size(); ++i) {
    arriving.push_back({missing[i].name, missing[i].size, std::move(headers[i])});
  }
  return arriving;
}

uint64_t HubModel::ExpectRoom() const {
  return state_->snapshot.ExpectRoom(state_->Listed(state_->WantedWeights()));
}

void HubModel::Stop() { state_->snapshot.Stop(); }

std::string HubModel::WeightsDigest() const {
  const HubSnapshot& snapshot = state_->snapshot;
  std::string digest;
  const std::vector<std::string> names =
      state_->files.empty() ? WeightNames(snapshot.directory()) : state_->WantedWeights();
  for (const std::string& name : names) {
    const std::vector<HubFile> listed = state_->Listed({name});
    std::string content = snapshot.EtagOf(name);
    if (!listed.empty()) {
      content = listed[0].sha256.empty() ? listed[0].git_oid : listed[0].sha256;
    }
    if (!IsHex(content, 64) && !IsHex(content, 40)) return "";
    digest += fmt::format("{} {}\n", name, content);
  }
  return digest;
}

bool HubModel::HasWeights() const {
  return IsComplete(state_->snapshot.directory(), /*weights=*/true);
}

const std::string& HubModel::commit() const { return state_->snapshot.commit(); }

}  // namespace llmq
