#include "cli/human_units.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <ctime>

namespace llmq {

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KB", "MB", "GB", "TB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  // 999.5 would print as "1000": the next unit reads better.
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.{}f} {}", value, value < 99.95 ? 1 : 0, kUnits[unit]);
}

std::string FormatCount(int64_t count) {
  const double value = static_cast<double>(count);
  if (value >= 999.5e6) return fmt::format("{:.1f}B", value / 1e9);
  if (value >= 999.5e3) return fmt::format("{:.1f}M", value / 1e6);
  if (value >= 1e3) return fmt::format("{:.0f}K", value / 1e3);
  return fmt::format("{}", count);
}

std::string FormatThousands(int64_t count) {
  std::string digits = fmt::format("{}", count);
  const size_t first = count < 0 ? 1 : 0;
  for (size_t end = digits.size(); end > first + 3; end -= 3) digits.insert(end - 3, 1, ',');
  return digits;
}

std::string FormatDuration(double seconds) {
  const int64_t whole = std::isfinite(seconds) && seconds > 0 ? std::llround(seconds) : 0;
  if (whole < 3600) return fmt::format("{:02}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string FormatBpw(double bpw) {
  if (!std::isfinite(bpw)) return fmt::format("{}", bpw);
  return fmt::format("{:#}", bpw);
}

std::string FormatDelta(double percent) { return fmt::format("{:+.1f}%", percent); }

std::string UtcTime() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

}  // namespace llmq
