// The numbers of a model, as llama.cpp's keys and back.
//
// Before this: core/model_config (writing), gguf (reading). After this: llamacpp/lossy_writer,
// llamacpp/gguf_model. Source: llama.cpp's keys of its architectures; only "llama" is read back.
#ifndef LLMQ_LLAMACPP_MODEL_KEYS_H_
#define LLMQ_LLAMACPP_MODEL_KEYS_H_

#include <string>
#include <vector>

#include "llmq/gguf.h"
#include "llmq/model_config.h"

namespace llmq {

// Keys of the model's architecture: llama.*, qwen2.*, ...
std::vector<GgufKey> ModelKeys(const ModelConfig& config);
// What a file cannot say of this model, a sentence each; empty for most.
std::vector<std::string> LossesOfModelKeys(const ModelConfig& config);
// Throws Error{kUnsupportedConversion} for a model that llama.cpp would run as another one.
void ExpectRunsInLlamaCpp(const ModelConfig& config);

// [dim / 2] f32 divisors of the rotary frequencies, and the tensor that holds them.
struct RopeFactors {
  std::string name;
  std::vector<float> values;
};
// rope_freqs.weight; or one for short and one for long texts; none for most models.
std::vector<RopeFactors> RopeFactorTensors(const ModelConfig& config);

// The text of a config.json that says what the keys say. Throws Error{kGeneral} "path: key: ..."
// for another architecture than llama and for what cannot be run (experts).
std::string ConfigJsonFromGguf(const GgufFile& file);

}  // namespace llmq

#endif  // LLMQ_LLAMACPP_MODEL_KEYS_H_
