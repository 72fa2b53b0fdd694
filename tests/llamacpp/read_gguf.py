"""Keys and tensors of a GGUF file, read from docs/format/gguf.md with the standard library only."""
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
          11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 24: (1, 1), 25: (1, 2), 26: (1, 4),
          27: (1, 8), 28: (1, 8), 30: (1, 2)}


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return value

    def string(self):
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at]

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.number("I"), self.number("Q")
            return [self.value(element) for _ in range(count)]
        return self.number(SCALARS[kind])


def read_gguf(path):
    """({key: value}, {tensor name: (type, dimensions innermost first, bytes)}) in file order."""
    with open(path, "rb") as file:
        reader = Reader(file.read())
    assert reader.data[:4] == b"GGUF", path
    reader.at = 4
    assert reader.number("I") == 3
    num_tensors, num_keys = reader.number("Q"), reader.number("Q")
    keys = {}
    for _ in range(num_keys):
        name = reader.string().decode()
        keys[name] = reader.value(reader.number("I"))
    table = []
    for _ in range(num_tensors):
        name = reader.string().decode()
        dims = [reader.number("Q") for _ in range(reader.number("I"))]
        table.append((name, reader.number("I"), dims, reader.number("Q")))
    alignment = keys.get("general.alignment", 32)
    begin = (reader.at + alignment - 1) // alignment * alignment
    tensors = {}
    for name, kind, dims, offset in table:
        values, size = BLOCKS[kind]
        count = 1
        for dim in dims:
            count *= dim
        tensors[name] = (kind, dims, reader.data[begin + offset:begin + offset + count // values * size])
    return keys, tensors
