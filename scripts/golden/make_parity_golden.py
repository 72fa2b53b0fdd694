#!/usr/bin/env python3
"""Makes tests/golden/parity: what Hugging Face transformers answers, for the runtime and the trainer to equal.

Needs torch, transformers, safetensors and numpy; the tests need only what it wrote. Run from the repository
root. For every case it writes `tokens.i32` [T] and `logits.f32` [T, vocab] (one forward over all tokens), for
dynamic rotary scaling also `logits_decode.f32` (token by token with a cache: the frequencies grow with the
sequence, so the two differ). Random models are tiny and lie beside their answers. With names as arguments, only those of
the random models.
"""

import json
import pathlib
import shutil
import sys

import numpy
import safetensors.torch
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "parity"
MODELS = ROOT / "models"

LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", hidden_size=32,
             intermediate_size=72, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             vocab_size=512, max_position_embeddings=128, rms_norm_eps=1e-5, rope_theta=10000.0,
             tie_word_embeddings=False, attention_bias=False, mlp_bias=False, bos_token_id=1, eos_token_id=2,
             torch_dtype="bfloat16")
MISTRAL = {k: v for k, v in LLAMA.items() if k not in ("attention_bias", "mlp_bias")} | dict(
    architectures=["MistralForCausalLM"], model_type="mistral")

QWEN2 = {k: v for k, v in MISTRAL.items()} | dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2")
QWEN3 = QWEN2 | dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", attention_bias=False)
GEMMA = LLAMA | dict(architectures=["GemmaForCausalLM"], model_type="gemma", hidden_act="gelu_pytorch_tanh",
                     hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True, head_dim=16)
GEMMA2 = GEMMA | dict(architectures=["Gemma2ForCausalLM"], model_type="gemma2", num_hidden_layers=3,
                      query_pre_attn_scalar=24, sliding_window=16, attn_logit_softcapping=3.0,
                      final_logit_softcapping=5.0)
GEMMA3 = GEMMA | dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", num_hidden_layers=4,
                      query_pre_attn_scalar=24, sliding_window=16, sliding_window_pattern=3,
                      rope_theta=1000000.0, rope_local_base_freq=10000.0,
                      rope_scaling=dict(rope_type="linear", factor=4.0))
PHI3 = MISTRAL | dict(architectures=["Phi3ForCausalLM"], model_type="phi3", pad_token_id=0, sliding_window=None,
                      original_max_position_embeddings=128)
MIXTRAL = MISTRAL | dict(architectures=["MixtralForCausalLM"], model_type="mixtral", intermediate_size=40,
                         num_local_experts=8, num_experts_per_tok=2)
QWEN2_MOE = MISTRAL | dict(architectures=["Qwen2MoeForCausalLM"], model_type="qwen2_moe", num_experts=6,
                           num_experts_per_tok=3, moe_intermediate_size=24, shared_expert_intermediate_size=40)
QWEN3_MOE = MISTRAL | dict(architectures=["Qwen3MoeForCausalLM"], model_type="qwen3_moe", num_experts=8,
                           num_experts_per_tok=2, moe_intermediate_size=24, head_dim=16)

OPT = dict(architectures=["OPTForCausalLM"], model_type="opt", hidden_size=32, ffn_dim=72, num_hidden_layers=2,
           num_attention_heads=4, vocab_size=512, max_position_embeddings=96, word_embed_proj_dim=32,
           do_layer_norm_before=True, _remove_final_layer_norm=False, activation_function="relu",
           tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, pad_token_id=0, torch_dtype="bfloat16")
GPT2 = dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", n_embd=32, n_layer=2, n_head=4, n_positions=96,
            n_ctx=96, vocab_size=512, activation_function="gelu_new", layer_norm_epsilon=1e-5,
            tie_word_embeddings=True, bos_token_id=1, eos_token_id=2, torch_dtype="bfloat16")

# As google/gemma-3-4b-it: the text model inside, with keys left out.
GEMMA3_VISION = dict(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3", tie_word_embeddings=True,
                     boi_token_index=500, eoi_token_index=501, image_token_index=502, mm_tokens_per_image=4,
                     eos_token_id=[2, 3], torch_dtype="bfloat16",
                     text_config=dict(model_type="gemma3_text", hidden_size=32, intermediate_size=72, num_hidden_layers=3,
                                      num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=512,
                                      query_pre_attn_scalar=16, sliding_window=16, sliding_window_pattern=3,
                                      rope_scaling=dict(rope_type="linear", factor=8.0)),
                     vision_config=dict(model_type="siglip_vision_model", hidden_size=16, intermediate_size=16,
                                        num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14))

# name: (base, changes). Sequences of 80 tokens are longer than the original context where scaling depends on it.
RANDOM_MODELS = {
    "llama-bias-linear": (LLAMA, dict(attention_bias=True, mlp_bias=True,
                                      rope_scaling=dict(rope_type="linear", factor=2.0))),
    "llama-llama3": (LLAMA, dict(num_key_value_heads=1, rope_theta=500000.0,
                                 rope_scaling=dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                                   high_freq_factor=4.0,
                                                   original_max_position_embeddings=32))),
    "llama-yarn": (LLAMA, dict(num_key_value_heads=4, tie_word_embeddings=True,
                               rope_scaling=dict(rope_type="yarn", factor=4.0,
                                                 original_max_position_embeddings=32))),
    "llama-dynamic": (LLAMA, dict(max_position_embeddings=48,
                                  rope_scaling=dict(rope_type="dynamic", factor=2.0))),
    "mistral-window": (MISTRAL, dict(sliding_window=16, head_dim=16)),
    "qwen2-bias": (QWEN2, dict(tie_word_embeddings=True)),
    "qwen2-window": (QWEN2, dict(use_sliding_window=True, sliding_window=16, max_window_layers=1)),
    "qwen3-norms": (QWEN3, dict(head_dim=16)),
    "gemma": (GEMMA, dict()),
    "gemma2": (GEMMA2, dict()),
    "gemma3": (GEMMA3, dict()),
    "phi3-partial": (PHI3, dict(partial_rotary_factor=0.5, sliding_window=16)),
    "phi3-longrope": (PHI3, dict(original_max_position_embeddings=64, max_position_embeddings=256,
                                 rope_scaling=dict(type="longrope", short_factor=[1.0, 1.1, 1.3, 1.7],
                                                   long_factor=[1.0, 1.5, 3.0, 4.0]))),
    "opt": (OPT, dict()),
    "opt-plain-linears": (OPT, dict(enable_bias=False, activation_function="gelu", tie_word_embeddings=False)),
    "gpt2": (GPT2, dict()),
    "gpt2-published": (GPT2, dict(n_inner=72, layer_norm_epsilon=1e-3)),
    "gpt2-unscaled": (GPT2, dict(scale_attn_weights=False, activation_function="silu", tie_word_embeddings=False)),
    "mixtral": (MIXTRAL, dict(sliding_window=None)),
    "mixtral-fused": (MIXTRAL, dict(num_local_experts=4, sliding_window=16)),
    "qwen2-moe": (QWEN2_MOE, dict()),
    "qwen2-moe-mixed": (QWEN2_MOE, dict(num_hidden_layers=5, decoder_sparse_step=2, mlp_only_layers=[1],
                                        norm_topk_prob=True, use_sliding_window=True, sliding_window=16,
                                        max_window_layers=4)),
    "qwen3-moe": (QWEN3_MOE, dict(norm_topk_prob=True)),
    "qwen3-moe-window": (QWEN3_MOE, dict(use_sliding_window=True, sliding_window=16)),
    "llama-longrope": (LLAMA, dict(original_max_position_embeddings=64, max_position_embeddings=256,
                                   rope_scaling=dict(rope_type="longrope", short_factor=[1.0, 1.1, 1.3, 1.7],
                                                     long_factor=[1.0, 1.5, 3.0, 4.0]))),
    "phi4-mini": (PHI3, dict(hidden_size=64, partial_rotary_factor=0.75, tie_word_embeddings=True,
                             original_max_position_embeddings=64, max_position_embeddings=256,
                             rope_scaling=dict(type="longrope", short_factor=[1.0, 1.1, 1.2, 1.3, 1.5, 1.7],
                                               long_factor=[1.0, 1.5, 2.0, 2.5, 3.0, 4.0]))),
    "opt-350m": (OPT, dict(word_embed_proj_dim=16, do_layer_norm_before=False)),
    "opt-narrow": (OPT, dict(word_embed_proj_dim=16, _remove_final_layer_norm=True, tie_word_embeddings=False)),
    "gemma3-vision": (GEMMA3_VISION, dict()),
    "gemma3-vision-new": (GEMMA3_VISION, dict()),
}
# Written with a layer's experts in one tensor, as save_pretrained does with save_original_format=False.
FUSED_EXPERTS = ("qwen3-moe-window", "mixtral-fused")
TOKENS = 80


def published_names(tensors, model_type):
    """The tensors of experts one by one, under the names that published checkpoints have."""
    published = {}
    for key, value in tensors.items():
        if model_type == "mixtral":
            key = key.replace(".mlp.", ".block_sparse_moe.")
        gate, up, down = ("w1", "w3", "w2") if model_type == "mixtral" else ("gate_proj", "up_proj", "down_proj")
        prefix, _, part = key.rpartition(".experts.")
        if part == "gate_up_proj":
            for expert, (first, second) in enumerate(zip(*value.chunk(2, dim=1))):
                published[f"{prefix}.experts.{expert}.{gate}.weight"] = first.contiguous()
                published[f"{prefix}.experts.{expert}.{up}.weight"] = second.contiguous()
        elif part == "down_proj":
            for expert, matrix in enumerate(value):
                published[f"{prefix}.experts.{expert}.{down}.weight"] = matrix.contiguous()
        else:
            published[key] = value
    return published


def write_random_model(name, config, seed):
    """A tiny model with weights large enough that every layer matters, in bfloat16."""
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    for file in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(MODELS / "stories260k" / "hf-f32" / file, folder / file)
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    is_norm = {prefix + "." + end for prefix, module in model.named_modules()
               if "norm" in type(module).__name__.lower() for end in ("weight", "bias")}
    tensors = {}
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        if key in is_norm:
            offset = 0 if config["model_type"].startswith("gemma") or key.endswith("bias") else 1
            drawn = offset + 0.2 * torch.randn(value.shape)
        elif value.dim() == 1:
            drawn = 0.3 * torch.randn(value.shape)
        else:
            is_table = any(word in key for word in ("embed", "wte", "wpe"))
            drawn = torch.randn(value.shape) * (0.5 if is_table else 1.2 / value.shape[-1] ** 0.5)
        tensors[key] = drawn.to(torch.bfloat16).contiguous()
    if name == "opt-plain-linears":  # as the first OPT checkpoints: without the prefix
        tensors = {key.removeprefix("model."): value for key, value in tensors.items()}
    if name == "gpt2-published":  # as openai-community/gpt2: without the prefix, with masks
        tensors = {key.removeprefix("transformer."): value for key, value in tensors.items()}
        for layer in range(config["n_layer"]):
            size = config["n_positions"]
            tensors[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(1, 1, size, size))
            tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
    if name == "gemma3-vision":  # as published in 2025; newer versions write the names of the modules
        tensors = {key.replace("model.language_model.", "language_model.model.")
                   .replace("model.vision_tower.", "vision_tower.")
                   .replace("model.multi_modal_projector.", "multi_modal_projector."): value
                   for key, value in tensors.items()}
    if name not in FUSED_EXPERTS:
        tensors = published_names(tensors, config["model_type"])
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def load(path):
    return transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager").eval()


def write_logits(folder, model, tokens, decode):
    folder.mkdir(parents=True, exist_ok=True)
    numpy.array(tokens, dtype="<i4").tofile(folder / "tokens.i32")
    ids = torch.tensor([tokens])
    model(ids).logits[0].numpy().astype("<f4").tofile(folder / "logits.f32")
    if decode:
        cache, rows = None, []
        for position in range(len(tokens)):
            answer = model(ids[:, position:position + 1], past_key_values=cache, use_cache=True)
            cache = answer.past_key_values
            rows.append(answer.logits[0, 0])
        torch.stack(rows).numpy().astype("<f4").tofile(folder / "logits_decode.f32")


def random_models():
    for seed, (name, (base, changes)) in enumerate(RANDOM_MODELS.items()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        write_random_model(name, base | changes, seed)
        tokens = numpy.random.RandomState(seed).randint(3, 512, TOKENS).tolist()
        # A fresh load for each: dynamic scaling keeps state inside the model.
        write_logits(OUT / name, load(OUT / name), tokens, decode=False)
        scaling = changes.get("rope_scaling", {})
        if scaling.get("rope_type", scaling.get("type")) in ("dynamic", "longrope"):
            write_logits(OUT / name, load(OUT / name), tokens, decode=True)


def stories260k():
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODELS / "stories260k" / "hf-f32")
    text = "Once upon a time, there was a little girl named Lily. She loved to play with her toys in the park. " \
           "One day, her mom said they had to go home, but Lily was sad. " \
           "She wanted to stay and play with her friend Tim and his big red ball."
    tokens = tokenizer(text)["input_ids"][:TOKENS]
    assert len(tokens) >= 64
    for variant in ("hf-f32", "hf-f16", "hf-bf16"):
        write_logits(OUT / ("stories260k-" + variant), load(MODELS / "stories260k" / variant), tokens, False)


HELLASWAG = [
    ("Playing in the park", "Lily throws a ball to her dog.", "The dog",
     ["runs and catches the ball.", "reads a book about the sky.", "is a very big blue table.",
      "eats the park and the sun."], 0),
    ("Making a cake", "A mom puts flour in a bowl.", "she",
     ["drives the bowl to the moon.", "mixes it with eggs and sugar.", "sings to the red car.",
      "says no no no no no."], 1),
    ("Going to bed", "It is late and Tom is tired.", "he",
     ["jumps out of the big tree.", "paints the water green.", "lies down and closes his eyes.",
      "buys the bird a hat."], 2),
    ("Helping a friend", "Anna sees that her friend fell down. [title] What to do [step] Be kind.", "anna",
     ["laughs at the rain all day.", "takes the ball and hides it.", "turns into a small stone.",
      "helps her friend get up."], 3),
    ("Swimming", "The kids are at the lake. They wear swimsuits.", "they",
     ["jump in the water and splash.", "put the lake in a box.", "sleep in the oven.", "eat the sand."], 0),
    ("Cleaning", "The room is full of toys on the floor.", "the boy",
     ["makes more snow fall.", "picks up the toys and puts them away.", "is a long spoon.", "flies home."], 1),
]
ARC = [
    ("What do plants need to grow?", ["toys and cake", "water and light", "a red hat", "a loud song"], "ABCD", "B"),
    ("Which animal can fly?", ["a dog", "a fish", "a bird", "a cow"], "1234", "3"),
    ("What falls from the sky when it rains?", ["water", "sand", "milk"], "ABC", "A"),
    ("Where do fish live?", ["in a tree", "in the water", "in a bed", "in the sun"], "ABCD", "B"),
    ("What is hot?", ["ice", "snow", "fire", "the moon", "milk"], "ABCDE", "C"),
    ("What do people use to see?", ["eyes", "hands", "shoes", "hats"], "1234", "1"),
]


def preprocess(text):
    """The cleaning of lm-evaluation-harness's HellaSwag task."""
    import re
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def score(model, tokenizer, context, continuation):
    """Sum of the continuation's log-likelihood after the context, tokenised as lm-evaluation-harness does."""
    spaces = len(context) - len(context.rstrip())
    if spaces:
        context, continuation = context[:-spaces], context[-spaces:] + continuation
    whole = tokenizer(context + continuation, add_special_tokens=False)["input_ids"]
    length = len(tokenizer(context, add_special_tokens=False)["input_ids"])
    logp = torch.log_softmax(model(torch.tensor([whole])).logits[0], -1)
    return sum(logp[i - 1, whole[i]].item() for i in range(length, len(whole)))


def benchmark(model, tokenizer, items):
    chosen, chosen_norm, right, right_norm = [], [], 0, 0
    for context, choices, gold in items:
        sums = [score(model, tokenizer, context, " " + choice) for choice in choices]
        normed = [s / len(choice) for s, choice in zip(sums, choices)]
        best, best_norm = int(numpy.argmax(sums)), int(numpy.argmax(normed))
        chosen.append(best)
        chosen_norm.append(best_norm)
        right += best == gold
        right_norm += best_norm == gold
        gaps = [sorted(sums)[-1] - sorted(sums)[-2], sorted(normed)[-1] - sorted(normed)[-2]]
        assert min(gaps) > 1e-3, gaps  # far from a tie: rounding cannot turn it
    return dict(chosen=chosen, chosen_norm=chosen_norm, accuracy=right / len(items),
                acc_norm=right_norm / len(items))


def stories19m():
    folder = MODELS / "stories-19m"
    model, tokenizer = load(folder), transformers.AutoTokenizer.from_pretrained(folder)
    lines = (ROOT / "data" / "tinystories" / "stories_valid.jsonl").read_text().splitlines()
    joined = "\n\n".join(json.loads(line)["text"] for line in lines)
    tokens = tokenizer(joined)["input_ids"]
    answer = dict(all_tokens=len(tokens))

    tokens, window = tokens[:2200], 256  # 8 full windows and a short one
    numpy.array(tokens, dtype="<i4").tofile(OUT / "stories-19m.tokens.i32")
    total, count = 0.0, 0
    for begin in range(0, len(tokens), window):
        ids = torch.tensor([tokens[begin:begin + window]])
        logp = torch.log_softmax(model(ids).logits[0, :-1].double(), -1)
        total -= logp.gather(1, ids[0, 1:, None]).sum().item()
        count += ids.shape[1] - 1
    answer["perplexity"] = dict(window=window, scored_tokens=count, mean_nll=total / count,
                                perplexity=float(numpy.exp(total / count)))

    prompt = tokenizer("Once upon a time, there was a", return_tensors="pt")["input_ids"]
    written = model.generate(prompt, max_new_tokens=100, do_sample=False, pad_token_id=0)[0, prompt.shape[1]:]
    answer["greedy"] = dict(prompt=prompt[0].tolist(), tokens=written.tolist(),
                            text=tokenizer.decode(written, skip_special_tokens=True))

    with open(OUT / "hellaswag.jsonl", "w") as file:
        for label, ctx_a, ctx_b, endings, gold in HELLASWAG:
            file.write(json.dumps(dict(activity_label=label, ctx_a=ctx_a, ctx_b=ctx_b, endings=endings,
                                       label=str(gold))) + "\n")
    with open(OUT / "arc.jsonl", "w") as file:
        for stem, choices, labels, key in ARC:
            file.write(json.dumps(dict(id=stem, question=dict(stem=stem, choices=[
                dict(text=text, label=label) for text, label in zip(choices, labels)]), answerKey=key)) + "\n")
    answer["hellaswag"] = benchmark(model, tokenizer, [
        (preprocess(label + ": " + a + " " + b.capitalize()), [preprocess(e) for e in endings], gold)
        for label, a, b, endings, gold in HELLASWAG])
    answer["arc"] = benchmark(model, tokenizer, [
        (f"Question: {stem}\nAnswer:", choices, labels.index(key)) for stem, choices, labels, key in ARC])
    (OUT / "stories-19m.json").write_text(json.dumps(answer, indent=1) + "\n")


if __name__ == "__main__":
    with torch.no_grad():
        random_models()
        if not sys.argv[1:]:
            stories260k()
            stories19m()
