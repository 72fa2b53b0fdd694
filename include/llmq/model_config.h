// What config.json says about a decoder-only transformer, in one struct for trainer and runtime
// alike.
#ifndef LLMQ_MODEL_CONFIG_H_
#define LLMQ_MODEL_CONFIG_H_

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmq {

enum class RopeScalingKind { kNone, kLinear, kDynamic, kLlama3, kYarn, kLongRope };

// Rotary position embedding.
struct RopeConfig {
  int64_t dim = 0;  // of a head's values the first so many turn; 0: none
  double theta = 10000.0;
  RopeScalingKind scaling = RopeScalingKind::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;      // llama3
  double high_freq_factor = 4.0;     // llama3
  double original_max_position = 0;  // llama3, yarn, dynamic, longrope
  double beta_fast = 32.0;           // yarn
  double beta_slow = 1.0;            // yarn
  double attention_factor = 0;       // longrope; yarn, where 0 means 0.1 ln(factor) + 1
  bool truncate = true;              // yarn: ramp borders rounded to whole dimensions
  // longrope: [dim/2] divisors of the frequencies for texts up to the original length, and beyond.
  std::vector<float> short_divisors, long_divisors;
  // Which values of a head turn together: (i, i + dim/2), Hugging Face's convention, or
  // (2i, 2i + 1), that of llama GGUF files. config.json cannot say it.
  bool interleaved = false;
  std::vector<float> frequency_factors;  // GGUF: [dim/2] divisors of the frequencies, or empty
};

// Of the gate, before it multiplies, or of an MLP without one: x sigmoid(x), GELU by its tanh
// approximation, GELU, max(x, 0).
enum class Activation { kSilu, kGeluTanh, kGelu, kRelu };

// x / sqrt(mean(x^2) + eps) * weight, or LayerNorm: that of x - mean(x), and a bias.
enum class NormKind { kRms, kLayer };

// What published checkpoints call the tensors of experts: "mlp.experts.3.gate_proj", or
// "block_sparse_moe.experts.3.w1".
enum class ExpertNames { kQwen, kMixtral };

// Mixture of experts: MLPs of which a token runs those that a router chooses for it.
struct ExpertConfig {
  int64_t count = 0;              // in a layer that has them; 0: no layer has
  int64_t per_token = 0;          // chosen: those with the highest probability
  int64_t intermediate_size = 0;  // of one
  // Of one more, which every token runs and a gate of its own weighs; 0: there is none.
  int64_t shared_intermediate_size = 0;
  bool normalized = false;  // weights of the chosen are divided by their sum
  ExpertNames names = ExpertNames::kQwen;
  std::vector<bool> sparse_layers;  // which layers have experts; the others have an MLP
};

struct ModelConfig {
  std::string architecture;       // "LlamaForCausalLM"
  std::string model_type;         // "llama"
  std::string gguf_architecture;  // llama.cpp's name of the family: "llama"
  bool in_llama_cpp = true;       // it knows the family
  std::string torch_dtype;        // as written in config.json; may be empty
  int64_t hidden_size = 0;
  // Of rows of embedding and head, if they are narrower than the blocks: a matrix leads from the
  // embedding into the blocks, and one from the blocks to the head. 0: they are not.
  int64_t embedding_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t vocab_size = 0;
  int64_t max_position = 0;  // context length the model was trained for
  // A table with a row for each position, added to the embedding: no text can be longer. Position
  // 0 is row `position_offset`.
  bool learned_positions = false;
  int64_t position_offset = 0;
  // Attention sees so many positions, itself included; 0: all of them. Layers of which
  // full_attention says so see all in any case; empty: none of them.
  int64_t sliding_window = 0;
  std::vector<bool> full_attention;
  NormKind norm_kind = NormKind::kRms;
  double norm_eps = 1e-5;
  double norm_offset = 0;  // what a norm multiplies with is this plus the weight in the checkpoint
  bool qk_norm = false;    // every head of queries and keys is normalised before it turns
  bool sandwich_norms = false;   // what attention and MLP add is normalised too
  bool norms_after_sum = false;  // not what attention and MLP read, but the sum with what they add
  bool has_final_norm = true;    // before the head
  Activation activation = Activation::kSilu;
  bool gated_mlp = true;       // down(activation(gate(x)) up(x)), otherwise down(activation(up(x)))
  double embedding_scale = 1;  // of an embedding's row on the way into the first block
  double attention_scale = 0;  // of q . k; 0: 1 / sqrt(head_dim)
  double attention_softcap = 0;  // scores become cap tanh(score / cap); 0: they stay
  double logit_softcap = 0;      // logits likewise
  bool tie_word_embeddings = false;
  bool qkv_bias = false;
  bool o_bias = false;
  bool mlp_bias = false;
  ExpertConfig experts;
  std::array<int64_t, 2> fp8_block = {0, 0};  // rows, columns of an FP8 scale; 0: not in blocks
  RopeConfig rope;
  std::optional<RopeConfig> sliding_rope;  // of layers with a window, if they turn differently
  std::vector<int64_t> bos_token_ids;  // from config.json and generation_config.json; may be empty
  std::vector<int64_t> eos_token_ids;

  // 0: none.
  int64_t WindowOf(int64_t layer) const {
    const bool full = !full_attention.empty() && full_attention[static_cast<size_t>(layer)];
    return full ? 0 : sliding_window;
  }
  bool TurnsBySlidingRope(int64_t layer) const {
    return sliding_rope.has_value() && WindowOf(layer) > 0;
  }
  bool HasProjectedEmbedding() const { return embedding_size > 0; }
  int64_t EmbeddingWidth() const { return embedding_size > 0 ? embedding_size : hidden_size; }
  // Of the table of positions; 0: there is none.
  int64_t PositionRows() const { return learned_positions ? max_position + position_offset : 0; }
  // True if the layer has experts.
  bool IsSparse(int64_t layer) const {
    return experts.count > 0 && experts.sparse_layers[static_cast<size_t>(layer)];
  }
  // A layer's MLPs: one, or its experts and behind them the shared one.
  int64_t NumMlps(int64_t layer) const {
    if (!IsSparse(layer)) return 1;
    return experts.count + (experts.shared_intermediate_size > 0 ? 1 : 0);
  }
  int64_t MlpSize(int64_t layer, int64_t mlp) const {
    if (!IsSparse(layer)) return intermediate_size;
    return mlp < experts.count ? experts.intermediate_size : experts.shared_intermediate_size;
  }
  double AttentionScale() const {
    return attention_scale != 0 ? attention_scale : 1 / std::sqrt(static_cast<double>(head_dim));
  }
};

// Parses and checks config.json. `where` is the path for messages. Throws Error{kGeneral} for an
// unknown architecture (naming it and the supported list), a missing or absurd value, or an
// unsupported activation. generation_config_json may be empty.
ModelConfig ParseModelConfig(std::string_view config_json, std::string_view generation_config_json,
                             const std::string& where);

// Architectures that ParseModelConfig knows, for messages: "LlamaForCausalLM, ...".
std::string SupportedArchitectures();

// Inverse rotary frequencies after scaling, [dim/2] f32, and the factor on cos and sin (1 but for
// yarn and longrope). `sequence_length` matters to dynamic scaling and longrope only.
struct RopeFrequencies {
  std::vector<float> inverse;
  float attention_factor = 1.0f;
};
RopeFrequencies ComputeRopeFrequencies(const RopeConfig& rope, int64_t sequence_length);
// True if the frequencies depend on the length of the text.
constexpr bool DependsOnLength(RopeScalingKind kind) {
  return kind == RopeScalingKind::kDynamic || kind == RopeScalingKind::kLongRope;
}

// The projections of a block, in the order in which they are computed: four of attention, then
// those of its MLP, or of each of its MLPs; an MLP without a gate has two.
enum class Projection { kQ, kK, kV, kO, kGate, kUp, kDown };

// One linear layer that gets compressed: its name without ".weight", for example
// "model.layers.3.self_attn.q_proj", and where it stands.
struct LinearSpec {
  std::string name;
  int64_t layer = 0;
  Projection projection = Projection::kQ;
  int64_t d_out = 0;
  int64_t d_in = 0;
  bool has_bias = false;
  int64_t mlp = 0;  // which of the block's MLPs; 0 in attention
};

// All linears of all blocks, in the order layer, MLP, projection: the order of work and of the
// file.
std::vector<LinearSpec> BlockLinears(const ModelConfig& config);

// Where the linears of one block stand among them: [begin, end).
struct LinearRange {
  size_t begin = 0;
  size_t end = 0;
  size_t size() const { return end - begin; }
};
LinearRange LinearsOfBlock(const ModelConfig& config, int64_t layer);
// Where a projection stands within its block.
size_t IndexInBlock(const ModelConfig& config, Projection projection, int64_t mlp = 0);

// Which part of a text's tokens passes through a linear: all, or in the mean what an expert gets.
double TokenShare(const ModelConfig& config, const LinearSpec& linear);

// The norms of a block: before attention and before the MLP, or with norms_after_sum behind each;
// with sandwich_norms after each of the two; with qk_norm over heads of queries and of keys.
enum class BlockNorm { kInput, kMlp, kAfterAttention, kAfterMlp, kQuery, kKey };
inline constexpr int kNumBlockNorms = 6;

struct NormSpec {
  std::string name;  // "model.layers.3.input_layernorm.weight"
  int64_t layer = 0;
  BlockNorm norm = BlockNorm::kInput;
  int64_t size = 0;
  std::string bias = {};  // "model.layers.3.input_layernorm.bias", of LayerNorm; empty: none
};

// Those that the blocks have, in the order layer, norm.
std::vector<NormSpec> BlockNorms(const ModelConfig& config);
// The one before the head, if has_final_norm; layer and norm say nothing.
NormSpec FinalNorm(const ModelConfig& config);

// The small matrices of blocks with experts. They stay as they are, and multiply in float32.
enum class Router { kExperts, kShared };
inline constexpr int kNumRouters = 2;

struct RouterSpec {
  std::string name;  // "model.layers.3.mlp.gate.weight"
  int64_t layer = 0;
  Router router = Router::kExperts;
  int64_t rows = 0;  // [rows, hidden]: one per expert; one, whose sigmoid weighs the shared expert
};

// In the order layer, router.
std::vector<RouterSpec> BlockRouters(const ModelConfig& config);

// Names of the tensors outside the linears. Llama's names are the program's own, and those in its
// files; families that publish other ones are renamed as they are read (PublishedNames).
std::string InputNormName(int64_t layer);  // "model.layers.N.input_layernorm.weight"
// The norm before the MLP, or with sandwich_norms the one after attention.
std::string PostAttentionNormName(int64_t layer);
inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kPositionsName = "model.embed_positions.weight";
inline constexpr const char* kProjectInName = "model.project_in.weight";    // [hidden, embedding]
inline constexpr const char* kProjectOutName = "model.project_out.weight";  // [embedding, hidden]
inline constexpr const char* kFinalNormName = "model.norm.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

// Every tensor the model needs, with its shape: weights, biases, norms, embedding, positions if
// they are learned, and head if untied.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

// A tensor of a checkpoint that has another name there, or is several in one: the rows of the
// parts one after the other (q, k and v in one tensor). Transposed: [in, out], the columns.
struct PublishedTensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<ExpectedTensor> parts;
  bool transposed = false;
  bool optional = false;  // checkpoints may have the parts instead
};

// Names that begin with the one begin with the other inside the program.
struct PublishedPrefix {
  std::string_view published;
  std::string_view own;
};

// How the model's family publishes its checkpoints. Tensors that are not listed have the names of
// ExpectedTensors.
struct PublishedNames {
  std::span<const PublishedPrefix> prefixes;      // the first that fits counts
  std::span<const std::string_view> not_of_text;  // names begin with one of these: images
  std::string optional_prefix;                    // names may begin with it: "transformer."
  std::vector<PublishedTensor> tensors;
  std::vector<std::string> unused;  // tables that older checkpoints hold and nobody reads
};
PublishedNames PublishedNamesOf(const ModelConfig& config);

}  // namespace llmq

#endif  // LLMQ_MODEL_CONFIG_H_
