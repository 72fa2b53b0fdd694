#!/usr/bin/env python3
"""Writes tests/golden/quants/ggml.json: what ggml makes of rows that tests/quants/test_rows.h makes too.

usage: make_quants_golden.py LIBGGML_BASE_SO > tests/golden/quants/ggml.json

Standard library only. The library must be built for plain x86-64: with fused products some K types
differ in a few bytes. Rows come from splitmix64 and exact double arithmetic, rounded once to f32.
"""
import ctypes
import json
import math
import struct
import sys

MASK = (1 << 64) - 1
FLT_MAX = 3.4028234663852886e38
QUANTIZABLE = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]


class Random:
    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return self.next() % n

    def gaussian(self):
        """Sum of twelve uniform numbers: variance 1, exact in double."""
        return (sum(self.next() >> 40 for _ in range(12)) - 6 * (1 << 24)) / (1 << 24)


def scaled_groups(group, low, count):
    """Gaussian numbers times 2^e, one e in [low, low + count) per group."""
    exponent = 0

    def value(random, i):
        nonlocal exponent
        if i % group == 0:
            exponent = low + random.below(count)
        return math.ldexp(random.gaussian(), exponent)

    return value


def cubed(random, _):
    g = random.gaussian()
    return g * g * g / 64


def with_outliers(random, _):
    size = 64.0 if random.below(256) == 0 else 1 / 64
    return random.gaussian() * size


# In the order of kRowKinds in test_rows.h; the place in this list is the seed.
KINDS = {
    "gaussian": lambda r, i: r.gaussian() / 64,
    "cubed": cubed,
    "zero": lambda r, i: 0.0,
    "negative_zero": lambda r, i: -0.0,
    "constant": lambda r, i: 123 / 1024,
    "negative_constant": lambda r, i: -123 / 1024,
    "alternating": lambda r, i: -379 / 1024 if i % 2 else 379 / 1024,
    "positive": lambda r, i: 1.0 + (r.next() >> 40) / (1 << 24),
    "mixed": lambda r, i: scaled_groups(1, -20, 41)(r, 0),
    "mixed_groups": scaled_groups(16, -30, 61),
    "outliers": with_outliers,
    "sparse": lambda r, i: r.gaussian() if r.below(32) == 0 else 0.0,
    "steps": lambda r, i: (r.below(17) - 8) / 8,
    "denormal": lambda r, i: math.ldexp(r.below(4096) - 2048, -149),
    "tiny": scaled_groups(16, -149, 30),
    "nearly_empty": scaled_groups(16, -56, 12),
    "half_overflow": scaled_groups(256, 12, 19),
    "huge": lambda r, i: math.ldexp(r.gaussian(), 100),
    "largest": lambda r, i: math.ldexp(r.gaussian(), 127),
    "all_magnitudes": scaled_groups(16, -149, 277),
}


def count_of(kind):
    # In block 524 of the Gaussian row the last sweep of Q3_K's search changes a code, which is rare.
    return {"gaussian": 528 * 256, "cubed": 16384}.get(kind, 2048)


def row(kind):
    random = Random(list(KINDS).index(kind))
    values = (KINDS[kind](random, i) for i in range(count_of(kind)))
    return b"".join(struct.pack("<f", max(-FLT_MAX, min(FLT_MAX, v))) for v in values)


def fnv1a(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001B3) & MASK
    return f"{h:016x}"


def same_nans(data):
    """Every NaN becomes the same: payloads depend on the compiler."""
    words = struct.unpack(f"<{len(data) // 4}I", data)
    return struct.pack(f"<{len(words)}I", *(0x7FC00000 if w & 0x7FFFFFFF > 0x7F800000 else w for w in words))


class Traits(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("block_values", ctypes.c_int64),
        ("interleave", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64)),
        ("from_float", ctypes.c_void_p),
    ]


class Ggml:
    def __init__(self, path):
        self.lib = ctypes.CDLL(path)
        self.lib.ggml_version.restype = ctypes.c_char_p
        self.lib.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
        self.lib.ggml_blck_size.restype = ctypes.c_int64
        self.lib.ggml_type_size.restype = ctypes.c_size_t
        self.lib.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p] + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
        self.lib.ggml_validate_row_data.restype = ctypes.c_bool
        self.lib.ggml_validate_row_data.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]

    def types(self):
        """(id, name, values per block, bytes per block) of every type that has blocks."""
        ids = range(43)
        sizes = [(i, self.lib.ggml_blck_size(i), self.lib.ggml_type_size(i)) for i in ids]
        return [(i, self.traits(i).name.decode().upper(), n, size) for i, n, size in sizes if n > 0]

    def traits(self, type_id):
        return self.lib.ggml_get_type_traits(type_id).contents

    def quantize(self, type_id, values):
        count = len(values) // 4
        traits = self.traits(type_id)
        out = ctypes.create_string_buffer(count // traits.block_values * traits.block_bytes)
        self.lib.ggml_quantize_chunk(type_id, values, out, 0, count // 256, 256, None)
        return out.raw

    def dequantize(self, type_id, data):
        traits = self.traits(type_id)
        if traits.name == b"f32":
            return same_nans(data)
        count = len(data) // traits.block_bytes * traits.block_values
        out = ctypes.create_string_buffer(4 * count)
        traits.to_float(data, out, count)
        return same_nans(out.raw)

    def finite(self, type_id, data):
        return self.lib.ggml_validate_row_data(type_id, data, len(data))


def golden_of_type(ggml, type_id, rows):
    block_bytes = ggml.traits(type_id).block_bytes
    golden = {"rows": {}}  # kind: hash of the bytes, hash of the values made of them, scales
    for kind, values in rows.items():
        data = ggml.quantize(type_id, values)
        finite = "finite" if ggml.finite(type_id, data) else "infinite"
        golden["rows"][kind] = f"{fnv1a(data)} {fnv1a(ggml.dequantize(type_id, data))} {finite}"
        if kind == "gaussian":
            golden["first_gaussian_block"] = data[:block_bytes].hex()
    random = Random(1000 + type_id)
    noise = struct.pack("<1024Q", *(random.next() for _ in range(1024)))
    noise = noise[: len(noise) // block_bytes * block_bytes]
    golden["noise"] = fnv1a(ggml.dequantize(type_id, noise))
    return golden


def main():
    ggml = Ggml(sys.argv[1])
    types = ggml.types()
    ids = {name: type_id for type_id, name, _, _ in types}
    rows = {kind: row(kind) for kind in KINDS}
    golden = {
        "made_by": "scripts/golden/make_quants_golden.py with ggml " + ggml.lib.ggml_version().decode(),
        "types": [" ".join(map(str, row)) for row in types],
        "counts": {kind: count_of(kind) for kind in KINDS},
        "quantized": {name: golden_of_type(ggml, ids[name], rows) for name in QUANTIZABLE},
    }
    print(json.dumps(golden, indent=1))


if __name__ == "__main__":
    main()
