#include "hub/hub_api.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/json.h"
#include "base/limits.h"
#include "hub/hub_errors.h"
#include "llmq/error.h"

namespace llmq {
namespace {

constexpr int kMaxPages = 1000;

[[noreturn]] void Fail(const HubSession& session, const std::string& what) {
  throw Error(ErrorCode::kGeneral, fmt::format("{}: {}", session.repository().id, what),
              "Check HF_ENDPOINT; if it is right, try again later");
}

// Link: <https://host/path?cursor=x>; rel="next"
std::optional<std::string> NextPage(const HttpResponse& response) {
  const std::string_view link = response.Header("link");
  const size_t next = link.find("rel=\"next\"");
  if (next == link.npos) return std::nullopt;
  const size_t begin = link.rfind('<', next);
  const size_t end = link.find('>', begin == link.npos ? next : begin);
  if (begin == link.npos || end == link.npos || end > next) return std::nullopt;
  return std::string(link.substr(begin + 1, end - begin - 1));
}

std::string ApiUrl(const HubSession& session) {
  const HubRepository& repository = session.repository();
  return fmt::format("{}/api/{}/{}", session.settings().endpoint,
                     repository.kind == HubKind::kModel ? "models" : "datasets", repository.id);
}

// `prefix`: "" or "folder/".
std::optional<HubFile> ParseEntry(const HubSession& session, const std::string& prefix,
                                  const Json& entry) {
  const std::string where = "file list of " + session.repository().id;
  if (GetString(entry, "type", "", where) != "file") return std::nullopt;
  HubFile file{.name = GetString(entry, "path", "", where)};
  // ".gitattributes", files in other folders.
  if (!file.name.starts_with(prefix)) return std::nullopt;
  if (!IsPlainFileName(std::string_view(file.name).substr(prefix.size()))) return std::nullopt;
  int64_t size = GetInt(entry, "size", -1, where);
  file.git_oid = GetString(entry, "oid", "", where);
  if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
    file.sha256 = GetString(*lfs, "oid", "", where);
    size = GetInt(*lfs, "size", size, where);
  }
  if (size < 0) Fail(session, fmt::format("{}: expected its size, found none", Shown(file.name)));
  if (!file.sha256.empty() && !IsHex(file.sha256, 64)) {
    Fail(session,
         fmt::format("{}: expected a SHA-256, found '{}'", Shown(file.name), Shown(file.sha256)));
  }
  file.size = static_cast<uint64_t>(size);
  return file;
}

}  // namespace

bool IsHex(std::string_view text, size_t digits) {
  return text.size() == digits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string FetchCommit(HubSession& session, bool retry) {
  const HubRepository& repository = session.repository();
  const auto [text, response] =
      session.GetText(fmt::format("{}/revision/{}", ApiUrl(session),
                                  PercentEncode(repository.revision, /*keep_slash=*/false)),
                      retry);
  const std::string where = "answer about " + repository.id;
  const std::string commit = GetString(ParseJson(text, where), "sha", "", where);
  // It becomes the name of a directory.
  if (!IsHex(commit, 40)) {
    Fail(session,
         fmt::format("expected a commit of 40 hexadecimal digits, found '{}'", Shown(commit)));
  }
  return commit;
}

std::vector<HubFile> FetchFileList(HubSession& session, const std::string& commit,
                                   const std::string& folder) {
  const auto origin = ParseUrl(session.settings().endpoint);
  std::string url = fmt::format("{}/tree/{}", ApiUrl(session), commit);
  if (!folder.empty()) url += "/" + PercentEncode(folder, /*keep_slash=*/true);
  const std::string prefix = folder.empty() ? "" : folder + "/";
  std::vector<HubFile> files;
  for (int page = 0; page < kMaxPages; ++page) {
    const auto [text, response] = session.GetText(url);
    const Json list = ParseJson(text, "file list of " + session.repository().id);
    if (!list.is_array()) Fail(session, "expected a list of files, found another JSON value");
    for (const Json& entry : list) {
      if (auto file = ParseEntry(session, prefix, entry)) files.push_back(std::move(*file));
    }
    const auto next = NextPage(response);
    if (!next) return files;
    const auto next_url = ResolveUrl(*ParseUrl(url), *next);
    if (!next_url || !SameOrigin(*next_url, *origin)) {
      Fail(session, "expected the next page of the file list on the same host, found another");
    }
    url = next_url->text;
  }
  Fail(session, fmt::format("expected at most {} pages of files, found more", kMaxPages));
}

std::string FileUrl(const HubSession& session, const std::string& commit, const std::string& name) {
  return fmt::format("{}/{}/resolve/{}/{}", session.settings().endpoint,
                     UrlPath(session.repository()), commit,
                     PercentEncode(name, /*keep_slash=*/true));
}

}  // namespace llmq
