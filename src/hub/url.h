// URLs, parsed by libcurl: two parsers that disagree about a host are how tokens leak.
#ifndef LLMQ_HUB_URL_H_
#define LLMQ_HUB_URL_H_

#include <optional>
#include <string>
#include <string_view>

namespace llmq {

struct Url {
  std::string text;
  std::string scheme;  // "http" or "https"
  std::string host;    // in lower case
  std::string port;    // also where the text leaves it out
  bool has_user = false;
};

// nullopt unless it is a whole http or https URL.
std::optional<Url> ParseUrl(const std::string& text);
// Where `location`, whole or relative, leads from `base`.
std::optional<Url> ResolveUrl(const Url& base, const std::string& location);

// The same scheme, host and port: who gets the token.
bool SameOrigin(const Url& a, const Url& b);

// Percent-encodes all but letters, digits and "-._~", and "/" if `keep_slash`.
std::string PercentEncode(std::string_view text, bool keep_slash);

// Without what stands behind "?": signed addresses are secrets.
std::string ShownUrl(const std::string& url);

}  // namespace llmq

#endif  // LLMQ_HUB_URL_H_
