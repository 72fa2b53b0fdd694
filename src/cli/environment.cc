#include "cli/environment.h"

#include <fmt/core.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include "llmq/error.h"

namespace llmq {
namespace {

[[noreturn]] void ThrowMalformed(const char* name, std::string_view expected,
                                 const std::string& found) {
  throw Error(
      ErrorCode::kInvalidArguments,
      fmt::format("environment variable {}: expected {}, found '{}'", name, expected, found),
      fmt::format("Correct or unset {}", name));
}

// Not set and empty are the same: `VARIABLE= command` is how shells clear one.
std::optional<std::string> LookUpNonEmpty(const EnvironmentLookup& look_up, const char* name) {
  std::optional<std::string> value = look_up(name);
  if (value && value->empty()) return std::nullopt;
  return value;
}

// The whole text must be the number: from_chars stops at the first character that does not belong.
template <typename T>
std::optional<T> ParseWhole(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

double ReadBpwBound(const EnvironmentLookup& look_up, const char* name, double fallback) {
  const std::optional<std::string> text = LookUpNonEmpty(look_up, name);
  if (!text) return fallback;
  const std::optional<double> value = ParseWhole<double>(*text);
  if (!value || !std::isfinite(*value) || *value <= 0 || *value > 16) {
    ThrowMalformed(name, "a number above 0 and at most 16", *text);
  }
  return *value;
}

}  // namespace

std::optional<std::string> LookUpInProcess(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

CompressEnvironment ReadCompressEnvironment(const EnvironmentLookup& look_up) {
  CompressEnvironment result;
  constexpr const char* kMin = "LLM_QUANTIZE_LITTLEBIT_MIN_BPW";
  constexpr const char* kMax = "LLM_QUANTIZE_LITTLEBIT_MAX_BPW";
  result.min_bpw = ReadBpwBound(look_up, kMin, result.min_bpw);
  result.max_bpw = ReadBpwBound(look_up, kMax, result.max_bpw);
  if (result.min_bpw > result.max_bpw) {
    ThrowMalformed(kMin, fmt::format("at most {} (the maximum)", result.max_bpw),
                   fmt::format("{}", result.min_bpw));
  }
  constexpr const char* kSearch = "LLM_QUANTIZE_LITTLEBIT_RANK_SEARCH";
  if (const auto text = LookUpNonEmpty(look_up, kSearch)) {
    const std::optional<int> tries = ParseWhole<int>(*text);
    if (!tries || *tries < 1 || *tries > 1000) ThrowMalformed(kSearch, "an integer 1-1000", *text);
    result.rank_search = *tries;
  }
  constexpr const char* kPrecision = "LLM_QUANTIZE_SVD_PRECISION";
  if (const auto text = LookUpNonEmpty(look_up, kPrecision)) {
    if (*text != "float32" && *text != "float64") {
      ThrowMalformed(kPrecision, "float32 or float64", *text);
    }
    result.precision = *text == "float32" ? SvdPrecision::kFloat32 : SvdPrecision::kFloat64;
  }
  if (const auto text = LookUpNonEmpty(look_up, "LLM_QUANTIZE_CHECKPOINT_DIR")) {
    result.checkpoint_dir = *text;
  }
  return result;
}

TerminalEnvironment ReadTerminalEnvironment(const EnvironmentLookup& look_up) {
  return {.color = !LookUpNonEmpty(look_up, "NO_COLOR"),
          .animation = look_up("TERM").value_or("dumb") != "dumb"};
}

}  // namespace llmq
