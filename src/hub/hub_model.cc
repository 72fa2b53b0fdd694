// A revision of a repository becomes a directory with the files that are needed: which ones, in
// which order, and what to do without a network.
//
// Before: a text that named a model. After: a directory that formats/checkpoint reads like any
// other. Small files come first, so that a model that cannot be used is refused before its weights
// are fetched, and so that a snapshot with all weights has everything.
#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "hub/download_pool.h"
#include "hub/hub_api.h"
#include "hub/hub_cache.h"
#include "hub/hub_errors.h"
#include "hub/hub_session.h"
#include "hub/wanted_files.h"
#include "llmq/error.h"
#include "llmq/hub.h"

namespace llmq {

namespace fs = std::filesystem;

struct HubModel::State {
  State(HubSettings s, HubModelId i, HubObserver& o)
      : settings(std::move(s)),
        id(std::move(i)),
        observer(o),
        cache(settings.cache, id.id),
        session(settings, id,
                {.cancelled = [this] { return observer.Cancelled(); },
                 .info = [this](const std::string& message) { observer.Info(message); }}) {}

  HubSettings settings;
  HubModelId id;
  HubObserver& observer;
  HubCache cache;
  HubSession session;
  std::string commit;
  bool connected = false;  // the Hub has answered
  std::vector<HubFile> files;

  void FindCommit();
  void AskForCommit(bool cached);
  void Fetch(bool weights);
  void FetchNamed(const std::function<bool(const HubFile&)>& wanted);
  fs::path Snapshot() const { return cache.Snapshot(commit); }
  [[noreturn]] void ThrowNotCached() const;

  // Runs `work`; what ends it becomes an Error.
  template <typename Work>
  void Guarded(Work work);
};

template <typename Work>
void HubModel::State::Guarded(Work work) {
  try {
    work();
  } catch (const TransportError& error) {
    throw UnreachableError(error, settings, id);
  } catch (const HttpCancelled&) {
    throw Error(ErrorCode::kUserCancelled, fmt::format("Interrupted while downloading {}", id.id),
                "Run the command again: the download continues where it stopped");
  }
}

void HubModel::State::ThrowNotCached() const {
  throw Error(ErrorCode::kModelNotFound,
              fmt::format("{}: no such directory, and the cache {} does not hold revision '{}' of "
                          "it completely (the Hub is not asked: offline mode)",
                          id.id, settings.cache.string(), id.revision),
              "Unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE to download it, or give a directory");
}

void HubModel::State::FindCommit() {
  const auto cached = cache.Commit(id.revision);
  if (settings.offline) {
    if (!cached) ThrowNotCached();
    commit = *cached;
  } else if (cached == id.revision && IsComplete(cache.Snapshot(*cached), /*weights=*/false)) {
    commit = *cached;  // a commit never changes
  } else {
    AskForCommit(cached && IsComplete(cache.Snapshot(*cached), /*weights=*/false));
  }
  LogVerbose(fmt::format("{}: revision '{}' is commit {}", id.id, id.revision, commit));
}

// With a copy at hand, a Hub that does not answer, or not well, is no reason to wait or to stop.
void HubModel::State::AskForCommit(bool cached) {
  const auto use_cache = [&](const Error& error) {
    if (!cached) throw error;
    commit = *cache.Commit(id.revision);
    observer.Warning(error.message() + "; using the copy in the cache");
  };
  try {
    commit = FetchCommit(session, /*retry=*/!cached);
    connected = true;
    cache.NoteCommit(id.revision, commit);
  } catch (const TransportError& error) {
    use_cache(UnreachableError(error, settings, id));
  } catch (const Error& error) {
    use_cache(error);
  }
}

void HubModel::State::FetchNamed(const std::function<bool(const HubFile&)>& wanted) {
  std::vector<HubFile> missing;
  for (const HubFile& file : files) {
    std::error_code failure;
    const fs::path path = Snapshot() / file.name;
    const bool there =
        fs::is_regular_file(path, failure) && fs::file_size(path, failure) == file.size && !failure;
    if (wanted(file) && !there) missing.push_back(file);
  }
  if (missing.empty()) return;
  DownloadFiles(settings, id, cache, commit, missing, observer);
}

void HubModel::State::Fetch(bool weights) {
  if (!connected && IsComplete(Snapshot(), weights)) return;
  if (settings.offline) ThrowNotCached();
  if (files.empty()) {
    files = FetchFileList(session, commit);
    connected = true;
    CheckRepository(files, id.id);
    for (const std::string& name : UsualSmallFiles()) {
      const bool there =
          std::ranges::any_of(files, [&](const HubFile& file) { return file.name == name; });
      if (!there) cache.NoteAbsent(commit, name);
    }
  }
  FetchNamed([](const HubFile& file) { return IsSmallWantedFile(file.name); });
  if (!weights) return;
  const bool single =
      std::ranges::any_of(files, [](const HubFile& file) { return file.name == kHubWeights; });
  const std::vector<std::string> names =
      single ? std::vector<std::string>{kHubWeights} : ShardNames(Snapshot() / kHubIndex);
  for (const std::string& name : names) {
    if (std::ranges::any_of(files, [&](const HubFile& file) { return file.name == name; }))
      continue;
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: {}: expected this shard that {} names, found none", id.id,
                            Shown(name), kHubIndex),
                "The repository is damaged; choose another revision");
  }
  FetchNamed([&](const HubFile& file) { return std::ranges::count(names, file.name) > 0; });
}

HubModel::HubModel(HubSettings settings, HubModelId id, HubObserver& observer)
    : state_(std::make_unique<State>(std::move(settings), std::move(id), observer)) {
  state_->Guarded([&] { state_->FindCommit(); });
}

HubModel::~HubModel() = default;

fs::path HubModel::FetchSmallFiles() {
  state_->Guarded([&] { state_->Fetch(/*weights=*/false); });
  return state_->Snapshot();
}

fs::path HubModel::FetchAll() {
  state_->Guarded([&] { state_->Fetch(/*weights=*/true); });
  return state_->Snapshot();
}

bool HubModel::HasWeights() const { return IsComplete(state_->Snapshot(), /*weights=*/true); }

const std::string& HubModel::commit() const { return state_->commit; }

}  // namespace llmq
