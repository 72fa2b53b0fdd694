"""Our GGUF files and the real llama.cpp: it loads and runs them, quantizes as we do, writes what we write and
measures what we measure.

Runs where LLM_QUANTIZE_LLAMA_CPP_BIN_DIR, or the PATH, has llama-quantize, llama-completion, llama-perplexity and
llama-tokenize; is skipped (exit code 77) where not.
"""
import argparse
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from read_gguf import read_gguf  # noqa: E402

FILE_TYPES = ("F32 F16 BF16 Q8_0 Q6_K Q5_K_M Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 Q3_K_L Q3_K_M Q3_K_S "
              "Q2_K").split()
PROMPTS = ("Once upon a time", "The little dog")
OPTIONS = None


def find(program):
    directory = os.environ.get("LLM_QUANTIZE_LLAMA_CPP_BIN_DIR")
    return shutil.which(program, path=directory) if directory else shutil.which(program)


def run(*command, check=True, env=None):
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                            timeout=600, errors="replace", env=env)
    if check and result.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stderr[-2000:]}")
    return result


class LlamaCpp(unittest.TestCase):
    """One model, every tensor left as it was: what differs from the original is only the file type."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.model = os.path.join(OPTIONS.models, cls.model_name)
        cls.littlebit = os.path.join(cls.directory.name, "m.littlebit")
        run(OPTIONS.make_littlebit, cls.model, cls.littlebit, 0)
        cls.f32 = cls.convert("F32")

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    @classmethod
    def convert(cls, file_type):
        run(OPTIONS.tool, "littlebit", "convert", cls.littlebit, "gguf-lossy", "--gguf-quant", file_type, "--force",
            "-o", cls.directory.name)
        return os.path.join(cls.directory.name, f"m-lossy-{file_type}.gguf")

    def context(self):
        with open(os.path.join(self.model, "config.json"), encoding="utf-8") as file:
            return json.load(file)["max_position_embeddings"]

    def complete(self, path, prompt, tokens):
        return run(find("llama-completion"), "-m", path, "-p", prompt, "-n", tokens, "-no-cnv", "--seed", 1, "-t", 2,
                   "--temp", 0, "--fit", "off").stdout

    def test_loads_and_writes_every_file_type(self):
        for file_type in FILE_TYPES:
            with self.subTest(file_type):
                text = self.complete(self.convert(file_type), PROMPTS[0], 8)
                self.assertIn(PROMPTS[0], text)
                self.assertGreater(len(text.strip()), len(PROMPTS[0]) + 4)

    def test_quantizes_as_llama_quantize_does(self):
        for file_type in FILE_TYPES[1:]:
            with self.subTest(file_type):
                reference = os.path.join(self.directory.name, "reference.gguf")
                run(find("llama-quantize"), self.f32, reference, file_type, 2)
                keys, tensors = read_gguf(self.convert(file_type))
                reference_keys, reference_tensors = read_gguf(reference)
                self.assertEqual(list(tensors), list(reference_tensors))
                for name, tensor in reference_tensors.items():
                    self.assertTrue(tensors[name] == tensor, f"{name}: {tensors[name][:2]} is not {tensor[:2]}")
                self.assertEqual(keys, reference_keys)

    def test_writes_the_same_text(self):
        for file_type in ("F32", "F16"):
            for prompt in PROMPTS:
                with self.subTest(file_type=file_type, prompt=prompt):
                    path = self.convert(file_type)
                    ours = json.loads(run(OPTIONS.tool, "--format", "json", "littlebit", "run", path, "-p", prompt,
                                          "-n", 64).stdout)
                    theirs = self.complete(path, prompt, 64).replace("[end of text]", "").strip()
                    self.assertEqual((prompt + ours["text"]).strip(), theirs)
                    self.assertTrue(ours["generated_tokens"] == 64 or ours["reached_end"])

    def test_measures_the_same_perplexity(self):
        text = os.path.join(self.directory.name, "text.txt")
        with open(OPTIONS.text, encoding="utf-8") as source, open(text, "w", encoding="utf-8") as file:
            stories = [json.loads(line)["text"] for line in source][:40]
            file.write("\n\n".join(stories))
        context = self.context()
        for file_type in ("F32", "Q8_0", "Q4_K_M"):
            with self.subTest(file_type):
                path = self.convert(file_type)
                log = run(find("llama-perplexity"), "-m", path, "-f", text, "-c", min(512, context), "-t", 2,
                          "--fit", "off")
                found = re.search(r"Final estimate: PPL = ([0-9.]+)", log.stdout + log.stderr)
                self.assertIsNotNone(found, log.stderr[-2000:])
                theirs = float(found.group(1))
                metrics = json.loads(run(OPTIONS.tool, "--format", "json", "littlebit", "validate", self.model, path,
                                         "--calibration-data", text, "--held-out-data", text, "--calibration-samples",
                                         1024, "--protocol", "llama.cpp").stdout)["quality_metrics"]
                ours = metrics["perplexity_compressed"]
                print(f"{self.model_name} {file_type}: llama.cpp {theirs}, ours {ours:.4f}", file=sys.stderr)
                self.assertLess(abs(ours / theirs - 1), 0.005)


class Stories260k(LlamaCpp):
    model_name = "stories260k/hf-f32"


class Stories19m(LlamaCpp):
    model_name = "stories-19m"


del LlamaCpp  # only the two models are tests


class Families(unittest.TestCase):
    """Tiny random models of every family that llama.cpp knows: the same greedy text."""

    # What llama.cpp takes for granted and the golden models do otherwise, and windows longer than what is written here.
    CHANGES = {**{name: {"sliding_window": 128} for name in ("mistral-window", "qwen2-window", "mixtral-fused")},
               "gemma2": {"query_pre_attn_scalar": 16}, "gemma3": {"query_pre_attn_scalar": 16, "sliding_window_pattern": 6},
               "phi3-partial": {"sliding_window": None},
               **{name: {"original_max_position_embeddings": 256, "max_position_embeddings": 1024}
                  for name in ("phi3-longrope", "phi4-mini", "llama-longrope")}}
    CONTEXT = 256  # llama.cpp takes LongRoPE's factors for short texts up to here
    SAME_TEXT = ("llama-bias-linear llama-llama3 llama-yarn llama-dynamic llama-longrope mistral-window qwen2-bias "
                 "qwen2-window qwen3-norms gemma gemma2 gemma3 gemma3-vision phi3-partial phi3-longrope phi4-mini gpt2 "
                 "gpt2-published mixtral mixtral-fused qwen2-moe qwen3-moe").split()
    PROMPTS = ("One day", "A big red")
    # On the way two logits are nearer than llama.cpp's half precision tells (in transformers: 0.0000 and 0.0047 apart).
    NEAR_TIES = (("phi3-partial", "One day"), ("phi4-mini", "One day"))

    def make(self, name, work):
        """A .littlebit file of the golden model, every tensor left as it was."""
        parity = os.path.join(os.path.dirname(OPTIONS.models.rstrip("/")), "tests", "golden", "parity")
        model = shutil.copytree(os.path.join(parity, name), os.path.join(work, "model"))
        path = os.path.join(model, "config.json")
        with open(path, encoding="utf-8") as file:
            config = json.load(file) | self.CHANGES.get(name, {})
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        littlebit = os.path.join(work, "m.littlebit")
        run(OPTIONS.make_littlebit, model, littlebit, 0)
        return littlebit

    def convert(self, littlebit, file_type, work):
        run(OPTIONS.tool, "littlebit", "convert", littlebit, "gguf-lossy", "--gguf-quant", file_type, "--force", "-o", work)
        return os.path.join(work, f"m-lossy-{file_type}.gguf")

    def test_quantizes_as_llama_quantize_does(self):
        for name in ("gpt2", "gpt2-published", "gemma3-vision", "phi3-partial", "phi3-longrope", "phi4-mini", "llama-longrope",
                     "mixtral", "qwen2-moe", "qwen3-moe"):
            with tempfile.TemporaryDirectory() as work:
                littlebit = self.make(name, work)
                f32 = self.convert(littlebit, "F32", work)
                for file_type in ("F16", "Q8_0", "Q2_K", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_M"):
                    with self.subTest(name, file_type=file_type):
                        reference = os.path.join(work, "reference.gguf")
                        run(find("llama-quantize"), f32, reference, file_type, 2)
                        keys, tensors = read_gguf(self.convert(littlebit, file_type, work))
                        reference_keys, reference_tensors = read_gguf(reference)
                        self.assertEqual(list(tensors), list(reference_tensors))
                        for tensor, content in reference_tensors.items():
                            self.assertTrue(tensors[tensor] == content,
                                            f"{tensor}: {tensors[tensor][:2]} is not {content[:2]}")
                        self.assertEqual(keys, reference_keys)

    @staticmethod
    def plain(text):
        """What both programs print: llama.cpp's leaves out the byte 0 and unknown tokens (which this tokenizer spells in octal),
        bytes that are no UTF-8 become other numbers of marks, and this reads line ends as Python does."""
        for left_out in ("[end of text]", "\0", " \\342\\201\\207 "):
            text = text.replace(left_out, "")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return re.sub("\ufffd+", "\ufffd", text).strip()

    def test_writes_the_same_text(self):
        for name in self.SAME_TEXT:
            with tempfile.TemporaryDirectory() as work:
                littlebit = self.make(name, work)
                gguf = self.convert(littlebit, "F32", work)
                for prompt in [prompt for prompt in self.PROMPTS if (name, prompt) not in self.NEAR_TIES]:
                    with self.subTest(name, prompt=prompt):
                        ours = json.loads(run(OPTIONS.tool, "--format", "json", "littlebit", "run", littlebit, "-p", prompt,
                                              "-n", 40, "--exact").stdout)["text"]
                        theirs = run(find("llama-completion"), "-m", gguf, "-p", prompt, "-n", 40, "-no-cnv", "--seed", 1, "-t", 2,
                                     "--temp", 0, "--fit", "off", "-ctk", "f32", "-ctv", "f32", "-c", self.CONTEXT).stdout
                        self.assertEqual(self.plain(prompt + ours), self.plain(theirs))


@unittest.skipUnless(os.environ.get("LLM_QUANTIZE_TOKENIZERS_DIR"), "LLM_QUANTIZE_TOKENIZERS_DIR is not set")
class Tokenizers(unittest.TestCase):
    """llama.cpp with our keys gives the ids of its own test vectors (tests/text shows that ours are the same)."""

    CASES = {"llama-spm": ("llama-2", {"tokenizer.model": "tokenizer.model"}),
             "llama-bpe": ("llama-3.2", {"tokenizer.assembled.json": "tokenizer.json"}),
             "qwen2": ("qwen2.5", {"tokenizer.assembled.json": "tokenizer.json"}),
             "gpt-2": ("gpt2", {"vocab.json": "vocab.json", "merges.txt": "merges.txt"}),
             "phi-3": ("phi-3", {"tokenizer.json": "tokenizer.json"})}

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.work = directory.name

    def vocab_size(self, folder):
        """Highest id + 1, from whatever file there is."""
        path = os.path.join(folder, "tokenizer.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                tokenizer = json.load(file)
            ids = list(tokenizer["model"]["vocab"].values()) + [token["id"] for token in tokenizer["added_tokens"]]
            return max(ids) + 1
        path = os.path.join(folder, "vocab.json")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return max(json.load(file).values()) + 1
        return 32000  # Llama-2

    def make_model(self, files):
        """A model of one tiny layer with this tokenizer; its weights are zeros."""
        folder = os.path.join(self.work, "model")
        os.mkdir(folder)
        for source, name in files:
            shutil.copy(source, os.path.join(folder, name))
        hidden, vocab = 32, self.vocab_size(folder)
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden,
                  "intermediate_size": hidden, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": vocab,
                  "max_position_embeddings": 128, "tie_word_embeddings": True}
        with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
            json.dump(config, file)
        layer = "model.layers.0."
        shapes = {"model.embed_tokens.weight": [vocab, hidden], "model.norm.weight": [hidden],
                  layer + "input_layernorm.weight": [hidden], layer + "post_attention_layernorm.weight": [hidden]}
        for name in ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down"):
            shapes[f"{layer}{name}_proj.weight"] = [hidden, hidden]
        header, end = {}, 0
        for name, shape in shapes.items():
            begin = end
            end += 2 * shape[0] * (shape[1] if len(shape) == 2 else 1)
            header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        with open(os.path.join(folder, "model.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + bytes(end))
        return folder

    def test_ids_of_the_test_vectors(self):
        root = os.environ["LLM_QUANTIZE_TOKENIZERS_DIR"]
        for vectors, (folder, files) in self.CASES.items():
            with self.subTest(vectors):
                self.check(vectors, [(os.path.join(root, folder, there), here) for there, here in files.items()])

    def check(self, vectors, files):
        self.setUp()
        littlebit = os.path.join(self.work, "m.littlebit")
        run(OPTIONS.make_littlebit, self.make_model(files), littlebit, 0)
        run(OPTIONS.tool, "littlebit", "convert", littlebit, "gguf-lossy", "--gguf-quant", "F16", "--force", "-o", self.work)
        base = os.path.join(os.environ["LLM_QUANTIZE_TOKENIZERS_DIR"], "vectors", f"ggml-vocab-{vectors}.gguf")
        with open(base + ".inp", encoding="utf-8", newline="") as file:
            texts = file.read().split("\n__ggml_vocab_test__\n")[:-1]
        with open(base + ".out", encoding="utf-8") as file:
            expected = [[int(number) for number in line.split()] for line in file]
        self.assertEqual(len(texts), len(expected))
        path = os.path.join(self.work, "text")
        for text, ids in zip(texts, expected):
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write(text)
            found = run(find("llama-tokenize"), "-m", os.path.join(self.work, "m-lossy-F16.gguf"), "-f", path, "--ids",
                        "--no-bos", "--no-escape", "--no-parse-special").stdout
            self.assertEqual(json.loads(found), ids, repr(text))


def main():
    global OPTIONS
    parser = argparse.ArgumentParser()
    for name in ("tool", "make-littlebit", "models", "text"):
        parser.add_argument("--" + name, required=True)
    OPTIONS, rest = parser.parse_known_args()
    missing = [name for name in ("llama-quantize", "llama-completion", "llama-perplexity", "llama-tokenize") if find(name) is None]
    if missing:
        print(f"skipped: {', '.join(missing)} not found in LLM_QUANTIZE_LLAMA_CPP_BIN_DIR or the PATH")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + rest, verbosity=2)


if __name__ == "__main__":
    main()
