// One commit of a repository in the cache: which commit a revision means, and files of it that are
// fetched if they are not there.
//
// Before: hub.h names a repository. After: hub_model.cc and hub_files.cc say which files.
#ifndef LLMQ_HUB_HUB_SNAPSHOT_H_
#define LLMQ_HUB_HUB_SNAPSHOT_H_

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "hub/hub_api.h"
#include "hub/hub_cache.h"
#include "hub/hub_session.h"
#include "llmq/hub.h"

namespace llmq {

class HubSnapshot {
 public:
  // Says whether a snapshot's directory can serve if the Hub does not.
  using IsUsable = std::function<bool(const std::filesystem::path& directory)>;

  // The observer must outlive it.
  HubSnapshot(HubSettings settings, HubRepository repository, HubObserver& observer);

  // Asks the Hub what the revision is now; not if it is a commit that is usable in the cache, and
  // not when offline. If the Hub does not answer well, a usable copy serves with a warning. This
  // and all below throw Error as HubModel (llmq/hub.h).
  void FindCommit(const IsUsable& usable);
  // The files of a folder of the repository ("": its top) as the Hub lists them.
  std::vector<HubFile> List(const std::string& folder = "");
  // Fetches those that are not in the snapshot with their size.
  void Fetch(const std::vector<HubFile>& files);
  // The files are not in the cache and the Hub must not be asked.
  [[noreturn]] void ThrowNotCached() const;

  const std::string& commit() const { return commit_; }
  bool connected() const { return connected_; }  // the Hub has answered
  bool offline() const { return settings_.offline; }
  const std::string& id() const { return repository_.id; }
  std::filesystem::path directory() const { return cache_.Snapshot(commit_); }
  const HubCache& cache() const { return cache_; }

 private:
  void AskForCommit(bool usable_copy);
  // Runs `work`; what ends it becomes an Error.
  template <typename Work>
  auto Guarded(Work work);

  HubSettings settings_;
  HubRepository repository_;
  HubObserver& observer_;
  HubCache cache_;
  HubSession session_;
  std::string commit_;
  bool connected_ = false;
};

}  // namespace llmq

#endif  // LLMQ_HUB_HUB_SNAPSHOT_H_
