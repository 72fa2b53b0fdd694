#include "hub/url.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>

namespace llmq {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

Handle NewHandle() { return {curl_url(), curl_url_cleanup}; }

std::optional<std::string> Part(CURLU* handle, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, part, &text, flags) != CURLUE_OK) return std::nullopt;
  std::string copy = text;
  curl_free(text);
  return copy;
}

std::optional<Url> Describe(CURLU* handle) {
  const auto text = Part(handle, CURLUPART_URL);
  const auto scheme = Part(handle, CURLUPART_SCHEME);
  auto host = Part(handle, CURLUPART_HOST);
  const auto port = Part(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (!text || !scheme || !host || !port) return std::nullopt;
  if (*scheme != "http" && *scheme != "https") return std::nullopt;
  std::ranges::transform(*host, host->begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return Url{*text, *scheme, *host, *port, Part(handle, CURLUPART_USER).has_value()};
}

}  // namespace

std::optional<Url> ParseUrl(const std::string& text) {
  const Handle handle = NewHandle();
  if (curl_url_set(handle.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return std::nullopt;
  return Describe(handle.get());
}

std::optional<Url> ResolveUrl(const Url& base, const std::string& location) {
  const Handle handle = NewHandle();
  if (location.empty() ||
      curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) {
    return std::nullopt;
  }
  return Describe(handle.get());
}

bool SameOrigin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.host == b.host && a.port == b.port;
}

std::string PercentEncode(std::string_view text, bool keep_slash) {
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 128 && (std::isalnum(byte) || c == '-' || c == '.' || c == '_' ||
                                      c == '~' || (keep_slash && c == '/'));
    encoded += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return encoded;
}

std::string ShownUrl(const std::string& url) { return url.substr(0, url.find('?')); }

}  // namespace llmq
