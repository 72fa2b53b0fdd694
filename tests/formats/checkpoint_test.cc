// Model directories: whole, sharded, damaged, incomplete and not models at all.
#include "llmq/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;
using testing::RawTensor;
using testing::TemporaryDirectory;
using testing::TinyCheckpointOptions;
using testing::WriteTinyCheckpoint;

constexpr const char* kIndex = "model.safetensors.index.json";

void ExpectError(const fs::path& directory, ErrorCode code, const std::string& message_part) {
  try {
    const Checkpoint checkpoint(directory);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_NE(error.message().find(message_part), std::string::npos) << error.message();
    EXPECT_FALSE(error.suggestion().empty());
  }
}

void Write(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// All tensors of an open checkpoint, to be written again with a change.
std::vector<RawTensor> Copy(const Checkpoint& checkpoint) {
  std::vector<RawTensor> tensors;
  for (const TensorView& t : checkpoint.tensors()) {
    tensors.push_back({t.name, t.dtype, t.shape, {t.data.begin(), t.data.end()}});
  }
  return tensors;
}

TEST(CheckpointTest, OpensRealModels) {
  const fs::path models(LLMQ_TEST_MODEL_DIR);
  const Checkpoint sharded(models / "stories-19m");
  EXPECT_EQ(sharded.parameter_count(), 18749952);
  EXPECT_EQ(sharded.fp16_bytes(), 37499904);  // "total_size" of its index: BF16, too
  EXPECT_EQ(sharded.tensors().size(), 56u);
  EXPECT_EQ(sharded.Get(kEmbeddingName).ShapeText(), "[2048, 512]");
  EXPECT_TRUE(sharded.files().contains("tokenizer.model"));
  EXPECT_EQ(sharded.config().eos_token_ids, std::vector<int64_t>{2});
  for (const char* type : {"hf-f32", "hf-f16", "hf-bf16"}) {
    EXPECT_EQ(Checkpoint(models / "stories260k" / type).parameter_count(), 260032) << type;
  }
}

TEST(CheckpointTest, ShardedEqualsWhole) {
  const TemporaryDirectory directory;
  TinyCheckpointOptions options;
  WriteTinyCheckpoint(directory / "whole", options);
  options.shards = 3;
  WriteTinyCheckpoint(directory / "sharded", options);
  const Checkpoint whole(directory / "whole"), sharded(directory / "sharded");
  ASSERT_EQ(whole.tensors().size(), sharded.tensors().size());
  for (size_t i = 0; i < whole.tensors().size(); ++i) {
    EXPECT_EQ(whole.tensors()[i].name, sharded.tensors()[i].name);
    EXPECT_EQ(ToFloat(whole.tensors()[i]), ToFloat(sharded.tensors()[i]));
    sharded.Release(sharded.tensors()[i]);
    EXPECT_EQ(ToFloat(whole.tensors()[i]), ToFloat(sharded.tensors()[i]));  // still valid
  }
}

TEST(CheckpointTest, FindAndGet) {
  const TemporaryDirectory directory;
  WriteTinyCheckpoint(directory.path());
  const Checkpoint checkpoint(directory.path());
  EXPECT_EQ(checkpoint.Find("nonsense"), nullptr);
  EXPECT_EQ(checkpoint.Find("zzz"), nullptr);
  EXPECT_EQ(checkpoint.Get(kHeadName).shape, (std::vector<int64_t>{64, 32}));
  EXPECT_THROW(checkpoint.Get("nonsense"), Error);
}

TEST(CheckpointTest, AcceptsEveryFloatType) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    const TemporaryDirectory directory;
    TinyCheckpointOptions options;
    options.dtype = dtype;
    options.attention_bias = options.mlp_bias = true;
    WriteTinyCheckpoint(directory.path(), options);
    EXPECT_EQ(Checkpoint(directory.path()).Get("model.layers.1.mlp.up_proj.bias").dtype, dtype);
  }
}

// One matrix in FP8, with its scales beside it as published checkpoints have them.
TEST(CheckpointTest, ReadsFp8WithItsScales) {
  const testing::TemporaryDirectory directory;
  testing::WriteTinyCheckpoint(
      directory.path(),
      {.config_overrides =
           R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [16, 32]}})"});
  const std::string linear = "model.layers.0.self_attn.k_proj";  // [16, 32]
  std::vector<RawTensor> tensors = Copy(Checkpoint(directory.path()));
  const int64_t parameters = Checkpoint(directory.path()).parameter_count();
  for (RawTensor& tensor : tensors) {
    if (tensor.name != linear + ".weight") continue;
    tensor.dtype = DType::kF8E4M3;
    tensor.bytes.assign(16 * 32, std::byte{0x3c});  // 1.5
  }
  const float scale = 0.25f;
  const auto bytes = std::as_bytes(std::span(&scale, 1));
  tensors.push_back(
      {linear + ".weight_scale_inv", DType::kF32, {1, 1}, {bytes.begin(), bytes.end()}});
  testing::WriteSafetensors(directory / "model.safetensors", tensors);
  const Checkpoint checkpoint(directory.path());
  EXPECT_EQ(ToFloat(checkpoint.Get(linear + ".weight")), std::vector<float>(16 * 32, 0.375f));
  EXPECT_EQ(checkpoint.Find(linear + ".weight_scale_inv"), nullptr);
  EXPECT_EQ(checkpoint.parameter_count(), parameters);  // scales are none
}

// As transformers 5 holds them; tests/parity shows that the parts are the right ones.
TEST(CheckpointTest, SplitsFusedExperts) {
  const fs::path golden = fs::path(LLMQ_TEST_GOLDEN_DIR) / "parity" / "mixtral-fused";
  const Checkpoint checkpoint(golden);
  EXPECT_EQ(checkpoint.Find("model.layers.0.mlp.experts.gate_up_proj"), nullptr);
  const std::string prefix = "model.layers.1.block_sparse_moe.";
  const TensorView& gate = checkpoint.Get(prefix + "experts.2.w1.weight");
  const TensorView& up = checkpoint.Get(prefix + "experts.2.w3.weight");
  EXPECT_EQ(gate.ShapeText(), "[40, 32]");
  EXPECT_EQ(gate.data.data() + gate.data.size(), up.data.data());
  EXPECT_EQ(checkpoint.Get(prefix + "experts.3.w2.weight").ShapeText(), "[32, 40]");
  EXPECT_EQ(checkpoint.Get(prefix + "gate.weight").ShapeText(), "[4, 32]");

  const TemporaryDirectory directory;
  fs::copy(golden, directory.path());
  const std::string config = directory / "config.json";
  Json json = ParseJson(ReadTextFile(config), "test");
  json["num_local_experts"] = 5;
  WriteFileAtomically(config, DumpJson(json));
  ExpectError(directory.path(), ErrorCode::kGeneral,
              "mlp.experts.gate_up_proj: expected shape [5, 80, 32], found [4, 80, 32]");
}

TEST(CheckpointTest, StoredCopyOfTiedHeadCountsOnce) {
  const TemporaryDirectory directory;
  TinyCheckpointOptions options;
  options.tied = true;
  WriteTinyCheckpoint(directory.path(), options);
  const int64_t parameters = Checkpoint(directory.path()).parameter_count();
  std::vector<RawTensor> tensors = Copy(Checkpoint(directory.path()));
  tensors.push_back({kHeadName, DType::kF32, {64, 32}, std::vector<std::byte>(64 * 32 * 4)});
  testing::WriteSafetensors(directory / "model.safetensors", tensors);
  EXPECT_EQ(Checkpoint(directory.path()).parameter_count(), parameters);
  tensors.back() = {kHeadName, DType::kF32, {1}, std::vector<std::byte>(4)};
  testing::WriteSafetensors(directory / "model.safetensors", tensors);
  ExpectError(directory.path(), ErrorCode::kGeneral,
              "lm_head.weight: expected shape [64, 32], found [1]");
}

TEST(CheckpointTest, KeepsTensorsTheArchitectureDoesNotKnow) {
  const TemporaryDirectory directory;
  WriteTinyCheckpoint(directory.path());
  std::vector<RawTensor> tensors = Copy(Checkpoint(directory.path()));
  const size_t count = tensors.size();
  tensors.push_back({"extra", DType::kF8E4M3, {3}, std::vector<std::byte>(3)});
  testing::WriteSafetensors(directory / "model.safetensors", tensors);
  EXPECT_EQ(Checkpoint(directory.path()).tensors().size(), count + 1);
}

TEST(CheckpointTest, FingerprintNamesWeightsAndConfig) {
  const TemporaryDirectory directory;
  TinyCheckpointOptions options;
  WriteTinyCheckpoint(directory / "a", options);
  WriteTinyCheckpoint(directory / "same", options);
  options.seed = 2;
  WriteTinyCheckpoint(directory / "weights", options);
  options.seed = 1;
  options.config_overrides = R"({"rope_theta": 20000.0})";
  WriteTinyCheckpoint(directory / "config", options);
  const uint64_t fingerprint = Checkpoint(directory / "a").Fingerprint();
  EXPECT_EQ(Checkpoint(directory / "same").Fingerprint(), fingerprint);
  EXPECT_NE(Checkpoint(directory / "weights").Fingerprint(), fingerprint);
  EXPECT_NE(Checkpoint(directory / "config").Fingerprint(), fingerprint);
}

TEST(CheckpointTest, ModelNames) {
  EXPECT_EQ(ModelName("/models/Llama-2-7b-hf"), "Llama-2-7b-hf");
  EXPECT_EQ(ModelName("models/Llama-2-7b-hf/"), "Llama-2-7b-hf");
  EXPECT_EQ(ModelName("."), fs::current_path().filename().string());
  EXPECT_EQ(ModelName("x/.."), fs::current_path().filename().string());
  EXPECT_EQ(ModelName("/"), "model");
  EXPECT_FALSE(ModelName("").empty());
}

TEST(CheckpointTest, ReadModelFilesNeedsNoWeights) {
  const fs::path shape = fs::path(LLMQ_TEST_GOLDEN_DIR) / "shapes" / "llama-2-7b";
  const ModelFiles files = ReadModelFiles(shape);
  EXPECT_EQ(files.size(), 1u);
  EXPECT_EQ(ParseModelConfig(files, "x").num_layers, 32);
  ExpectError(shape, ErrorCode::kModelNotFound, "expected model.safetensors or");
}

TEST(CheckpointTest, NotAModel) {
  const TemporaryDirectory directory;
  ExpectError(directory / "none", ErrorCode::kModelNotFound,
              "expected a model directory, found nothing");
  ExpectError(directory.path(), ErrorCode::kModelNotFound, "expected config.json, found none");
  Write(directory / "file", "x");
  ExpectError(directory / "file", ErrorCode::kModelNotFound, "found something else");
}

struct Lie {
  const char* name;
  void (*tell)(const fs::path& directory);  // a checkpoint of two shards
  const char* message_part;
  ErrorCode code = ErrorCode::kGeneral;
};

class CheckpointLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(CheckpointLieTest, IsRefused) {
  const TemporaryDirectory directory;
  TinyCheckpointOptions options;
  options.shards = 2;
  WriteTinyCheckpoint(directory.path(), options);
  GetParam().tell(directory.path());
  ExpectError(directory.path(), GetParam().code, GetParam().message_part);
}

constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";

void ChangeIndex(const fs::path& directory, const std::function<void(Json& weight_map)>& change) {
  Json index = ParseJson(ReadTextFile(directory / kIndex), "index");
  change(index["weight_map"]);
  Write(directory / kIndex, DumpJson(index));
}

void MapEmbeddingTo(const fs::path& directory, const Json& shard) {
  ChangeIndex(directory, [&](Json& map) { map[kEmbeddingName] = shard; });
}

void Rewrite(const fs::path& directory, const TinyCheckpointOptions& options) {
  fs::remove(directory / kIndex);
  WriteTinyCheckpoint(directory, options);
}

INSTANTIATE_TEST_SUITE_P(
    All, CheckpointLieTest,
    ::testing::Values(
        Lie{"ShardMissing", [](const fs::path& d) { fs::remove(d / kSecond); }, "found no file"},
        Lie{"ShardTruncated",
            [](const fs::path& d) { fs::resize_file(d / kSecond, fs::file_size(d / kSecond) - 1); },
            "model-00002-of-00002.safetensors: "},
        Lie{"ShardIsDirectory",
            [](const fs::path& d) {
              fs::remove(d / kSecond);
              fs::create_directory(d / kSecond);
            },
            "expected a regular file"},
        Lie{"ShardsSwapped",
            [](const fs::path& d) {
              fs::rename(d / kFirst, d / "x");
              fs::rename(d / kSecond, d / kFirst);
              fs::rename(d / "x", d / kSecond);
            },
            "expected this tensor as model.safetensors.index.json says, found none"},
        Lie{"IndexNoJson", [](const fs::path& d) { Write(d / kIndex, "{"); }, "expected JSON"},
        Lie{"IndexNoMap", [](const fs::path& d) { Write(d / kIndex, R"({"metadata":{}})"); },
            "\"weight_map\": expected tensors, found none"},
        Lie{"IndexMapIsList", [](const fs::path& d) { Write(d / kIndex, R"({"weight_map":[]})"); },
            "expected an object"},
        Lie{"IndexNumber", [](const fs::path& d) { MapEmbeddingTo(d, 1); },
            "expected the name of a .safetensors file, found 1"},
        Lie{"IndexTraversal", [](const fs::path& d) { MapEmbeddingTo(d, "../model.safetensors"); },
            "found \"../model.safetensors\""},
        Lie{"IndexAbsolute", [](const fs::path& d) { MapEmbeddingTo(d, "/etc/x.safetensors"); },
            "expected the name of a .safetensors file"},
        Lie{"IndexNul",
            [](const fs::path& d) { MapEmbeddingTo(d, std::string("x\0.safetensors", 14)); },
            "expected the name of a .safetensors file"},
        Lie{"IndexPickle", [](const fs::path& d) { MapEmbeddingTo(d, "pytorch_model.bin"); },
            "expected the name of a .safetensors file"},
        Lie{"IndexEmptyName", [](const fs::path& d) { MapEmbeddingTo(d, ""); },
            "expected the name of a .safetensors file"},
        Lie{"IndexOtherShard", [](const fs::path& d) { MapEmbeddingTo(d, kSecond); },
            "expected only tensors that model.safetensors.index.json places here"},
        Lie{"IndexTwice",
            [](const fs::path& d) {
              Write(d / kIndex, R"({"weight_map":{"a":"x.safetensors","a":"y.safetensors"}})");
            },
            "\"a\": expected one value, found two"},
        Lie{"IndexForgotTensor",
            [](const fs::path& d) { ChangeIndex(d, [](Json& map) { map.erase(kEmbeddingName); }); },
            "places nowhere"},
        Lie{"IndexInventsTensor",
            [](const fs::path& d) { ChangeIndex(d, [](Json& map) { map["invented"] = kFirst; }); },
            "invented: expected this tensor"},
        Lie{"TensorMissing",
            [](const fs::path& d) {
              Rewrite(d, {.missing_tensor = "model.layers.1.mlp.up_proj.weight"});
            },
            "model.layers.1.mlp.up_proj.weight: expected a tensor of shape [48, 32], found none"},
        Lie{"HeadMissing", [](const fs::path& d) { Rewrite(d, {.missing_tensor = kHeadName}); },
            "lm_head.weight: expected a tensor of shape [64, 32], found none"},
        Lie{"ShapeWrong",
            [](const fs::path& d) {
              Rewrite(d, {.wrong_shape_tensor = "model.layers.0.self_attn.k_proj.weight"});
            },
            "model.layers.0.self_attn.k_proj.weight: expected shape [16, 32], found [17, 32]"},
        Lie{"TypeWrong",
            [](const fs::path& d) {
              std::vector<RawTensor> tensors = Copy(Checkpoint(d));
              for (RawTensor& tensor : tensors) {
                if (tensor.name != kFinalNormName) continue;
                tensor.dtype = DType::kF8E4M3;
                tensor.bytes.resize(32);
              }
              testing::WriteSafetensors(d / "model.safetensors", tensors);
            },
            "model.norm.weight: expected F32, F16, BF16, F64 or FP8 with scales, found F8_E4M3"},
        Lie{"OnlyPickle",
            [](const fs::path& d) {
              for (const char* name : {kIndex, kFirst, kSecond}) fs::remove(d / name);
              Write(d / "pytorch_model.bin", "x");
            },
            "found only pickled weights (pytorch_model.bin)"},
        Lie{"NoWeights",
            [](const fs::path& d) {
              for (const char* name : {kIndex, kFirst, kSecond}) fs::remove(d / name);
            },
            "found neither", ErrorCode::kModelNotFound},
        Lie{"NoConfig", [](const fs::path& d) { fs::remove(d / "config.json"); },
            "expected config.json, found none", ErrorCode::kModelNotFound},
        Lie{"ConfigUnsupported",
            [](const fs::path& d) {
              Write(d / "config.json", R"({"architectures":["BertModel"]})");
            },
            "found \"BertModel\""}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace llmq
