#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "cli/environment.h"
#include "cli/human_units.h"

namespace llmq {
namespace {

constexpr int kBarCells = 20;
constexpr double kLineInterval = 10.0;   // seconds between lines in a log
constexpr double kRedrawInterval = 0.1;  // seconds between frames on a terminal

bool Animated(ProgressStyle style) {
  return style == ProgressStyle::kAnimated || style == ProgressStyle::kAnimatedColor;
}

std::string Bar(int filled, bool color) {
  std::string full;
  std::string empty;
  for (int cell = 0; cell < kBarCells; ++cell)
    (cell < filled ? full : empty) += cell < filled ? "━" : "─";
  if (!color) return full + empty;
  return fmt::format("\033[36m{}\033[0m\033[2m{}\033[0m", full, empty);
}

// A full or closed stderr must not end the work: the outcome of a write here is ignored.
void Write(std::FILE* stream, const std::string& text) {
  std::fputs(text.c_str(), stream);
  std::fflush(stream);
}

// What of the detail still fits on the terminal's line: a wrapped line could not be redrawn.
std::string_view FitDetail(std::string_view detail, size_t used_columns) {
  winsize window = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0) window.ws_col = 80;
  const size_t room = window.ws_col > used_columns + 2 ? window.ws_col - used_columns - 2 : 0;
  return detail.substr(0, std::min(detail.size(), room));
}

}  // namespace

ProgressStyle ChooseProgressStyle() {
  if (GetVerbosity() == Verbosity::kQuiet) return ProgressStyle::kSilent;
  const TerminalEnvironment terminal = ReadTerminalEnvironment(LookUpInProcess);
  if (isatty(STDERR_FILENO) == 0 || !terminal.animation) return ProgressStyle::kLines;
  return terminal.color ? ProgressStyle::kAnimatedColor : ProgressStyle::kAnimated;
}

Progress::Progress(std::FILE* stream, ProgressStyle style, Clock clock)
    : stream_(stream), style_(style), clock_(std::move(clock)) {}

Progress::Progress()
    : Progress(stderr, ChooseProgressStyle(), [] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
            .count();
      }) {}

Progress::~Progress() { Clear(); }

std::string Progress::Line(std::string_view times) const {
  const double share =
      total_ > 0
          ? std::clamp((static_cast<double>(done_) + underway_) / static_cast<double>(total_), 0.0,
                       1.0)
          : 1;
  const int percent = static_cast<int>(share * 100);
  const std::string bar =
      Bar(static_cast<int>(share * kBarCells), style_ == ProgressStyle::kAnimatedColor);
  const bool own = units_ == 0 || total_ == 0;
  return fmt::format("{} {} {:3}% {}/{} {} [{}]", stage_, bar, percent,
                     own ? done_ : done_ * units_ / total_, own ? total_ : units_, unit_, times);
}

std::string Progress::Times() const {
  const double elapsed = clock_() - begin_;
  const double fresh = static_cast<double>(done_ - begun_with_) + underway_;
  if (fresh <= 0 || done_ >= total_) return FormatDuration(elapsed) + " elapsed";
  const double left = elapsed / fresh * (static_cast<double>(total_ - done_) - underway_);
  return fmt::format("{} elapsed, {} left", FormatDuration(elapsed), FormatDuration(left));
}

void Progress::Print(const std::string& line, const std::string& above) {
  if (style_ == ProgressStyle::kSilent) return;
  std::string text;
  if (Animated(style_)) {
    const int lines = above.empty() ? 1 : 2;
    if (drawn_ > lines) Clear();
    text = drawn_ == 2 ? "\r\033[1A" : "\r";
    if (lines == 2) text += fmt::format("{}\033[K\n", FitDetail(above, 0));
    text += line + "\033[K";
    drawn_ = lines;
  } else {
    if (!above.empty()) text = above + "\n";
    if (!line.empty()) text += line + "\n";
  }
  Write(stream_, text);
  last_print_ = clock_();
}

void Progress::Begin(const std::string& stage, int64_t total, int64_t done, const std::string& unit,
                     int64_t units) {
  if (active_) End();
  active_ = true;
  stage_ = stage;
  unit_ = unit;
  units_ = units;
  detail_.clear();
  total_ = total;
  done_ = begun_with_ = done;
  underway_ = 0;
  begin_ = clock_();
  Print(Line(done > 0 ? "resumed" : Times()), above_);
}

void Progress::Advance(int64_t done, std::string_view detail) {
  if (!active_) return;
  done_ = done;
  underway_ = 0;
  detail_ = detail;
  DrawIfDue();
}

void Progress::Underway(double share) {
  if (!active_) return;
  underway_ = share;
  DrawIfDue();
}

void Progress::SetAbove(std::string line) {
  if (above_.empty() && line.empty()) return;
  above_ = std::move(line);
  DrawIfDue();
}

void Progress::DrawIfDue() {
  const double wait = Animated(style_) ? kRedrawInterval : kLineInterval;
  const bool cleared = Animated(style_) && drawn_ == 0;
  if (clock_() - last_print_ < wait && !cleared) return;
  Print(active_ ? LineWithDetail() : "", above_);
}

std::string Progress::LineWithDetail() const {
  const std::string line = Line(Times());
  if (detail_.empty()) return line;
  // The bar's cells are 3 bytes each but one column, and colour takes none: count without the bar.
  const size_t columns = stage_.size() + unit_.size() + kBarCells + 60;
  return fmt::format("{} {}", line, Animated(style_) ? FitDetail(detail_, columns) : detail_);
}

void Progress::End() {
  if (!active_) return;
  active_ = false;
  Print(Line(Times()), "");
  if (drawn_ > 0) Write(stream_, "\n");
  drawn_ = 0;
}

void Progress::Clear() {
  if (drawn_ == 0) return;
  Write(stream_, drawn_ == 2 ? "\r\033[K\033[1A\033[K" : "\r\033[K");
  drawn_ = 0;
}

void Progress::PrintLine(const std::string& line) {
  if (style_ == ProgressStyle::kSilent) return;
  Clear();
  Write(stream_, line + "\n");
}

}  // namespace llmq
