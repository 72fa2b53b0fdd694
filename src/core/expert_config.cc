#include "core/expert_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace llmq {
namespace {

// Every decoder_sparse_step-th layer, but for those that mlp_only_layers lists.
std::vector<bool> ParseSparseLayers(const ConfigReader& config, int64_t layers) {
  const int64_t step = config.Int("decoder_sparse_step", 1, 1, kMaxLayers);
  std::vector<bool> sparse(static_cast<size_t>(layers));
  for (int64_t layer = 0; layer < layers; ++layer) {
    sparse[static_cast<size_t>(layer)] = (layer + 1) % step == 0;
  }
  const char* key = "mlp_only_layers";
  const Json list = config.Has(key) ? config.object().at(key) : Json::array();
  if (!list.is_array()) {
    config.Fail(fmt::format("\"{}\": expected a list of layers, found {}", key,
                            DumpJson(list).substr(0, 60)));
  }
  for (const Json& item : list) {
    if (!item.is_number_integer() || item.get<int64_t>() < 0 || item.get<int64_t>() >= layers) {
      config.Fail(fmt::format("\"{}\": expected layers from 0 to {}, found {}", key, layers - 1,
                              DumpJson(item).substr(0, 40)));
    }
    sparse[item.get<size_t>()] = false;
  }
  return sparse;
}

// All experts of a layer together are no larger than the largest MLP, see config_reader.h.
void CheckNumberOfExperts(const ConfigReader& config, const char* key, const ModelConfig& model) {
  const ExpertConfig& experts = model.experts;
  const int64_t most =
      std::min(kMaxExperts / model.num_layers, kMaxIntermediate / experts.intermediate_size);
  if (experts.count <= most) return;
  config.Fail(fmt::format("\"{}\": expected at most {} experts of this size, found {}", key, most,
                          experts.count));
}

}  // namespace

void ParseExperts(const ConfigReader& config, const ExpertFacts& facts, ModelConfig& model) {
  if (facts.default_count == 0) return;
  ExpertConfig experts;
  const char* key = config.Has("num_local_experts") ? "num_local_experts" : "num_experts";
  experts.count = config.Int(key, facts.default_count, facts.every_layer ? 1 : 0, kMaxExperts);
  if (experts.count == 0) return;
  experts.per_token = config.Int(
      "num_experts_per_tok", std::min(facts.default_per_token, experts.count), 1, experts.count);
  experts.intermediate_size =
      facts.default_size == 0
          ? model.intermediate_size
          : config.Int("moe_intermediate_size", facts.default_size, 1, kMaxIntermediate);
  if (facts.default_shared_size > 0) {
    experts.shared_intermediate_size = config.Int("shared_expert_intermediate_size",
                                                  facts.default_shared_size, 1, kMaxIntermediate);
  }
  experts.normalized = facts.normalized || config.Bool("norm_topk_prob", false);
  experts.names = facts.names;
  experts.sparse_layers = facts.every_layer
                              ? std::vector<bool>(static_cast<size_t>(model.num_layers), true)
                              : ParseSparseLayers(config, model.num_layers);
  if (std::ranges::find(experts.sparse_layers, true) == experts.sparse_layers.end()) return;
  model.experts = std::move(experts);
  CheckNumberOfExperts(config, key, model);
}

}  // namespace llmq
