#include "cli/download_observer.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cli/human_units.h"
#include "cli/interrupt.h"

namespace llmq {

void DownloadObserver::BeginDownload(uint64_t total_bytes, uint64_t present_bytes) {
  constexpr int64_t kMegabyte = 1 << 20;
  constexpr int64_t kKilobyte = 1 << 10;
  const auto total = static_cast<int64_t>(total_bytes);
  const bool large = total >= 10 * kMegabyte;
  if (!show_progress_) return;
  progress_.Begin("Downloading", total, static_cast<int64_t>(present_bytes), large ? "MB" : "KB",
                  total / (large ? kMegabyte : kKilobyte));
}

void DownloadObserver::Downloaded(uint64_t bytes, double bytes_per_second) {
  progress_.Advance(static_cast<int64_t>(bytes),
                    FormatBytes(static_cast<uint64_t>(bytes_per_second)) + "/s");
}

void DownloadObserver::EndDownload() { progress_.End(); }

void DownloadObserver::Info(const std::string& message) {
  progress_.Clear();
  LogInfo(message);
}

void DownloadObserver::Warning(const std::string& message) {
  progress_.Clear();
  LogWarning(message);
}

bool DownloadObserver::Cancelled() const { return InterruptRequested(); }

}  // namespace llmq
