// The rotary part of config.json, in the forms that transformers has written it.
#ifndef LLMQ_CORE_ROPE_CONFIG_H_
#define LLMQ_CORE_ROPE_CONFIG_H_

#include "core/architectures.h"
#include "core/config_reader.h"
#include "llmq/model_config.h"

namespace llmq {

// Fills model.rope and, for a family whose sliding layers turn by themselves, model.sliding_rope.
// head_dim and max_position are known.
void ParseRope(const ConfigReader& config, const Family& family, ModelConfig& model);

}  // namespace llmq

#endif  // LLMQ_CORE_ROPE_CONFIG_H_
