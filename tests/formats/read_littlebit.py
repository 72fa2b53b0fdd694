"""A second reader of .littlebit files, written from docs/format/littlebit.md alone (standard library only).

Prints a file as JSON: metadata and, per section, name, kind, shape and the numbers it stands for. A test
compares them with what the C++ reader sees. Usage: read_littlebit.py FILE
"""

import json
import math
import struct
import sys

MASK = (1 << 64) - 1
P1, P2, P3, P4, P5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                      0x27D4EB2F165667C5)

DENSE, GROUPED, LITTLEBIT = 3, 4, 5
# dtype number -> (struct code, bytes); BF16 and the 8-bit floats have no code
DTYPES = {0: ("f", 4), 1: ("e", 2), 2: (None, 2), 3: ("d", 8), 4: ("b", 1), 5: ("B", 1), 6: ("h", 2), 7: ("H", 2),
          8: ("i", 4), 9: ("I", 4), 10: ("q", 8), 11: ("Q", 8), 12: ("?", 1), 13: (None, 1), 14: (None, 1)}


def rotate(x, bits):
    return ((x << bits) | (x >> (64 - bits))) & MASK


def mix_lane(lane, value):
    return rotate((lane + value * P2) & MASK, 31) * P1 & MASK


def xxh64(data):
    """XXH64 with seed 0."""
    at = 0
    if len(data) >= 32:
        lanes = [(P1 + P2) & MASK, P2, 0, -P1 & MASK]
        while at + 32 <= len(data):
            for i, value in enumerate(struct.unpack_from("<4Q", data, at)):
                lanes[i] = mix_lane(lanes[i], value)
            at += 32
        h = sum(rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            h = ((h ^ mix_lane(0, lane)) * P1 + P4) & MASK
    else:
        h = P5
    h = (h + len(data)) & MASK
    while at + 8 <= len(data):
        h = (rotate(h ^ mix_lane(0, struct.unpack_from("<Q", data, at)[0]), 27) * P1 + P4) & MASK
        at += 8
    if at + 4 <= len(data):
        h = (rotate(h ^ struct.unpack_from("<I", data, at)[0] * P1 & MASK, 23) * P2 + P3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ byte * P5 & MASK, 11) * P1 & MASK
    h = (h ^ h >> 33) * P2 & MASK
    h = (h ^ h >> 29) * P3 & MASK
    return h ^ h >> 32


def expect(what, expected, found):
    if expected != found:
        sys.exit(f"{what}: expected {expected}, found {found}")


def align(value, alignment):
    return (value + alignment - 1) // alignment * alignment


def read_directory(file):
    """The checked header and the entries of the directory, as dictionaries."""
    magic, version, file_bytes, offset, size, checksum, count, flags, reserved, header_checksum = struct.unpack_from(
        "<4sI4Q2I2Q", file)
    expect("magic", b"LTBT", magic)
    expect("version", True, version in (1, 2, 3))
    expect("header checksum", xxh64(file[:56]), header_checksum)
    expect("file size", len(file), file_bytes)
    expect("flags and reserved", (0, 0), (flags, reserved))
    expect("directory size", file_bytes - offset, size)
    expect("directory checksum", xxh64(file[offset:]), checksum)
    entries, at, next_section = [], offset, 64
    for _ in range(count):
        fields = struct.unpack_from("<2I3Q4IQd8Q", file, at)
        kind, name_bytes, begin, data_bytes, data_checksum, dtype, bits, dimensions, paths, rank, error = fields[:11]
        name = file[at + 128:at + 128 + name_bytes].decode()
        at = align(at + 128 + name_bytes, 8)
        expect(name + ": offset", next_section, begin)
        next_section = align(begin + data_bytes, 64)
        expect(name + ": padding", bytes(next_section - begin - data_bytes), file[begin + data_bytes:next_section])
        data = file[begin:begin + data_bytes]
        expect(name + ": checksum", xxh64(data), data_checksum)
        entries.append(dict(name=name, kind=kind, data=data, dtype=dtype, bits=bits, paths=paths, rank=rank,
                            relative_error=error, shape=list(fields[11:11 + dimensions])))
    expect("end of the sections", offset, next_section)
    expect("end of the directory", len(file), at)
    return entries


def dense_values(entry):
    code, size = DTYPES[entry["dtype"]]
    count = math.prod(entry["shape"])
    expect(entry["name"] + ": bytes", count * size, len(entry["data"]))
    if entry["dtype"] == 2:  # BF16 is the upper half of an F32
        halves = struct.unpack(f"<{count}H", entry["data"])
        return [struct.unpack("<f", struct.pack("<I", half << 16))[0] for half in halves]
    return list(struct.unpack(f"<{count}{code}", entry["data"])) if code else None


def grouped_values(entry):
    rows, cols = entry["shape"]
    bits = entry["bits"]
    group = {8: 64, 6: 64, 4: 32}[bits]
    groups = -(-cols // group)
    code_bytes = align(-(-bits * cols // 8), 2)
    row_bytes = code_bytes + 2 * groups
    expect(entry["name"] + ": bytes", rows * row_bytes, len(entry["data"]))
    values = []
    for row in range(rows):
        data = entry["data"][row * row_bytes:(row + 1) * row_bytes]
        scales = struct.unpack_from(f"<{groups}e", data, code_bytes)
        stream = int.from_bytes(data[:code_bytes], "little")
        expect(entry["name"] + ": bits behind the codes", 0, stream >> (bits * cols))
        for col in range(cols):
            stored = stream >> (bits * col) & ((1 << bits) - 1)
            if bits == 8:
                code = stored - 256 if stored > 127 else stored
            else:
                code = stored - (1 << (bits - 1))
            values.append(scales[col // group] * code)
    return values


def read_signs(data, at, rows, cols):
    row_bytes = (cols + 7) // 8
    return [[-1 if data[at + row * row_bytes + c // 8] >> (c % 8) & 1 else 1 for c in range(cols)]
            for row in range(rows)]


def read_scales(data, at, count, bits):
    """The scales and the bytes that they take."""
    if bits == 0:
        return struct.unpack_from(f"<{count}e", data, at), 2 * count
    base, step = struct.unpack_from("<2H", data, at)
    size = 4 + -(-count * bits // 8)
    stream = int.from_bytes(data[at + 4:at + size], "little")
    codes = [stream >> (bits * i) & ((1 << bits) - 1) for i in range(count)]
    halves = [base + step * code if code else 0 for code in codes]
    return struct.unpack(f"<{count}e", struct.pack(f"<{count}H", *halves)), size


def littlebit_values(entry):
    (d_out, d_in), rank, data = entry["shape"], entry["rank"], entry["data"]
    values, at = [0.0] * (d_out * d_in), 0
    for _ in range(entry["paths"]):
        v = read_signs(data, at, rank, d_in)
        at = align(at + rank * ((d_in + 7) // 8), 8)
        u = read_signs(data, at, rank, d_out)
        at = align(at + rank * ((d_out + 7) // 8), 8)
        scales = []
        for count in (d_in, d_out, rank):
            scale, size = read_scales(data, at, count, entry["bits"])
            scales.append(scale)
            at = align(at + size, 8)
        g, h, l = scales
        for i in range(d_out):
            for j in range(d_in):
                values[i * d_in + j] += h[i] * g[j] * sum(l[k] * u[k][i] * v[k][j] for k in range(rank))
    expect(entry["name"] + ": bytes", align(at, 64), len(data))
    return values


def main():
    with open(sys.argv[1], "rb") as stream:
        file = stream.read()
    sections, metadata = [], None
    for entry in read_directory(file):
        section = {key: entry[key] for key in ("name", "kind", "shape")}
        if entry["kind"] == DENSE:
            section["values"] = dense_values(entry)
        elif entry["kind"] == GROUPED:
            section["values"] = grouped_values(entry)
        elif entry["kind"] == LITTLEBIT:
            section["values"] = littlebit_values(entry)
        else:
            section["text"] = entry["data"].decode()
        if entry["kind"] == 2:
            metadata = json.loads(section["text"])
        sections.append(section)
    json.dump({"metadata": metadata, "sections": sections}, sys.stdout)


if __name__ == "__main__":
    main()
