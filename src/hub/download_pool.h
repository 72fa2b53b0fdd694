// Several files at a time, and their progress as one.
#ifndef LLMQ_HUB_DOWNLOAD_POOL_H_
#define LLMQ_HUB_DOWNLOAD_POOL_H_

#include <string>
#include <vector>

#include "hub/hub_api.h"
#include "hub/hub_cache.h"
#include "llmq/hub.h"

namespace llmq {

// Downloads the files in this order, up to 4 at a time. Returns when all are in the snapshot; the
// first failure, or observer.Cancelled(), ends them all: what has come stays.
// Throws Error, TransportError, HttpCancelled.
void DownloadFiles(const HubSettings& settings, const HubRepository& repository,
                   const HubCache& cache, const std::string& commit,
                   const std::vector<HubFile>& files, HubObserver& observer);

}  // namespace llmq

#endif  // LLMQ_HUB_DOWNLOAD_POOL_H_
