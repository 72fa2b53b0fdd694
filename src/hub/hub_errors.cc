#include "hub/hub_errors.h"

#include <fmt/format.h>

namespace llmq {
namespace {

// One refusal: what was asked for, of whom, what came.
struct Refusal {
  const HttpResponse& response;
  const HubSettings& settings;
  const HubRepository& repository;
  const std::string& what;
  std::string host;

  std::string subject() const {
    return what.empty() ? repository.id : fmt::format("{}: {}", repository.id, what);
  }
  std::string page() const { return fmt::format("{}/{}", settings.endpoint, UrlPath(repository)); }
  bool has_token() const { return !settings.token.empty(); }
};

Error RepositoryMissing(const Refusal& refusal) {
  const std::string subject =
      refusal.repository.kind == HubKind::kModel
          ? fmt::format("{}: no such directory here, and {} has no such repository",
                        refusal.repository.id, refusal.host)
          : fmt::format("{}: {} has no such data set", refusal.repository.id, refusal.host);
  return {ErrorCode::kModelNotFound, subject + ", or a private one",
          refusal.has_token()
              ? "Check the name, and that the token's account may read the repository"
              : "Check the name; for a private repository set HF_TOKEN"};
}

Error RevisionMissing(const Refusal& refusal) {
  return {ErrorCode::kModelNotFound,
          fmt::format("{}: expected a revision '{}', found none", refusal.repository.id,
                      Shown(refusal.repository.revision)),
          fmt::format("Choose a branch, tag or commit of {}/tree/main", refusal.page())};
}

Error EntryMissing(const Refusal& refusal) {
  return {ErrorCode::kModelNotFound,
          fmt::format("{}: expected this file in revision '{}', found none", refusal.subject(),
                      Shown(refusal.repository.revision)),
          fmt::format("See {}/tree/main for what is there", refusal.page())};
}

Error Gated(const Refusal& refusal) {
  return {ErrorCode::kAuthenticationRequired,
          fmt::format("{}: access is restricted: its owner wants people to ask for it",
                      refusal.repository.id),
          fmt::format("Visit {} to ask for access; {}", refusal.page(),
                      refusal.has_token() ? "the token in use has none so far"
                                          : "set HF_TOKEN to a token of that account")};
}

Error TokenRefused(const Refusal& refusal) {
  return {ErrorCode::kAuthenticationRequired,
          fmt::format("{}: {} does not accept the token", refusal.repository.id, refusal.host),
          "Set HF_TOKEN to a valid token, or unset it for public models"};
}

Error Forbidden(const Refusal& refusal, std::string_view message) {
  const bool disabled = message == "Access to this resource is disabled.";
  return {
      ErrorCode::kAuthenticationRequired,
      disabled
          ? fmt::format("{}: {} has disabled this repository", refusal.repository.id, refusal.host)
          : fmt::format("{}: {} refuses access (HTTP {}){}{}", refusal.subject(), refusal.host,
                        refusal.response.status, message.empty() ? "" : ": ", Shown(message)),
      fmt::format("Visit {} to ask for access; set HF_TOKEN", refusal.page())};
}

Error Overloaded(const Refusal& refusal) {
  const bool limited = refusal.response.status == 429;
  return {ErrorCode::kGeneral,
          fmt::format("{}: {} answers HTTP {} again and again{}", refusal.subject(), refusal.host,
                      refusal.response.status, limited ? " (too many requests)" : ""),
          limited && !refusal.has_token()
              ? "Try again later; with HF_TOKEN more requests are allowed"
              : "Try again later: the download continues where it stopped"};
}

}  // namespace

bool IsTemporaryStatus(int status) {
  return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
         status == 504;
}

Error HubError(const HttpResponse& response, const Url& from, const HubSettings& settings,
               const HubRepository& repository, const std::string& what) {
  const Refusal refusal{response, settings, repository, what, from.host};
  const int status = response.status;
  if (IsTemporaryStatus(status)) return Overloaded(refusal);
  const auto endpoint = ParseUrl(settings.endpoint);
  // Behind a redirect another host stores the bytes: its refusals say nothing about the account.
  if (endpoint && SameOrigin(from, *endpoint)) {
    const std::string_view code = response.Header("x-error-code");
    const std::string_view message = response.Header("x-error-message");
    if (code == "GatedRepo") return Gated(refusal);
    if (code == "RepoNotFound") return RepositoryMissing(refusal);
    if (code == "RevisionNotFound") return RevisionMissing(refusal);
    if (code == "EntryNotFound") return EntryMissing(refusal);
    if (status == 401) {
      return message == "Invalid credentials in Authorization header" ? TokenRefused(refusal)
                                                                      : RepositoryMissing(refusal);
    }
    if (status == 403) return Forbidden(refusal, message);
    if (status == 404) return what.empty() ? RepositoryMissing(refusal) : EntryMissing(refusal);
  }
  return {ErrorCode::kGeneral,
          fmt::format("{}: expected the file from {}, found HTTP {}", refusal.subject(), from.host,
                      status),
          "Try again later: the download continues where it stopped"};
}

Error UnreachableError(const TransportError& error, const HubSettings& settings,
                       const HubRepository& repository) {
  const auto endpoint = ParseUrl(settings.endpoint);
  return {ErrorCode::kGeneral,
          fmt::format("{}: {} gives no answer: {}", repository.id,
                      endpoint ? endpoint->host : settings.endpoint, Shown(error.what())),
          "Check the network and HF_ENDPOINT; what was downloaded stays for the next run"};
}

std::string UrlPath(const HubRepository& repository) {
  return repository.kind == HubKind::kModel ? repository.id
                                            : fmt::format("datasets/{}", repository.id);
}

std::string Shown(std::string_view text) {
  constexpr size_t kMost = 200;
  std::string shown(text.substr(0, kMost));
  for (char& c : shown) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) c = '?';
  }
  return shown;
}

}  // namespace llmq
