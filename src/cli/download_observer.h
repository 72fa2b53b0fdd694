// A download on stderr: bytes, speed and time left on the bar of cli/progress.h.
#ifndef LLMQ_CLI_DOWNLOAD_OBSERVER_H_
#define LLMQ_CLI_DOWNLOAD_OBSERVER_H_

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

 private:
  bool show_progress_;
  Progress progress_;
};

}  // namespace llmq

#endif  // LLMQ_CLI_DOWNLOAD_OBSERVER_H_
