// The compressed models whose bytes are pinned in tests/golden/littlebit, and how they are made.
#ifndef LLMQ_TESTS_FORMATS_GOLDEN_MODELS_H_
#define LLMQ_TESTS_FORMATS_GOLDEN_MODELS_H_

#include <filesystem>
#include <string>
#include <vector>

namespace llmq::testing {

struct GoldenModel {
  std::string name;  // "one-path": tests/golden/littlebit/one-path-v1.littlebit
  void (*write)(const std::filesystem::path& path);
  int version;
};

// one-path: tied, 8-bit embedding; the example of docs/format/littlebit.md.
// two-paths: untied, 4-bit tables, biases, two files, tensors the architecture does not know.
// six-bits: version 2; embedding in 6 bits, head in 8, a budget of the whole file.
// scale-codes: version 3; scales of 4, 6, 8 and 16 bits.
// dense: embedding and some linears left dense, in several element types.
const std::vector<GoldenModel>& GoldenModels();

std::filesystem::path GoldenPath(const std::string& name);

}  // namespace llmq::testing

#endif  // LLMQ_TESTS_FORMATS_GOLDEN_MODELS_H_
