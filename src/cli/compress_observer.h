// What Compress() tells while it works, turned into bars, lines and a list of warnings.
#ifndef LLMQ_CLI_COMPRESS_OBSERVER_H_
#define LLMQ_CLI_COMPRESS_OBSERVER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cli/download_observer.h"
#include "cli/progress.h"
#include "llmq/compress.h"
#include "llmq/model_config.h"

namespace llmq {

// Gathers the seven matrices of a transformer layer into the contract's line
// "  Layer 0: rank=64, bpw=0.12, error=0.023".
class LayerLines {
 public:
  explicit LayerLines(const ModelConfig& config);
  // The line, once the last matrix of a layer has come; "" before.
  std::string Add(const LayerReport& matrix);

 private:
  struct Sum {
    int64_t missing = 0;  // matrices still to come
    int64_t min_rank = 0;
    int64_t max_rank = 0;
    double bits = 0;
    double weights = 0;
    double weighted_error = 0;  // relative error times weights
  };
  std::map<std::string, int64_t> layer_of_;  // by the matrix's name
  std::map<int64_t, Sum> sums_;              // by layer
};

class CommandObserver : public CompressObserver {
 public:
  // Borrows `progress`, and `download` (nullptr: none), which goes on beside the compression.
  CommandObserver(const ModelConfig& config, Progress& progress,
                  DownloadObserver* download = nullptr);

  void BeginStage(const std::string& stage, int64_t total, int64_t done,
                  const std::string& unit) override;
  void Advance(int64_t done, const std::string& detail) override;
  void Underway(double share) override { progress_.Underway(share); }
  void SetTotal(int64_t total) override { progress_.SetTotal(total); }
  void EndStage() override;
  void LayerDone(const LayerReport& layer) override;
  void Info(const std::string& message) override;
  void Warning(const std::string& message) override;
  bool StopRequested() override;

  // What the download has to tell by now. Called from the thread that draws.
  void ShowDownload();

  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  const ModelConfig& config_;
  LayerLines lines_;
  Progress& progress_;
  DownloadObserver* download_;
  std::vector<std::string> warnings_;
};

}  // namespace llmq

#endif  // LLMQ_CLI_COMPRESS_OBSERVER_H_
