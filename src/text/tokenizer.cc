// The door of src/text: chooses the reader by the files that are there.
#include "llmq/tokenizer.h"

#include <fmt/format.h>

#include "llmq/error.h"
#include "text/json_tokenizer.h"
#include "text/sentencepiece_tokenizer.h"
#include "text/tiktoken.h"
#include "text/tokenizer_config.h"

namespace llmq {

std::unique_ptr<Tokenizer> Tokenizer::FromFiles(const ModelFiles& files, const std::string& where) {
  const auto find = [&](const char* name) {
    const auto it = files.find(name);
    return it == files.end() ? nullptr : &it->second;
  };
  const TokenizerConfig config = TokenizerConfig::FromFiles(files, where);
  if (const std::string* text = find("tokenizer.json")) {
    return ReadJsonTokenizer(*text, config, where + ": tokenizer.json");
  }
  for (const char* name : {"tokenizer.model", "qwen.tiktoken"}) {
    const std::string* bytes = find(name);
    if (bytes != nullptr && LooksLikeTiktoken(*bytes)) {
      return ReadTiktoken(*bytes, config, fmt::format("{}: {}", where, name));
    }
  }
  if (const std::string* bytes = find("tokenizer.model")) {
    return ReadSentencePieceTokenizer(*bytes, config, where + ": tokenizer.model");
  }
  const std::string* vocab = find("vocab.json");
  const std::string* merges = find("merges.txt");
  if (vocab != nullptr && merges != nullptr) {
    return ReadGpt2Tokenizer(*vocab, *merges, config, where);
  }
  throw Error(ErrorCode::kGeneral, where + ": expected a tokenizer, found none",
              "Add the model's tokenizer.json or tokenizer.model");
}

std::string Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  const std::unique_ptr<TokenDecoder> decoder = NewDecoder(skip_special);
  std::string text;
  for (const int32_t id : ids) text += decoder->Push(id);
  return text += decoder->Flush();
}

}  // namespace llmq
