#!/usr/bin/env python3
"""Makes tests/golden/packed: tiny checkpoints in the packed layout (docs/format/packed.md) and what they stand for.

Needs torch, transformers, safetensors and numpy; the tests need only what it wrote. Run from the repository root.
Beside each checkpoint lie `tokens.i32` [T], `logits.f32` [T, vocab] (transformers in float32 with the linears
multiplied out) and a few linears multiplied out, `<name>.f32` [d_out, d_in].
"""

import json
import pathlib

import numpy
import safetensors.torch
import torch
import transformers

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "packed"
TOKENS = 8
SHOWN = ("model.layers.0.self_attn.k_proj", "model.layers.1.mlp.down_proj")

CONFIG = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", hidden_size=36,
              intermediate_size=52, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
              vocab_size=512, max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
              tie_word_embeddings=False, attention_bias=False, mlp_bias=False, bos_token_id=1, eos_token_id=2,
              torch_dtype="bfloat16")


def pack(signs):
    """[rows, cols] of +1 and -1 -> [rows, ceil(cols/32)] int32: lowest bit first, 1 means -1, padded with +1."""
    rows, cols = signs.shape
    bits = numpy.zeros((rows, -(-cols // 32) * 32), dtype=numpy.uint8)
    bits[:, :cols] = signs.numpy() < 0
    words = numpy.packbits(bits, axis=1, bitorder="little").view("<i4")
    return torch.from_numpy(words.copy())


def random_signs(rows, cols):
    return torch.randint(0, 2, (rows, cols)).double() * 2 - 1


def random_scale(size, typical):
    """[1, size] bf16, a few of them negative."""
    values = typical * (0.5 + torch.rand(1, size)) * torch.where(torch.rand(1, size) < 0.1, -1.0, 1.0)
    return values.to(torch.bfloat16)


def factors(d_out, d_in, rank):
    u, v = random_signs(d_out, rank), random_signs(rank, d_in)
    latent = 1.2 / (d_in * rank) ** 0.5
    return u, v, random_scale(d_out, 1.0), random_scale(d_in, 1.0), latent


def multiplied(u, v, h, l, g):
    return h.double().T * u @ (l.double().T * v) * g.double()  # [d_out, d_in]


def littlebit_path(tensors, name, d_out, d_in, rank, residual, shrink):
    r = "_R" if residual else ""
    u, v, u1, v2, latent = factors(d_out, d_in, rank)
    v1, u2 = random_scale(rank, shrink * latent ** 0.5), random_scale(rank, latent ** 0.5)
    tensors |= {f"{name}.U{r}_packed": pack(u), f"{name}.V{r}_packed": pack(v),
                f"{name}.U{r}_shape": torch.tensor([d_out, rank]), f"{name}.V{r}_shape": torch.tensor([rank, d_in]),
                f"{name}.u1{r}": u1, f"{name}.u2{r}": u2, f"{name}.v1{r}": v1, f"{name}.v2{r}": v2}
    return multiplied(u, v, u1, v1 * u2, v2)  # the product is bf16, as in the forward


def littlebit_linear(tensors, name, d_out, d_in, rank):
    # The residual path's rank differs in one linear, which the layout allows.
    residual_rank = rank - 5 if name.endswith("1.mlp.up_proj") else rank
    return (littlebit_path(tensors, name, d_out, d_in, rank, False, 1.0)
            + littlebit_path(tensors, name, d_out, d_in, residual_rank, True, 0.25))


def nanoquant_linear(tensors, name, d_out, d_in, rank):
    if name.endswith("0.mlp.up_proj"):  # left dense
        dense = torch.randn(d_out, d_in).to(torch.bfloat16) * d_in ** -0.5
        tensors[f"{name}.weight"] = dense
        return dense.double()
    u, v, post, pre, latent = factors(d_out, d_in, rank)
    has_mid = "self_attn" in name
    mid = random_scale(rank, latent) if has_mid else torch.ones(1, rank)
    if not has_mid:
        pre = (pre.float() * latent).to(torch.bfloat16)
    tensors |= {f"{name}.U_packed": pack(u), f"{name}.V_packed": pack(v),
                f"{name}.U_shape": torch.tensor([d_out, rank]), f"{name}.V_shape": torch.tensor([rank, d_in]),
                f"{name}.scale_post": post, f"{name}.scale_pre": pre}
    if has_mid:
        tensors[f"{name}.scale_mid"] = mid
    return multiplied(u, v, post, mid, pre)


def write_shards(folder, tensors, count):
    if count == 1:
        safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    weight_map = {}
    for shard in range(count):
        name = f"model-{shard + 1:05}-of-{count:05}.safetensors"
        part = {key: value for i, (key, value) in enumerate(tensors.items()) if i % count == shard}
        safetensors.torch.save_file(part, folder / name, metadata={"format": "pt"})
        weight_map |= {key: name for key in part}
    index = dict(metadata=dict(total_size=sum(t.nbytes for t in tensors.values())), weight_map=weight_map)
    (folder / "model.safetensors.index.json").write_text(json.dumps(index) + "\n")


def write_model(name, changes, linear, shards, seed):
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    config = CONFIG | changes
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    torch.manual_seed(seed)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**config, attn_implementation="eager")).eval()
    tensors, dense = {}, {}
    ranks = iter([20, 9, 32, 33, 40, 64, 70] * 2)
    for key, value in model.state_dict().items():
        module, _, part = key.rpartition(".")
        if key == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        if module.endswith("_proj") and part == "weight":
            dense[key] = linear(tensors, module, *value.shape, next(ranks)).float()
            if module in SHOWN:
                dense[key].numpy().astype("<f4").tofile(folder / (module + ".f32"))
            continue
        drawn = (1 + 0.2 * torch.randn(value.shape) if "norm" in key else
                 (0.3 if value.dim() == 1 else 0.5) * torch.randn(value.shape))
        tensors[key] = drawn.to(torch.bfloat16).contiguous()
        dense[key] = tensors[key].float()
    write_shards(folder, tensors, shards)
    if config["tie_word_embeddings"]:
        dense["lm_head.weight"] = dense["model.embed_tokens.weight"]
    model.float().load_state_dict(dense)
    tokens = numpy.random.RandomState(seed).randint(3, 512, TOKENS).tolist()
    numpy.array(tokens, dtype="<i4").tofile(folder / "tokens.i32")
    model(torch.tensor([tokens])).logits[0].numpy().astype("<f4").tofile(folder / "logits.f32")


if __name__ == "__main__":
    with torch.no_grad():
        write_model("littlebit", dict(tie_word_embeddings=True,
                                      quantization_config=dict(quant_method="littlebit", residual=True)),
                    littlebit_linear, 1, 1)
        write_model("nanoquant", dict(attention_bias=True,
                                      auto_map={"AutoModelForCausalLM": "hub.Model"}, bits=1.0),
                    nanoquant_linear, 2, 2)
