#include "text/vocabulary.h"

#include <fmt/format.h>

#include <charconv>

#include "text/utf8.h"

namespace llmq {

bool Vocabulary::Add(std::string_view text, int32_t id) {
  const auto index = static_cast<size_t>(id);
  if (index < texts_.size() && texts_[index] != nullptr) return false;
  const auto [it, added] = ids_.try_emplace(std::string(text), id);
  if (!added) return false;
  if (index >= texts_.size()) texts_.resize(index + 1, nullptr);
  texts_[index] = &it->first;
  return true;
}

std::optional<int32_t> Vocabulary::Find(std::string_view text) const {
  const auto it = ids_.find(text);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

const std::string* Vocabulary::Text(int32_t id) const {
  return id < 0 || id >= size() ? nullptr : texts_[static_cast<size_t>(id)];
}

std::vector<int32_t> Vocabulary::ByteTokens() const {
  std::vector<int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) {
    ids.push_back(Find(fmt::format("<0x{:02X}>", byte)).value_or(-1));
  }
  return ids;
}

std::optional<unsigned char> ParseByteToken(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  unsigned char byte = 0;
  const auto [end, error] = std::from_chars(&token[3], &token[5], byte, 16);
  if (error != std::errc() || end != &token[5]) return std::nullopt;
  return byte;
}

bool CrossesWordBorder(std::string_view token) {
  if (token.empty()) return false;
  return WordEnd(token, 0) != token.size();
}

size_t WordEnd(std::string_view text, size_t begin) {
  size_t at = begin;
  while (text.substr(at).starts_with(kVisibleSpace)) at += kVisibleSpace.size();
  return std::min(text.find(kVisibleSpace, at), text.size());
}

std::string PlainSpaces(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t space = std::min(text.find(kVisibleSpace, at), text.size());
    out.append(text, at, space - at);
    if (space < text.size()) out += ' ';
    at = space + kVisibleSpace.size();
  }
  return out;
}

}  // namespace llmq
