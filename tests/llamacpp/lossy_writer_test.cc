// gguf-lossy: which types the tensors get, and what is refused. That llama.cpp writes the same is
// shown by llama_cpp_test.py where it is installed.
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "formats/safetensors_shards.h"
#include "llamacpp/file_type.h"
#include "llmq/convert.h"
#include "llmq/error.h"
#include "tests/llamacpp/dense_copy.h"
#include "tests/support/temporary_directory.h"

namespace llmq {
namespace {

using testing::TemporaryDirectory;
using testing::WriteDenseCopy;

const std::filesystem::path kModel =
    std::filesystem::path(LLMQ_TEST_MODEL_DIR) / "stories260k" / "hf-f32";
constexpr const char* kUp = "model.layers.1.mlp.up_proj.weight";

bool GoOn(int64_t, int64_t, const std::string&) { return true; }

template <typename Body>
void ExpectError(ErrorCode code, const std::string& part, const Body& body) {
  try {
    body();
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_NE(error.message().find(part), std::string::npos) << error.message();
  }
}

ModelConfig Config(int64_t layers, int64_t kv_heads, bool tied) {
  ModelConfig config;
  config.num_layers = layers;
  config.num_heads = 8;
  config.num_kv_heads = kv_heads;
  config.tie_word_embeddings = tied;
  return config;
}

// By the rules of docs/format/gguf.md; llama_cpp_test.py compares whole files with
// llama-quantize's.
TEST(FileTypes, MixByTheRules) {
  struct Decision {
    const char* file_type;
    int64_t layers;
    int64_t kv_heads;
    bool tied;
    const char* tensor;
    int64_t cols;
    GgmlType type;
  };
  using enum GgmlType;
  const Decision decisions[] = {
      {"Q4_K_M", 32, 8, false, "blk.0.attn_v.weight", 4096, kQ6_K},
      {"Q4_K_M", 32, 8, false, "blk.4.attn_v.weight", 4096, kQ4_K},
      {"Q4_K_M", 32, 8, false, "blk.0.attn_qkv.weight", 4096, kQ6_K},
      {"Q3_K_M", 32, 8, false, "blk.2.attn_qkv.weight", 4096, kQ4_K},
      {"Q4_K_M", 12, 8, true, "position_embd.weight", 768, kF32},
      {"F16", 12, 8, true, "position_embd.weight", 768, kF32},
      {"Q4_K_M", 32, 8, false, "blk.6.ffn_down.weight", 11008, kQ6_K},
      {"Q4_K_M", 32, 8, false, "blk.27.ffn_down.weight", 11008, kQ6_K},
      {"Q4_K_M", 32, 8, false, "blk.28.ffn_down.weight", 11008, kQ6_K},
      {"Q4_K_M", 32, 8, false, "blk.3.attn_q.weight", 4096, kQ4_K},
      {"Q4_K_M", 32, 8, false, "output.weight", 4096, kQ6_K},
      {"Q4_K_M", 32, 8, false, "token_embd.weight", 4096, kQ4_K},
      {"Q4_K_M", 32, 8, true, "token_embd.weight", 4096, kQ6_K},
      {"Q4_K_S", 32, 8, false, "blk.3.attn_v.weight", 4096, kQ5_K},
      {"Q4_K_S", 32, 8, false, "blk.4.attn_v.weight", 4096, kQ4_K},
      {"Q4_K_S", 32, 8, false, "blk.3.ffn_down.weight", 11008, kQ5_K},
      {"Q4_K_S", 32, 8, false, "blk.4.ffn_down.weight", 11008, kQ4_K},
      {"Q2_K", 32, 8, false, "blk.9.attn_v.weight", 4096, kQ3_K},
      {"Q2_K", 32, 2, false, "blk.9.attn_v.weight", 4096, kQ4_K},
      {"Q2_K", 32, 8, false, "blk.9.ffn_down.weight", 11008, kQ3_K},
      {"Q2_K", 32, 8, false, "blk.9.attn_output.weight", 4096, kQ3_K},
      {"Q2_K", 32, 8, false, "blk.9.ffn_up.weight", 4096, kQ2_K},
      {"Q3_K_M", 32, 8, false, "blk.1.attn_v.weight", 4096, kQ5_K},
      {"Q3_K_M", 32, 8, false, "blk.2.attn_v.weight", 4096, kQ4_K},
      {"Q3_K_M", 32, 8, false, "blk.1.ffn_down.weight", 11008, kQ5_K},
      {"Q3_K_M", 32, 8, false, "blk.2.ffn_down.weight", 11008, kQ4_K},
      {"Q3_K_M", 32, 8, false, "blk.2.attn_output.weight", 4096, kQ4_K},
      {"Q3_K_L", 32, 8, false, "blk.2.attn_output.weight", 4096, kQ5_K},
      {"Q3_K_S", 32, 8, false, "blk.2.attn_v.weight", 4096, kQ3_K},
      {"Q5_K_M", 32, 8, false, "blk.31.attn_v.weight", 4096, kQ6_K},
      {"Q3_K_S", 80, 4, false, "blk.2.attn_v.weight", 8192, kQ5_K},
      {"Q8_0", 32, 8, false, "output.weight", 4096, kQ8_0},
      {"Q4_0", 32, 8, false, "output.weight", 4096, kQ6_K},
      {"F16", 32, 8, false, "output.weight", 4096, kF16},
      {"Q4_K_M", 32, 8, false, "blk.3.attn_q.weight", 288, kQ5_0},
      {"Q5_K_M", 32, 8, false, "blk.3.attn_q.weight", 288, kQ5_1},
      {"Q2_K", 32, 8, false, "blk.3.attn_q.weight", 288, kQ4_0},
      {"Q6_K", 32, 8, false, "blk.3.attn_q.weight", 288, kQ8_0},
      {"Q4_K_M", 32, 8, false, "output.weight", 288, kQ8_0},
      {"Q4_K_M", 32, 8, false, "blk.3.attn_q.weight", 100, kF16},
      {"Q8_0", 32, 8, false, "blk.3.attn_q.weight", 100, kF16},
  };
  for (const Decision& d : decisions) {
    EXPECT_EQ(ChooseTensorType(FindGgufFileType(d.file_type), Config(d.layers, d.kv_heads, d.tied),
                               d.tensor, d.cols),
              d.type)
        << d.file_type << " " << d.tensor << " " << d.cols;
  }
}

TEST(FileTypes, ModelsWithExpertsHaveRulesOfTheirOwn) {
  struct Decision {
    const char* file_type;
    int64_t experts;
    const char* tensor;
    GgmlType type;
  };
  using enum GgmlType;
  const Decision decisions[] = {
      {"Q4_K_M", 8, "blk.4.attn_v.weight", kQ8_0},
      {"Q4_K_M", 8, "blk.4.attn_k.weight", kQ8_0},
      {"Q4_K_M", 60, "blk.4.attn_v.weight", kQ4_K},
      {"Q4_K_M", 60, "blk.4.attn_k.weight", kQ4_K},
      {"Q4_K_M", 8, "blk.4.attn_q.weight", kQ4_K},
      {"Q4_K_M", 8, "blk.4.attn_output.weight", kQ5_K},
      {"Q3_K_L", 8, "blk.4.attn_output.weight", kQ3_K},
      {"Q3_K_L", 60, "blk.4.attn_output.weight", kQ5_K},
      {"Q4_K_M", 60, "blk.0.ffn_down_exps.weight", kQ6_K},
      {"Q4_K_M", 60, "blk.4.ffn_down_exps.weight", kQ4_K},
      {"Q4_K_M", 60, "blk.0.ffn_down_shexp.weight", kQ6_K},
      {"Q4_K_M", 60, "blk.0.ffn_up_exps.weight", kQ4_K},
      {"Q2_K", 128, "blk.9.ffn_down_exps.weight", kQ3_K},
      {"Q4_K_M", 60, "blk.0.ffn_gate_inp.weight", kF32},
      {"F16", 60, "blk.0.ffn_gate_inp.weight", kF32},
  };
  for (const Decision& d : decisions) {
    ModelConfig config = Config(32, 8, false);
    config.experts.count = d.experts;
    EXPECT_EQ(ChooseTensorType(FindGgufFileType(d.file_type), config, d.tensor, 4096), d.type)
        << d.file_type << " " << d.experts << " " << d.tensor;
  }
}

TEST(FileTypes, NamesAreFoundInAnyCase) {
  EXPECT_EQ(CanonicalFileType("q4_k_m"), "Q4_K_M");
  EXPECT_EQ(CanonicalFileType("Q3_K"), "Q3_K_M");
  EXPECT_EQ(LossyFileTypes().size(), 17u);
  for (const char* name : {"", "Q4", "IQ2_XS", "Q4_K_L"}) {
    ExpectError(ErrorCode::kUnsupportedConversion, "Q5_K_M", [&] { CanonicalFileType(name); });
  }
}

TEST(GgufLossy, BytesDoNotDependOnThreads) {
  const TemporaryDirectory directory;
  WriteDenseCopy(kModel, directory / "m.littlebit");
  const LittleBitFile file(directory / "m.littlebit");
  WriteGgufLossy(file, directory / "1.gguf", {.threads = 1}, GoOn);
  const LossyReport report = WriteGgufLossy(file, directory / "3.gguf", {.threads = 3}, GoOn);
  EXPECT_TRUE(ReadTextFile(directory / "1.gguf") == ReadTextFile(directory / "3.gguf"));
  // But for the name, which the plan does not know, the size is known before.
  const uint64_t planned = PlannedGgufLossyBytes(file.files(), file.config(), {}, "model");
  EXPECT_NEAR(static_cast<double>(planned), static_cast<double>(report.bytes), 200);
}

TEST(GgufLossy, ValuesThatAreNotFiniteAreNamed) {
  const TemporaryDirectory directory;
  for (const float bad :
       {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    WriteDenseCopy(kModel, directory / "m.littlebit", [&](const std::string& name, auto values) {
      if (name == kUp) values[7] = bad;
    });
    ExpectError(ErrorCode::kReconstructionFailed, "blk.1.ffn_up.weight", [&] {
      WriteGgufLossy(LittleBitFile(directory / "m.littlebit"), directory / "m.gguf", {}, GoOn);
    });
    EXPECT_FALSE(std::filesystem::exists(directory / "m.gguf"));
  }
}

TEST(GgufLossy, ValuesThatDoNotFitTheTypeAreNamed) {
  const TemporaryDirectory directory;
  WriteDenseCopy(kModel, directory / "m.littlebit", [](const std::string& name, auto values) {
    if (name == kUp) values[7] = 1e9f;
  });
  const LittleBitFile file(directory / "m.littlebit");
  for (const char* type : {"F16", "Q8_0", "Q4_K_M"}) {
    ExpectError(ErrorCode::kReconstructionFailed, "blk.1.ffn_up.weight",
                [&] { WriteGgufLossy(file, directory / "m.gguf", {.file_type = type}, GoOn); });
  }
  EXPECT_NO_THROW(WriteGgufLossy(file, directory / "m.gguf", {.file_type = "BF16"}, GoOn));
}

std::vector<float> GgufValues(const GgufFile& file, const std::string& name) {
  const GgufTensor* tensor = file.FindTensor(name);
  if (tensor == nullptr) return {};
  EXPECT_EQ(tensor->type, GgmlType::kF32) << name;
  std::vector<float> values(static_cast<size_t>(tensor->num_elements()));
  DequantizeRow(tensor->type, tensor->data, values);
  return values;
}

// As the checkpoints hold them, before they are split: of GPT-2 transposed.
TEST(GgufLossy, WhatIsPublishedFusedIsFusedAgain) {
  const TemporaryDirectory directory;
  const std::filesystem::path parity = std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity";
  const auto convert = [&](const char* model) {
    WriteDenseCopy(parity / model, directory / "m.littlebit");
    WriteGgufLossy(LittleBitFile(directory / "m.littlebit"), directory / "m.gguf",
                   {.file_type = "F32"}, GoOn);
    return GgufFile(directory / "m.gguf");
  };
  {
    const SafetensorsShards raw(parity / "phi3-longrope");
    const GgufFile gguf = convert("phi3-longrope");
    const std::string layer = "model.layers.1.";
    EXPECT_EQ(GgufValues(gguf, "blk.1.attn_qkv.weight"),
              ToFloat(*raw.Find(layer + "self_attn.qkv_proj.weight")));
    EXPECT_EQ(GgufValues(gguf, "blk.1.ffn_up.weight"),
              ToFloat(*raw.Find(layer + "mlp.gate_up_proj.weight")));
    EXPECT_EQ(gguf.FindTensor("blk.1.ffn_gate.weight"), nullptr);
    EXPECT_EQ(GgufValues(gguf, "rope_factors_short.weight"),
              (std::vector<float>{1.0f, 1.1f, 1.3f, 1.7f}));
    EXPECT_EQ(GgufValues(gguf, "rope_factors_long.weight"),
              (std::vector<float>{1.0f, 1.5f, 3.0f, 4.0f}));
  }
  const SafetensorsShards raw(parity / "gpt2");
  const GgufFile gguf = convert("gpt2");
  EXPECT_EQ(gguf.FindTensor("blk.0.attn_qkv.weight")->shape, (std::vector<int64_t>{96, 32}));
  const std::vector<float> found = GgufValues(gguf, "blk.0.attn_qkv.weight");
  const std::vector<float> conv = ToFloat(*raw.Find("transformer.h.0.attn.c_attn.weight"));
  for (size_t row = 0; row < 96; ++row) {
    for (size_t col = 0; col < 32; ++col) {
      ASSERT_EQ(found[row * 32 + col], conv[col * 96 + row]) << row << ", " << col;
    }
  }
  EXPECT_EQ(GgufValues(gguf, "blk.0.attn_qkv.bias"),
            ToFloat(*raw.Find("transformer.h.0.attn.c_attn.bias")));
  EXPECT_EQ(GgufValues(gguf, "position_embd.weight"), ToFloat(*raw.Find("transformer.wpe.weight")));
  EXPECT_EQ(GgufValues(gguf, "output_norm.bias"), ToFloat(*raw.Find("transformer.ln_f.bias")));
  EXPECT_NE(gguf.Get<float>("gpt2.attention.layer_norm_epsilon"), nullptr);
}

TEST(GgufLossy, WhatLlamaCppWouldRunAsAnotherModelIsRefused) {
  const TemporaryDirectory directory;
  for (const auto& [model, part] :
       {std::pair("opt", "OPTForCausalLM: expected a family that llama.cpp knows"),
        std::pair("gpt2-unscaled", "\"activation_function\": expected gelu_new")}) {
    WriteDenseCopy(std::filesystem::path(LLMQ_TEST_GOLDEN_DIR) / "parity" / model,
                   directory / "m.littlebit");
    ExpectError(ErrorCode::kUnsupportedConversion, part, [&] {
      WriteGgufLossy(LittleBitFile(directory / "m.littlebit"), directory / "m.gguf", {}, GoOn);
    });
    EXPECT_FALSE(std::filesystem::exists(directory / "m.gguf"));
  }
}

TEST(GgufLossy, UnknownTensorsAreLeftOutAloud) {
  const TemporaryDirectory directory;
  const std::vector<float> values(4, 1.0f);
  const TensorView extra{"model.vision.weight", DType::kF32, {4}, std::as_bytes(std::span(values))};
  WriteDenseCopy(kModel, directory / "m.littlebit", {}, {&extra, 1});
  const LossyReport report =
      WriteGgufLossy(LittleBitFile(directory / "m.littlebit"), directory / "m.gguf", {}, GoOn);
  ASSERT_EQ(report.warnings.size(), 1u);
  EXPECT_NE(report.warnings[0].find("model.vision.weight"), std::string::npos);
  EXPECT_EQ(GgufFile(directory / "m.gguf").tensors().size(), static_cast<size_t>(report.tensors));
}

TEST(GgufLossy, StoppingLeavesNothing) {
  const TemporaryDirectory directory;
  WriteDenseCopy(kModel, directory / "m.littlebit");
  ExpectError(ErrorCode::kUserCancelled, "stopped", [&] {
    WriteGgufLossy(LittleBitFile(directory / "m.littlebit"), directory / "m.gguf", {},
                   [](int64_t done, int64_t, const std::string&) { return done < 5; });
  });
  EXPECT_FALSE(std::filesystem::exists(directory / "m.gguf"));
}

}  // namespace
}  // namespace llmq
