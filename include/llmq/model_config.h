// What config.json says about a decoder-only transformer, in one struct for trainer and runtime
// alike.
#ifndef LLMQ_MODEL_CONFIG_H_
#define LLMQ_MODEL_CONFIG_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace llmq {

enum class RopeScalingKind { kNone, kLinear, kDynamic, kLlama3, kYarn };

// Rotary position embedding.
struct RopeConfig {
  double theta = 10000.0;
  RopeScalingKind scaling = RopeScalingKind::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;      // llama3
  double high_freq_factor = 4.0;     // llama3
  double original_max_position = 0;  // llama3, yarn, dynamic
  double beta_fast = 32.0;           // yarn
  double beta_slow = 1.0;            // yarn
  double attention_factor = 0;       // yarn; 0 means 0.1 ln(factor) + 1
  bool truncate = true;              // yarn: ramp borders rounded to whole dimensions
  // Which values of a head turn together: (i, i + head_dim/2), Hugging Face's convention, or
  // (2i, 2i + 1), that of llama GGUF files. config.json cannot say it.
  bool interleaved = false;
  std::vector<float> frequency_factors;  // GGUF: [head_dim/2] divisors of the frequencies, or empty
};

struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM"
  std::string model_type;    // "llama"
  std::string torch_dtype;   // as written in config.json; may be empty
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position = 0;    // context length the model was trained for
  int64_t sliding_window = 0;  // 0: none (Mistral)
  double rms_norm_eps = 1e-5;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  RopeConfig rope;
  std::vector<int64_t> bos_token_ids;  // from config.json and generation_config.json; may be empty
  std::vector<int64_t> eos_token_ids;
};

// Parses and checks config.json. `where` is the path for messages. Throws Error{kGeneral} for an
// unknown architecture (naming it and the supported list), a missing or absurd value, or an
// unsupported activation. generation_config_json may be empty.
ModelConfig ParseModelConfig(std::string_view config_json, std::string_view generation_config_json,
                             const std::string& where);

// Inverse rotary frequencies after scaling, [head_dim/2] f32, and the factor on cos and sin (1 but
// for yarn). `sequence_length` matters to dynamic scaling only.
struct RopeFrequencies {
  std::vector<float> inverse;
  float attention_factor = 1.0f;
};
RopeFrequencies ComputeRopeFrequencies(const ModelConfig& config, int64_t sequence_length);

// The seven projections of a block, in the order in which they are computed.
enum class Projection { kQ, kK, kV, kO, kGate, kUp, kDown };
inline constexpr int kNumProjections = 7;

// One linear layer that gets compressed: its name without ".weight", for example
// "model.layers.3.self_attn.q_proj", and where it stands.
struct LinearSpec {
  std::string name;
  int64_t layer = 0;
  Projection projection = Projection::kQ;
  int64_t d_out = 0;
  int64_t d_in = 0;
  bool has_bias = false;
};

// All linears of all blocks, in the order layer, projection: the order of work and of the file.
std::vector<LinearSpec> BlockLinears(const ModelConfig& config);

// Names of the tensors outside the linears, in Hugging Face's terms.
std::string InputNormName(int64_t layer);  // "model.layers.N.input_layernorm.weight"
std::string PostAttentionNormName(int64_t layer);
inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kFinalNormName = "model.norm.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

// Every tensor the model needs, with its shape: weights, biases, norms, embedding, and head if
// untied.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

}  // namespace llmq

#endif  // LLMQ_MODEL_CONFIG_H_
