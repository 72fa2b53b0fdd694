// Imported packed checkpoints compute what transformers computes with their linears multiplied out
// (scripts/golden/make_packed_golden.py).
//
// Tolerance as in parity_test.cc: 1e-4 on logits of magnitude up to 14. Scales of these models are
// bf16 numbers that fp16 holds exactly, and the tables are kept at 16 bits.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "llmq/model.h"
#include "llmq/packed_checkpoint.h"
#include "tests/support/read_array.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using llmq::testing::ReadArray;

namespace fs = std::filesystem;

TEST(PackedParityTest, LogitsEqualThoseOfTransformers) {
  for (const char* kind : {"littlebit", "nanoquant"}) {
    const testing::TemporaryDirectory directory;
    const fs::path golden = fs::path(LLMQ_TEST_GOLDEN_DIR) / "packed" / kind;
    fs::copy(golden, directory / "model");
    const fs::path tokenizer = fs::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
    for (const char* file : {"tokenizer.model", "tokenizer_config.json"}) {
      fs::copy(tokenizer / file, directory / "model" / file);
    }
    std::vector<std::string> warnings;
    const fs::path imported = directory / "imported.littlebit";
    ImportPackedCheckpoint(directory / "model", imported, {.table_bits = {16, 16}}, warnings);
    EXPECT_TRUE(warnings.empty());

    const auto tokens = ReadArray<int32_t>(golden / "tokens.i32");
    const auto expected = ReadArray<float>(golden / "logits.f32");
    const std::unique_ptr<Model> model = Model::Open(imported, 1);
    const auto session = Session::Create(*model, static_cast<int64_t>(tokens.size()));
    const auto found = session->AppendAll(tokens);
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(found[i], expected[i], 1e-4f) << kind << " logit " << i;
    }
  }
}

}  // namespace
}  // namespace llmq
