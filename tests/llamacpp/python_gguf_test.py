"""The Python package "gguf" lists every key and tensor of our files, and finds what our own reader of the format finds.

Skipped (exit code 77) where the package is not installed.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from read_gguf import read_gguf  # noqa: E402

try:
    from gguf import GGUFReader
except ImportError:
    GGUFReader = None
OPTIONS = None


class PythonPackage(unittest.TestCase):
    def check(self, bpw, container, *options):
        with tempfile.TemporaryDirectory() as work:
            littlebit, path = os.path.join(work, "m.littlebit"), os.path.join(work, "m.gguf")
            model = os.path.join(OPTIONS.models, "stories260k/hf-f32")
            subprocess.run([OPTIONS.make_littlebit, model, littlebit, bpw], check=True)
            subprocess.run([OPTIONS.tool, "--verbosity", "quiet", "littlebit", "convert", littlebit, container, "-o", work,
                            "-n", "m.gguf", *options], check=True, stdout=subprocess.DEVNULL)
            keys, tensors = read_gguf(path)
            reader = GGUFReader(path)
            self.assertEqual([name for name in reader.fields if not name.startswith("GGUF.")], list(keys))
            for name, value in keys.items():
                found = reader.fields[name].contents()
                self.assertEqual(found.encode() if isinstance(value, bytes) else found,
                                 [item.decode() for item in value] if value and isinstance(value, list) and
                                 isinstance(value[0], bytes) else value, name)
            self.assertEqual([tensor.name for tensor in reader.tensors], list(tensors))
            for tensor in reader.tensors:
                kind, dims, data = tensors[tensor.name]
                self.assertEqual((int(tensor.tensor_type), [int(dim) for dim in tensor.shape]), (kind, dims), tensor.name)
                self.assertTrue(tensor.data.tobytes() == data, tensor.name)
            return keys, tensors

    def test_extension(self):
        keys, tensors = self.check("2.0", "gguf-ext")
        self.assertEqual(keys["general.architecture"], b"littlebit-llama")
        self.assertIn("blk.0.attn_q.left_factor", tensors)

    def test_dense_files(self):
        for file_type in ("F32", "F16", "Q8_0", "Q4_K_M", "Q2_K"):
            with self.subTest(file_type):
                keys, tensors = self.check("2.0", "gguf-lossy", "--gguf-quant", file_type, "--force")
                self.assertEqual(keys["general.architecture"], b"llama")
                self.assertIn("blk.0.attn_q.weight", tensors)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for option in ("tool", "make-littlebit", "models"):
        parser.add_argument("--" + option, required=True)
    OPTIONS, rest = parser.parse_known_args()
    if GGUFReader is None:
        print("skipped: the Python package gguf is not installed")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)
