#include "hub/blob_download.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <random>
#include <system_error>

#include "base/limits.h"
#include "hub/hub_errors.h"
#include "hub/partial_blob.h"
#include "llmq/error.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

// What HEAD and the file list say about a file, in agreement.
struct FileFacts {
  std::string name;
  std::string url;
  std::string etag;
  uint64_t size = 0;
  std::optional<DigestKind> kind;
  std::string digest;
};

[[noreturn]] void Fail(const HubSession& session, const std::string& name,
                       const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}: {}", session.repository().id, name, what),
              "Check HF_ENDPOINT and the proxy settings; if they are right, try again later");
}

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

// W/"abc" -> abc
std::string NormalEtag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

FileFacts AskForFacts(HubSession& session, const std::string& commit, const HubFile& file) {
  FileFacts facts{.name = file.name, .url = FileUrl(session, commit, file.name), .size = file.size};
  const HttpResponse head = session.HeadFile(facts.url, file.name);
  const auto fail = [&](const std::string& what) { Fail(session, file.name, what); };

  const std::string_view found_commit = head.Header("x-repo-commit");
  if (!found_commit.empty() && found_commit != commit) {
    fail(fmt::format("expected commit {}, found {}", commit, Shown(found_commit)));
  }
  const std::string_view linked = head.Header("x-linked-etag");
  facts.etag = NormalEtag(linked.empty() ? head.Header("etag") : linked);
  // It becomes the name of a file.
  if (!IsPlainFileName(facts.etag) || facts.etag.size() > 128) {
    fail(fmt::format("expected an ETag that names the file's content, found '{}'",
                     Shown(facts.etag)));
  }
  std::string_view size = head.Header("x-linked-size");
  if (size.empty() && !IsRedirect(head.status)) size = head.Header("content-length");
  if (!size.empty() && ParseSize(size) != file.size) {
    fail(fmt::format("expected {} bytes as the file list says, found {}", file.size, Shown(size)));
  }
  if (!file.sha256.empty() && IsHex(facts.etag, 64) && facts.etag != file.sha256) {
    fail(fmt::format("expected SHA-256 {} as the file list says, found {}", file.sha256,
                     facts.etag));
  }
  if (!file.sha256.empty() || IsHex(facts.etag, 64)) {
    facts.kind = DigestKind::kSha256;
    facts.digest = file.sha256.empty() ? facts.etag : file.sha256;
  } else if (IsHex(file.git_oid, 40)) {
    facts.kind = DigestKind::kGitBlob;
    facts.digest = file.git_oid;
  }
  return facts;
}

// Appends the body of an answer to the blob, if it is the part that was asked for.
class BlobSink : public BodySink {
 public:
  BlobSink(const HubSession& session, const FileFacts& facts, PartialBlob& blob,
           const CountBytes& count)
      : session_(session), facts_(facts), blob_(blob), count_(count) {}

  bool Begin(const HttpResponse& response) override {
    if (response.status == 206) {
      CheckRange(response.Header("content-range"));
      return true;
    }
    const std::string_view length = response.Header("content-length");
    if (!length.empty() && ParseSize(length) != facts_.size) {
      Fail(session_, facts_.name,
           fmt::format("expected {} bytes, found an answer of {}", facts_.size, Shown(length)));
    }
    if (blob_.bytes() > 0) {  // the server does not resume
      count_(-static_cast<int64_t>(blob_.bytes()));
      blob_.Restart();
    }
    return true;
  }

  void Write(std::span<const std::byte> bytes) override {
    if (bytes.size() > facts_.size - blob_.bytes()) {
      Fail(session_, facts_.name, fmt::format("expected {} bytes, found more", facts_.size));
    }
    blob_.Append(bytes);
    count_(static_cast<int64_t>(bytes.size()));
  }

 private:
  // bytes 100-199/200
  void CheckRange(std::string_view range) const {
    const std::string expected = fmt::format("bytes {}-{}/", blob_.bytes(), facts_.size - 1);
    const bool whole =
        range.starts_with(expected) && (range.substr(expected.size()) == "*" ||
                                        ParseSize(range.substr(expected.size())) == facts_.size);
    if (whole) return;
    Fail(session_, facts_.name,
         fmt::format("expected '{}{}', found '{}'", expected, facts_.size, Shown(range)));
  }

  const HubSession& session_;
  const FileFacts& facts_;
  PartialBlob& blob_;
  const CountBytes& count_;
};

[[noreturn]] void ThrowIncomplete(const HubSession& session, const FileFacts& facts,
                                  const PartialBlob& blob, const std::string& reason) {
  throw Error(ErrorCode::kGeneral,
              fmt::format("{}: {}: {} of {} bytes came, then: {}", session.repository().id,
                          facts.name, blob.bytes(), facts.size, Shown(reason)),
              "Run the command again: the download continues where it stopped");
}

// Asks for what is missing until nothing is.
void FetchRest(HubSession& session, const FileFacts& facts, PartialBlob& blob,
               const CountBytes& count) {
  Retries retries = session.NewRetries();
  uint64_t furthest = blob.bytes();  // coming that far again is no progress
  const auto note_progress = [&] {
    if (blob.bytes() > furthest) retries.Progressed();
    furthest = std::max(furthest, blob.bytes());
  };
  while (blob.bytes() < facts.size) {
    std::vector<std::pair<std::string, std::string>> headers;
    if (blob.bytes() > 0) headers.emplace_back("Range", fmt::format("bytes={}-", blob.bytes()));
    BlobSink sink(session, facts, blob, count);
    try {
      const HubSession::Answer answer = session.Get(facts.url, headers, sink);
      note_progress();
      if (blob.bytes() >= facts.size) return;
      const int status = answer.response.status;
      if (status == 416) {  // our remnant is not a beginning of this file
        count(-static_cast<int64_t>(blob.bytes()));
        blob.Restart();
      }
      const bool short_answer = status == 200 || status == 206 || status == 416;
      const std::string reason = status == 416  ? "HTTP 416"
                                 : short_answer ? "the answer ended"
                                                : fmt::format("HTTP {}", status);
      if ((short_answer || IsTemporaryStatus(status)) &&
          retries.WaitForAnother(&answer.response, reason)) {
        continue;
      }
      if (short_answer) ThrowIncomplete(session, facts, blob, reason);
      throw HubError(answer.response, answer.url, session.settings(), session.repository(),
                     facts.name);
    } catch (const TransportError& error) {
      note_progress();
      if (error.temporary() && retries.WaitForAnother(nullptr, error.what())) continue;
      ThrowIncomplete(session, facts, blob, error.what());
    }
  }
}

// Fetches and checks. A remnant of an earlier run may be at fault, once.
void FillBlob(HubSession& session, const FileFacts& facts, PartialBlob& blob,
              const CountBytes& count) {
  bool fresh = blob.bytes() == 0;
  for (;;) {
    FetchRest(session, facts, blob, count);
    const std::string found = blob.Finish();
    if (!facts.kind || found == facts.digest) return;
    if (fresh) {
      blob.Remove();
      Fail(session, facts.name, fmt::format("expected checksum {}, found {}", facts.digest, found));
    }
    count(-static_cast<int64_t>(blob.bytes()));
    blob.Restart();
    fresh = true;
  }
}

bool HasSize(const fs::path& path, uint64_t size) {
  std::error_code failure;
  return fs::is_regular_file(path, failure) && fs::file_size(path, failure) == size && !failure;
}

// Without a lock two programs could write to one file: then each has its own, and none resumes.
fs::path PartialPath(const HubCache& cache, const std::string& etag, bool locked) {
  if (locked) return cache.Blob(etag + ".incomplete");
  return cache.Blob(fmt::format("{}.{:08x}.incomplete", etag, std::random_device()()));
}

}  // namespace

void DownloadFile(HubSession& session, const HubCache& cache, const std::string& commit,
                  const HubFile& file, const CountBytes& count) {
  const FileFacts facts = AskForFacts(session, commit, file);
  const BlobLock lock(cache.Lock(facts.etag), session.hooks().cancelled, [&] {
    session.hooks().info(fmt::format("{}: {}: another program downloads it; waiting",
                                     session.repository().id, file.name));
  });
  const fs::path path = cache.Blob(facts.etag);
  if (HasSize(path, facts.size)) {
    count(static_cast<int64_t>(facts.size));
  } else {
    PartialBlob blob(PartialPath(cache, facts.etag, lock.held()), facts.size, facts.kind);
    count(static_cast<int64_t>(blob.bytes()));
    FillBlob(session, facts, blob, count);
    blob.Commit(path);
  }
  cache.Link(facts.etag, commit, file.name, session.settings().symlinks);
}

}  // namespace llmq
