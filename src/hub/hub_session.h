// Requests to the Hub of one thread: redirects, the token, retries.
//
// Below: http.h, one exchange. Above: hub_api.h asks for lists, blob_download.h for files. The rule
// about the token stands here and only here: it goes to the endpoint's own origin.
#ifndef LLMQ_HUB_HUB_SESSION_H_
#define LLMQ_HUB_HUB_SESSION_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "hub/http.h"
#include "hub/retries.h"
#include "hub/url.h"
#include "llmq/hub.h"

namespace llmq {

struct SessionHooks {
  std::function<bool()> cancelled;
  std::function<void(const std::string&)> info;  // called from the session's thread
};

// Where a redirect leads. Throws Error{kGeneral} for one that must not be followed: to nowhere, to
// something else than http(s), with a user name in it, or from https to http.
Url RedirectTarget(const Url& from, const HttpResponse& response);

bool IsRedirect(int status);

class HubSession {
 public:
  struct Answer {
    HttpResponse response;
    Url url;  // that gave it
  };

  // The settings and the repository must outlive the session.
  HubSession(const HubSettings& settings, const HubRepository& repository, SessionHooks hooks,
             std::unique_ptr<HttpTransport> transport = nullptr);  // nullptr: libcurl

  // One try, through at most 10 redirects. The sink gets the body if the status is 200 or 206.
  // Throws TransportError, HttpCancelled, Error.
  Answer Get(const std::string& url,
             const std::vector<std::pair<std::string, std::string>>& headers, BodySink& sink);

  // The body of a 200, retried. Throws Error for everything else, TransportError if there is no
  // answer; `retry` false: after the first try.
  std::pair<std::string, HttpResponse> GetText(const std::string& url, bool retry = true);

  // HEAD of a file, retried. Redirects within the endpoint's origin are followed; one that leads
  // elsewhere is the answer: its X-Linked-* headers describe the file. Throws as GetText.
  HttpResponse HeadFile(const std::string& url, const std::string& what);

  Retries NewRetries(bool retry = true);

  const HubSettings& settings() const { return settings_; }
  const HubRepository& repository() const { return repository_; }
  const SessionHooks& hooks() const { return hooks_; }

 private:
  HttpRequest Request(const Url& url) const;
  Answer Head(const std::string& url);
  void Wait(double seconds, const std::string& reason) const;

  const HubSettings& settings_;
  const HubRepository& repository_;
  SessionHooks hooks_;
  Url endpoint_;
  std::unique_ptr<HttpTransport> transport_;
};

}  // namespace llmq

#endif  // LLMQ_HUB_HUB_SESSION_H_
