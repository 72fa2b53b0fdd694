#include "hub/curl_transport.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <exception>
#include <mutex>
#include <new>

namespace llmq {
namespace {

// Bytes of an unwanted body that are read to keep the connection.
constexpr size_t kDrainBytes = 64 << 10;

// What the callbacks of one exchange work on. libcurl is C: no exception may pass through it.
struct Exchange {
  BodySink& sink;
  const std::function<bool()>& cancelled;
  HttpResponse response = {};
  bool begun = false;
  bool wanted = false;
  size_t drained = 0;
  bool enough = false;  // we ended it, and that is no failure
  std::exception_ptr failure = nullptr;

  void Begin() {
    if (begun) return;
    begun = true;
    wanted = sink.Begin(response);
  }
};

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// "HTTP/1.1 206 Partial Content" -> 206
int StatusOf(std::string_view line) {
  const size_t space = line.find(' ');
  int status = 0;
  if (space == std::string_view::npos) return 0;
  line.remove_prefix(space + 1);
  std::from_chars(line.data(), line.data() + line.size(), status);
  return status;
}

size_t OnHeader(char* data, size_t, size_t length, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line = Trim({data, length});
  try {
    if (line.starts_with("HTTP/")) {  // of the last answer; those of a proxy come before
      exchange.response = {};
      exchange.response.status = StatusOf(line);
    } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      std::string name(line.substr(0, colon));
      std::ranges::transform(name, name.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      exchange.response.headers.emplace_back(std::move(name), Trim(line.substr(colon + 1)));
    }
  } catch (...) {
    exchange.failure = std::current_exception();
    return 0;
  }
  return length;
}

size_t OnBody(char* data, size_t, size_t length, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  try {
    exchange.Begin();
    if (exchange.wanted) {
      exchange.sink.Write({reinterpret_cast<const std::byte*>(data), length});
      return length;
    }
    exchange.drained += length;
    if (exchange.drained <= kDrainBytes) return length;
    exchange.enough = true;
  } catch (...) {
    exchange.failure = std::current_exception();
  }
  return length + 1;  // anything but `length` ends the exchange
}

int OnProgress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(user)->cancelled() ? 1 : 0;
}

// Failures that another try cannot mend.
bool IsPermanent(CURLcode code) {
  switch (code) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_WEIRD_SERVER_REPLY: return true;
    default: return false;
  }
}

class CurlTransport : public HttpTransport {
 public:
  explicit CurlTransport(std::function<bool()> cancelled) : cancelled_(std::move(cancelled)) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    curl_ = curl_easy_init();
    if (curl_ == nullptr) throw std::bad_alloc();
  }
  ~CurlTransport() override { curl_easy_cleanup(curl_); }

  HttpResponse Exchange(const HttpRequest& request, BodySink& sink) override {
    llmq::Exchange exchange{.sink = sink, .cancelled = cancelled_};
    curl_slist* headers = nullptr;
    for (const auto& [name, value] : request.headers) {
      headers = curl_slist_append(headers, fmt::format("{}: {}", name, value).c_str());
    }
    Configure(request, headers, exchange);
    const CURLcode code = curl_easy_perform(curl_);
    curl_slist_free_all(headers);
    if (exchange.failure) std::rethrow_exception(exchange.failure);
    if (code == CURLE_ABORTED_BY_CALLBACK) throw HttpCancelled();
    if (code != CURLE_OK && !exchange.enough) {
      throw TransportError(error_[0] != '\0' ? error_ : curl_easy_strerror(code),
                           !IsPermanent(code));
    }
    exchange.Begin();  // an answer without a body
    return std::move(exchange.response);
  }

 private:
  void Configure(const HttpRequest& request, curl_slist* headers, llmq::Exchange& exchange) {
    curl_easy_reset(curl_);  // options only: connections stay
    error_[0] = '\0';
    const auto set = [this](CURLoption option, auto value) {
      curl_easy_setopt(curl_, option, value);
    };
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_NOBODY, request.head ? 1L : 0L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);  // hub_session.cc decides where to go
    set(CURLOPT_NOSIGNAL, 1L);        // other threads are at work
    set(CURLOPT_TCP_KEEPALIVE, 1L);
    set(CURLOPT_CONNECTTIMEOUT, long{request.connect_timeout});
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, long{request.stall_timeout});
    set(CURLOPT_TIMEOUT, long{request.total_timeout});
    set(CURLOPT_BUFFERSIZE, 256L << 10);
    set(CURLOPT_HEADERFUNCTION, OnHeader);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
    set(CURLOPT_WRITEFUNCTION, OnBody);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, OnProgress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&exchange));
  }

  std::function<bool()> cancelled_;
  CURL* curl_ = nullptr;
  char error_[CURL_ERROR_SIZE] = {};
};

}  // namespace

std::string_view HttpResponse::Header(std::string_view name) const {
  for (auto it = headers.rbegin(); it != headers.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return {};
}

std::unique_ptr<HttpTransport> MakeCurlTransport(std::function<bool()> cancelled) {
  return std::make_unique<CurlTransport>(std::move(cancelled));
}

}  // namespace llmq
