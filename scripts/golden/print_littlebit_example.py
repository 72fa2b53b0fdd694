"""Prints the annotated hex dump of tests/golden/littlebit/one-path-v1.littlebit for docs/format/littlebit.md.

Usage, from the repository's root: python3 scripts/golden/print_littlebit_example.py
"""

import pathlib
import struct
import sys

sys.path.insert(0, "tests/formats")
import read_littlebit  # noqa: E402

KINDS = {1: "file", 2: "metadata", 3: "dense", 4: "grouped", 5: "LittleBit"}


def block(title, file, begin, end):
    print(f"{title}\n\n```hex")
    before = repeated = None
    for at in range(begin, end, 16):
        line = file[at:min(at + 16, end)]
        if line == before and at + 16 < end:
            if not repeated:
                print("*")
            repeated = True
            continue
        repeated, before = False, line
        print(f"{at:08x}  {line.hex(' ')}")
    print("```\n")


def describe(entry):
    text = f"`{entry['name']}` ({KINDS[entry['kind']]}"
    if entry["shape"]:
        text += f", {entry['shape']}"
    if entry["kind"] == 5:
        text += ": V at 0, U at 8, g at 16"
    return text + ")"


def main():
    file = pathlib.Path("tests/golden/littlebit/one-path-v1.littlebit").read_bytes()
    entries = read_littlebit.read_directory(file)
    directory = struct.unpack_from("<Q", file, 16)[0]
    block("Header", file, 0, 64)
    at = 64
    for entry in entries:
        end = at + read_littlebit.align(len(entry["data"]), 64)
        block(describe(entry), file, at, end)
        at = end
    for entry in entries:
        end = read_littlebit.align(at + 128 + len(entry["name"]), 8)
        block(f"Directory entry of `{entry['name']}`", file, at, end)
        at = end


if __name__ == "__main__":
    main()
