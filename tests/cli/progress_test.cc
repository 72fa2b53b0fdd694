// Progress on a stream that is read back, with a clock that the test moves.
#include "cli/progress.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace llmq {
namespace {

class Recorder {
 public:
  explicit Recorder(ProgressStyle style)
      : stream_(open_memstream(&text_, &size_)), progress(stream_, style, [this] { return now; }) {}
  ~Recorder() {
    std::fclose(stream_);
    std::free(text_);
  }
  std::string Text() {
    std::fflush(stream_);
    return {text_, size_};
  }

  double now = 100;

 private:
  char* text_ = nullptr;
  size_t size_ = 0;
  std::FILE* stream_;

 public:
  Progress progress;
};

TEST(Progress, LinesAtStartAndEndAndEveryTenSeconds) {
  Recorder recorder(ProgressStyle::kLines);
  recorder.progress.Begin("Factorizing", 32, 0, "layers");
  for (int layer = 1; layer <= 32; ++layer) {
    recorder.now += 1;
    recorder.progress.Advance(layer, "model.layers.0");
  }
  recorder.progress.End();
  EXPECT_EQ(recorder.Text(),
            "Factorizing ────────────────────   0% 0/32 layers [00:00 elapsed]\n"
            "Factorizing ━━━━━━──────────────  31% 10/32 layers [00:10 elapsed, 00:22 left] "
            "model.layers.0\n"
            "Factorizing ━━━━━━━━━━━━────────  62% 20/32 layers [00:20 elapsed, 00:12 left] "
            "model.layers.0\n"
            "Factorizing ━━━━━━━━━━━━━━━━━━──  93% 30/32 layers [00:30 elapsed, 00:02 left] "
            "model.layers.0\n"
            "Factorizing ━━━━━━━━━━━━━━━━━━━━ 100% 32/32 layers [00:32 elapsed]\n");
}

TEST(Progress, AStepUnderwayCounts) {
  Recorder recorder(ProgressStyle::kLines);
  recorder.progress.Begin("Blocks", 4, 1, "blocks");
  recorder.now += 60;
  recorder.progress.Underway(0.5);
  recorder.now += 60;
  recorder.progress.Advance(2);
  EXPECT_EQ(recorder.Text(),
            "Blocks ━━━━━───────────────  25% 1/4 blocks [resumed]\n"
            "Blocks ━━━━━━━─────────────  37% 1/4 blocks [01:00 elapsed, 05:00 left]\n"
            "Blocks ━━━━━━━━━━──────────  50% 2/4 blocks [02:00 elapsed, 04:00 left]\n");
}

TEST(Progress, ResumedStageSaysSoAndLeavesOldWorkOutOfItsSpeed) {
  Recorder recorder(ProgressStyle::kLines);
  recorder.progress.Begin("Factorizing", 32, 18, "layers");
  recorder.now += 14;
  recorder.progress.Advance(25);
  EXPECT_EQ(recorder.Text(),
            "Factorizing ━━━━━━━━━━━─────────  56% 18/32 layers [resumed]\n"
            "Factorizing ━━━━━━━━━━━━━━━─────  78% 25/32 layers [00:14 elapsed, 00:14 left]\n");
}

TEST(Progress, CountsUnitsOfSeveralSteps) {
  Recorder recorder(ProgressStyle::kLines);
  recorder.progress.Begin("Factorizing", 4 * 7, 2 * 7 + 3, "layers", 4);
  EXPECT_EQ(recorder.Text(), "Factorizing ━━━━━━━━━━━━────────  60% 2/4 layers [resumed]\n");
}

TEST(Progress, SilentPrintsNothing) {
  Recorder recorder(ProgressStyle::kSilent);
  recorder.progress.Begin("Factorizing", 2, 0, "layers");
  recorder.now += 60;
  recorder.progress.Advance(1);
  recorder.progress.PrintLine("  Layer 0");
  recorder.progress.End();
  EXPECT_EQ(recorder.Text(), "");
}

TEST(Progress, AnimationRedrawsOneLineAndMessagesClearIt) {
  Recorder recorder(ProgressStyle::kAnimated);
  recorder.progress.Begin("Training", 4, 0, "steps");
  recorder.now += 0.01;
  recorder.progress.Advance(1);  // too soon for a frame
  recorder.now += 1;
  recorder.progress.Advance(2);
  recorder.progress.PrintLine("message");
  recorder.progress.Advance(3);  // drawn again at once: the message cleared the line
  recorder.progress.End();
  EXPECT_EQ(recorder.Text(),
            "\rTraining ────────────────────   0% 0/4 steps [00:00 elapsed]\033[K"
            "\rTraining ━━━━━━━━━━──────────  50% 2/4 steps [00:01 elapsed, 00:01 left]\033[K"
            "\r\033[Kmessage\n"
            "\rTraining ━━━━━━━━━━━━━━━─────  75% 3/4 steps [00:01 elapsed, 00:00 left]\033[K"
            "\rTraining ━━━━━━━━━━━━━━━─────  75% 3/4 steps [00:01 elapsed, 00:00 left]\033[K\n");
}

TEST(Progress, AnotherActivityHasALineAboveTheBar) {
  Recorder recorder(ProgressStyle::kAnimated);
  recorder.progress.SetAbove("Downloading: 5%");  // no stage yet
  recorder.now += 1;
  recorder.progress.Begin("Training", 4, 0, "steps");
  recorder.now += 1;
  recorder.progress.SetAbove("Downloading: 9%");
  recorder.progress.PrintLine("message");
  recorder.now += 1;
  recorder.progress.SetAbove("");
  recorder.progress.SetAbove("");  // as often as somebody looks
  recorder.progress.End();
  EXPECT_EQ(recorder.Text(),
            "\rDownloading: 5%\033[K\n\033[K"
            "\r\033[1ADownloading: 5%\033[K\n"
            "Training ────────────────────   0% 0/4 steps [00:00 elapsed]\033[K"
            "\r\033[1ADownloading: 9%\033[K\n"
            "Training ────────────────────   0% 0/4 steps [00:01 elapsed]\033[K"
            "\r\033[K\033[1A\033[Kmessage\n"
            "\rTraining ────────────────────   0% 0/4 steps [00:02 elapsed]\033[K"
            "\rTraining ────────────────────   0% 0/4 steps [00:02 elapsed]\033[K\n");
}

TEST(Progress, InALogAnotherActivityComesFirst) {
  Recorder recorder(ProgressStyle::kLines);
  recorder.progress.Begin("Training", 4, 0, "steps");
  for (int tick = 0; tick < 25; ++tick) {
    recorder.now += 1;
    recorder.progress.SetAbove(tick < 12 ? "Downloading: 9%" : "");
  }
  recorder.progress.End();
  EXPECT_EQ(recorder.Text(),
            "Training ────────────────────   0% 0/4 steps [00:00 elapsed]\n"
            "Downloading: 9%\n"
            "Training ────────────────────   0% 0/4 steps [00:10 elapsed]\n"
            "Training ────────────────────   0% 0/4 steps [00:25 elapsed]\n");
}

TEST(Progress, EmptyStageIsComplete) {
  Recorder recorder(ProgressStyle::kLines);
  recorder.progress.Begin("Training", 0, 0, "steps");
  recorder.progress.End();
  EXPECT_NE(recorder.Text().find("100% 0/0 steps"), std::string::npos);
}

}  // namespace
}  // namespace llmq
