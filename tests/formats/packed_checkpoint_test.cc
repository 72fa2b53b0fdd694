// Packed checkpoints become .littlebit files that stand for the same matrices.
#include "llmq/packed_checkpoint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <ostream>

#include "base/file.h"
#include "base/half.h"
#include "base/json.h"
#include "llmq/error.h"
#include "llmq/littlebit_file.h"
#include "llmq/model_config.h"
#include "tests/formats/packed_models.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::DenseMatrices;
using testing::PackedKind;
using testing::PackedModelOptions;
using testing::RawTensor;
using testing::TemporaryDirectory;
using testing::WritePackedModel;

LittleBitFile Import(const fs::path& directory, const fs::path& output,
                     const PackedImportOptions& options = {},
                     std::vector<std::string>* warnings = nullptr) {
  std::vector<std::string> own;
  const uint64_t bytes =
      ImportPackedCheckpoint(directory, output, options, warnings == nullptr ? own : *warnings);
  EXPECT_EQ(own, std::vector<std::string>{});
  EXPECT_EQ(bytes, fs::file_size(output));
  LittleBitFile file(output);
  file.Verify();
  return file;
}

// Largest difference, relative to the largest magnitude.
double Difference(std::span<const float> found, const std::vector<double>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0, difference = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(expected[i]));
    difference = std::max(difference, std::fabs(found[i] - expected[i]));
  }
  EXPECT_GT(largest, 0);
  return difference / largest;
}

std::vector<float> Reconstruct(const LittleBitSection& section) {
  std::vector<float> dense(static_cast<size_t>(section.shape[0] * section.shape[1]));
  ReconstructDense(section.littlebit_shape(), section.data, dense);
  return dense;
}

void ExpectMatrices(const LittleBitFile& file, const DenseMatrices& expected, double tolerance) {
  for (const auto& [name, dense] : expected) {
    const LittleBitSection* section = file.Find(name);
    ASSERT_NE(section, nullptr) << name;
    ASSERT_EQ(section->kind, StorageKind::kLittleBit) << name;
    EXPECT_LE(Difference(Reconstruct(*section), dense), tolerance) << name;
    EXPECT_EQ(section->relative_error, 0);
  }
}

struct Case {
  const char* name;
  PackedModelOptions options;
  double tolerance = 1e-6;  // bf16 and fp16 scales are exact; sums in f32
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class PackedCheckpointTest : public ::testing::TestWithParam<Case> {};

TEST_P(PackedCheckpointTest, StandsForTheSameMatrices) {
  const TemporaryDirectory directory;
  const PackedModelOptions& options = GetParam().options;
  const DenseMatrices dense = WritePackedModel(directory / "model", options);
  EXPECT_TRUE(LooksLikePackedCheckpoint(directory / "model"));
  const LittleBitFile file = Import(directory / "model", directory / "out.littlebit");
  ASSERT_EQ(dense.size(), options.dense_linear.empty() ? 14u : 13u);
  ExpectMatrices(file, dense, GetParam().tolerance);
  const int64_t rank = std::max(options.rank, options.residual_rank);
  for (const auto& [name, matrix] : dense) {
    EXPECT_EQ(file.Find(name)->rank, rank);
    EXPECT_EQ(file.Find(name)->paths, options.residual_rank > 0 ? 2 : 1);
  }
  EXPECT_EQ(file.metadata().manual_rank, rank);
}

INSTANTIATE_TEST_SUITE_P(
    All, PackedCheckpointTest,
    ::testing::Values(
        Case{"OnePath", {}},                            //
        Case{"TwoPaths", {.residual_rank = 20}},        //
        Case{"ShorterResidual", {.residual_rank = 3}},  //
        Case{"ShorterPrimary", {.residual_rank = 41}},  //
        Case{"RankOne", {.rank = 1}},                   //
        Case{"RankOfWholeWords", {.rank = 64}},         //
        Case{"RankOfThreeWords", {.rank = 70}},         //
        Case{"Vectors", {.scales_as_rows = false}},     //
        Case{"HalfScales", {.scale_dtype = DType::kF16}, 2e-3},
        Case{"FloatScales", {.residual_rank = 20, .scale_dtype = DType::kF32}, 2e-3},
        Case{"LargeAndSmallScales", {.g_factor = 0x1p-40f, .h_factor = 0x1p38f}},
        Case{"Sharded", {.residual_rank = 20, .shards = 2}},
        Case{"LeftDense", {.dense_linear = "model.layers.0.mlp.up_proj"}},
        Case{"NanoQuant", {.kind = PackedKind::kNanoQuant}},
        Case{"NanoQuantWithoutMid", {.kind = PackedKind::kNanoQuant, .scale_mid = false}},
        Case{"NanoQuantSharded", {.kind = PackedKind::kNanoQuant, .rank = 33, .shards = 2}}),
    [](const auto& test) { return test.param.name; });

TEST(PackedImportTest, KeepsEverythingElse) {
  const TemporaryDirectory directory;
  PackedModelOptions options;
  options.kind = PackedKind::kNanoQuant;
  options.dense_linear = "model.layers.1.self_attn.o_proj";
  options.model.attention_bias = options.model.mlp_bias = true;
  options.model.dtype = DType::kBF16;
  options.model.config_overrides = R"({"auto_map": {"AutoModelForCausalLM": "x.Y"}, "bits": 0.55})";
  options.model.tokenizer_from = fs::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
  options.model.vocab_size = 512;
  WritePackedModel(directory / "model", options);
  const LittleBitFile file = Import(directory / "model", directory / "out",
                                    {.table_bits = {16, 16}, .source_name = "a/b"});
  EXPECT_EQ(file.files(), ReadModelFiles(directory / "model"));
  EXPECT_TRUE(file.files().contains("tokenizer.model"));

  testing::WriteTinyCheckpoint(directory / "dense", options.model);
  const Checkpoint original(directory / "dense");
  int kept = 0;
  for (const TensorView& tensor : original.tensors()) {
    const LittleBitSection* section = file.Find(tensor.name);
    ASSERT_NE(section, nullptr) << tensor.name;
    if (section->kind == StorageKind::kLittleBit) continue;
    ASSERT_EQ(section->kind, StorageKind::kDense) << tensor.name;
    EXPECT_EQ(section->dtype, DType::kBF16);
    EXPECT_TRUE(std::ranges::equal(section->data, tensor.data)) << tensor.name;
    ++kept;
  }
  EXPECT_EQ(kept, 5 + 2 + 14 + 1);  // norms, tables, biases, the linear left dense
  const LittleBitMetadata& metadata = file.metadata();
  EXPECT_EQ(metadata.source_model, "a/b");
  EXPECT_EQ(metadata.recipe, "imported");
  EXPECT_TRUE(metadata.producer.starts_with("llm-quantize ")) << metadata.producer;
  EXPECT_EQ(metadata.target_bpw, 0);
  EXPECT_EQ(metadata.original_parameters, original.parameter_count());
  EXPECT_EQ(metadata.original_fp16_bytes, original.fp16_bytes());
  EXPECT_EQ(metadata.table_bits, (TableBits{16, 16}));
}

TEST(PackedImportTest, TablesAreGrouped) {
  for (const int bits : {8, 6, 4}) {
    const TemporaryDirectory directory;
    WritePackedModel(directory / "model", {});
    const LittleBitFile file =
        Import(directory / "model", directory / "out", {.table_bits = {bits, bits}});
    EXPECT_EQ(file.metadata().table_bits, (TableBits{bits, bits}));
    EXPECT_EQ(file.metadata().source_model, "model");
    testing::WriteTinyCheckpoint(directory / "dense", PackedModelOptions{}.model);
    const Checkpoint original(directory / "dense");
    for (const char* name : {kEmbeddingName, kHeadName}) {
      const LittleBitSection* section = file.Find(name);
      ASSERT_EQ(section->kind, StorageKind::kGroupQuant);
      ASSERT_EQ(section->bits, bits);
      const std::vector<float> values = ToFloat(original.Get(name));
      std::vector<std::byte> expected(section->data.size());
      QuantizeGroups(section->group_quant_shape(), values, expected);
      EXPECT_TRUE(std::ranges::equal(section->data, expected)) << name;
    }
  }
}

TEST(PackedImportTest, SectionsLieInTheOrderOfComputation) {
  const TemporaryDirectory directory;
  WritePackedModel(directory / "model", {});
  const LittleBitFile file = Import(directory / "model", directory / "out");
  std::vector<std::string> names;
  for (const LittleBitSection& section : file.sections()) names.push_back(section.name);
  const auto index = [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) - names.begin();
  };
  EXPECT_EQ(index("config.json"), 0);
  EXPECT_EQ(index(kEmbeddingName), 1);
  EXPECT_EQ(index("model.layers.0.self_attn.q_proj.weight"), 3);
  EXPECT_EQ(index("model.layers.0.post_attention_layernorm.weight"), 7);
  EXPECT_EQ(index(kHeadName), static_cast<ptrdiff_t>(names.size()) - 2);  // before the metadata
}

TEST(PackedImportTest, TiedHeadIsNotStored) {
  const TemporaryDirectory directory;
  PackedModelOptions options;
  options.model.tied = true;
  options.change = [](std::vector<RawTensor>& tensors) {
    RawTensor copy = testing::At(tensors, kEmbeddingName);
    copy.name = kHeadName;
    tensors.push_back(copy);
  };
  WritePackedModel(directory / "model", options);
  EXPECT_EQ(Import(directory / "model", directory / "out").Find(kHeadName), nullptr);
}

TEST(PackedImportTest, OwnQuantizationConfigIsTakenOut) {
  const TemporaryDirectory directory;
  WritePackedModel(directory / "model", {});
  testing::AddToConfig(directory / "model",
                       R"("quantization_config": {"quant_method": "LittleBit"}, "kept": 1e-05)");
  const Json config = ParseJson(
      Import(directory / "model", directory / "out").files().at("config.json"), "config.json");
  EXPECT_FALSE(config.contains("quantization_config"));
  EXPECT_EQ(config.at("kept"), 1e-05);
  EXPECT_EQ(config.at("hidden_size"), 36);
}

// The first value of a tensor of floats.
void SetFirst(std::vector<RawTensor>& tensors, const std::string& name, float value) {
  RawTensor& tensor = testing::At(tensors, name);
  const auto bytes = testing::EncodeValues({value}, tensor.dtype);
  std::copy(bytes.begin(), bytes.end(), tensor.bytes.begin());
}

TEST(PackedImportTest, WarnsOfScalesThatFp16CannotHold) {
  const TemporaryDirectory directory;
  PackedModelOptions options;
  options.change = [](std::vector<RawTensor>& tensors) {
    SetFirst(tensors, "model.layers.1.mlp.up_proj.v1", 0x1p-60f);
  };
  const DenseMatrices dense = WritePackedModel(directory / "model", options);
  std::vector<std::string> warnings;
  const LittleBitFile file = Import(directory / "model", directory / "out", {}, &warnings);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(warnings[0].starts_with("model.layers.1.mlp.up_proj: scales differ by up to 1 "))
      << warnings[0];
  ExpectMatrices(
      file, {{"model.layers.0.mlp.up_proj.weight", dense.at("model.layers.0.mlp.up_proj.weight")}},
      1e-6);
}

TEST(PackedImportTest, WarnsOfTensorsItDoesNotKnow) {
  const TemporaryDirectory directory;
  PackedModelOptions options;
  options.change = [](std::vector<RawTensor>& tensors) {
    tensors.push_back({"model.layers.0.mlp.up_proj.extra", DType::kU8, {}, {std::byte{7}}});
    tensors.push_back({"model.rotary.inv_freq", DType::kF32, {1}, std::vector<std::byte>(4)});
  };
  WritePackedModel(directory / "model", options);
  std::vector<std::string> warnings;
  const LittleBitFile file = Import(directory / "model", directory / "out", {}, &warnings);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_TRUE(warnings[0].starts_with("model.layers.0.mlp.up_proj.extra: kept, but"))
      << warnings[0];
  EXPECT_EQ(file.Find("model.layers.0.mlp.up_proj.extra")->data[0], std::byte{7});
  EXPECT_NE(file.Find("model.rotary.inv_freq"), nullptr);
}

TEST(PackedImportTest, SameBytesEveryTime) {
  const TemporaryDirectory directory;
  WritePackedModel(directory / "model", {.residual_rank = 7});
  Import(directory / "model", directory / "a");
  Import(directory / "model", directory / "b");
  EXPECT_EQ(ReadTextFile(directory / "a"), ReadTextFile(directory / "b"));
}

TEST(PackedImportTest, LooksLikePackedCheckpoint) {
  const TemporaryDirectory directory;
  EXPECT_FALSE(LooksLikePackedCheckpoint(directory / "none"));
  EXPECT_FALSE(LooksLikePackedCheckpoint(directory.path()));
  testing::WriteTinyCheckpoint(directory / "dense");
  EXPECT_FALSE(LooksLikePackedCheckpoint(directory / "dense"));
  EXPECT_FALSE(LooksLikePackedCheckpoint(directory / "dense" / "model.safetensors"));
  std::ofstream(directory / "model.safetensors") << "no such thing";
  EXPECT_FALSE(LooksLikePackedCheckpoint(directory.path()));
}

std::vector<float> ReadFloats(const fs::path& path) {
  const std::string bytes = ReadTextFile(path);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// Written by scripts/golden/make_packed_golden.py with another packer, in another language.
TEST(PackedImportTest, Goldens) {
  const TemporaryDirectory directory;
  for (const char* kind : {"littlebit", "nanoquant"}) {
    const fs::path golden = fs::path(LLMQ_TEST_GOLDEN_DIR) / "packed" / kind;
    const LittleBitFile file = Import(golden, directory / kind);
    for (const char* linear : {"model.layers.0.self_attn.k_proj", "model.layers.1.mlp.down_proj"}) {
      const std::vector<float> expected = ReadFloats(golden / (std::string(linear) + ".f32"));
      const LittleBitSection* section = file.Find(std::string(linear) + ".weight");
      EXPECT_LE(Difference(Reconstruct(*section), {expected.begin(), expected.end()}), 1e-6)
          << kind << " " << linear;
    }
  }
}

}  // namespace
}  // namespace llmq
