#!/usr/bin/env python3
"""Makes tests/golden/gguf: files written by the Python package "gguf", for src/gguf to list and to write alike.

Needs gguf and numpy; the tests need only what it wrote. Run from the repository root. It writes
  all-types.gguf        every value type, every array type, every tensor type that the package sizes as ggml does
  aligned-64.gguf       general.alignment = 64
  split-0000N-of-00003.gguf   the package's own shards
  listing.json          of each: alignment, keys and tensors as the package reads them back
"""

import json
import pathlib

import gguf
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "tests" / "golden" / "gguf"
V = gguf.GGUFValueType
T = gguf.GGMLQuantizationType

# The package says 40 bytes; ggml's block has 36.
WRONG_SIZES = {T.Q8_1}

VALUES = {
    V.UINT8: [0, 255],
    V.INT8: [-128, 127],
    V.UINT16: [0, 65535],
    V.INT16: [-32768, 32767],
    V.UINT32: [0, 4294967295, 7],
    V.INT32: [-2147483648, 2147483647],
    V.FLOAT32: [0.1, -0.0, 3.4028234663852886e38, 1e-45],
    V.BOOL: [True, False, True],
    V.STRING: ["", "tok", "▁grüße\n", "a\u0000b", "😀"],
    V.UINT64: [0, 18446744073709551615],
    V.INT64: [-9223372036854775808, 9223372036854775807],
    V.FLOAT64: [0.1, -1.7976931348623157e308],
}


def tensor_bytes(count, seed):
    return (numpy.arange(count, dtype=numpy.uint32) * 11 + seed * 37) % 251


def add_tensor(writer, name, tensor_type, shape, seed):
    """`shape` counts values, outermost first."""
    block, size = gguf.GGML_QUANT_SIZES[tensor_type]
    row_bytes = shape[-1] // block * size
    data = tensor_bytes(int(numpy.prod(shape[:-1])) * row_bytes, seed).astype(numpy.uint8)
    # For uint8 data the writer turns the shape in bytes into the shape in values.
    writer.add_tensor(name, data.reshape([*shape[:-1], row_bytes]), raw_dtype=tensor_type)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_all_types():
    writer = gguf.GGUFWriter(OUT / "all-types.gguf", "llama")
    for value_type, values in VALUES.items():
        writer.add_key_value(f"test.{value_type.name.lower()}", values[-1], value_type)
        writer.add_key_value(f"test.array.{value_type.name.lower()}", values, V.ARRAY, value_type)
    writer.add_key_value("test.empty_string", "", V.STRING)
    for seed, tensor_type in enumerate(t for t in T if t not in WRONG_SIZES):
        block, _ = gguf.GGML_QUANT_SIZES[tensor_type]
        shape = [block] if block > 1 else [[5], [3, 5], [2, 1, 3], [1, 2, 1, 3]][seed % 4]
        add_tensor(writer, f"blk.{seed}.{tensor_type.name}.weight", tensor_type, shape, seed)
    add_tensor(writer, "ü" * 31 + "x", T.I8, [13], 99)  # 63 bytes
    write(writer)


def write_aligned():
    writer = gguf.GGUFWriter(OUT / "aligned-64.gguf", "llama")
    writer.add_name("sixty-four")
    writer.add_custom_alignment(64)
    add_tensor(writer, "token_embd.weight", T.Q4_0, [3, 64], 1)
    add_tensor(writer, "output_norm.weight", T.F32, [7], 2)
    add_tensor(writer, "empty", T.F32, [2, 0], 3)
    write(writer)


def write_split():
    writer = gguf.GGUFWriter(OUT / "split.gguf", "llama", split_max_size=128)
    writer.add_name("three shards")
    for seed in range(5):
        add_tensor(writer, f"blk.{seed}.ffn_up.weight", T.F16, [2, 16], seed)
    write(writer)


def list_field(field):
    types = [t.name for t in field.types]
    contents = field.contents()
    if types[-1] == "FLOAT32":
        single = numpy.asarray(contents, dtype=numpy.float32).astype(numpy.float64)
        contents = single.tolist()
    return {"name": field.name, "type": " of ".join(types), "value": contents}


def list_file(path):
    reader = gguf.GGUFReader(path)
    fields = [f for f in reader.fields.values() if not f.name.startswith("GGUF.")]
    tensors = [
        {
            "name": t.name,
            "type": t.tensor_type.name,
            "shape": [int(n) for n in reversed(t.shape)],
            "data": t.data.tobytes().hex(),
        }
        for t in reader.tensors
    ]
    return {"file": path.name, "alignment": int(reader.alignment), "keys": [list_field(f) for f in fields],
            "tensors": tensors}


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for old in OUT.glob("*.gguf"):
        old.unlink()
    write_all_types()
    write_aligned()
    write_split()
    listing = [list_file(path) for path in sorted(OUT.glob("*.gguf"))]
    text = json.dumps(listing, ensure_ascii=True, separators=(",", ":")).replace('{"name"', '\n{"name"')
    (OUT / "listing.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
