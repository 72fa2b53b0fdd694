// The exported metadata against the file it came from.
#include <gtest/gtest.h>

#include <cmath>

#include "base/json.h"
#include "llmq/littlebit_file.h"
#include "tests/formats/golden_models.h"

namespace llmq {
namespace {

TEST(FactorizationMetadataTest, ListsEveryLayerWithItsScales) {
  const LittleBitFile file(testing::GoldenPath("two-paths"));
  const Json json = ParseJson(ExportFactorizationMetadata(file, true), "export");
  EXPECT_EQ(json["format"], "littlebit-factorization");
  EXPECT_EQ(json["target_bpw"], 0.55);
  EXPECT_EQ(json["body_bytes"], file.body_bytes());
  ASSERT_EQ(json["layers"].size(), 14u);
  const Json& layer = json["layers"][8];
  EXPECT_EQ(layer["name"], "model.layers.1.self_attn.k_proj.weight");
  EXPECT_EQ(layer["rank"], 4);
  EXPECT_EQ(layer["paths"], 2);
  EXPECT_EQ(layer["relative_error"], 0.2);
  const LittleBitSection* section = file.Find("model.layers.1.self_attn.k_proj.weight");
  const auto path = ViewLittleBitPaths(section->littlebit_shape(), section->data)[1];
  ASSERT_EQ(layer["scales"].size(), 2u);
  const Json& scales = layer["scales"][1];
  const auto check = [](const Json& scale, const ScaleView& expected) {
    ASSERT_EQ(scale["values"].size(), static_cast<size_t>(expected.size()));
    double sum = 0;
    for (int64_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(scale["values"][static_cast<size_t>(i)].get<double>(), expected[i]);
      sum += std::fabs(expected[i]);
    }
    EXPECT_NEAR(scale["mean_abs"].get<double>(), sum / static_cast<double>(expected.size()), 1e-12);
    EXPECT_LE(scale["min_abs"].get<double>(), scale["max_abs"].get<double>());
  };
  check(scales["row"], path.h);
  check(scales["column"], path.g);
  check(scales["latent"], path.l);
}

TEST(FactorizationMetadataTest, LeavesValuesOutUnlessAsked) {
  const LittleBitFile file(testing::GoldenPath("one-path"));
  const std::string text = ExportFactorizationMetadata(file, false);
  EXPECT_EQ(text.find("values"), std::string::npos);
  EXPECT_EQ(ParseJson(text, "export")["layers"].size(), 7u);
}

}  // namespace
}  // namespace llmq
