// One commit of a repository in the cache: which commit a revision means, and files of it that are
// fetched if they are not there.
//
// Before: hub.h names a repository. After: hub_model.cc and hub_files.cc say which files.
#ifndef LLMQ_HUB_HUB_SNAPSHOT_H_
#define LLMQ_HUB_HUB_SNAPSHOT_H_

#include <atomic>
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
  // Those that are not in the snapshot with their size.
  std::vector<HubFile> Missing(const std::vector<HubFile>& files) const;
  // Fetches those that are missing. `arrived` hears of each file that is there, from any thread.
  void Fetch(
      const std::vector<HubFile>& files,
      const std::function<void(const std::string& name)>& arrived = [](const std::string&) {});
  // Bytes still to come of those that are missing, for which there must be room on the disk.
  uint64_t ExpectRoom(const std::vector<HubFile>& files) const;
  // The headers of weight files, in this order.
  std::vector<std::string> FetchHeaders(const std::vector<HubFile>& files);
  // What names a file's content: the name of its blob, if the snapshot shows that. Else empty.
  std::string EtagOf(const std::string& name) const;
  // Ends what is being fetched with Error{kUserCancelled}. From any thread.
  void Stop() { observer_.Stop(); }
  void Warn(const std::string& message) { observer_.Warning(message); }
  // The files are not in the cache and the Hub must not be asked.
  [[noreturn]] void ThrowNotCached() const;

  const std::string& commit() const { return commit_; }
  bool connected() const { return connected_; }  // the Hub has answered
  bool refused() const { return refused_; }      // or not well, and a copy serves
  bool offline() const { return settings_.offline; }
  const std::string& id() const { return repository_.id; }
  std::filesystem::path directory() const { return cache_.Snapshot(commit_); }
  const HubCache& cache() const { return cache_; }

 private:
  void AskForCommit(bool usable_copy);
  // Runs `work`; what ends it becomes an Error.
  template <typename Work>
  auto Guarded(Work work);

  // Hands on everything, and can be stopped itself.
  class StoppableObserver : public HubObserver {
   public:
    explicit StoppableObserver(HubObserver& observer) : observer_(observer) {}
    void Stop() { stopped_ = true; }

    void BeginDownload(uint64_t total_bytes, uint64_t present_bytes) override {
      observer_.BeginDownload(total_bytes, present_bytes);
    }
    void Downloaded(uint64_t bytes, double bytes_per_second) override {
      observer_.Downloaded(bytes, bytes_per_second);
    }
    void EndDownload() override { observer_.EndDownload(); }
    void Info(const std::string& message) override { observer_.Info(message); }
    void Warning(const std::string& message) override { observer_.Warning(message); }
    bool Cancelled() const override { return stopped_ || observer_.Cancelled(); }

   private:
    HubObserver& observer_;
    std::atomic<bool> stopped_ = false;
  };

  HubSettings settings_;
  HubRepository repository_;
  StoppableObserver observer_;
  HubCache cache_;
  HubSession session_;
  std::string commit_;
  bool connected_ = false;
  bool refused_ = false;
};

}  // namespace llmq

#endif  // LLMQ_HUB_HUB_SNAPSHOT_H_
