// config.json as strangers write it, and rotary frequencies against Hugging Face transformers.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "llmq/error.h"
#include "llmq/model_config.h"

namespace llmq {
namespace {

constexpr const char* kTiny = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
  "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
  "vocab_size": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-05
})";

// kTiny with members replaced or added; the value "<removed>" removes one.
std::string Config(const std::string& overrides) {
  Json config = ParseJson(kTiny, "test");
  const Json changes = ParseJson(overrides, "test");
  for (const auto& [key, value] : changes.items()) {
    if (value == "<removed>") {
      config.erase(key);
    } else {
      config[key] = value;
    }
  }
  return DumpJson(config);
}

ModelConfig Parse(const std::string& overrides, const std::string& generation = "") {
  return ParseModelConfig(Config(overrides), generation, "dir/config.json");
}

int64_t Parameters(const ModelConfig& config) {
  int64_t count = 0;
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    int64_t elements = 1;
    for (const int64_t dimension : tensor.shape) elements *= dimension;
    count += elements;
  }
  return count;
}

TEST(ModelConfigTest, ReadsLlamaAndFillsDefaults) {
  const ModelConfig config = Parse("{}");
  EXPECT_EQ(config.architecture, "LlamaForCausalLM");
  EXPECT_EQ(config.num_kv_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.sliding_window, 0);
  EXPECT_EQ(config.rope.theta, 10000.0);
  EXPECT_EQ(config.rope.scaling, RopeScalingKind::kNone);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_TRUE(config.bos_token_ids.empty());
  EXPECT_EQ(Parse(R"({"rms_norm_eps": "<removed>"})").norm_eps, 1e-6);  // transformers' default
}

TEST(ModelConfigTest, ReadsPublishedShapes) {
  for (const auto& [name, parameters] :
       {std::pair("llama-2-7b", 6738415616), std::pair("llama-2-13b", 13015864320)}) {
    const std::string path = std::string(LLMQ_TEST_GOLDEN_DIR) + "/shapes/" + name + "/config.json";
    const ModelConfig config = ParseModelConfig(ReadTextFile(path), "", path);
    EXPECT_EQ(Parameters(config), parameters) << name;  // the numbers on the models' pages
    EXPECT_EQ(config.torch_dtype, "float16");
  }
}

TEST(ModelConfigTest, MistralDefaultsDifferFromLlama) {
  const std::string mistral =
      R"("architectures": ["MistralForCausalLM"], "num_attention_heads": 8)";
  const ModelConfig absent = Parse("{" + mistral + "}");
  EXPECT_EQ(absent.sliding_window, 4096);
  EXPECT_EQ(absent.num_kv_heads, 8);
  EXPECT_EQ(Parse("{" + mistral + R"(, "sliding_window": null})").sliding_window, 0);
  EXPECT_EQ(Parse("{" + mistral + R"(, "sliding_window": 17})").sliding_window, 17);
  EXPECT_FALSE(Parse("{" + mistral + R"(, "attention_bias": true})").qkv_bias);  // it has none
  EXPECT_EQ(Parse(R"({"sliding_window": 17})").sliding_window, 0);               // Llama has none
}

// Defaults of transformers' configuration classes, and facts that config.json does not say.
TEST(ModelConfigTest, FamiliesDiffer) {
  const auto parse = [](const std::string& name, const std::string& more) {
    return Parse(R"({"architectures": [")" + name + R"("], "num_key_value_heads": 2)" + more + "}");
  };
  const ModelConfig qwen2 = parse("Qwen2ForCausalLM", "");
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.o_bias || qwen2.mlp_bias || qwen2.qk_norm);
  EXPECT_EQ(qwen2.sliding_window, 0);
  const ModelConfig sliding =
      parse("Qwen2ForCausalLM", R"(, "use_sliding_window": true, "max_window_layers": 1)");
  EXPECT_EQ(sliding.WindowOf(0), 0);
  EXPECT_EQ(sliding.WindowOf(1), 4096);
  const ModelConfig qwen3 = parse("Qwen3ForCausalLM", "");
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_EQ(BlockNorms(qwen3).size(), 8u);

  const std::string gelu = R"(, "hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh")";
  const ModelConfig gemma = parse("GemmaForCausalLM", gelu);
  EXPECT_TRUE(gemma.tie_word_embeddings);
  EXPECT_EQ(gemma.norm_offset, 1);
  EXPECT_EQ(gemma.embedding_scale, 8);
  const ModelConfig gemma2 = parse("Gemma2ForCausalLM", gelu + R"(, "query_pre_attn_scalar": 64)");
  EXPECT_EQ(gemma2.AttentionScale(), 0.125);
  EXPECT_EQ(gemma2.WindowOf(0), 4096);
  EXPECT_EQ(gemma2.WindowOf(1), 0);
  const ModelConfig gemma3 =
      parse("Gemma3ForCausalLM", gelu + R"(, "num_hidden_layers": 7, "rope_theta": 1e6,
                 "rope_scaling": {"rope_type": "linear", "factor": 8})");
  EXPECT_EQ(gemma3.WindowOf(4), 4096);
  EXPECT_EQ(gemma3.WindowOf(5), 0);
  EXPECT_EQ(gemma3.rope.factor, 8);
  EXPECT_EQ(gemma3.sliding_rope->theta, 10000);
  EXPECT_EQ(gemma3.sliding_rope->scaling, RopeScalingKind::kNone);
  EXPECT_EQ(BlockNorms(gemma3).size(), 7u * 6);

  const ModelConfig phi3 = parse("Phi3ForCausalLM", R"(, "partial_rotary_factor": 0.75)");
  EXPECT_EQ(phi3.rope.dim, 12);
  const std::vector<PublishedTensor> fused = PublishedNamesOf(phi3).tensors;
  ASSERT_EQ(fused.size(), 4u);
  EXPECT_EQ(fused[0].name, "model.layers.0.self_attn.qkv_proj.weight");
  EXPECT_EQ(fused[2].parts[1].name, "model.layers.0.mlp.up_proj.weight");
}

// The config.json of openai-community/gpt2, shortened by what is ignored.
constexpr const char* kGpt2 = R"({
  "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
  "bos_token_id": 50256, "eos_token_id": 50256, "layer_norm_epsilon": 1e-05, "model_type": "gpt2",
  "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
  "vocab_size": 50257
})";

TEST(ModelConfigTest, ReadsGpt2) {
  const ModelConfig config = ParseModelConfig(kGpt2, "", "dir/config.json");
  EXPECT_EQ(Parameters(config), 124439808);  // the number on the model's page
  EXPECT_EQ(config.intermediate_size, 3072);
  EXPECT_EQ(config.max_position, 1024);
  EXPECT_EQ(config.PositionRows(), 1024);
  EXPECT_EQ(config.rope.dim, 0);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.activation, Activation::kGeluTanh);
  EXPECT_EQ(config.norm_kind, NormKind::kLayer);
  ASSERT_EQ(BlockLinears(config).size(), 72u);
  EXPECT_EQ(LinearsOfBlock(config, 11).end, 72u);
  for (const LinearSpec& linear : BlockLinears(config)) {
    EXPECT_EQ(BlockLinears(config)[LinearsOfBlock(config, linear.layer).begin +
                                   IndexInBlock(config, linear.projection)]
                  .name,
              linear.name);
    EXPECT_TRUE(linear.has_bias);
  }
}

// All tensors of openai-community/gpt2's model.safetensors, in their shapes.
TEST(ModelConfigTest, Gpt2IsPublishedUnderOtherNames) {
  const ModelConfig config = ParseModelConfig(kGpt2, "", "dir/config.json");
  std::map<std::string, std::vector<int64_t>> published = {{"wte.weight", {50257, 768}},
                                                           {"wpe.weight", {1024, 768}},
                                                           {"ln_f.weight", {768}},
                                                           {"ln_f.bias", {768}}};
  for (int n = 0; n < 12; ++n) {
    const std::string h = "h." + std::to_string(n) + ".";
    for (const char* norm : {"ln_1", "ln_2"}) {
      published[h + norm + ".weight"] = published[h + norm + ".bias"] = {768};
    }
    published[h + "attn.c_attn.weight"] = {768, 2304};
    published[h + "attn.c_attn.bias"] = {2304};
    published[h + "attn.c_proj.weight"] = {768, 768};
    published[h + "attn.c_proj.bias"] = {768};
    published[h + "mlp.c_fc.weight"] = {768, 3072};
    published[h + "mlp.c_fc.bias"] = {3072};
    published[h + "mlp.c_proj.weight"] = {3072, 768};
    published[h + "mlp.c_proj.bias"] = {768};
  }
  const PublishedNames names = PublishedNamesOf(config);
  EXPECT_EQ(names.optional_prefix, "transformer.");
  EXPECT_EQ(names.unused.size(), 24u);
  EXPECT_EQ(names.unused[0], "h.0.attn.bias");
  size_t parts = 0;
  for (const PublishedTensor& tensor : names.tensors) {
    ASSERT_TRUE(published.contains(tensor.name)) << tensor.name;
    EXPECT_EQ(tensor.shape, published[tensor.name]) << tensor.name;
    parts += tensor.parts.size();
  }
  EXPECT_EQ(names.tensors.size(), published.size());
  EXPECT_EQ(parts, ExpectedTensors(config).size());
}

TEST(ModelConfigTest, ReadsOpt) {
  const auto parse = [](const std::string& more) {  // facebook/opt-1.3b
    return ParseModelConfig(
        R"({"architectures": ["OPTForCausalLM"], "activation_function": "relu", "ffn_dim": 8192,
            "hidden_size": 2048, "max_position_embeddings": 2048, "num_attention_heads": 32,
            "num_hidden_layers": 24, "vocab_size": 50272, "word_embed_proj_dim": 2048)" +
            more + "}",
        "", "dir/config.json");
  };
  const ModelConfig config = parse("");
  EXPECT_EQ(Parameters(config), 1315758080);  // transformers counts the tied head once, too
  EXPECT_EQ(config.PositionRows(), 2050);
  EXPECT_EQ(config.activation, Activation::kRelu);
  EXPECT_EQ(config.norm_eps, 1e-5);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_FALSE(config.in_llama_cpp);
  EXPECT_EQ(PublishedNamesOf(config).tensors.size(), ExpectedTensors(config).size());
  const ModelConfig plain = parse(R"(, "enable_bias": false)");
  EXPECT_EQ(Parameters(config) - Parameters(plain), 24 * (4 * 2048 + 8192 + 2048));
  EXPECT_EQ(FinalNorm(plain).bias, "model.norm.bias");  // norms keep theirs
  EXPECT_EQ(parse(R"(, "activation_function": "gelu")").activation, Activation::kGelu);
}

TEST(ModelConfigTest, ReadsOpt350m) {
  const ModelConfig config = ParseModelConfig(  // facebook/opt-350m
      R"({"architectures": ["OPTForCausalLM"], "do_layer_norm_before": false, "ffn_dim": 4096,
          "hidden_size": 1024, "max_position_embeddings": 2048, "num_attention_heads": 16,
          "num_hidden_layers": 24, "vocab_size": 50272, "word_embed_proj_dim": 512})",
      "", "dir/config.json");
  EXPECT_EQ(Parameters(config), 331196416);  // of OPTForCausalLM in transformers
  EXPECT_TRUE(config.norms_after_sum);
  EXPECT_FALSE(config.has_final_norm);
  EXPECT_EQ(config.EmbeddingWidth(), 512);
  EXPECT_EQ(PublishedNamesOf(config).tensors.size(), ExpectedTensors(config).size());
}

TEST(ModelConfigTest, ReadsTheTextModelOfGemma3WithImages) {
  const ModelConfig config = ParseModelConfig(  // google/gemma-3-4b-it
      R"({"architectures": ["Gemma3ForConditionalGeneration"], "eos_token_id": [1, 106],
          "image_token_index": 262144, "model_type": "gemma3", "torch_dtype": "bfloat16",
          "text_config": {"hidden_size": 2560, "intermediate_size": 10240,
          "model_type": "gemma3_text", "num_hidden_layers": 34, "sliding_window": 1024,
          "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}, "vision_config": {}})",
      "", "dir/config.json");
  EXPECT_EQ(Parameters(config), 3880263168);  // of Gemma3ForCausalLM in transformers
  EXPECT_EQ(config.rope.theta, 1e6);
  EXPECT_EQ(config.rope.factor, 8);
  EXPECT_EQ(config.sliding_rope->theta, 1e4);
  EXPECT_EQ(config.sliding_window, 1024);
  EXPECT_EQ(config.max_position, 131072);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{1, 106}));
}

TEST(ModelConfigTest, MixtralHasExpertsEverywhere) {
  const std::string name = R"("architectures": ["MixtralForCausalLM"], "num_key_value_heads": 2)";
  const ModelConfig config = Parse("{" + name + "}");
  EXPECT_EQ(config.experts.count, 8);
  EXPECT_EQ(config.experts.per_token, 2);
  EXPECT_EQ(config.MlpSize(1, 7), 96);
  EXPECT_TRUE(config.experts.normalized && config.IsSparse(0) && config.IsSparse(1));
  EXPECT_EQ(config.rope.theta, 1e6);
  EXPECT_EQ(config.sliding_window, 0);
  const std::vector<LinearSpec> linears = BlockLinears(config);
  ASSERT_EQ(linears.size(), 2u * (4 + 8 * 3));
  EXPECT_EQ(linears[4].name, "model.layers.0.block_sparse_moe.experts.0.w1");
  EXPECT_EQ(linears[27].name, "model.layers.0.block_sparse_moe.experts.7.w2");
  EXPECT_EQ(linears[27].d_in, 96);
  EXPECT_EQ(IndexInBlock(config, Projection::kDown, 7), 27u);
  EXPECT_EQ(TokenShare(config, linears[3]), 1);
  EXPECT_EQ(TokenShare(config, linears[27]), 0.25);
  EXPECT_EQ(BlockRouters(config)[1].name, "model.layers.1.block_sparse_moe.gate.weight");
  EXPECT_EQ(Parse("{" + name + R"(, "num_experts": 5})").experts.count, 5);
}

// The rule of transformers: the layer's number plus one is a multiple of the step, and it is not
// listed.
TEST(ModelConfigTest, QwenSaysWhichLayersHaveExperts) {
  const auto parse = [](const char* name, const std::string& more) {
    return Parse(std::string(R"({"num_key_value_heads": 2, "architectures": [")") + name + R"("])" +
                 more + "}");
  };
  const ModelConfig mixed =
      parse("Qwen2MoeForCausalLM", R"(, "num_hidden_layers": 6, "decoder_sparse_step": 2,
            "mlp_only_layers": [3, 4], "num_experts": 5, "num_experts_per_tok": 3,
            "moe_intermediate_size": 20, "shared_expert_intermediate_size": 30)");
  EXPECT_EQ(mixed.experts.sparse_layers,
            (std::vector<bool>{false, true, false, false, false, true}));
  EXPECT_FALSE(mixed.experts.normalized);
  EXPECT_EQ(mixed.NumMlps(1), 6);
  EXPECT_EQ(mixed.MlpSize(1, 4), 20);
  EXPECT_EQ(mixed.MlpSize(1, 5), 30);
  EXPECT_EQ(mixed.MlpSize(2, 0), 96);
  const std::vector<LinearSpec> linears = BlockLinears(mixed);
  const LinearRange block = LinearsOfBlock(mixed, 1);
  EXPECT_EQ(block.begin, 7u);
  EXPECT_EQ(block.size(), 4u + 6 * 3);
  EXPECT_EQ(LinearsOfBlock(mixed, 5).end, linears.size());
  EXPECT_EQ(linears[block.begin + IndexInBlock(mixed, Projection::kUp, 2)].name,
            "model.layers.1.mlp.experts.2.up_proj");
  EXPECT_EQ(linears[block.end - 1].name, "model.layers.1.mlp.shared_expert.down_proj");
  EXPECT_EQ(linears[block.end - 1].mlp, 5);
  const std::vector<RouterSpec> routers = BlockRouters(mixed);
  ASSERT_EQ(routers.size(), 4u);
  EXPECT_EQ(routers[0].name, "model.layers.1.mlp.gate.weight");
  EXPECT_EQ(routers[0].rows, 5);
  EXPECT_EQ(routers[3].name, "model.layers.5.mlp.shared_expert_gate.weight");

  const ModelConfig qwen2 = parse("Qwen2MoeForCausalLM", R"(, "use_sliding_window": true)");
  EXPECT_EQ(qwen2.experts.count, 60);
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_EQ(qwen2.WindowOf(0), 4096);
  EXPECT_EQ(qwen2.WindowOf(1), 0);
  EXPECT_FALSE(parse("Qwen2MoeForCausalLM", R"(, "qkv_bias": false)").qkv_bias);
  const ModelConfig qwen3 =
      parse("Qwen3MoeForCausalLM", R"(, "num_local_experts": 6, "use_sliding_window": true)");
  EXPECT_EQ(qwen3.experts.count, 6);
  EXPECT_EQ(qwen3.NumMlps(0), 6);
  EXPECT_EQ(qwen3.head_dim, 16);
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_EQ(qwen3.WindowOf(1), 4096);
  EXPECT_EQ(parse("Qwen3MoeForCausalLM", R"(, "num_experts": 0)").NumMlps(0), 1);
}

TEST(ModelConfigTest, LayerTypesSayWhichLayersSlide) {
  const char* gemma2 = R"("architectures": ["Gemma2ForCausalLM"], "hidden_act": "gelu", )";
  const auto parse = [&](const std::string& types) {
    return Parse("{" + std::string(gemma2) + R"("layer_types": )" + types + "}");
  };
  const ModelConfig config = parse(R"(["full_attention", "sliding_attention"])");
  EXPECT_EQ(config.WindowOf(0), 0);
  EXPECT_EQ(config.WindowOf(1), 4096);
  EXPECT_THROW((void)parse(R"(["full_attention"])"), Error);
  EXPECT_THROW((void)parse(R"(["full_attention", "chunked_attention"])"), Error);
  EXPECT_THROW((void)parse("17"), Error);
}

TEST(ModelConfigTest, HeadDimMayDifferFromHiddenOverHeads) {
  const ModelConfig config =
      Parse(R"({"head_dim": 10, "num_attention_heads": 6, "num_key_value_heads": 3})");
  const std::vector<LinearSpec> linears = BlockLinears(config);
  ASSERT_EQ(linears.size(), 14u);
  EXPECT_EQ(linears[0].name, "model.layers.0.self_attn.q_proj");
  EXPECT_EQ(linears[0].d_out, 60);
  EXPECT_EQ(linears[1].d_out, 30);
  EXPECT_EQ(linears[3].d_out, 64);
  EXPECT_EQ(linears[3].d_in, 60);
  EXPECT_EQ(linears[13].name, "model.layers.1.mlp.down_proj");
  EXPECT_EQ(linears[13].d_in, 96);
}

TEST(ModelConfigTest, BiasesAreExpectedWhereTheConfigSays) {
  int attention = 0, mlp = 0;
  for (const ExpectedTensor& t :
       ExpectedTensors(Parse(R"({"attention_bias": true, "mlp_bias": true})"))) {
    if (!t.name.ends_with(".bias")) continue;
    ++(t.name.find("self_attn") != std::string::npos ? attention : mlp);
  }
  EXPECT_EQ(attention, 8);
  EXPECT_EQ(mlp, 6);
}

TEST(ModelConfigTest, HeadIsExpectedOnlyIfUntied) {
  const auto has_head = [](const std::string& overrides) {
    for (const ExpectedTensor& t : ExpectedTensors(Parse(overrides))) {
      if (t.name == kHeadName) return true;
    }
    return false;
  };
  EXPECT_TRUE(has_head("{}"));
  EXPECT_FALSE(has_head(R"({"tie_word_embeddings": true})"));
}

TEST(ModelConfigTest, TokenIdsComeAsNumberListOrNull) {
  EXPECT_EQ(Parse(R"({"eos_token_id": 2})").eos_token_ids, std::vector<int64_t>{2});
  EXPECT_EQ(Parse(R"({"eos_token_id": [2, 5]})").eos_token_ids, (std::vector<int64_t>{2, 5}));
  EXPECT_TRUE(Parse(R"({"bos_token_id": null})").bos_token_ids.empty());
}

TEST(ModelConfigTest, GenerationConfigOverridesOnlyWhatItHas) {
  const std::string config = R"({"bos_token_id": 1, "eos_token_id": 2})";
  const ModelConfig model = Parse(config, R"({"eos_token_id": [7, 8]})");
  EXPECT_EQ(model.bos_token_ids, std::vector<int64_t>{1});
  EXPECT_EQ(model.eos_token_ids, (std::vector<int64_t>{7, 8}));
  EXPECT_EQ(Parse(config, R"({"eos_token_id": null})").eos_token_ids, std::vector<int64_t>{2});
}

TEST(ModelConfigTest, DtypeUnderBothNames) {
  EXPECT_EQ(Parse(R"({"torch_dtype": "float16"})").torch_dtype, "float16");
  EXPECT_EQ(Parse(R"({"dtype": "bfloat16"})").torch_dtype, "bfloat16");
}

struct Lie {
  const char* overrides;
  const char* message_part;
};

class ConfigLieTest : public ::testing::TestWithParam<Lie> {};

TEST_P(ConfigLieTest, IsRefused) {
  try {
    Parse(GetParam().overrides);
    FAIL() << "accepted " << GetParam().overrides;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kGeneral);
    EXPECT_NE(error.message().find(GetParam().message_part), std::string::npos) << error.message();
    EXPECT_TRUE(error.message().starts_with("dir/config.json: ")) << error.message();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, ConfigLieTest,
    ::testing::Values(
        Lie{R"({"architectures": ["BloomForCausalLM"]})", "found \"BloomForCausalLM\""},
        Lie{R"({"architectures": ["BloomForCausalLM"]})", "LlamaForCausalLM, MistralForCausalLM"},
        Lie{R"({"architectures": "<removed>"})",
            "\"architectures\": expected a list of one name, found nothing"},
        Lie{R"({"architectures": []})", "\"architectures\""},
        Lie{R"({"architectures": [7]})", "\"architectures\""},
        Lie{R"({"quantization_config": {"quant_method": "gptq"}})", "quantized checkpoint"},
        Lie{R"({"hidden_act": "gelu"})", "found \"gelu\""},
        Lie{R"({"architectures": ["OPTForCausalLM"]})", "\"ffn_dim\": expected an integer"},
        Lie{R"({"architectures": ["OPTForCausalLM"], "ffn_dim": 96, "do_layer_norm_before": 0})",
            "\"do_layer_norm_before\": expected"},
        Lie{R"({"architectures": ["OPTForCausalLM"], "ffn_dim": 96,
                "layer_norm_elementwise_affine": false})",
            "\"layer_norm_elementwise_affine\": expected true"},
        Lie{R"({"architectures": ["OPTForCausalLM"], "ffn_dim": 96, "word_embed_proj_dim": 0})",
            "\"word_embed_proj_dim\": expected"},
        Lie{R"({"architectures": ["Gemma3ForConditionalGeneration"]})",
            "\"text_config\": expected an object, found none"},
        Lie{R"({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": [1]})",
            "\"text_config\": expected an object, found [1]"},
        Lie{R"({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {}})",
            "config.json: \"text_config\": \"hidden_size\""},
        Lie{R"({"architectures": ["OPTForCausalLM"], "ffn_dim": 96,
                "activation_function": "mish"})",
            "\"activation_function\": expected one of relu, gelu, gelu_new"},
        Lie{R"({"architectures": ["GPT2LMHeadModel"]})", "\"n_embd\": expected an integer"},
        Lie{R"({"architectures": ["GPT2LMHeadModel"], "n_embd": 66, "n_layer": 1, "n_head": 4,
                "n_positions": 8})",
            "\"n_embd\": expected a multiple of 4 heads"},
        Lie{R"({"architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_layer": 1, "n_head": 4,
                "n_positions": 8, "scale_attn_by_inverse_layer_idx": true})",
            "\"scale_attn_by_inverse_layer_idx\": expected false, found true"},
        Lie{R"({"hidden_size": "<removed>"})",
            "\"hidden_size\": expected an integer, found nothing"},
        Lie{R"({"hidden_size": 0})", "\"hidden_size\": expected an integer from 1"},
        Lie{R"({"hidden_size": -64})", "found -64"},
        Lie{R"({"hidden_size": 64.5})", "\"hidden_size\": expected an integer"},
        Lie{R"({"hidden_size": "64"})", "\"hidden_size\": expected an integer"},
        Lie{R"({"hidden_size": 1048640})", "found 1048640"},
        Lie{R"({"hidden_size": 18446744073709551615})", "\"hidden_size\""},
        Lie{R"({"hidden_size": 66})", "expected a multiple of 4 heads"},
        Lie{R"({"intermediate_size": 99999999999})", "\"intermediate_size\""},
        Lie{R"({"architectures": ["MixtralForCausalLM"], "num_key_value_heads": 2,
                "num_local_experts": 0})",
            "\"num_local_experts\": expected an integer from 1"},
        Lie{R"({"architectures": ["MixtralForCausalLM"], "num_key_value_heads": 2,
                "num_local_experts": 131072})",
            "expected at most 43690 experts of this size, found 131072"},
        Lie{R"({"architectures": ["MixtralForCausalLM"], "num_key_value_heads": 2,
                "num_experts_per_tok": 9})",
            "\"num_experts_per_tok\": expected an integer from 1 to 8, found 9"},
        Lie{R"({"architectures": ["Qwen2MoeForCausalLM"], "num_key_value_heads": 2,
                "moe_intermediate_size": 0})",
            "\"moe_intermediate_size\""},
        Lie{R"({"architectures": ["Qwen2MoeForCausalLM"], "num_key_value_heads": 2,
                "shared_expert_intermediate_size": 0})",
            "\"shared_expert_intermediate_size\""},
        Lie{R"({"architectures": ["Qwen3MoeForCausalLM"], "num_key_value_heads": 2,
                "decoder_sparse_step": 0})",
            "\"decoder_sparse_step\""},
        Lie{R"({"architectures": ["Qwen3MoeForCausalLM"], "num_key_value_heads": 2,
                "mlp_only_layers": [2]})",
            "\"mlp_only_layers\": expected layers from 0 to 1, found 2"},
        Lie{R"({"architectures": ["Qwen3MoeForCausalLM"], "num_key_value_heads": 2,
                "mlp_only_layers": 1})",
            "\"mlp_only_layers\": expected a list of layers, found 1"},
        Lie{R"({"num_hidden_layers": 100000})", "\"num_hidden_layers\""},
        Lie{R"({"num_hidden_layers": 0})", "\"num_hidden_layers\""},
        Lie{R"({"vocab_size": 100000000})", "\"vocab_size\""},
        Lie{R"({"max_position_embeddings": 0})", "\"max_position_embeddings\""},
        Lie{R"({"rms_norm_eps": -1})", "\"rms_norm_eps\""},
        Lie{R"({"num_key_value_heads": 3})", "expected a divisor of 4, found 3"},
        Lie{R"({"num_key_value_heads": 8})", "\"num_key_value_heads\""},
        Lie{R"({"num_key_value_heads": 0})", "\"num_key_value_heads\""},
        Lie{R"({"head_dim": 15})", "expected an even number, found 15"},
        Lie{R"({"num_attention_heads": 65536, "head_dim": 16384})", "heads * head_dim"},
        Lie{R"({"tie_word_embeddings": "yes"})", "expected true or false"},
        Lie{R"({"bos_token_id": 32})",
            "\"bos_token_id\": expected token ids from 0 to 31, found 32"},
        Lie{R"({"eos_token_id": -1})", "\"eos_token_id\""},
        Lie{R"({"eos_token_id": [1, "2"]})", "\"eos_token_id\""},
        Lie{R"({"rope_theta": 0})", "\"rope_theta\""},
        Lie{R"({"rope_theta": 1})", "\"rope_theta\""},
        Lie{R"({"rope_scaling": "linear"})", "expected an object"},
        Lie{R"({"rope_scaling": {"type": "longrope", "factor": 2}})", "short_factor"},
        Lie{R"({"rope_scaling": {"type": "linear"}})",
            "\"factor\": expected a number, found nothing"},
        Lie{R"({"rope_scaling": {"type": "linear", "factor": 0}})", "\"factor\""},
        Lie{R"({"rope_scaling": {"type": "dynamic", "factor": 2}, "head_dim": 2})", "\"head_dim\""},
        Lie{R"({"rope_scaling": {"rope_type": "llama3", "factor": 8}})", "\"low_freq_factor\""},
        Lie{R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4,
               "high_freq_factor": 4}})",
            "\"high_freq_factor\": expected more"},
        Lie{R"({"rope_scaling": {"rope_type": "yarn", "factor": 4, "attention_factor": 0}})",
            "\"attention_factor\""},
        Lie{R"({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}})", "per layer type"},
        Lie{R"({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}})",
            "\"partial_rotary_factor\""}));

TEST(ModelConfigTest, RefusesWhatIsNoObject) {
  for (const char* text : {"", "[]", "3", "{", "{\"a\": }", "\xff"}) {
    EXPECT_THROW(ParseModelConfig(text, "", "x"), Error) << text;
  }
  EXPECT_THROW(ParseModelConfig(kTiny, "[]", "x"), Error);
  EXPECT_THROW(ParseModelConfig(kTiny, R"({"eos_token_id": 32})", "x"), Error);
}

// Inverse frequencies as Hugging Face transformers 5.23 computes them: the output of
// scripts/golden/print_rope_frequencies.py.
// clang-format off
const RopeFrequencies kPlain = {{1.0f, 0.316227764f, 0.100000001f, 0.0316227786f, 0.00999999978f, 0.00316227786f, 0.00100000005f, 0.000316227786f}, 1.0f};
const RopeFrequencies kPlainLargeTheta = {{1.0f, 0.335031629f, 0.112246193f, 0.0376060307f, 0.0125992084f, 0.00422113482f, 0.00141421345f, 0.000473806402f, 0.000158740062f, 5.31829573e-05f, 1.78179798e-05f, 5.96958353e-06f}, 1.0f};
const RopeFrequencies kLinear = {{0.333333343f, 0.105409257f, 0.0333333351f, 0.0105409259f, 0.00333333318f, 0.00105409266f, 0.000333333359f, 0.000105409265f}, 1.0f};
const RopeFrequencies kDynamicShort = {{1.0f, 0.316227764f, 0.100000001f, 0.0316227786f, 0.00999999978f, 0.00316227786f, 0.00100000005f, 0.000316227786f}, 1.0f};
const RopeFrequencies kDynamicLong = {{1.0f, 0.260517091f, 0.0678691566f, 0.0176810753f, 0.00460622227f, 0.00119999971f, 0.000312620425f, 8.14429659e-05f}, 1.0f};
const RopeFrequencies kLlama3 = {{1.0f, 0.440366626f, 0.193922758f, 0.0853971019f, 0.0376060307f, 0.0165604409f, 0.00729266508f, 0.00321144611f, 0.000524846022f, 7.78465546e-05f, 3.42810235e-05f, 1.50962178e-05f, 6.64786967e-06f, 2.92749974e-06f, 1.28917316e-06f, 5.6770881e-07f}, 1.0f};
const RopeFrequencies kYarn = {{1.0f, 0.562341332f, 0.316227764f, 0.177827939f, 0.100000001f, 0.0562341288f, 0.0316227786f, 0.0158774946f, 0.00785714295f, 0.0038158875f, 0.00180701585f, 0.000825629744f, 0.000357142882f, 0.000140585325f, 7.90569466e-05f, 4.44569851e-05f}, 1.13862944f};
const RopeFrequencies kYarnAll = {{1.0f, 0.562341332f, 0.316227764f, 0.177827939f, 0.100000001f, 0.0562341288f, 0.030171616f, 0.0138771124f, 0.00606624503f, 0.00243427255f, 0.000819469104f, 0.000444569858f, 0.000250000012f, 0.000140585325f, 7.90569466e-05f, 4.44569851e-05f}, 0.940571525f};
// clang-format on

// pow() of two libraries differs by a unit in the last place. The fastest pair is exact, so at
// position 131,072 the tolerance is an angle of less than 0.04 times the frequency.
void ExpectNear(const RopeFrequencies& found, const RopeFrequencies& expected) {
  ASSERT_EQ(found.inverse.size(), expected.inverse.size());
  for (size_t i = 0; i < found.inverse.size(); ++i) {
    EXPECT_NEAR(found.inverse[i], expected.inverse[i], 3e-7f * expected.inverse[i]) << "pair " << i;
  }
  EXPECT_NEAR(found.attention_factor, expected.attention_factor, 2e-7f);
}

RopeFrequencies Frequencies(const ModelConfig& config, int64_t sequence_length) {
  return ComputeRopeFrequencies(config.rope, sequence_length);
}

TEST(RopeTest, Plain) {
  ExpectNear(Frequencies(Parse("{}"), 1), kPlain);
  ExpectNear(Frequencies(Parse(R"({"rope_scaling": {"rope_type": "default"}})"), 1), kPlain);
  ExpectNear(Frequencies(Parse(R"({"rope_theta": 500000.0, "head_dim": 24})"), 1),
             kPlainLargeTheta);
  ExpectNear(
      Frequencies(Parse(R"({"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0},
                           "head_dim": 24})"),
                  1),
      kPlainLargeTheta);
}

TEST(RopeTest, Linear) {
  const ModelConfig config = Parse(R"({"rope_scaling": {"type": "linear", "factor": 3.0}})");
  ExpectNear(Frequencies(config, 1), kLinear);
}

TEST(RopeTest, DynamicChangesOnlyPastTheTrainedLength) {
  const ModelConfig config = Parse(R"({"rope_scaling": {"type": "dynamic", "factor": 2.0}})");
  ExpectNear(Frequencies(config, 100), kDynamicShort);
  ExpectNear(Frequencies(config, 2048), kDynamicShort);
  ExpectNear(Frequencies(config, 5000), kDynamicLong);
}

TEST(RopeTest, Llama3) {
  const ModelConfig config =
      Parse(R"({"max_position_embeddings": 131072, "rope_theta": 500000.0, "head_dim": 32,
      "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                       "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}})");
  ExpectNear(Frequencies(config, 1), kLlama3);
}

TEST(RopeTest, Yarn) {
  const char* const common =
      R"({"max_position_embeddings": 32768, "head_dim": 32, "rope_parameters":
      {"rope_theta": 10000.0, "rope_type": "yarn", )";
  ExpectNear(Frequencies(Parse(std::string(common) + R"("factor": 4.0,
                 "original_max_position_embeddings": 8192}})"),
                         1),
             kYarn);
  // Without a factor it is the ratio of the lengths.
  ExpectNear(
      Frequencies(Parse(std::string(common) + R"("original_max_position_embeddings": 8192}})"), 1),
      kYarn);
  ExpectNear(Frequencies(Parse(std::string(common) + R"("factor": 4.0,
                 "original_max_position_embeddings": 4096, "beta_fast": 24.0, "beta_slow": 2.0,
                 "mscale": 0.7, "mscale_all_dim": 1.2, "truncate": false}})"),
                         1),
             kYarnAll);
}

}  // namespace
}  // namespace llmq
