// Several requests at a time, and their progress as one.
#ifndef LLMQ_HUB_DOWNLOAD_POOL_H_
#define LLMQ_HUB_DOWNLOAD_POOL_H_

#include <functional>
#include <string>
#include <vector>

#include "hub/blob_download.h"
#include "hub/hub_api.h"
#include "hub/hub_cache.h"
#include "llmq/hub.h"

namespace llmq {

// Does task `index` of `count`, with the session of the thread that does it.
using PoolTask = std::function<void(HubSession& session, size_t index, const CountBytes& count)>;

// Does the tasks in this order, up to 4 at a time. Returns when all are done; the first failure, or
// observer.Cancelled(), ends them all. Throws what a task throws.
void RunPool(const HubSettings& settings, const HubRepository& repository, HubObserver& observer,
             size_t count, const PoolTask& task);

// Every byte of the files that is still to come must fit before the first one is asked for: how
// many there are. Throws Error{kGeneral}.
uint64_t CheckRoom(const HubSettings& settings, const HubRepository& repository,
                   const HubCache& cache, const std::vector<HubFile>& files);

// Downloads the files with RunPool() after CheckRoom(). `arrived` hears of each that is in the
// snapshot, from any thread. What has come stays, whatever happens.
// Throws Error, TransportError, HttpCancelled.
void DownloadFiles(const HubSettings& settings, const HubRepository& repository,
                   const HubCache& cache, const std::string& commit,
                   const std::vector<HubFile>& files, HubObserver& observer,
                   const std::function<void(const std::string& name)>& arrived);

}  // namespace llmq

#endif  // LLMQ_HUB_DOWNLOAD_POOL_H_
