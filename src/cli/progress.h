// Bars on stderr, one per stage of a long command:
//
//   Factorizing ━━━━━━━━━━━━━━━━━━━━  56% 18/32 layers [12:01 elapsed, 09:22 left]
//
// On a terminal the line is redrawn; elsewhere a stage prints a line when it starts, when it ends,
// and at most one in ten seconds between. Nothing at --verbosity quiet. A download that goes on
// meanwhile has a line above the bar.
#ifndef LLMQ_CLI_PROGRESS_H_
#define LLMQ_CLI_PROGRESS_H_

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>

#include "llmq/compress.h"

namespace llmq {

enum class ProgressStyle { kSilent, kLines, kAnimated, kAnimatedColor };

// For the process's stderr, verbosity and environment.
ProgressStyle ChooseProgressStyle();

class Progress {
 public:
  using Clock = std::function<double()>;  // seconds, monotonic

  Progress(std::FILE* stream, ProgressStyle style, Clock clock);
  Progress();   // stderr, ChooseProgressStyle(), the steady clock
  ~Progress();  // leaves no half-drawn line behind

  // `total` and `done` count steps. People see as many units, or these `units`.
  void Begin(const std::string& stage, int64_t total, int64_t done, const std::string& unit,
             int64_t units = 0);
  void Advance(int64_t done, std::string_view detail = "");
  // The next step is done to this share, below 1.
  void Underway(double share);
  // A line about another activity (ASCII), shown above the bar until it is empty. Draws like
  // Advance().
  void SetAbove(std::string line);
  // The stage's units have become more or fewer.
  void SetTotal(int64_t total) { total_ = total; }
  void End();
  // Clears the animated line so that a message can be printed; the next Advance() draws it again.
  void Clear();
  // A line of its own, without the messages' prefix. Nothing at quiet.
  void PrintLine(const std::string& line);

 private:
  std::string Line(std::string_view times) const;
  std::string LineWithDetail() const;
  std::string Times() const;
  void DrawIfDue();
  void Print(const std::string& line, const std::string& above);

  std::FILE* stream_;
  ProgressStyle style_;
  Clock clock_;
  bool active_ = false;
  int drawn_ = 0;  // animated lines that stand on the terminal
  std::string stage_;
  std::string unit_;
  std::string detail_;
  std::string above_;
  int64_t units_ = 0;
  int64_t total_ = 0;
  int64_t done_ = 0;
  double underway_ = 0;     // of the step after done_
  int64_t begun_with_ = 0;  // from a checkpoint: not counted in the speed
  double begin_ = 0;        // seconds
  double last_print_ = 0;   // seconds
};

}  // namespace llmq

#endif  // LLMQ_CLI_PROGRESS_H_
