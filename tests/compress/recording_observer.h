// Watches a run in a test: remembers what it was told and asks for a stop at a chosen moment.
#ifndef LLMQ_TESTS_COMPRESS_RECORDING_OBSERVER_H_
#define LLMQ_TESTS_COMPRESS_RECORDING_OBSERVER_H_

#include <string>
#include <thread>
#include <vector>

#include "llmq/compress.h"

namespace llmq::testing {

class RecordingObserver : public CompressObserver {
 public:
  void BeginStage(const std::string& stage, int64_t total, int64_t done,
                  const std::string& unit) override;
  void Advance(int64_t done, const std::string& detail) override;
  void Underway(double share) override;
  void SetTotal(int64_t) override {}
  void EndStage() override {}
  void LayerDone(const LayerReport& layer) override;
  void Info(const std::string&) override {}
  void Warning(const std::string& message) override;
  bool StopRequested() override;

  // Ask for a stop once `stage` has advanced to `done`.
  void StopAt(const std::string& stage, int64_t done);

  std::vector<std::string> stages;     // in order of beginning
  std::vector<int64_t> done_at_begin;  // of each stage
  std::vector<std::string> layers;     // names, in order of LayerDone
  std::vector<std::string> warnings;
  std::vector<double> shares;  // of Underway()
  bool always_on_one_thread = true;

 private:
  void CheckThread();

  std::thread::id thread_ = std::this_thread::get_id();
  std::string stop_stage_;
  int64_t stop_done_ = 0;
  int64_t done_ = 0;
};

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_COMPRESS_RECORDING_OBSERVER_H_
