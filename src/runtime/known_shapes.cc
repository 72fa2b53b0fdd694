// Dimensions of public models, for measuring speed without them.
#include <fmt/format.h>

#include <iterator>

#include "llmq/error.h"
#include "llmq/speed.h"

namespace llmq {
namespace {

struct Shape {
  const char* name;
  int64_t hidden, intermediate, layers, heads, kv_heads, head_dim, vocab, context;
  double rope_theta;
  bool tied;
  int64_t experts = 0, per_token = 0, expert_size = 0;  // of models with experts
  bool qk_norm = false;
};

constexpr Shape kShapes[] = {
    {"tinyllama-1.1b", 2048, 5632, 22, 32, 4, 64, 32000, 2048, 1e4, false},
    {"llama-3.2-1b", 2048, 8192, 16, 32, 8, 64, 128256, 131072, 5e5, true},
    {"llama-3.2-3b", 3072, 8192, 28, 24, 8, 128, 128256, 131072, 5e5, true},
    {"llama-2-7b", 4096, 11008, 32, 32, 32, 128, 32000, 4096, 1e4, false},
    {"mistral-7b", 4096, 14336, 32, 32, 8, 128, 32000, 32768, 1e4, false},
    {"llama-3-8b", 4096, 14336, 32, 32, 8, 128, 128256, 8192, 5e5, false},
    {"llama-2-13b", 5120, 13824, 40, 40, 40, 128, 32000, 4096, 1e4, false},
    {"llama-2-70b", 8192, 28672, 80, 64, 8, 128, 32000, 4096, 1e4, false},
    {"mixtral-8x7b", 4096, 14336, 32, 32, 8, 128, 32000, 32768, 1e6, false, 8, 2, 14336},
    {"qwen3-30b-a3b", 2048, 6144, 48, 32, 4, 128, 151936, 40960, 1e6, false, 128, 8, 768, true},
};

}  // namespace

std::vector<std::string> KnownShapes() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

ModelConfig KnownShape(std::string_view name) {
  for (const Shape& shape : kShapes) {
    if (shape.name != name) continue;
    ModelConfig config;
    config.architecture = "LlamaForCausalLM";
    config.model_type = "llama";
    config.hidden_size = shape.hidden;
    config.intermediate_size = shape.intermediate;
    config.num_layers = shape.layers;
    config.num_heads = shape.heads;
    config.num_kv_heads = shape.kv_heads;
    config.head_dim = shape.head_dim;
    config.vocab_size = shape.vocab;
    config.max_position = shape.context;
    config.tie_word_embeddings = shape.tied;
    config.rope.dim = shape.head_dim;
    config.rope.theta = shape.rope_theta;
    config.qk_norm = shape.qk_norm;
    if (shape.experts > 0) {
      config.experts = {
          .count = shape.experts,
          .per_token = shape.per_token,
          .intermediate_size = shape.expert_size,
          .normalized = true,
          .sparse_layers = std::vector<bool>(static_cast<size_t>(shape.layers), true)};
    }
    return config;
  }
  throw Error(
      ErrorCode::kInvalidArguments,
      fmt::format("--shape: expected one of {}, found '{}'", fmt::join(KnownShapes(), ", "), name),
      "Give the path of a model to measure one that is not listed.");
}

}  // namespace llmq
