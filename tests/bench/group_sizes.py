#!/usr/bin/env python3
"""Relative error of symmetric groups by bits and group size: the plain scale against the searched one.

What chose 64 values for 6 bits, and the search, before they were written in C++ (src/core/group_quant.cc). Needs numpy,
safetensors and torch. Usage: group_sizes.py MODEL.safetensors
"""

import sys

import numpy as np
from safetensors import safe_open


def error(x, bits, search):
    """x [groups, values]; returns the relative Frobenius error of codes and fp16 scales."""
    half = 2 ** (bits - 1)
    extreme = x[np.arange(len(x)), np.argmax(np.abs(x), axis=1)][:, None]
    best = np.full((len(x), 1), np.inf)
    for step in range(-9, 10) if search else [0]:
        inverse = -(half - step * half / 80) / extreme if search else (half - 1) / np.abs(extreme)
        codes = np.clip(np.rint(x * inverse), -half, half - 1)
        scale = (x * codes).sum(1, keepdims=True) / (codes * codes).sum(1, keepdims=True) if search else 1 / inverse
        scale = scale.astype(np.float16).astype(np.float64)
        stored = scale * np.clip(np.rint(x / scale), -half, half - 1)
        best = np.minimum(best, ((x - stored) ** 2).sum(1, keepdims=True))
    return np.sqrt(best.sum() / (x * x).sum())


def main():
    embedding = safe_open(sys.argv[1], "pt").get_tensor("model.embed_tokens.weight").double().numpy()
    gaussian = np.random.default_rng(0).standard_normal((1024, 512))
    print("bits values  BPW     plain/search on the embedding, plain/search on Gaussian values")
    for bits, size in ((4, 32), (6, 32), (6, 64), (6, 128)):
        errors = [error(m.reshape(-1, size), bits, search) for m in (embedding, gaussian) for search in (False, True)]
        print(f"{bits:4} {size:6} {bits + 16 / size:6.3f} ", *(f"{e:.4f}" for e in errors))


if __name__ == "__main__":
    main()
