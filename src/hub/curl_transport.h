// HttpTransport over libcurl: the only file that sees it, but for url.cc. One object serves one
// thread and keeps its connections open between exchanges.
#ifndef LLMQ_HUB_CURL_TRANSPORT_H_
#define LLMQ_HUB_CURL_TRANSPORT_H_

#include <functional>
#include <memory>

#include "hub/http.h"

namespace llmq {

// `cancelled` is asked about once a second while nothing comes, more often while something does.
std::unique_ptr<HttpTransport> MakeCurlTransport(std::function<bool()> cancelled);

}  // namespace llmq

#endif  // LLMQ_HUB_CURL_TRANSPORT_H_
