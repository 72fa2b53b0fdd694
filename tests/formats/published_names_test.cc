// Checkpoints whose tensors have other names, lie transposed or are several in one.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/safetensors_shards.h"
#include "llmq/checkpoint.h"
#include "llmq/error.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/tiny_checkpoint.h"

namespace llmq {
namespace {

namespace fs = std::filesystem;

const fs::path kParity = fs::path(LLMQ_TEST_GOLDEN_DIR) / "parity";

class PublishedNamesTest : public ::testing::TestWithParam<const char*> {};

TEST_P(PublishedNamesTest, TheModelsTensorsAreThereAndNoOthers) {
  const Checkpoint checkpoint(kParity / GetParam());
  const std::vector<ExpectedTensor> expected = ExpectedTensors(checkpoint.config());
  EXPECT_EQ(checkpoint.tensors().size(), expected.size());
  int64_t parameters = 0;
  for (const ExpectedTensor& tensor : expected) {
    const TensorView* found = checkpoint.Find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    parameters += found->num_elements();
    checkpoint.Release(*found);
  }
  EXPECT_EQ(checkpoint.parameter_count(), parameters);
}

INSTANTIATE_TEST_SUITE_P(Goldens, PublishedNamesTest,
                         ::testing::Values("gpt2", "gpt2-published", "opt", "opt-plain-linears",
                                           "opt-350m", "opt-narrow", "gemma3-vision",
                                           "gemma3-vision-new"),
                         [](const auto& golden) {
                           std::string name = golden.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(PublishedNames, TensorsForImagesAreLeftOutAndCounted) {
  for (const char* name : {"gemma3-vision", "gemma3-vision-new"}) {
    const SafetensorsShards raw(kParity / name);
    const Checkpoint checkpoint(kParity / name);
    const auto all = static_cast<int64_t>(raw.tensors().size());
    EXPECT_GT(checkpoint.tensors_left_out(), 0);
    EXPECT_EQ(static_cast<int64_t>(checkpoint.tensors().size()),
              all - checkpoint.tensors_left_out());
  }
  EXPECT_EQ(Checkpoint(kParity / "gemma3").tensors_left_out(), 0);
}

TEST(PublishedNames, OneTensorUnderTwoNamesIsRefused) {
  const testing::TemporaryDirectory directory;
  fs::copy(kParity / "gemma3-vision" / "config.json", directory / "config.json");
  std::vector<testing::RawTensor> tensors;
  for (const char* name : {"gemma3-vision", "gemma3-vision-new"}) {
    const SafetensorsShards raw(kParity / name);
    for (const TensorView& tensor : raw.tensors()) {
      const bool is_norm = tensor.name.ends_with("language_model.norm.weight");
      if (!is_norm && name != std::string("gemma3-vision")) continue;
      tensors.push_back(
          {tensor.name, tensor.dtype, tensor.shape, {tensor.data.begin(), tensor.data.end()}});
    }
  }
  testing::WriteSafetensors(directory / "model.safetensors", tensors);
  try {
    const Checkpoint checkpoint(directory.path());
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("model.norm.weight: expected this tensor once"),
              std::string::npos)
        << error.message();
  }
}

TEST(PublishedNames, Conv1dIsTransposedAndQkvIsSplit) {
  const SafetensorsShards raw(kParity / "gpt2");
  const Checkpoint checkpoint(kParity / "gpt2");
  const std::string there = "transformer.h.1.attn.c_attn", here = "model.layers.1.self_attn.";
  const std::vector<float> all = ToFloat(*raw.Find(there + ".weight"));  // [32, 96]
  const std::vector<float> biases = ToFloat(*raw.Find(there + ".bias"));
  int64_t begin = 0;
  for (const char* part : {"q_proj", "k_proj", "v_proj"}) {
    const std::vector<float> weight = ToFloat(checkpoint.Get(here + part + ".weight"));
    const std::vector<float> bias = ToFloat(checkpoint.Get(here + part + ".bias"));
    for (int64_t row = 0; row < 32; ++row) {
      for (int64_t col = 0; col < 32; ++col) {
        ASSERT_EQ(weight[row * 32 + col], all[col * 96 + begin + row]) << part;
      }
      ASSERT_EQ(bias[row], biases[begin + row]) << part;
    }
    begin += 32;
  }
}

struct Lie {
  const char* tensor;
  std::vector<int64_t> shape;  // empty: the tensor is left out
  const char* message_part;
};

class PublishedLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(PublishedLieTest, IsRefusedByThePublishedName) {
  const Lie& lie = GetParam();
  const testing::TemporaryDirectory directory;
  fs::copy(kParity / "gpt2" / "config.json", directory / "config.json");
  const SafetensorsShards raw(kParity / "gpt2");
  std::vector<testing::RawTensor> tensors;
  for (const TensorView& tensor : raw.tensors()) {
    const bool changed = tensor.name == lie.tensor;
    if (changed && lie.shape.empty()) continue;
    tensors.push_back({tensor.name,
                       tensor.dtype,
                       changed ? lie.shape : tensor.shape,
                       {tensor.data.begin(), tensor.data.end()}});
  }
  testing::WriteSafetensors(directory / "model.safetensors", tensors);
  try {
    const Checkpoint checkpoint(directory.path());
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find(lie.message_part), std::string::npos) << error.message();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, PublishedLieTest,
    ::testing::Values(
        Lie{"transformer.h.1.attn.c_attn.weight",
            {},
            "transformer.h.1.attn.c_attn.weight: expected a tensor of shape [32, 96], found none"},
        Lie{"transformer.h.1.attn.c_attn.weight",
            {96, 32},
            "transformer.h.1.attn.c_attn.weight: expected shape [32, 96], found [96, 32]"},
        Lie{"transformer.h.0.ln_1.bias", {}, "transformer.h.0.ln_1.bias: expected a tensor"},
        Lie{"transformer.wpe.weight",
            {48, 64},
            "transformer.wpe.weight: expected shape [96, 32]"}));

}  // namespace
}  // namespace llmq
