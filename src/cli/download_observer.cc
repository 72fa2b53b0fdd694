#include "cli/download_observer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "cli/human_units.h"
#include "cli/interrupt.h"

namespace llmq {

void DownloadObserver::BeginDownload(uint64_t total_bytes, uint64_t present_bytes) {
  {
    const std::lock_guard lock(mutex_);
    active_ = true;
    total_ = total_bytes;
    present_ = done_ = present_bytes;
    begin_ = Clock::now();
  }
  if (background_) return;
  constexpr int64_t kMegabyte = 1 << 20;
  constexpr int64_t kKilobyte = 1 << 10;
  const auto total = static_cast<int64_t>(total_bytes);
  const bool large = total >= 10 * kMegabyte;
  if (!show_progress_) return;
  progress_.Begin("Downloading", total, static_cast<int64_t>(present_bytes), large ? "MB" : "KB",
                  total / (large ? kMegabyte : kKilobyte));
}

void DownloadObserver::Downloaded(uint64_t bytes, double bytes_per_second) {
  {
    const std::lock_guard lock(mutex_);
    done_ = bytes;
    bytes_per_second_ = bytes_per_second;
  }
  if (background_) return;
  progress_.Advance(static_cast<int64_t>(bytes),
                    FormatBytes(static_cast<uint64_t>(bytes_per_second)) + "/s");
}

void DownloadObserver::EndDownload() {
  {
    const std::lock_guard lock(mutex_);
    active_ = false;
    end_ = Clock::now();
  }
  if (!background_) return progress_.End();
  Info(fmt::format("Downloaded: {} in {}", FormatBytes(bytes()), FormatDuration(seconds())));
}

std::string DownloadObserver::Line() const {
  const std::lock_guard lock(mutex_);
  if (!active_ || !show_progress_ || done_ >= total_) return "";
  const double share = static_cast<double>(done_) / static_cast<double>(total_);
  const auto left = static_cast<double>(total_ - done_);
  return fmt::format(
      "Downloading: {:.0f}%, {} of {}, {}/s{}", std::floor(100 * share), FormatBytes(done_),
      FormatBytes(total_), FormatBytes(static_cast<uint64_t>(bytes_per_second_)),
      bytes_per_second_ < 1024 ? "" : ", " + FormatDuration(left / bytes_per_second_) + " left");
}

std::vector<std::string> DownloadObserver::TakeMessages() {
  const std::lock_guard lock(mutex_);
  return std::exchange(messages_, {});
}

uint64_t DownloadObserver::bytes() const {
  const std::lock_guard lock(mutex_);
  return done_ - std::min(present_, done_);
}

double DownloadObserver::seconds() const {
  const std::lock_guard lock(mutex_);
  return std::chrono::duration<double>((active_ ? Clock::now() : end_) - begin_).count();
}

void DownloadObserver::Info(const std::string& message) {
  if (background_) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(message);
    return;
  }
  progress_.Clear();
  LogInfo(message);
}

void DownloadObserver::Warning(const std::string& message) {
  progress_.Clear();
  LogWarning(message);
}

bool DownloadObserver::Cancelled() const { return InterruptRequested(); }

}  // namespace llmq
