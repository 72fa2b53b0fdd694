// What config.json says about experts.
#ifndef LLMQ_CORE_EXPERT_CONFIG_H_
#define LLMQ_CORE_EXPERT_CONFIG_H_

#include "core/architectures.h"
#include "core/config_reader.h"
#include "llmq/model_config.h"

namespace llmq {

// Fills model.experts; nothing for a family without experts. Number of layers and size of an MLP
// are known.
void ParseExperts(const ConfigReader& config, const ExpertFacts& facts, ModelConfig& model);

}  // namespace llmq

#endif  // LLMQ_CORE_EXPERT_CONFIG_H_
