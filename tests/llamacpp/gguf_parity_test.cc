// Dense GGUF files run as the models that they were made from: logits against those of Hugging Face
// transformers, whatever the rotary scaling, biases and types, in one file and in shards.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "llmq/convert.h"
#include "llmq/model.h"
#include "tests/llamacpp/dense_copy.h"
#include "tests/support/read_array.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using llmq::testing::ReadArray;

const std::filesystem::path kGolden = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity";
const std::filesystem::path kModels = LLMQ_TEST_MODEL_DIR;

struct Case {
  const char* name;  // folder in tests/golden/parity
  std::filesystem::path model;
  const char* file_type;
  float tolerance;  // of logits of magnitude up to 22
  uint64_t max_shard_bytes = 0;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name << " " << c.file_type; }

class GgufParityTest : public ::testing::TestWithParam<Case> {};

TEST_P(GgufParityTest, LogitsEqualTheOriginals) {
  const Case& c = GetParam();
  const testing::TemporaryDirectory directory;
  testing::WriteDenseCopy(c.model, directory / "m.littlebit");
  const LossyReport report =
      WriteGgufLossy(LittleBitFile(directory / "m.littlebit"), directory / "m.gguf",
                     {.file_type = c.file_type, .max_shard_bytes = c.max_shard_bytes, .threads = 2},
                     [](int64_t, int64_t, const std::string&) { return true; });
  EXPECT_EQ(report.files.size() > 1, c.max_shard_bytes > 0);
  uint64_t bytes = 0;
  for (const auto& file : report.files) bytes += std::filesystem::file_size(file);
  EXPECT_EQ(bytes, report.bytes);

  const auto model = Model::Open(report.files.front(), 2);
  const auto tokens = ReadArray<int32_t>(kGolden / c.name / "tokens.i32");
  const auto golden = ReadArray<float>(kGolden / c.name / "logits.f32");
  const auto session = Session::Create(*model, static_cast<int64_t>(tokens.size()));
  const auto logits = session->AppendAll(tokens);
  ASSERT_EQ(logits.size(), golden.size());
  for (size_t i = 0; i < golden.size(); ++i) ASSERT_NEAR(logits[i], golden[i], c.tolerance) << i;
  session->Reset();  // token by token: other kernels
  const auto vocab = static_cast<size_t>(model->config().vocab_size);
  for (size_t t = 0; t < 20; ++t) {
    const auto row = session->Append({&tokens[t], 1});
    for (size_t i = 0; i < vocab; ++i) ASSERT_NEAR(row[i], golden[t * vocab + i], c.tolerance);
  }
}

const Case kCases[] = {
    {"stories260k-hf-f32", kModels / "stories260k/hf-f32", "F32", 1e-4f},
    {"stories260k-hf-f32", kModels / "stories260k/hf-f32", "F32", 1e-4f, 100'000},
    {"stories260k-hf-f16", kModels / "stories260k/hf-f16", "F16", 1e-4f},
    {"stories260k-hf-bf16", kModels / "stories260k/hf-bf16", "BF16", 1e-4f},
    {"stories260k-hf-f32", kModels / "stories260k/hf-f32", "Q8_0", 0.5f},
    {"llama-bias-linear", kGolden / "llama-bias-linear", "F32", 1e-4f},
    {"llama-llama3", kGolden / "llama-llama3", "F32", 1e-4f},
    {"llama-yarn", kGolden / "llama-yarn", "F32", 1e-4f},
};
INSTANTIATE_TEST_SUITE_P(Models, GgufParityTest, ::testing::ValuesIn(kCases));

}  // namespace
}  // namespace llmq
