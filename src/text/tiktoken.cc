#include "text/tiktoken.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>
#include <vector>

#include "llmq/error.h"
#include "text/base64.h"
#include "text/bpe_model.h"
#include "text/byte_alphabet.h"
#include "text/json_tokenizer.h"

namespace llmq {
namespace {

// How tokenizers cut text into words, by their class in tokenizer_config.json; without one, by the
// number of their ranks.
struct Words {
  const char* tokenizer_class;
  size_t ranks;  // 0: known by the class only
  const char* digits;
};
constexpr std::array<Words, 6> kWords = {{{"PreTrainedTokenizerFast", 128000, "{1,3}"},  // Llama 3
                                          {"LlamaTokenizerFast", 0, "{1,3}"},
                                          {"LlamaTokenizer", 0, "{1,3}"},
                                          {"ChatGLM4Tokenizer", 0, "{1,3}"},
                                          {"QWenTokenizer", 151643, ""},
                                          {"Qwen2Tokenizer", 0, ""}}};

std::string WordExpression(const TokenizerConfig& config, size_t ranks, const std::string& where) {
  const std::string& name = config.tokenizer_class;
  const auto it = std::find_if(kWords.begin(), kWords.end(), [&](const Words& words) {
    return name.empty() ? words.ranks == ranks : name == words.tokenizer_class;
  });
  if (it == kWords.end()) {
    throw Error(ErrorCode::kGeneral,
                fmt::format("{}: a tiktoken file does not say how {} cuts text into words", where,
                            name.empty() ? "a model" : name),
                "Add the model's tokenizer.json");
  }
  return fmt::format(R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{})"
                     R"(| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
                     it->digits);
}

struct Line {
  std::string token;
  uint64_t rank;
};

std::optional<Line> ParseLine(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  auto token = DecodeBase64(line.substr(0, space));
  Line result;
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(line.data() + space + 1, end, result.rank);
  if (!token || token->empty() || error != std::errc() || stop != end) return std::nullopt;
  result.token = std::move(*token);
  return result;
}

// The lines, without their ends; an empty one behind the last is none.
template <typename Visit>
void ForEachLine(std::string_view text, const Visit& visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    at = end + 1;
    if (!visit(line)) return;
  }
}

std::string InByteAlphabet(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += ByteCharacters()[static_cast<uint8_t>(byte)];
  return text;
}

// [ranks]: tokens in the byte alphabet.
std::vector<std::string> ReadTokens(std::string_view bytes, const std::string& where) {
  std::vector<std::string> tokens;
  std::array<bool, 256> has_byte{};
  ForEachLine(bytes, [&](std::string_view text) {
    const auto line = ParseLine(text);
    if (!line || line->rank != tokens.size()) {
      throw Error(ErrorCode::kGeneral,
                  fmt::format("{}: line {}: expected a token in Base64 and rank {}, found \"{}\"",
                              where, tokens.size() + 1, tokens.size(), text.substr(0, 60)),
                  "The file is damaged or not a tiktoken file");
    }
    if (line->token.size() == 1) has_byte[static_cast<uint8_t>(line->token[0])] = true;
    tokens.push_back(InByteAlphabet(line->token));
    return true;
  });
  const auto missing = std::find(has_byte.begin(), has_byte.end(), false);
  if (missing != has_byte.end()) {
    throw Error(ErrorCode::kGeneral, fmt::format("{}: expected a token for each byte, found none "
                                                 "for {}",
                                                 where, missing - has_byte.begin()));
  }
  return tokens;
}

}  // namespace

bool LooksLikeTiktoken(std::string_view bytes) {
  bool looks = false;
  ForEachLine(bytes, [&](std::string_view line) {
    looks = ParseLine(line).has_value();
    return false;
  });
  return looks;
}

std::unique_ptr<Tokenizer> ReadTiktoken(std::string_view bytes, const TokenizerConfig& config,
                                        const std::string& where) {
  const std::vector<std::string> tokens = ReadTokens(bytes, where);
  const SortedJson split = {{"type", "Split"},
                            {"pattern", {{"Regex", WordExpression(config, tokens.size(), where)}}},
                            {"behavior", "Isolated"}};
  SortedJson file;
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {split, {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  file["decoder"] = {{"type", "ByteLevel"}};
  file["added_tokens"] = config.added_tokens;
  if (config.add_bos_token.value_or(true)) file["post_processor"] = BeginTemplate(config);
  return MakeTokenizer(file, std::make_unique<BpeModel>(tokens, where), bytes.size(), config,
                       where);
}

}  // namespace llmq
