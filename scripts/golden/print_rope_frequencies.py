"""Prints the rotary frequencies of Hugging Face transformers that tests/core/model_config_test.cc holds.

Needs torch and transformers. Prints, per case, C++ literals of all inverse frequencies and the attention factor.
"""
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SIZES = dict(hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4, vocab_size=32)

CASES = {
    "kPlain": (dict(max_position_embeddings=2048, rope_theta=10000.0), None),
    "kPlainLargeTheta": (dict(max_position_embeddings=8192, rope_theta=500000.0, head_dim=24), None),
    "kLinear": (dict(max_position_embeddings=2048, rope_scaling={"type": "linear", "factor": 3.0}), None),
    "kDynamicShort": (dict(max_position_embeddings=2048, rope_scaling={"type": "dynamic", "factor": 2.0}), 100),
    "kDynamicLong": (dict(max_position_embeddings=2048, rope_scaling={"type": "dynamic", "factor": 2.0}), 5000),
    "kLlama3": (dict(max_position_embeddings=131072, rope_theta=500000.0, head_dim=32, rope_scaling={
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}), None),
    "kYarn": (dict(max_position_embeddings=32768, rope_theta=10000.0, head_dim=32, rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8192}), None),
    "kYarnAll": (dict(max_position_embeddings=32768, rope_theta=10000.0, head_dim=32, rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096, "beta_fast": 24.0,
        "beta_slow": 2.0, "mscale": 0.7, "mscale_all_dim": 1.2, "truncate": False}), None),
}

def literal(value):
    text = f"{value:.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


for name, (options, length) in CASES.items():
    config = LlamaConfig(**SIZES, **options)
    kind = config.rope_parameters["rope_type"]
    if kind == "default":
        inverse, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(config)
    else:
        inverse, factor = ROPE_INIT_FUNCTIONS[kind](config, None, seq_len=length)
    print(f"const RopeFrequencies {name} = {{{{{', '.join(map(literal, inverse.tolist()))}}}, {literal(factor)}}};")
