// The predicted file against the real one, byte for byte in size, and the published shapes.
#include "llmq/output_plan.h"

#include <gtest/gtest.h>

#include "llmq/error.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

using testing::TemporaryDirectory;
using testing::TinyCheckpointOptions;

// Fills every planned section with zeros.
uint64_t WritePlanned(const std::filesystem::path& path, const OutputPlan& plan,
                      const ModelFiles& files) {
  LittleBitWriter writer(path);
  for (const SectionPlan& s : plan.sections) {
    const std::vector<std::byte> zeros(s.data_bytes);
    switch (s.kind) {
      case StorageKind::kFile: writer.AddFile(s.name, files.at(s.name)); break;
      case StorageKind::kDense: writer.AddDense({s.name, s.dtype, s.shape, zeros}); break;
      case StorageKind::kGroupQuant:
        writer.AddGroupQuant(s.name, s.group_quant_shape(), zeros);
        break;
      case StorageKind::kLittleBit:
        writer.AddLittleBit(s.name, s.littlebit_shape(), zeros, 1);
        break;
      case StorageKind::kMetadata: ADD_FAILURE() << "metadata is the writer's"; break;
    }
  }
  return writer.Finish({.source_model = "x", .original_parameters = plan.original_parameters});
}

struct Case {
  const char* name;
  TinyCheckpointOptions options;
  TableBits table_bits;
};

class OutputPlanTest : public ::testing::TestWithParam<Case> {};

TEST_P(OutputPlanTest, IsTheFile) {
  const TemporaryDirectory directory;
  testing::WriteTinyCheckpoint(directory / "model", GetParam().options);
  const Checkpoint model(directory / "model");
  const RankPlan ranks = PlanRanks(model.config(), {.manual_rank = 8});
  const OutputPlan plan =
      PlanOutput(model.config(), model.files(), ranks, GetParam().table_bits, model.tensors());
  EXPECT_EQ(WritePlanned(directory / "out", plan, model.files()), plan.file_bytes);
  EXPECT_EQ(std::filesystem::file_size(directory / "out"), plan.file_bytes);
  EXPECT_EQ(plan.original_parameters, model.parameter_count());
  EXPECT_EQ(plan.original_fp16_bytes, static_cast<uint64_t>(model.fp16_bytes()));

  const LittleBitFile file(directory / "out");  // it opens: nothing is missing
  EXPECT_EQ(file.sections().size(), plan.sections.size() + 1);
  EXPECT_EQ(file.body_bytes(), ranks.body_bytes);
  EXPECT_EQ(file.body_weights(), ranks.body_weights);

  // config.json alone predicts the same.
  const OutputPlan from_config =
      PlanOutput(model.config(), model.files(), ranks, GetParam().table_bits, {});
  EXPECT_EQ(from_config.file_bytes, plan.file_bytes);
  EXPECT_EQ(from_config.original_parameters, plan.original_parameters);
}

INSTANTIATE_TEST_SUITE_P(
    All, OutputPlanTest,
    ::testing::Values(
        Case{"Plain", {}, {8, 8}}, Case{"FourBits", {}, {4, 4}}, Case{"SixBits", {}, {6, 6}},
        Case{"HeadOfItsOwn", {}, {4, 6}}, Case{"DenseHead", {}, {6, 16}},
        Case{"DenseTables", {}, {16, 16}},
        Case{"Tied", {.tied = true, .dtype = DType::kF16}, {8, 8}},
        Case{"TiedDense", {.tied = true, .dtype = DType::kBF16}, {16, 16}},
        Case{"Biases", {.attention_bias = true, .mlp_bias = true, .dtype = DType::kF64}, {8, 8}},
        Case{"OddShapes",
             {.hidden_size = 33,
              .intermediate_size = 47,
              .num_heads = 3,
              .num_kv_heads = 1,
              .head_dim = 10,
              .vocab_size = 61,
              .dtype = DType::kBF16},
             {4, 6}},
        Case{"Tokenizer",
             {.vocab_size = 512,
              .tokenizer_from = std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k/hf-f32"},
             {8, 8}}),
    [](const auto& test) { return test.param.name; });

TEST(OutputPlanTest, KeepsUnknownTensorsAndDropsOnlyTheTiedCopy) {
  const TemporaryDirectory directory;
  testing::WriteTinyCheckpoint(directory.path(), {.tied = true});
  const Checkpoint model(directory.path());
  const RankPlan ranks = PlanRanks(model.config(), {.manual_rank = 8});
  std::vector<TensorView> tensors(model.tensors().begin(), model.tensors().end());
  const OutputPlan before = PlanOutput(model.config(), model.files(), ranks, {8, 8}, tensors);
  const std::vector<std::byte> bytes(64 * 32 * 4);
  tensors.push_back({kHeadName, DType::kF32, {64, 32}, bytes});
  EXPECT_EQ(PlanOutput(model.config(), model.files(), ranks, {8, 8}, tensors).file_bytes,
            before.file_bytes);
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq", DType::kI16, {4}, bytes});
  const OutputPlan after = PlanOutput(model.config(), model.files(), ranks, {8, 8}, tensors);
  ASSERT_EQ(after.sections.size(), before.sections.size() + 1);
  EXPECT_EQ(after.sections.back().name, "model.layers.0.self_attn.rotary_emb.inv_freq");
  EXPECT_EQ(after.sections.back().dtype, DType::kI16);
  EXPECT_EQ(after.sections.back().data_bytes, 8u);
  EXPECT_EQ(after.original_parameters, before.original_parameters + 4);
}

TEST(OutputPlanTest, RefusesOtherEmbeddingBits) {
  const TemporaryDirectory directory;
  testing::WriteTinyCheckpoint(directory.path());
  const Checkpoint model(directory.path());
  try {
    PlanOutput(model.config(), {}, PlanRanks(model.config(), {.manual_rank = 8}), {8, 5}, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArguments);
    EXPECT_EQ(error.message(), "--head-bits: expected 16, 8, 6 or 4, found 5");
  }
}

// The feature's promise: 25 times smaller at 0.1 BPW, the whole file counted.
TEST(OutputPlanTest, SevenBillionAtATenthOfABit) {
  for (const char* name : {"llama-2-7b", "llama-2-13b"}) {
    const ModelFiles files =
        ReadModelFiles(std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "shapes" / name);
    const ModelConfig config = ParseModelConfig(files, name);
    const RankPlan ranks = PlanRanks(config, {.target_bpw = 0.1});
    EXPECT_LE(ranks.body_bpw, 0.1);
    const OutputPlan plan = PlanOutput(config, files, ranks, {8, 8}, {});
    const double ratio =
        static_cast<double>(plan.original_fp16_bytes) / static_cast<double>(plan.file_bytes);
    EXPECT_GE(ratio, 25.0) << name;
    EXPECT_LE(ratio, 160.0) << name;  // 0.1 of 16 bits, if tables and norms were free
  }
}

}  // namespace
}  // namespace llmq
