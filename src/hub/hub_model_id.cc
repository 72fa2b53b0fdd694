// Which texts name a model of the Hub.
#include <algorithm>
#include <array>
#include <cctype>

#include "base/limits.h"
#include "llmq/hub.h"

namespace llmq {
namespace {

constexpr size_t kMaxIdBytes = 96;
constexpr size_t kMaxRevisionBytes = 255;

bool IsWord(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 128 && (std::isalnum(byte) || c == '_');
}

// Letters, digits, "_", and inside also "-" and ".".
bool IsIdPart(std::string_view part) {
  return !part.empty() && IsWord(part.front()) && IsWord(part.back()) &&
         std::ranges::all_of(part, [](char c) { return IsWord(c) || c == '-' || c == '.'; });
}

// A file that is not there must not become a question to the Hub.
bool LooksLikeFile(std::string_view id) {
  constexpr std::array kEndings = {".littlebit", ".gguf",  ".safetensors", ".json",
                                   ".jsonl",     ".txt",   ".bin",         ".pt",
                                   ".pth",       ".index", ".git"};
  return std::ranges::any_of(kEndings, [&](const char* ending) { return id.ends_with(ending); });
}

}  // namespace

bool IsHubRevision(std::string_view revision) {
  if (!IsAllowedName(revision) || revision.size() > kMaxRevisionBytes) return false;
  if (revision.front() == '/' || revision.back() == '/') return false;
  // It is a path below the cache's folder "refs". git refuses ".." as well.
  return revision.find("..") == revision.npos && revision.find("//") == revision.npos &&
         revision.find('\\') == revision.npos && revision != ".";
}

std::optional<HubRepository> ParseHubModelId(std::string_view text) {
  HubRepository model;
  if (const size_t at = text.find('@'); at != text.npos) {
    model.revision = text.substr(at + 1);
    if (!IsHubRevision(model.revision)) return std::nullopt;
    text = text.substr(0, at);
  }
  const size_t slash = text.find('/');
  if (slash == text.npos || text.size() > kMaxIdBytes) return std::nullopt;
  if (!IsIdPart(text.substr(0, slash)) || !IsIdPart(text.substr(slash + 1))) return std::nullopt;
  if (text.find("--") != text.npos || text.find("..") != text.npos) return std::nullopt;
  if (LooksLikeFile(text)) return std::nullopt;
  model.id = text;
  return model;
}

}  // namespace llmq
