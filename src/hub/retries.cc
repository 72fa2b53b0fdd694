#include "hub/retries.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>

namespace llmq {
namespace {

constexpr double kLongestBackoff = 8.0;    // first waits
constexpr double kLongestRequest = 900.0;  // seconds: whoever asks for more is not waited for

std::optional<double> ParseSeconds(std::string_view text) {
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end == text.data() || seconds < 0) return std::nullopt;
  return static_cast<double>(seconds);
}

// RateLimit: "api";r=0;t=55 -> 55, if nothing is left (r=0)
std::optional<double> RateLimitReset(std::string_view header) {
  const auto member = [&](std::string_view name) -> std::optional<double> {
    const size_t at = header.find(name);
    if (at == header.npos) return std::nullopt;
    return ParseSeconds(header.substr(at + name.size()));
  };
  if (member(";r=") != 0.0) return std::nullopt;
  return member(";t=");
}

}  // namespace

std::optional<double> RequestedWait(const HttpResponse& response) {
  const std::string after(response.Header("retry-after"));
  if (!after.empty()) {
    const bool digits = after.find_first_not_of("0123456789") == std::string::npos;
    if (digits) return ParseSeconds(after);
    const time_t date = curl_getdate(after.c_str(), nullptr);
    if (date != -1) return std::max(0.0, std::difftime(date, std::time(nullptr)));
  }
  return RateLimitReset(response.Header("ratelimit"));
}

bool Retries::WaitForAnother(const HttpResponse* response, const std::string& reason) {
  if (used_ >= count_) return false;
  const double backoff = first_wait_ * std::min(kLongestBackoff, std::exp2(used_));
  const double seconds =
      (response != nullptr ? RequestedWait(*response) : std::nullopt).value_or(backoff);
  if (seconds > kLongestRequest) return false;
  ++used_;
  wait_(seconds, reason);
  return true;
}

}  // namespace llmq
