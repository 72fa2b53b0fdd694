#include "hub/hub_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "base/bytes.h"
#include "base/log.h"
#include "hub/curl_transport.h"
#include "hub/hub_errors.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kMaxRedirects = 10;
constexpr int kMaxRetries = 5;
constexpr size_t kMaxTextBytes = size_t{64} << 20;

Url MustParse(const std::string& text) {
  if (auto url = ParseUrl(text)) return *url;
  throw Error(ErrorCode::kGeneral,
              fmt::format("expected an http or https URL, found '{}'", ShownUrl(text)));
}

// Hands on the bodies of answers that carry what was asked for, not those of redirects and errors.
class WantedBodies : public BodySink {
 public:
  explicit WantedBodies(BodySink& sink) : sink_(sink) {}
  bool Begin(const HttpResponse& response) override {
    if (response.status != 200 && response.status != 206) return false;
    return sink_.Begin(response);
  }
  void Write(std::span<const std::byte> bytes) override { sink_.Write(bytes); }

 private:
  BodySink& sink_;
};

class TextSink : public BodySink {
 public:
  bool Begin(const HttpResponse&) override {
    text_.clear();
    return true;
  }
  void Write(std::span<const std::byte> bytes) override {
    if (text_.size() + bytes.size() > kMaxTextBytes) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("expected a list of at most {} bytes, found more", kMaxTextBytes));
    }
    text_ += AsText(bytes);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

class NoBody : public BodySink {
 public:
  bool Begin(const HttpResponse&) override { return false; }
  void Write(std::span<const std::byte>) override {}
};

// What a redirect within the Hub said about the file, if the last answer does not say it.
void KeepFileHeaders(const HttpResponse& earlier, HttpResponse& last) {
  for (const char* name : {"x-repo-commit", "x-linked-etag", "x-linked-size"}) {
    if (!last.Header(name).empty() || earlier.Header(name).empty()) continue;
    last.headers.emplace_back(name, earlier.Header(name));
  }
}

}  // namespace

bool IsRedirect(int status) {
  constexpr std::array kRedirects = {301, 302, 303, 307, 308};
  return std::ranges::find(kRedirects, status) != kRedirects.end();
}

Url RedirectTarget(const Url& from, const HttpResponse& response) {
  const auto refuse = [&](const std::string& found) -> Error {
    return {ErrorCode::kGeneral,
            fmt::format("{}: expected a redirect to an http or https address, found {}", from.host,
                        found),
            "Check HF_ENDPOINT and the proxy settings"};
  };
  const auto target = ResolveUrl(from, std::string(response.Header("location")));
  if (!target) throw refuse("one to something else");
  if (target->has_user) throw refuse("one with a user name in it");
  if (from.scheme == "https" && target->scheme == "http") {
    throw refuse(fmt::format("one from https to unencrypted http ({})", target->host));
  }
  return *target;
}

HubSession::HubSession(const HubSettings& settings, const HubRepository& repository,
                       SessionHooks hooks, std::unique_ptr<HttpTransport> transport)
    : settings_(settings),
      repository_(repository),
      hooks_(std::move(hooks)),
      endpoint_(MustParse(settings.endpoint)),
      transport_(transport ? std::move(transport) : MakeCurlTransport(hooks_.cancelled)) {}

HttpRequest HubSession::Request(const Url& url) const {
  LogDebug(fmt::format("Asking {}", ShownUrl(url.text)));
  HttpRequest request{
      .url = url.text,
      .headers = {{"User-Agent", "llm-quantize/" LLMQ_VERSION}, {"Accept-Encoding", "identity"}},
      .connect_timeout = settings_.metadata_timeout,
      .stall_timeout = settings_.stall_timeout};
  if (!settings_.token.empty() && SameOrigin(url, endpoint_)) {
    request.headers.emplace_back("Authorization", "Bearer " + settings_.token);
  }
  return request;
}

HubSession::Answer HubSession::Get(const std::string& url,
                                   const std::vector<std::pair<std::string, std::string>>& headers,
                                   BodySink& sink) {
  WantedBodies wanted(sink);
  Url at = MustParse(url);
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    HttpRequest request = Request(at);
    request.headers.insert(request.headers.end(), headers.begin(), headers.end());
    HttpResponse response = transport_->Exchange(request, wanted);
    if (!IsRedirect(response.status)) return {std::move(response), at};
    at = RedirectTarget(at, response);
  }
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected at most {} redirects, found more (now at {})",
                          repository_.id, kMaxRedirects, at.host),
              "Check HF_ENDPOINT and the proxy settings");
}

HubSession::Answer HubSession::Head(const std::string& url) {
  NoBody no_body;
  HttpResponse earlier;
  Url at = MustParse(url);
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    HttpRequest request = Request(at);
    request.head = true;
    request.total_timeout = settings_.metadata_timeout;
    HttpResponse response = transport_->Exchange(request, no_body);
    KeepFileHeaders(earlier, response);
    if (!IsRedirect(response.status)) return {std::move(response), at};
    const Url target = RedirectTarget(at, response);
    if (!SameOrigin(target, endpoint_)) return {std::move(response), at};
    earlier = std::move(response);
    at = target;
  }
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: expected at most {} redirects, found more (now at {})",
                          repository_.id, kMaxRedirects, at.host),
              "Check HF_ENDPOINT and the proxy settings");
}

std::pair<std::string, HttpResponse> HubSession::GetText(const std::string& url, bool retry) {
  Retries retries = NewRetries(retry);
  for (;;) {
    TextSink sink;
    try {
      Answer answer = Get(url, {}, sink);
      if (answer.response.status == 200) return {sink.Take(), std::move(answer.response)};
      const int status = answer.response.status;
      if (!IsTemporaryStatus(status) ||
          !retries.WaitForAnother(&answer.response, fmt::format("HTTP {}", status))) {
        throw HubError(answer.response, answer.url, settings_, repository_, "");
      }
    } catch (const TransportError& error) {
      if (!error.temporary() || !retries.WaitForAnother(nullptr, error.what())) throw;
    }
  }
}

HttpResponse HubSession::HeadFile(const std::string& url, const std::string& what) {
  Retries retries = NewRetries();
  for (;;) {
    try {
      Answer answer = Head(url);
      const int status = answer.response.status;
      if (status == 200 || IsRedirect(status)) return std::move(answer.response);
      if (!IsTemporaryStatus(status) ||
          !retries.WaitForAnother(&answer.response, fmt::format("HTTP {}", status))) {
        throw HubError(answer.response, answer.url, settings_, repository_, what);
      }
    } catch (const TransportError& error) {
      if (!error.temporary() || !retries.WaitForAnother(nullptr, error.what())) throw;
    }
  }
}

Retries HubSession::NewRetries(bool retry) {
  return Retries(retry ? kMaxRetries : 0, settings_.first_wait,
                 [this](double seconds, const std::string& reason) { Wait(seconds, reason); });
}

void HubSession::Wait(double seconds, const std::string& reason) const {
  constexpr double kWorthSaying = 2.0;
  using Clock = std::chrono::steady_clock;
  if (seconds >= kWorthSaying) {
    hooks_.info(
        fmt::format("{}: {}; trying again in {:.0f} s", repository_.id, Shown(reason), seconds));
  }
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (Clock::now() < end) {
    if (hooks_.cancelled()) throw HttpCancelled();
    const std::chrono::duration<double> left = end - Clock::now();
    std::this_thread::sleep_for(std::min(left, std::chrono::duration<double>(0.05)));
  }
}

}  // namespace llmq
