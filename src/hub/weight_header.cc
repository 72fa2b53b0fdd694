#include "hub/weight_header.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/limits.h"
#include "hub/hub_errors.h"
#include "llmq/error.h"

namespace llmq {
namespace {

// Most headers fit: one request.
constexpr uint64_t kFirstBytes = 64 << 10;

struct Part {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// More is coming than was asked for.
struct Enough {};

[[noreturn]] void Fail(const HubSession& session, const HubFile& file, const std::string& what) {
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: {}: {}", session.repository().id, file.name, what),
              "The repository is damaged, or HF_ENDPOINT leads elsewhere; choose another revision");
}

// Takes the part out of an answer that may be the whole file.
class PartSink : public BodySink {
 public:
  PartSink(const HubSession& session, const HubFile& file, Part part)
      : session_(session), file_(file), part_(part) {}

  bool Begin(const HttpResponse& response) override {
    taken_.clear();
    skip_ = part_.begin;
    if (response.status != 206) return true;
    const std::string_view range = response.Header("content-range");
    if (!range.starts_with(fmt::format("bytes {}-", part_.begin))) {
      Fail(session_, file_,
           fmt::format("expected 'bytes {}-...', found '{}'", part_.begin, Shown(range)));
    }
    skip_ = 0;
    return true;
  }

  void Write(std::span<const std::byte> bytes) override {
    const auto skipped = std::min<uint64_t>(skip_, bytes.size());
    skip_ -= skipped;
    bytes = bytes.subspan(skipped);
    const uint64_t wanted = part_.end - part_.begin - taken_.size();
    taken_ += AsText(bytes.first(std::min<uint64_t>(wanted, bytes.size())));
    if (bytes.size() > wanted) throw Enough();
  }

  bool complete() const { return taken_.size() == part_.end - part_.begin; }
  std::string Take() { return std::move(taken_); }

 private:
  const HubSession& session_;
  const HubFile& file_;
  Part part_;
  uint64_t skip_ = 0;  // bytes before the part
  std::string taken_;
};

std::string FetchPart(HubSession& session, const std::string& commit, const HubFile& file,
                      Part part) {
  const std::string url = FileUrl(session, commit, file.name);
  std::vector<std::pair<std::string, std::string>> headers = {
      {"Range", fmt::format("bytes={}-{}", part.begin, part.end - 1)}};
  Retries retries = session.NewRetries();
  for (;;) {
    PartSink sink(session, file, part);
    try {
      const HubSession::Answer answer = session.Get(url, headers, sink);
      const int status = answer.response.status;
      if (sink.complete() && (status == 200 || status == 206)) return sink.Take();
      if (status == 416 && !headers.empty()) {
        headers.clear();  // the whole file, then, as far as it is wanted
        continue;
      }
      const bool ended = status == 200 || status == 206;
      const std::string reason = ended ? "the answer ended" : fmt::format("HTTP {}", status);
      if ((ended || IsTemporaryStatus(status)) &&
          retries.WaitForAnother(&answer.response, reason)) {
        continue;
      }
      if (ended) Fail(session, file, "expected its header, found less");
      throw HubError(answer.response, answer.url, session.settings(), session.repository(),
                     file.name);
    } catch (const Enough&) {
      return sink.Take();
    } catch (const TransportError& error) {
      if (!error.temporary() || !retries.WaitForAnother(nullptr, error.what())) throw;
    }
  }
}

}  // namespace

std::string FetchWeightHeader(HubSession& session, const std::string& commit, const HubFile& file) {
  constexpr uint64_t kLengthField = sizeof(uint64_t);
  if (file.size < kLengthField) {
    Fail(session, file, fmt::format("expected a safetensors file, found {} bytes", file.size));
  }
  std::string begin =
      FetchPart(session, commit, file, {0, std::min<uint64_t>(kFirstBytes, file.size)});
  uint64_t json = 0;
  std::memcpy(&json, begin.data(), kLengthField);
  const uint64_t most = std::min(kMaxSafetensorsHeaderBytes, file.size - kLengthField);
  if (json > most) {
    Fail(session, file, fmt::format("expected a header of at most {} bytes, found {}", most, json));
  }
  const uint64_t end = kLengthField + json;
  if (begin.size() < end) begin += FetchPart(session, commit, file, {begin.size(), end});
  begin.resize(end);
  return begin;
}

}  // namespace llmq
