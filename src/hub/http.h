// One HTTP exchange, as the rest of the Hub client sees it: a request, an answer, a sink for its
// body. Redirects, retries and what an answer means are not known here.
//
// curl_transport.h is the implementation; tests have their own.
#ifndef LLMQ_HUB_HTTP_H_
#define LLMQ_HUB_HTTP_H_

#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llmq {

struct HttpRequest {
  bool head = false;  // HEAD instead of GET
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  int connect_timeout = 10;  // seconds
  int stall_timeout = 10;    // seconds without a byte
  int total_timeout = 0;     // seconds; 0: none
};

struct HttpResponse {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // names in lower case

  // The last header of that name (in lower case), or an empty text.
  std::string_view Header(std::string_view name) const;
};

// Takes the body of an answer. What its functions throw ends the exchange and reaches the caller.
class BodySink {
 public:
  virtual ~BodySink() = default;
  // Once, before the first byte. False: the body is not wanted.
  virtual bool Begin(const HttpResponse& response) = 0;
  virtual void Write(std::span<const std::byte> bytes) = 0;
};

// No answer, or not all of it: refused, timed out, dropped, not trusted.
class TransportError : public std::exception {
 public:
  TransportError(std::string reason, bool temporary)
      : reason_(std::move(reason)), temporary_(temporary) {}
  const char* what() const noexcept override { return reason_.c_str(); }
  bool temporary() const { return temporary_; }  // may go better the next time

 private:
  std::string reason_;
  bool temporary_;
};

// The caller's `cancelled` has said so.
struct HttpCancelled {};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  // Throws TransportError, HttpCancelled, and what the sink throws.
  virtual HttpResponse Exchange(const HttpRequest& request, BodySink& sink) = 0;
};

}  // namespace llmq

#endif  // LLMQ_HUB_HTTP_H_
