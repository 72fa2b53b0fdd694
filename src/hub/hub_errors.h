// What the Hub's refusals mean to the person at the terminal, and with which exit code they end.
#ifndef LLMQ_HUB_HUB_ERRORS_H_
#define LLMQ_HUB_HUB_ERRORS_H_

#include <string>

#include "hub/http.h"
#include "hub/url.h"
#include "llmq/error.h"
#include "llmq/hub.h"

namespace llmq {

// Answered again and again with these, a server may still answer well later.
bool IsTemporaryStatus(int status);

// `from` answered something else than what was asked for. `what` names the file, or is empty for
// the repository itself.
Error HubError(const HttpResponse& response, const Url& from, const HubSettings& settings,
               const HubRepository& repository, const std::string& what);

// No answer at all.
Error UnreachableError(const TransportError& error, const HubSettings& settings,
                       const HubRepository& repository);

// What stands before "/resolve/..." in URLs: "org/name", or "datasets/org/name".
std::string UrlPath(const HubRepository& repository);

// A text from the network, fit for a message: no control characters, not long.
std::string Shown(std::string_view text);

}  // namespace llmq

#endif  // LLMQ_HUB_HUB_ERRORS_H_
