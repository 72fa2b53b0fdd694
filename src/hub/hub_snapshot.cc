#include "hub/hub_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "hub/download_pool.h"
#include "hub/hub_errors.h"
#include "hub/weight_header.h"
#include "llmq/error.h"

namespace llmq {

namespace fs = std::filesystem;

HubSnapshot::HubSnapshot(HubSettings settings, HubRepository repository, HubObserver& observer)
    : settings_(std::move(settings)),
      repository_(std::move(repository)),
      observer_(observer),
      cache_(settings_.cache, repository_),
      session_(settings_, repository_,
               {.cancelled = [this] { return observer_.Cancelled(); },
                .info = [this](const std::string& message) { observer_.Info(message); }}) {}

template <typename Work>
auto HubSnapshot::Guarded(Work work) {
  try {
    return work();
  } catch (const TransportError& error) {
    throw UnreachableError(error, settings_, repository_);
  } catch (const HttpCancelled&) {
    throw Error(ErrorCode::kUserCancelled,
                fmt::format("Interrupted while downloading {}", repository_.id),
                "Run the command again: the download continues where it stopped");
  }
}

void HubSnapshot::ThrowNotCached() const {
  const bool model = repository_.kind == HubKind::kModel;
  throw Error(
      ErrorCode::kModelNotFound,
      fmt::format("{}: {}the cache {} does not hold revision '{}' of {} completely (the Hub is not "
                  "asked: offline mode)",
                  repository_.id, model ? "no such directory, and " : "", settings_.cache.string(),
                  repository_.revision, model ? "it" : "this data set"),
      fmt::format("Unset HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE to download it, or give a {}",
                  model ? "directory" : "local file"));
}

void HubSnapshot::FindCommit(const IsUsable& usable) {
  const auto cached = cache_.Commit(repository_.revision);
  if (settings_.offline) {
    if (!cached) ThrowNotCached();
    commit_ = *cached;
  } else if (cached == repository_.revision && usable(cache_.Snapshot(*cached))) {
    commit_ = *cached;  // a commit never changes
  } else {
    AskForCommit(cached && usable(cache_.Snapshot(*cached)));
  }
  LogVerbose(
      fmt::format("{}: revision '{}' is commit {}", repository_.id, repository_.revision, commit_));
}

// With a copy at hand, a Hub that does not answer, or not well, is no reason to wait or to stop.
void HubSnapshot::AskForCommit(bool usable_copy) {
  try {
    commit_ = Guarded([&] { return FetchCommit(session_, /*retry=*/!usable_copy); });
    connected_ = true;
    cache_.NoteCommit(repository_.revision, commit_);
  } catch (const Error& error) {
    if (!usable_copy || error.code() == ErrorCode::kUserCancelled) throw;
    commit_ = *cache_.Commit(repository_.revision);
    refused_ = true;
    observer_.Warning(error.message() + "; using the copy in the cache");
  }
}

std::vector<HubFile> HubSnapshot::List(const std::string& folder) {
  std::vector<HubFile> files = Guarded([&] { return FetchFileList(session_, commit_, folder); });
  connected_ = true;
  return files;
}

std::vector<HubFile> HubSnapshot::Missing(const std::vector<HubFile>& files) const {
  std::vector<HubFile> missing;
  for (const HubFile& file : files) {
    std::error_code failure;
    const fs::path path = directory() / file.name;
    const bool there =
        fs::is_regular_file(path, failure) && fs::file_size(path, failure) == file.size && !failure;
    if (!there) missing.push_back(file);
  }
  return missing;
}

void HubSnapshot::Fetch(const std::vector<HubFile>& files,
                        const std::function<void(const std::string& name)>& arrived) {
  const std::vector<HubFile> missing = Missing(files);
  for (const HubFile& file : files) {
    if (std::ranges::count(missing, file.name, &HubFile::name) == 0) arrived(file.name);
  }
  if (missing.empty()) return;
  Guarded(
      [&] { DownloadFiles(settings_, repository_, cache_, commit_, missing, observer_, arrived); });
}

uint64_t HubSnapshot::ExpectRoom(const std::vector<HubFile>& files) const {
  return CheckRoom(settings_, repository_, cache_, Missing(files));
}

std::vector<std::string> HubSnapshot::FetchHeaders(const std::vector<HubFile>& files) {
  std::vector<std::string> headers(files.size());
  Guarded([&] {
    RunPool(settings_, repository_, observer_, files.size(),
            [&](HubSession& session, size_t index, const CountBytes&) {
              headers[index] = FetchWeightHeader(session, commit_, files[index]);
            });
  });
  return headers;
}

std::string HubSnapshot::EtagOf(const std::string& name) const {
  std::error_code no_link;
  return fs::read_symlink(directory() / name, no_link).filename().string();
}

}  // namespace llmq
