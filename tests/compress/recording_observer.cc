#include "tests/compress/recording_observer.h"

namespace llmq::testing {

void RecordingObserver::CheckThread() {
  if (std::this_thread::get_id() != thread_) always_on_one_thread = false;
}

void RecordingObserver::BeginStage(const std::string& stage, int64_t, int64_t done,
                                   const std::string&) {
  CheckThread();
  stages.push_back(stage);
  done_at_begin.push_back(done);
  done_ = done;
}

void RecordingObserver::Advance(int64_t done, const std::string&) {
  CheckThread();
  done_ = done;
}

void RecordingObserver::Underway(double share) {
  CheckThread();
  shares.push_back(share);
}

void RecordingObserver::LayerDone(const LayerReport& layer) {
  CheckThread();
  layers.push_back(layer.name);
}

void RecordingObserver::Warning(const std::string& message) { warnings.push_back(message); }

bool RecordingObserver::StopRequested() {
  CheckThread();
  return !stop_stage_.empty() && !stages.empty() && stages.back() == stop_stage_ &&
         done_ >= stop_done_;
}

void RecordingObserver::StopAt(const std::string& stage, int64_t done) {
  stop_stage_ = stage;
  stop_done_ = done;
}

}  // namespace llmq::testing
