// A download on stderr: bytes, speed and time left on the bar of cli/progress.h; or, while other
// work goes on, as a text for that work's bar.
#ifndef LLMQ_CLI_DOWNLOAD_OBSERVER_H_
#define LLMQ_CLI_DOWNLOAD_OBSERVER_H_

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "cli/progress.h"
#include "llmq/hub.h"

namespace llmq {

class DownloadObserver : public HubObserver {
 public:
  explicit DownloadObserver(bool show_progress) : show_progress_(show_progress) {}

  void BeginDownload(uint64_t total_bytes, uint64_t present_bytes) override;
  void Downloaded(uint64_t bytes, double bytes_per_second) override;
  void EndDownload() override;
  void Info(const std::string& message) override;
  void Warning(const std::string& message) override;
  bool Cancelled() const override;

  // From now on nothing is drawn: another thread downloads, and the one that draws asks for these.
  void GoToBackground() { background_ = true; }
  // "Downloading: 45%, 5.8 GB of 12.6 GB, 45.1 MB/s, 02:40 left"; empty if nothing is.
  std::string Line() const;
  std::vector<std::string> TakeMessages();
  // Bytes and seconds of the download, so far.
  uint64_t bytes() const;
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;

  bool show_progress_;
  Progress progress_;
  bool background_ = false;  // does not change while another thread downloads
  mutable std::mutex mutex_;
  bool active_ = false;
  uint64_t total_ = 0;
  uint64_t present_ = 0;  // before this download
  uint64_t done_ = 0;
  double bytes_per_second_ = 0;
  Clock::time_point begin_;
  Clock::time_point end_;
  std::vector<std::string> messages_;
};

}  // namespace llmq

#endif  // LLMQ_CLI_DOWNLOAD_OBSERVER_H_
