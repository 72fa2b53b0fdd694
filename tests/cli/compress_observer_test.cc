// The contract's line per transformer layer, from reports per matrix.
#include "cli/compress_observer.h"

#include <gtest/gtest.h>

namespace llmq {
namespace {

ModelConfig TwoLayers() {
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = 32;
  config.intermediate_size = 64;
  config.num_layers = 2;
  config.num_heads = config.num_kv_heads = 4;
  config.head_dim = 8;
  config.vocab_size = 64;
  return config;
}

TEST(LayerLines, OneLineWhenTheLastMatrixOfALayerHasCome) {
  const ModelConfig config = TwoLayers();
  LayerLines lines(config);
  std::vector<std::string> printed;
  for (const LinearSpec& linear : BlockLinears(config)) {
    const bool down = linear.projection == Projection::kDown;
    const std::string line =
        lines.Add({.name = linear.name,
                   .shape = {linear.d_out, linear.d_in, linear.layer == 1 && down ? 16 : 8, 1},
                   .bpw = down ? 1.0 : 0.5,
                   .relative_error = down ? 0.4 : 0.2});
    if (!line.empty()) printed.push_back(line);
  }
  // Weights: down is 2048 of 4 * 1024 + 3 * 2048 = 10240, so bpw = 0.5 + 0.5 * 0.2, error = 0.2 +
  // 0.2 * 0.2.
  EXPECT_EQ(printed, (std::vector<std::string>{"  Layer 0: rank=8, bpw=0.60, error=0.240",
                                               "  Layer 1: rank=8-16, bpw=0.60, error=0.240"}));
}

TEST(LayerLines, UnknownNamesAreLeftOut) {
  const ModelConfig config = TwoLayers();
  EXPECT_EQ(LayerLines(config).Add({.name = "lm_head"}), "");
}

}  // namespace
}  // namespace llmq
