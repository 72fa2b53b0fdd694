// Packed checkpoints that lie: a named error, and no file.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <ostream>

#include "base/file.h"
#include "llmq/error.h"
#include "llmq/model_config.h"
#include "llmq/packed_checkpoint.h"
#include "tests/formats/packed_models.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::At;
using testing::PackedKind;
using testing::PackedModelOptions;
using testing::RawTensor;
using testing::TemporaryDirectory;
using testing::WritePackedModel;
using Tensors = std::vector<RawTensor>;

void ExpectRefused(const fs::path& directory, const fs::path& output, ErrorCode code,
                   const std::string& message_part, const PackedImportOptions& options = {}) {
  std::vector<std::string> warnings;
  try {
    ImportPackedCheckpoint(directory, output, options, warnings);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_NE(error.message().find(message_part), std::string::npos) << error.message();
  }
  EXPECT_FALSE(fs::exists(output));
  for (const auto& entry : fs::directory_iterator(output.parent_path())) {
    EXPECT_TRUE(entry.is_directory()) << entry.path();  // no temporary file either
  }
}

// Of the second layer: the writer has begun its file when the linear is read.
constexpr const char* kLinear = "model.layers.1.mlp.down_proj";  // [36, 50]
std::string Name(const char* part) { return std::string(kLinear) + "." + part; }

void Remove(Tensors& tensors, const std::string& name) {
  std::erase_if(tensors, [&](const RawTensor& tensor) { return tensor.name == name; });
}

void SetShape(Tensors& tensors, const char* part, std::vector<int64_t> values) {
  At(tensors, Name(part)) = testing::Int64Tensor(Name(part), values);
}

void Resize(Tensors& tensors, const char* part, DType dtype, std::vector<int64_t> shape) {
  size_t bytes = DTypeBytes(dtype);
  for (const int64_t dimension : shape) bytes *= static_cast<size_t>(dimension);
  At(tensors, Name(part)) = {Name(part), dtype, std::move(shape), std::vector<std::byte>(bytes)};
}

void SetValue(Tensors& tensors, const std::string& name, size_t index, float value) {
  RawTensor& tensor = At(tensors, name);
  const auto bytes = testing::EncodeValues({value}, tensor.dtype);
  std::memcpy(tensor.bytes.data() + index * bytes.size(), bytes.data(), bytes.size());
}

void SetBit(Tensors& tensors, const char* part, size_t row, size_t bit) {
  RawTensor& tensor = At(tensors, Name(part));
  const auto row_bytes = static_cast<size_t>(tensor.shape[1]) * 4;
  tensor.bytes[row * row_bytes + bit / 8] |= std::byte{1} << (bit % 8);
}

struct Lie {
  const char* name;
  void (*tell)(Tensors& tensors);
  const char* message_part;
  PackedKind kind = PackedKind::kLittleBit;
};
void PrintTo(const Lie& lie, std::ostream* out) { *out << lie.name; }

class PackedLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(PackedLieTest, IsRefused) {
  const TemporaryDirectory directory;
  PackedModelOptions options;
  options.kind = GetParam().kind;
  options.residual_rank = options.kind == PackedKind::kLittleBit ? 17 : 0;
  options.change = GetParam().tell;
  WritePackedModel(directory / "model", options);
  ExpectRefused(directory / "model", directory / "out", ErrorCode::kGeneral,
                GetParam().message_part);
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Shapes, PackedLieTest,
    ::testing::Values(
        Lie{"NoU", [](Tensors& tensors) { Remove(tensors, Name("U_packed")); },
            "down_proj.U_packed: expected this tensor, found none"},
        Lie{"NoV", [](Tensors& tensors) { Remove(tensors, Name("V_packed")); },
            "down_proj.V_packed: expected this tensor, found none"},
        Lie{"NoUShape", [](Tensors& tensors) { Remove(tensors, Name("U_shape")); },
            "down_proj.U_shape: expected this tensor, found none"},
        Lie{"NoResidualShape", [](Tensors& tensors) { Remove(tensors, Name("V_R_shape")); },
            "down_proj.V_R_shape: expected this tensor, found none"},
        Lie{"NoResidualFactor", [](Tensors& tensors) { Remove(tensors, Name("U_R_packed")); },
            "down_proj.U_R_packed: expected this tensor, found none"},
        Lie{"ShapeOfAnotherLayer",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {50, 20});
            },
            "down_proj.U_shape: expected 36 at position 0 as config.json says, found 50"},
        Lie{"ShapeOfAnotherInput",
            [](Tensors& tensors) {
              SetShape(tensors, "V_shape", {20, 36});
            },
            "down_proj.V_shape: expected 50 at position 1 as config.json says, found 36"},
        Lie{"RanksDisagree",
            [](Tensors& tensors) {
              SetShape(tensors, "V_shape", {21, 50});
            },
            "down_proj.V_shape: expected rank 20 as U_shape says, found 21"},
        Lie{"RankTooLargeForWords",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {36, 33});
              SetShape(tensors, "V_shape", {33, 50});
            },
            "down_proj.U_packed: expected I32 [36, 2], found I32 [36, 1]"},
        Lie{"RankTooLargeForRows",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {36, 21});
              SetShape(tensors, "V_shape", {21, 50});
            },
            "down_proj.V_packed: expected I32 [21, 2], found I32 [20, 2]"},
        Lie{"RankZero",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {36, 0});
            },
            "down_proj.U_shape: expected a rank from 1 to 2147483647, found 0"},
        Lie{"RankNegative",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {36, -20});
            },
            "down_proj.U_shape: expected a rank from 1 to 2147483647, found -20"},
        Lie{"RankAbsurd",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {36, std::numeric_limits<int64_t>::max()});
            },
            "down_proj.U_shape: expected a rank from 1 to 2147483647, found 9223372036854775807"},
        Lie{"RankLargestAllowed",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {36, 2147483647});
              SetShape(tensors, "V_shape", {2147483647, 50});
            },
            "down_proj.U_packed: expected I32 [36, 67108864], found I32 [36, 1]"},
        Lie{"ShapeOfThree",
            [](Tensors& tensors) {
              SetShape(tensors, "U_shape", {36, 20, 1});
            },
            "down_proj.U_shape: expected I64 [2], found I64 [3]"},
        Lie{"ShapeOfNone", [](Tensors& tensors) { SetShape(tensors, "U_shape", {}); },
            "down_proj.U_shape: expected I64 [2], found I64 [0]"},
        Lie{"ShapeOfFloats", [](Tensors& tensors) { Resize(tensors, "U_shape", DType::kF64, {2}); },
            "down_proj.U_shape: expected I64 [2], found F64 [2]"},
        Lie{"WordsOfBytes",
            [](Tensors& tensors) {
              Resize(tensors, "U_packed", DType::kU8, {36, 4});
            },
            "down_proj.U_packed: expected I32 [36, 1], found U8 [36, 4]"},
        Lie{"WordsOfLongs",
            [](Tensors& tensors) {
              Resize(tensors, "U_packed", DType::kI64, {36, 1});
            },
            "down_proj.U_packed: expected I32 [36, 1], found I64 [36, 1]"},
        Lie{"WordsTransposed",
            [](Tensors& tensors) {
              Resize(tensors, "V_packed", DType::kI32, {2, 20});
            },
            "down_proj.V_packed: expected I32 [20, 2], found I32 [2, 20]"},
        Lie{"WordsFlat", [](Tensors& tensors) { Resize(tensors, "V_packed", DType::kI32, {40}); },
            "down_proj.V_packed: expected I32 [20, 2], found I32 [40]"},
        Lie{"WordsEmpty", [](Tensors& tensors) { Resize(tensors, "V_packed", DType::kI32, {0}); },
            "down_proj.V_packed: expected I32 [20, 2], found I32 [0]"},
        Lie{"ResidualWords",
            [](Tensors& tensors) {
              Resize(tensors, "V_R_packed", DType::kI32, {18, 2});
            },
            "down_proj.V_R_packed: expected I32 [17, 2], found I32 [18, 2]"},
        Lie{"PaddingOfU", [](Tensors& tensors) { SetBit(tensors, "U_packed", 35, 20); },
            "down_proj.U_packed: expected zero bits after bit 19 of row 35, found others"},
        Lie{"PaddingOfV", [](Tensors& tensors) { SetBit(tensors, "V_packed", 3, 63); },
            "down_proj.V_packed: expected zero bits after bit 49 of row 3, found others"},
        Lie{"PaddingOfResidual", [](Tensors& tensors) { SetBit(tensors, "U_R_packed", 0, 31); },
            "down_proj.U_R_packed: expected zero bits after bit 16 of row 0, found others"}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Scales, PackedLieTest,
    ::testing::Values(
        Lie{"Missing", [](Tensors& tensors) { Remove(tensors, Name("v1")); },
            "down_proj.v1: expected this tensor, found none"},
        Lie{"MissingResidual", [](Tensors& tensors) { Remove(tensors, Name("u2_R")); },
            "down_proj.u2_R: expected this tensor, found none"},
        Lie{"AllMissing",
            [](Tensors& tensors) {
              for (const char* part : {"u1", "u2", "v1", "v2"}) Remove(tensors, Name(part));
            },
            "down_proj.v2: expected this tensor, found none"},
        Lie{"TooShort",
            [](Tensors& tensors) {
              Resize(tensors, "u1", DType::kBF16, {1, 35});
            },
            "down_proj.u1: expected [36] of F32, F16, BF16 or F64, found [1, 35] of BF16"},
        Lie{"Column",
            [](Tensors& tensors) {
              Resize(tensors, "u1", DType::kBF16, {36, 1});
            },
            "down_proj.u1: expected [36] of F32, F16, BF16 or F64, found [36, 1] of BF16"},
        Lie{"TwoRows",
            [](Tensors& tensors) {
              Resize(tensors, "u1", DType::kBF16, {2, 36});
            },
            "down_proj.u1: expected [36] of F32, F16, BF16 or F64, found [2, 36] of BF16"},
        Lie{"Number", [](Tensors& tensors) { Resize(tensors, "u1", DType::kBF16, {}); },
            "down_proj.u1: expected [36] of F32, F16, BF16 or F64, found [] of BF16"},
        Lie{"Integers", [](Tensors& tensors) { Resize(tensors, "v2", DType::kI32, {50}); },
            "down_proj.v2: expected [50] of F32, F16, BF16 or F64, found [50] of I32"},
        Lie{"NaN", [](Tensors& tensors) { SetValue(tensors, Name("u1"), 35, kNaN); },
            "down_proj.u1: expected finite scales, found nan at 35"},
        Lie{"Infinite", [](Tensors& tensors) { SetValue(tensors, Name("v2_R"), 1, -kInfinity); },
            "down_proj.v2_R: expected finite scales, found -inf at 1"},
        Lie{"LatentInfinite",
            [](Tensors& tensors) { SetValue(tensors, Name("u2"), 19, kInfinity); },
            "down_proj.u2: expected finite scales, found inf at 19"},
        Lie{"ProductInfinite",
            [](Tensors& tensors) {
              SetValue(tensors, Name("u2"), 4, 0x1p100f);
              SetValue(tensors, Name("v1"), 4, 0x1p100f);
            },
            "down_proj.v1: expected a finite product with model.layers.1.mlp.down_proj.u2, found "
            "inf at 4"},
        Lie{"TooLargeForHalf",
            [](Tensors& tensors) {
              for (const char* part : {"u1", "v1", "v2"}) SetValue(tensors, Name(part), 0, 0x1p60f);
            },
            "down_proj: expected scales whose products fp16 can hold, found larger ones"},
        Lie{"BothLayouts",
            [](Tensors& tensors) {
              tensors.push_back(
                  {Name("scale_pre"), DType::kBF16, {50}, std::vector<std::byte>(100)});
            },
            "down_proj: expected u1, u2, v1, v2 or scale_pre, scale_post, found some of both"},
        Lie{"NoPost", [](Tensors& tensors) { Remove(tensors, Name("scale_post")); },
            "down_proj.scale_post: expected this tensor, found none", PackedKind::kNanoQuant},
        Lie{"NoPre", [](Tensors& tensors) { Remove(tensors, Name("scale_pre")); },
            "down_proj.scale_pre: expected this tensor, found none", PackedKind::kNanoQuant},
        Lie{"MidTooLong",
            [](Tensors& tensors) { Resize(tensors, "scale_mid", DType::kBF16, {21}); },
            "down_proj.scale_mid: expected [20] of F32, F16, BF16 or F64, found [21] of BF16",
            PackedKind::kNanoQuant},
        Lie{"NanoQuantResidual",
            [](Tensors& tensors) {
              RawTensor copy = At(tensors, Name("U_packed"));
              copy.name = Name("U_R_packed");
              tensors.push_back(copy);
            },
            "down_proj: expected one path beside scale_pre and scale_post, found two",
            PackedKind::kNanoQuant}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Others, PackedLieTest,
    ::testing::Values(
        Lie{"DenseBesidePacked",
            [](Tensors& tensors) {
              tensors.push_back({Name("weight"), DType::kF32, {1}, std::vector<std::byte>(4)});
            },
            "down_proj.weight: expected no dense weight beside a packed one"},
        Lie{"BiasNotInConfig",
            [](Tensors& tensors) {
              tensors.push_back({Name("bias"), DType::kF32, {36}, std::vector<std::byte>(144)});
            },
            "down_proj.bias: expected no bias as config.json says, found one"},
        Lie{"LinearGone",
            [](Tensors& tensors) {
              std::erase_if(tensors,
                            [](const RawTensor& x) { return x.name.starts_with(kLinear); });
            },
            "down_proj.weight: expected a tensor of shape [36, 50], found none"},
        Lie{"LinearOfUnknownLayer",
            [](Tensors& tensors) {
              RawTensor copy = At(tensors, Name("U_packed"));
              copy.name = "model.layers.2.mlp.down_proj.U_packed";
              tensors.push_back(copy);
            },
            "model.layers.2.mlp.down_proj.U_packed: expected packed tensors only where"},
        Lie{"PackedHead",
            [](Tensors& tensors) {
              RawTensor copy = At(tensors, Name("U_packed"));
              copy.name = "lm_head.U_packed";
              tensors.push_back(copy);
            },
            "lm_head.U_packed: expected packed tensors only where"},
        Lie{"ScaleOfDenseLinear",
            [](Tensors& tensors) {
              std::erase_if(tensors, [](const RawTensor& x) {
                return x.name.starts_with(kLinear) && !x.name.ends_with(".u1_R");
              });
              tensors.push_back(
                  {Name("weight"), DType::kF32, {36, 50}, std::vector<std::byte>(7200)});
            },
            "down_proj.u1_R: expected packed tensors only where"},
        Lie{"NoEmbedding", [](Tensors& tensors) { Remove(tensors, kEmbeddingName); },
            "model.embed_tokens.weight: expected a tensor of shape [64, 36], found none"},
        Lie{"NoHead", [](Tensors& tensors) { Remove(tensors, kHeadName); },
            "lm_head.weight: expected a tensor of shape [64, 36], found none"},
        Lie{"NormIsNaN", [](Tensors& tensors) { SetValue(tensors, kFinalNormName, 3, kNaN); },
            "model.norm.weight: expected finite weights, found 1 NaN and 0 Inf"},
        Lie{"EmbeddingIsInfinite",
            [](Tensors& tensors) { SetValue(tensors, kEmbeddingName, 3, kInfinity); },
            "model.embed_tokens.weight: expected finite weights, found 0 NaN and 1 Inf"},
        Lie{"NothingPacked",
            [](Tensors& tensors) {
              std::erase_if(tensors, [](const RawTensor& x) {
                return x.name.find("_proj.") != std::string::npos;
              });
            },
            "expected linears with U_packed and V_packed in the blocks, found none"}),
    [](const auto& test) { return test.param.name; });

TEST(PackedRefusalTest, TruncatedAnywhere) {
  const TemporaryDirectory directory;
  WritePackedModel(directory / "model", {.residual_rank = 17, .shards = 2});
  const fs::path shard = directory / "model" / "model-2-of-2.safetensors";
  for (uint64_t bytes = fs::file_size(shard); bytes > 0; bytes = bytes * 9 / 10) {
    fs::resize_file(shard, bytes - 1);
    ExpectRefused(directory / "model", directory / "out", ErrorCode::kGeneral,
                  "model-2-of-2.safetensors: ");
  }
  fs::remove(shard);
  ExpectRefused(directory / "model", directory / "out", ErrorCode::kGeneral, "found no file");
}

TEST(PackedRefusalTest, PickledWeights) {
  for (const char* name : {"qmodel.pt", "model_state.pt", "pytorch_model.bin"}) {
    const TemporaryDirectory directory;
    fs::create_directory(directory / "model");
    std::ofstream(directory / "model" / name) << "x";
    const std::string message = "found only pickled weights (" + std::string(name) + ")";
    ExpectRefused(directory / "model", directory / "out", ErrorCode::kGeneral, message);
    ExpectRefused(directory / "model" / name, directory / "out", ErrorCode::kGeneral, message);
  }
}

TEST(PackedRefusalTest, NotAModel) {
  const TemporaryDirectory directory;
  ExpectRefused(directory / "none", directory / "out", ErrorCode::kModelNotFound, "found neither");
  WritePackedModel(directory / "model", {});
  ExpectRefused(directory / "model", directory / "out", ErrorCode::kInvalidArguments,
                "expected 16, 8, 6 or 4, found 5", {.table_bits = {5, 5}});
  fs::remove(directory / "model" / "config.json");
  ExpectRefused(directory / "model", directory / "out", ErrorCode::kModelNotFound,
                "expected config.json, found none");
}

TEST(PackedRefusalTest, TiedHeadOfAnotherShape) {
  const TemporaryDirectory directory;
  PackedModelOptions options;
  options.model.tied = true;
  options.change = [](Tensors& tensors) {
    tensors.push_back({kHeadName, DType::kF32, {1}, std::vector<std::byte>(4)});
  };
  WritePackedModel(directory / "model", options);
  ExpectRefused(directory / "model", directory / "out", ErrorCode::kGeneral,
                "lm_head.weight: expected shape [64, 36], found [1]");
}

TEST(PackedRefusalTest, OtherQuantizationConfigs) {
  for (const char* config : {R"("quantization_config": {"quant_method": "gptq"})",
                             R"("quantization_config": {"quant_method": 1})",
                             R"("quantization_config": {})", R"("quantization_config": "x")"}) {
    const TemporaryDirectory directory;
    WritePackedModel(directory / "model", {});
    testing::AddToConfig(directory / "model", config);
    ExpectRefused(directory / "model", directory / "out", ErrorCode::kGeneral,
                  "\"quantization_config\": expected full-precision or FP8 weights");
  }
}

}  // namespace
}  // namespace llmq
