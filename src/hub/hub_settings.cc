// What the environment says about the Hub: names and defaults of Python's huggingface_hub, so that
// one set-up serves both.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <system_error>

#include "base/file.h"
#include "base/limits.h"
#include "hub/url.h"
#include "llmq/error.h"
#include "llmq/hub.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using LookUp = std::function<std::optional<std::string>(const char* name)>;

constexpr uint64_t kMaxTokenBytes = 64 << 10;

// The first of these that is set and not empty.
template <size_t kCount>
std::optional<std::string> FirstOf(const LookUp& look_up,
                                   const std::array<const char*, kCount>& names) {
  for (const char* name : names) {
    if (auto value = look_up(name); value && !value->empty()) return value;
  }
  return std::nullopt;
}

bool IsOn(const LookUp& look_up, const char* name) {
  std::string value = look_up(name).value_or("");
  std::ranges::transform(value, value.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

fs::path ExpandHome(const std::string& path, const LookUp& look_up) {
  if (path != "~" && !path.starts_with("~/")) return path;
  return fs::path(look_up("HOME").value_or("/")) / path.substr(std::min<size_t>(2, path.size()));
}

fs::path HfHome(const LookUp& look_up) {
  if (const auto home = FirstOf(look_up, std::array{"HF_HOME"})) return ExpandHome(*home, look_up);
  const auto cache = FirstOf(look_up, std::array{"XDG_CACHE_HOME"});
  return ExpandHome(cache.value_or("~/.cache"), look_up) / "huggingface";
}

int Seconds(const LookUp& look_up, const char* name, int fallback) {
  const auto text = FirstOf(look_up, std::array{name});
  if (!text) return fallback;
  int value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || value < 1 || value > 86400) {
    throw Error(ErrorCode::kInvalidArguments,
                fmt::format("environment variable {}: expected 1 to 86400 seconds, found '{}'",
                            name, *text),
                fmt::format("Correct or unset {}", name));
  }
  return value;
}

std::string Endpoint(const LookUp& look_up, const std::string& fallback) {
  std::string endpoint = FirstOf(look_up, std::array{"HF_ENDPOINT"}).value_or(fallback);
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (!ParseUrl(endpoint) || endpoint.find_first_of("?#") != std::string::npos) {
    throw Error(
        ErrorCode::kInvalidArguments,
        fmt::format("environment variable HF_ENDPOINT: expected an http or https URL, found '{}'",
                    endpoint),
        "Correct or unset HF_ENDPOINT");
  }
  return endpoint;
}

std::string Stripped(std::string text) {
  const auto blank = [](unsigned char c) { return std::isspace(c) != 0; };
  text.erase(std::find_if_not(text.rbegin(), text.rend(), blank).base(), text.end());
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), blank));
  return text;
}

std::string Token(const LookUp& look_up, const fs::path& home) {
  if (IsOn(look_up, "HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  const auto path = FirstOf(look_up, std::array{"HF_TOKEN_PATH"});
  const fs::path file = path ? ExpandHome(*path, look_up) : home / "token";
  std::string origin = "HF_TOKEN";
  std::string token =
      Stripped(FirstOf(look_up, std::array{"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}).value_or(""));
  std::error_code ignored;
  if (token.empty() && fs::is_regular_file(file, ignored)) {
    origin = file.string();
    token = Stripped(ReadTextFile(file, kMaxTokenBytes));
  }
  // A line break would be a header of its own. The value itself is never shown.
  const bool ascii = std::ranges::all_of(token, [](unsigned char c) { return c < 128; });
  if (HasControlCharacters(token) || !ascii) {
    throw Error(
        ErrorCode::kInvalidArguments,
        fmt::format("{}: expected a token of one line, found other characters in it", origin),
        "Copy the token anew from the Hub's settings page");
  }
  return token;
}

}  // namespace

HubSettings ReadHubSettings(const LookUp& look_up) {
  HubSettings settings;
  const fs::path home = HfHome(look_up);
  const auto cache = FirstOf(look_up, std::array{"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"});
  settings.cache = cache ? ExpandHome(*cache, look_up) : home / "hub";
  settings.endpoint = Endpoint(look_up, settings.endpoint);
  settings.token = Token(look_up, home);
  settings.offline = IsOn(look_up, "HF_HUB_OFFLINE") || IsOn(look_up, "TRANSFORMERS_OFFLINE");
  settings.symlinks = !IsOn(look_up, "HF_HUB_DISABLE_SYMLINKS");
  settings.progress = !IsOn(look_up, "HF_HUB_DISABLE_PROGRESS_BARS");
  settings.metadata_timeout = Seconds(look_up, "HF_HUB_ETAG_TIMEOUT", settings.metadata_timeout);
  settings.stall_timeout = Seconds(look_up, "HF_HUB_DOWNLOAD_TIMEOUT", settings.stall_timeout);
  return settings;
}

}  // namespace llmq
