// One file of a commit into the cache: resumed, retried, checked, linked.
//
// Before: hub_api.h knows that the file exists. After: snapshots/<commit>/<name> is complete, or an
// Error says why not and what has come waits as "<etag>.incomplete".
#ifndef LLMQ_HUB_BLOB_DOWNLOAD_H_
#define LLMQ_HUB_BLOB_DOWNLOAD_H_

#include <cstdint>
#include <functional>
#include <string>

#include "hub/hub_api.h"
#include "hub/hub_cache.h"
#include "hub/hub_session.h"

namespace llmq {

// Hears how many bytes of the file have come (negative: how many have to come again).
using CountBytes = std::function<void(int64_t bytes)>;

// Throws Error, TransportError, HttpCancelled.
void DownloadFile(HubSession& session, const HubCache& cache, const std::string& commit,
                  const HubFile& file, const CountBytes& count);

}  // namespace llmq

#endif  // LLMQ_HUB_BLOB_DOWNLOAD_H_
