// What the tests of tokenizers in GGUF keys share.
#ifndef LLMQ_TESTS_LLAMACPP_TOKENIZER_KEYS_SUPPORT_H_
#define LLMQ_TESTS_LLAMACPP_TOKENIZER_KEYS_SUPPORT_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llamacpp/tokenizer_reader.h"
#include "llamacpp/tokenizer_writer.h"
#include "llmq/error.h"
#include "tests/text/text_test_support.h"

namespace llmq {

// TokenizerKeys for a model with that many embeddings.
std::vector<GgufKey> KeysFor(const ModelFiles& files, int64_t vocab_size,
                             const std::string& pre_tokenizer = "");
std::unique_ptr<Tokenizer> TokenizerFrom(std::span<const GgufKey> keys);

// Of tests/golden/tokenizers or, with a folder, of models/.
ModelFiles GoldenFiles(const std::string& name);
ModelFiles StoriesFiles(const std::string& folder);

// The value of a key; fails the test, and gives an empty value, if it is not there with that type.
template <typename T>
T Value(std::span<const GgufKey> keys, std::string_view name) {
  for (const GgufKey& key : keys) {
    const T* value = key.name == name ? std::get_if<T>(&key.value) : nullptr;
    if (value != nullptr) return *value;
  }
  ADD_FAILURE() << name << ": not there or of another type";
  return T{};
}
bool HasKey(std::span<const GgufKey> keys, std::string_view name);

// The Error that `call` throws, as "code: message | suggestion"; "none" if it throws none.
std::string ErrorOf(const std::function<void()>& call);

}  // namespace llmq

#endif  // LLMQ_TESTS_LLAMACPP_TOKENIZER_KEYS_SUPPORT_H_
