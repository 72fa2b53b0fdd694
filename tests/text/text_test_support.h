// What the tests of src/text share: tokenizers read from folders, and failing loads.
#ifndef LLMQ_TESTS_TEXT_TEXT_TEST_SUPPORT_H_
#define LLMQ_TESTS_TEXT_TEXT_TEST_SUPPORT_H_

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "llmq/tokenizer.h"

namespace llmq {

std::filesystem::path GoldenPath(const std::string& name);  // in tests/golden/tokenizers
SortedJson ReadGolden(const std::string& name);

// The files of `folder` that bear one of `names`.
ModelFiles ReadFiles(const std::filesystem::path& folder, const std::vector<std::string>& names);

// The message of the Error that reading the files throws; "" if it throws none. The error must be
// kGeneral.
std::string LoadError(const ModelFiles& files);

// Pushes ids one by one; checks that every part is valid UTF-8.
std::string DecodeByStream(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                           bool skip_special);

// A SentencePiece model in wire form.
struct WirePiece {
  std::string text;
  float score = 0;
  int type = 1;
};
std::string WireField(int number, std::string_view bytes);
std::string WireNumber(int number, uint64_t value);
std::string WireModel(const std::vector<WirePiece>& pieces, const std::string& trainer_spec,
                      const std::string& normalizer_spec);

}  // namespace llmq

#endif  // LLMQ_TESTS_TEXT_TEXT_TEST_SUPPORT_H_
