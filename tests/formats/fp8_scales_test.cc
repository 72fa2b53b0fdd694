// FP8 matrices with the scales beside them: values by hand, and scales that lie.
#include "formats/fp8_scales.h"

#include <gtest/gtest.h>

#include <cmath>

#include "llmq/error.h"

namespace llmq {
namespace {

constexpr const char* kLinear = "model.layers.0.mlp.down_proj";

ModelConfig Config(std::array<int64_t, 2> block) {
  ModelConfig config;
  config.num_layers = 1;
  config.num_heads = config.num_kv_heads = 1;
  config.head_dim = 2;
  config.hidden_size = 3;        // rows of down_proj
  config.intermediate_size = 4;  // its columns
  config.fp8_block = block;
  return config;
}

void Attach(const ModelConfig& config, const std::string& where, std::vector<TensorView>& tensors) {
  for (const AttachedScales& scales : AttachFp8Scales(config, where, tensors)) scales.Read();
}

class Fp8Scales : public ::testing::Test {
 protected:
  // 1, 2, 448, -1 / 0.5, 0, 2^-9, 2^-6 / the same as the first row, in E4M3.
  std::vector<uint8_t> codes_ = {0x38, 0x40, 0x7e, 0xb8, 0x30, 0x00,
                                 0x01, 0x08, 0x38, 0x40, 0x7e, 0xb8};

  std::vector<TensorView> Tensors(const std::vector<float>& scales, std::vector<int64_t> shape,
                                  const char* suffix = ".weight_scale_inv",
                                  DType dtype = DType::kF8E4M3) {
    scales_ = scales;
    return {{std::string(kLinear) + ".weight", dtype, {3, 4}, std::as_bytes(std::span(codes_)), {}},
            {std::string(kLinear) + suffix,
             DType::kF32,
             std::move(shape),
             std::as_bytes(std::span(scales_)),
             {}}};
  }

  std::vector<float> scales_;
};

TEST_F(Fp8Scales, OnePerBlock) {
  std::vector<TensorView> tensors = Tensors({1, 10, 100, 1000}, {2, 2});
  EXPECT_FALSE(HasFloatValues(tensors[0]));
  Attach(Config({2, 2}), "model", tensors);
  ASSERT_EQ(tensors.size(), 1u);
  EXPECT_TRUE(HasFloatValues(tensors[0]));
  EXPECT_EQ(ToFloat(tensors[0]), (std::vector<float>{1, 2, 4480, -10, 0.5, 0, 10 / 512.0f,
                                                     10 / 64.0f, 100, 200, 448000, -1000}));
  EXPECT_EQ(CountNonFinite(tensors[0]).nan, 0);
}

TEST_F(Fp8Scales, OnePerRowAndOneForAll) {
  std::vector<TensorView> rows = Tensors({1, 2, 3}, {3, 1}, ".weight_scale");
  Attach(Config({0, 0}), "model", rows);
  EXPECT_EQ(ToFloat(rows[0])[4], 1);
  EXPECT_EQ(ToFloat(rows[0])[9], 6);
  std::vector<TensorView> all = Tensors({4}, {});
  Attach(Config({0, 0}), "model", all);
  EXPECT_EQ(ToFloat(all[0])[11], -4);
}

TEST_F(Fp8Scales, FiveBitsOfExponentAreAHalfsUpperByte) {
  codes_ = {0x3c, 0x7b, 0x01, 0xbc, 0x04, 0x7c, 0x7e, 0, 0, 0, 0, 0};
  std::vector<TensorView> tensors = Tensors({1}, {1}, ".weight_scale", DType::kF8E5M2);
  Attach(Config({0, 0}), "model", tensors);
  const std::vector<float> values = ToFloat(tensors[0]);
  EXPECT_EQ(values[0], 1);
  EXPECT_EQ(values[1], 57344);
  EXPECT_EQ(values[2], std::ldexp(1.0f, -16));
  EXPECT_EQ(values[3], -1);
  EXPECT_EQ(values[4], std::ldexp(1.0f, -14));
  EXPECT_EQ(CountNonFinite(tensors[0]).inf, 1);
  EXPECT_EQ(CountNonFinite(tensors[0]).nan, 1);
}

TEST_F(Fp8Scales, NaNIsCounted) {
  codes_[3] = 0x7f;
  codes_[7] = 0xff;
  std::vector<TensorView> tensors = Tensors({1}, {1});
  Attach(Config({0, 0}), "model", tensors);
  EXPECT_EQ(CountNonFinite(tensors[0]).nan, 2);
  EXPECT_TRUE(std::isnan(ToFloat(tensors[0])[3]));
}

TEST_F(Fp8Scales, ScalesThatDoNotFitAreRefused) {
  for (const auto& [block, shape] :
       {std::pair(std::array<int64_t, 2>{2, 2}, std::vector<int64_t>{4}),
        std::pair(std::array<int64_t, 2>{2, 4}, std::vector<int64_t>{2, 2}),
        std::pair(std::array<int64_t, 2>{0, 0}, std::vector<int64_t>{2, 2}),
        std::pair(std::array<int64_t, 2>{0, 0}, std::vector<int64_t>{4})}) {
    std::vector<TensorView> tensors = Tensors({1, 2, 3, 4}, shape);
    EXPECT_THROW(Attach(Config(block), "model", tensors), Error);
  }
}

TEST_F(Fp8Scales, AMatrixWithoutThemHasNoValues) {
  std::vector<TensorView> tensors = Tensors({1}, {1}, ".other");
  Attach(Config({0, 0}), "model", tensors);
  EXPECT_EQ(tensors.size(), 2u);
  EXPECT_FALSE(HasFloatValues(tensors[0]));
}

}  // namespace
}  // namespace llmq
