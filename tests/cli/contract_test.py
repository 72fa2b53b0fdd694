"""The command-line contract: the real program, run with good and bad input of every kind.

A bad input is run twice, for people and with --format json. Each run must give the contract's exit code, a message that
names what is wrong, no crash, and nothing at the output path. Standard library only. Run by ctest, or by hand:

    contract_test.py --tool build/release/bin/llm-quantize --make-littlebit build/release/bin/make_littlebit \
        --models models --compressor MODULE [TestClass[.test]] [--update-help]
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
settings = None
ERROR_KEYS = ["status", "error_code", "error_type", "message", "suggestion"]
ERROR_TYPES = {1: "GeneralError", 2: "InvalidArguments", 3: "ModelNotFound", 6: "ValidationFailed",
               7: "CheckpointError", 8: "UnsupportedConversion", 9: "UserCancelled", 20: "FactorizationFailed",
               21: "QualityThresholdExceeded", 22: "InvalidBPWRange", 23: "RankSelectionFailed"}


def environment(changes=None):
    """What the program sees: nothing of the caller's settings, no GPU, no network (downloads are tested in tests/hub)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LLM_QUANTIZE_", "HF_", "HUGGING"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "HF_HOME": "/nonexistent", "CUDA_VISIBLE_DEVICES": "", **(changes or {})}


def run(arguments, env=None, stdin="", **options):
    return subprocess.run([settings.tool, *map(str, arguments)], env=environment(env), input=stdin, text=True,
                          stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, timeout=600,
                          errors="replace", **options)


class ContractTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="llmq-cli-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.out = self.work / "out"

    def left_over(self):
        return sorted(str(path.relative_to(self.out)) for path in self.out.rglob("*")) if self.out.exists() else []

    def assert_no_crash(self, result):
        self.assertGreaterEqual(result.returncode, 0, f"died of signal {-result.returncode}: {result.stderr}")
        for trace in ("Sanitizer", "runtime error:", "terminate called", "Unexpected failure"):
            self.assertNotIn(trace, result.stderr)

    def assert_fails(self, arguments, code, *parts, **options):
        """Both forms of the error: exit code, type, every part in the message, a suggestion, nothing left."""
        with self.subTest(arguments=[str(argument) for argument in arguments]):
            result = run(arguments, **options)
            self.assert_no_crash(result)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertEqual(result.stdout, "")
            self.assertIn("Error: ", result.stderr)
            for part in parts:
                self.assertIn(part, result.stderr)
            self.assertEqual(self.left_over(), [])

            result = run(["--format", "json", *arguments], **options)
            self.assert_no_crash(result)
            self.assertEqual(result.returncode, code, result.stdout)
            error = json.loads(result.stdout)
            self.assertEqual(list(error), ERROR_KEYS)
            self.assertEqual(error["status"], "error")
            self.assertEqual(error["error_code"], code)
            self.assertEqual(error["error_type"], ERROR_TYPES[code])
            self.assertTrue(error["message"])
            for part in parts:
                self.assertIn(part, error["message"] + error["suggestion"])
            self.assertNotIn("Error: ", result.stderr)
            self.assertEqual(self.left_over(), [])

    def assert_exit_code(self, arguments, code):
        result = run(arguments)
        self.assert_no_crash(result)
        self.assertEqual(result.returncode, code, result.stderr)

    def assert_succeeds(self, arguments, **options):
        result = run(arguments, **options)
        self.assert_no_crash(result)
        self.assertEqual(result.returncode, 0, result.stderr + (result.stdout or ""))
        return result

    def assert_schema(self, value, schema, where="result"):
        """schema: {key: type, tuple of types, or a nested schema}. All keys must be there."""
        for key, expected in schema.items():
            self.assertIn(key, value, where)
            if isinstance(expected, dict):
                self.assert_schema(value[key], expected, f"{where}.{key}")
            else:
                self.assertIsInstance(value[key], expected, f"{where}.{key}")
                # bool is an int to Python, not to a reader of JSON
                if isinstance(value[key], bool):
                    self.assertEqual(expected, bool, f"{where}.{key}")

    def compress(self, model, *options):
        return ["littlebit", "compress", model, "-o", self.out, "--checkpoint-dir", self.work / "checkpoint", *options]

    def littlebit_file(self, bpw="2.0", model="stories260k/hf-f32"):
        path = self.work / "model.littlebit"
        subprocess.run([settings.make_littlebit, settings.models / model, path, bpw], check=True)
        return path


# --- models with one thing wrong -------------------------------------------------------------------------------------

def read_safetensors(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8:8 + length]), bytearray(data[8 + length:])


def write_safetensors(path, header, data, length=None):
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


class ModelCopy:
    """A copy of stories260k whose parts tests damage."""

    def __init__(self, directory):
        self.path = directory
        shutil.copytree(settings.models / "stories260k/hf-f32", directory)
        self.weights = directory / "model.safetensors"

    def config(self, **changes):
        config = json.loads((self.path / "config.json").read_text())
        config.update(changes)
        (self.path / "config.json").write_text(json.dumps(config))
        return self.path

    def header(self, change, length=None):
        header, data = read_safetensors(self.weights)
        header = change(header) or header
        write_safetensors(self.weights, header, data, length)
        return self.path

    def put(self, tensor, value):
        header, data = read_safetensors(self.weights)
        begin = header[tensor]["data_offsets"][0]
        data[begin:begin + 4] = struct.pack("<f", value)
        write_safetensors(self.weights, header, data)
        return self.path

    def scale(self, tensor, factor):
        header, data = read_safetensors(self.weights)
        begin, end = header[tensor]["data_offsets"]
        values = struct.unpack(f"<{(end - begin) // 4}f", data[begin:end])
        data[begin:end] = struct.pack(f"<{len(values)}f", *(factor * value for value in values))
        write_safetensors(self.weights, header, data)
        return self.path


UP = "model.layers.2.mlp.up_proj.weight"


def broken_models(directory):
    """(model, exit code, parts of the message) for everything that headers and config.json can tell."""
    count = 0

    def fresh():
        nonlocal count
        count += 1
        return ModelCopy(directory / f"model{count}")

    def change(tensor, key, value):
        return lambda header: header[tensor].update({key: value})

    model = fresh()
    (model.path / "config.json").write_text("{\"architectures\": [")
    yield model.path, 1, ["config.json", "JSON"]
    model = fresh()
    (model.path / "config.json").write_text("[1, 2]")
    yield model.path, 1, ["config.json"]
    model = fresh()
    (model.path / "config.json").write_text("[" * 100000)
    yield model.path, 1, ["config.json"]
    yield fresh().config(architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox"), 1, ["GPTNeoXForCausalLM"]
    yield fresh().config(hidden_size=-64), 1, ["hidden_size"]
    yield fresh().config(hidden_size="64"), 1, ["hidden_size"]
    yield fresh().config(num_hidden_layers=10**15), 1, ["num_hidden_layers"]
    yield fresh().config(num_attention_heads=0), 1, ["num_attention_heads"]
    yield fresh().config(hidden_act="gelu"), 1, ["gelu"]
    opt = dict(architectures=["OPTForCausalLM"], ffn_dim=172)
    yield fresh().config(**opt, layer_norm_elementwise_affine=False), 1, ["layer_norm_elementwise_affine"]
    yield fresh().config(**opt, word_embed_proj_dim=0), 1, ["word_embed_proj_dim"]
    yield fresh().config(architectures=["Gemma3ForConditionalGeneration"]), 1, ["text_config"]
    yield fresh().config(**opt, activation_function="mish"), 1, ["mish", "gelu_new"]
    yield fresh().config(**opt), 1, ["model.decoder.embed_tokens.weight"]
    yield fresh().config(architectures=["GPT2LMHeadModel"]), 1, ["n_embd"]
    yield fresh().config(vocab_size=513), 1, ["embed_tokens", "513", "512"]
    model = fresh()
    (model.path / "config.json").unlink()
    yield model.path, 3, ["config.json"]
    model = fresh()
    (model.path / "config.json").unlink()
    (model.path / "config.json").mkdir()
    yield model.path, 1, ["config.json"]
    model = fresh()
    model.weights.unlink()
    yield model.path, 3, ["safetensors"]
    model = fresh()
    model.weights.rename(model.path / "pytorch_model.bin")
    yield model.path, 1, ["pytorch_model.bin"]
    for size in (0, 7, 8, 100, 200000):
        model = fresh()
        os.truncate(model.weights, size)
        yield model.path, 1, ["model.safetensors"]
    yield fresh().header(lambda header: None, length=2**63), 1, ["model.safetensors"]
    yield fresh().header(lambda header: None, length=10**6), 1, ["model.safetensors"]
    yield fresh().header(lambda header: ["no", "object"]), 1, ["model.safetensors"]
    yield fresh().header(change(UP, "shape", [172, 65])), 1, [UP]
    yield fresh().header(change(UP, "shape", [2**40, 2**40])), 1, [UP]
    yield fresh().header(change(UP, "shape", [-172, -64])), 1, [UP]
    yield fresh().header(change(UP, "dtype", "F7")), 1, ["F7"]
    yield fresh().header(change(UP, "data_offsets", [0, 172 * 64 * 4])), 1, ["model.safetensors"]
    yield fresh().header(change(UP, "data_offsets", [2**62, 2**62 + 172 * 64 * 4])), 1, [UP]

    def transpose(header):
        header[UP]["shape"].reverse()
    yield fresh().header(transpose), 1, [UP, "[172, 64]", "[64, 172]"]

    def rename(header):
        return {("x" if name == UP else name): entry for name, entry in header.items()}
    yield fresh().header(rename), 1, [UP]

    sharded = directory / "sharded"
    shutil.copytree(settings.models / "stories-19m", sharded)
    (sharded / "model-00002-of-00002.safetensors").unlink()
    yield sharded, 1, ["model-00002-of-00002.safetensors"]
    escaping = directory / "escaping"
    shutil.copytree(settings.models / "stories-19m", escaping)
    index = (escaping / "model.safetensors.index.json").read_text()
    (escaping / "model.safetensors.index.json").write_text(index.replace("model-00002", "../model-00002"))
    yield escaping, 1, ["../model-00002"]


# --- tests -----------------------------------------------------------------------------------------------------------

COMMANDS = [[], ["info"], ["tokenize"], ["littlebit"], *(["littlebit", name] for name in
                                            ("compress", "info", "convert", "validate", "run", "bench"))]


class Help(ContractTest):
    def test_help_is_pinned(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                golden = HERE / "help" / ("-".join(["llm-quantize", *command]) + ".txt")
                result = self.assert_succeeds([*command, "--help"])
                self.assertEqual(result.stderr, "")
                if settings.update_help:
                    golden.parent.mkdir(exist_ok=True)
                    golden.write_text(result.stdout)
                self.assertEqual(result.stdout, golden.read_text())

    def test_help_needs_no_other_argument_to_be_right(self):
        self.assert_succeeds(["littlebit", "compress", "--target-bpw", "0.5", "--help"])

    def test_version(self):
        self.assertEqual(self.assert_succeeds(["--version"]).stdout, "llm-quantize, version 0.1.0\n")

    def test_bash_completes_the_options_of_each_command(self):
        script = HERE.parent.parent / "share/completions/llm-quantize.bash"
        complete = ('source "$1"; shift; COMP_WORDS=(llm-quantize "$@" --); COMP_CWORD=$(($# + 1)); _llm_quantize; '
                    'printf "%s\\n" "${COMPREPLY[@]}"')
        for command in COMMANDS:
            offered = subprocess.run(["bash", "-c", complete, "bash", script, *command], text=True, check=True,
                                     stdout=subprocess.PIPE).stdout.split()
            self.assertLessEqual(self.options_of(command), set(offered), command)

    def options_of(self, command):
        shown = self.assert_succeeds([*command, "--help"]).stdout
        return {word.split(",")[-1].rstrip(",") for word in shown.split("Examples:")[0].split()
                if word.startswith("--") or word.startswith("-") and ",--" in word}

    def test_completions_know_every_command_and_option(self):
        completions = HERE.parent.parent / "share/completions"
        texts = {path.name: path.read_text() for path in completions.iterdir()}
        self.assertEqual(len(texts), 3)
        for command in COMMANDS:
            for word in self.options_of(command) | set(command):
                for name, text in texts.items():
                    expected = word.removeprefix("--") if name.endswith(".fish") else word
                    self.assertIn(expected, text, f"{name}: {word} of {command}")


class BadArguments(ContractTest):
    def test_grammar(self):
        self.assert_fails([], 2, "expected a command")
        self.assert_fails(["frobnicate"], 2, "frobnicate")
        self.assert_fails(["littlebit"], 2, "compress, info, convert, validate, run, bench")
        self.assert_fails(["littlebit", "compres", "m"], 2, "Did you mean 'compress'?")
        self.assert_fails(["info"], 2, "MODEL")
        self.assert_fails(["info", "a", "b"], 2, "unexpected argument 'b'")
        self.assert_fails(["littlebit", "compress"], 2, "MODEL")
        self.assert_fails(["littlebit", "validate", "m"], 2, "COMPRESSED")
        self.assert_fails(["littlebit", "convert", "m"], 2, "OUTPUT_FORMAT")
        self.assert_fails(["littlebit", "convert", "m", "q8_0"], 2, "OUTPUT_FORMAT")
        self.assert_fails(["--verbosity", "loud", "info", "m"], 2, "--verbosity: expected debug, normal, quiet, verbose")
        self.assert_fails(["info", "m", "--verbosity"], 2, "--verbosity")

    def test_global_format(self):
        result = run(["--format", "yaml", "info", "m"])
        self.assertEqual(result.returncode, 2)
        self.assertIn("--format", result.stderr)

    def test_parse_errors_are_json_wherever_format_stands(self):
        result = run(["littlebit", "info", "--nonsense", "--format", "json"])
        self.assertEqual((result.returncode, json.loads(result.stdout)["error_code"]), (2, 2))

    def test_json_is_no_container(self):
        result = run(self.compress("m", "--format", "json"))  # whoever writes this wants JSON
        self.assertEqual(result.returncode, 2)
        self.assertIn("llm-quantize --format json littlebit compress", json.loads(result.stdout)["suggestion"])

    def test_compress_options(self):
        cases = {
            ("--target-bwp", "0.5"): "Did you mean '--target-bpw'?",
            ("--target-bpw", "abc"): "--target-bpw",
            ("--target-bpw", "0.5x"): "--target-bpw",
            ("--target-bpw",): "--target-bpw",
            ("--rank", "0"): "--rank: expected a positive integer, found 0",
            ("--rank", "-3"): "--rank",
            ("--rank", "1.5"): "--rank",
            ("--rank", "many"): "--rank",
            ("--quality-threshold", "0"): "--quality-threshold: expected a positive percentage, found 0",
            ("--quality-threshold", "-20"): "--quality-threshold",
            ("--quality-threshold", "nan"): "--quality-threshold",
            ("--quality-threshold", "inf"): "--quality-threshold",
            ("--rank", "8", "--quality-threshold", "20"): "--rank and --quality-threshold",
            ("--calibration-samples", "63"): "64 to 1024",
            ("--calibration-samples", "1025"): "64 to 1024",
            ("--calibration-samples", "99999999999999999999"): "--calibration-samples",
            ("--format", "gguf"): "--format",
            ("--embedding-bits", "7"): "--embedding-bits",
            ("--embedding-bits", "0"): "--embedding-bits",
            ("--head-bits", "5"): "--head-bits",
            ("--head-bits", ""): "--head-bits",
            ("--budget-scope", "disk"): "--budget-scope",
            ("--budget-scope", "file", "--rank", "8"): "--rank and --budget-scope file",
            ("--budget-scope", "file", "--format", "gguf-ext"): "--format gguf-ext and --budget-scope file",
            ("--residual", "maybe"): "--residual",
            ("--recipe", "magic"): "--recipe",
            ("--init", "svd"): "--init: expected admm, anneal, dual-svid, itq, random, found 'svd'",
            ("--init", "2"): "found '2'",
            ("--surrogate", "tanh"): "--surrogate",
            ("--block-tokens", "-1"): "--block-tokens",
            ("--absorption", "perhaps"): "--absorption",
            ("--latent-scale", "perhaps"): "--latent-scale",
            ("--time-budget", "1h", "--block-tokens", "1024"): "--time-budget",
            ("--kd-tokens", "-1"): "--kd-tokens",
            ("--train-precision", "fp8"): "--train-precision",
            ("--gradient-checkpointing", "yes"): "--gradient-checkpointing",
            ("--device", "gpu"): "--device",
            ("--kv-rank-factor", "-2"): "--kv-rank-factor",
            ("--train-tokens", "-1"): "--train-tokens",
            ("--train-lr", "nan"): "--train-lr",
            ("--train-lr", "0"): "--train-lr",
            ("--train-batch", "0"): "--train-batch",
            ("--seed", "-1"): "-1 not in range",
            ("--train-tokens", "9" * 20): "--train-tokens: expected an integer of at most 18 digits",
            ("--calibration-data", ""): "--calibration-data: expected a path, found ''",
            ("--resume", ""): "--resume: expected a path",
            ("--own-text", ""): "--own-text: expected a number",
            ("--checkpoint-dir", ""): "--checkpoint-dir: expected a path",
            ("--max-shard-size", "2X"): "2X",
            ("--dry-run", "--calibration-data", settings.models / "stories260k/hf-f32/config.json"): "config.json",
            ("--train-tokens", ""): "--train-tokens: expected a decimal integer, found ''",
            ("--rank", ""): "--rank",
            ("--rank", "010"): "--rank",
            ("--rank", "99999999999999999999"): "--rank",
            ("--target-bpw", ""): "--target-bpw: expected a number, found ''",
            ("--threads", "-1"): "--threads",
            ("-n", "a/b"): "--output-name",
            ("--dry-run", "--dry-run=perhaps"): "--dry-run",
            ("--resume", "x", "--no-checkpoints"): "--resume and --no-checkpoints",
        }
        for options, part in cases.items():
            self.assert_fails(["littlebit", "compress", settings.models / "stories260k/hf-f32", "-o", self.out, *options], 2,
                              part)

    def test_bpw_out_of_range(self):
        for bpw, message in {"0.05": "Target BPW 0.05 is below minimum supported (0.1)",
                             "3": "Target BPW 3.0 is above maximum supported (2.0)",
                             "-1": "Target BPW -1.0 is below minimum supported (0.1)",
                             "nan": "Target BPW nan is not a number",
                             "inf": "Target BPW inf is above maximum supported (2.0)",
                             "-inf": "Target BPW -inf is below minimum supported (0.1)",
                             "1e308": "is above maximum supported (2.0)"}.items():
            self.assert_fails(self.compress("no-such-model", "--target-bpw", bpw), 22, message,
                              "Use target BPW between 0.1 and 2.0")

    def test_environment(self):
        model = settings.models / "stories260k/hf-f32"
        for name, value in {"LLM_QUANTIZE_LITTLEBIT_RANK_SEARCH": "none", "LLM_QUANTIZE_LITTLEBIT_MIN_BPW": "nan",
                            "LLM_QUANTIZE_LITTLEBIT_MAX_BPW": "-1", "LLM_QUANTIZE_SVD_PRECISION": "float16"}.items():
            self.assert_fails(self.compress(model), 2, name, value, env={name: value})
        self.assert_fails(self.compress(model), 22, "is below minimum supported (0.8)",
                          env={"LLM_QUANTIZE_LITTLEBIT_MIN_BPW": "0.8"})

    def test_validate_and_run_options(self):
        validate = ["littlebit", "validate", "a", "b"]
        self.assert_fails([*validate, "--benchmark", "mmlu"], 2, "--benchmark")
        self.assert_fails([*validate, "--benchmark-data", "x"], 2, "--benchmark")
        self.assert_fails([*validate, "--benchmark-items", "5"], 2, "--benchmark")
        self.assert_fails([*validate, "--calibration-samples", "1"], 2, "64 to 1024")
        model = settings.models / "stories260k/hf-f32"
        for command in (["info"], ["littlebit", "compress"], ["littlebit", "validate"]):
            rest = ["x"] if "validate" in command else []
            self.assert_fails([*command, model, *rest, "--revision", "main"], 2, "--revision", "directory")
            self.assert_fails([*command, "org/name@a", *rest, "--revision", "b"], 2, "--revision")
            self.assert_fails([*command, "org/name", *rest, "--revision", "../a"], 2, "--revision")
        write = ["littlebit", "run", "model.littlebit"]
        self.assert_fails(write, 2, "--prompt")
        self.assert_fails([*write, "-p", "x", "--prompt-file", "y"], 2, "--prompt")
        self.assert_fails([*write, "-p", "x", "-n", "-1"], 2, "-n")
        self.assert_fails([*write, "-p", "x", "--top-p", "2"], 2, "--top-p")
        self.assert_fails([*write, "-p", "x", "--top-p", "nan"], 2, "--top-p")
        self.assert_fails([*write, "-p", "x", "--top-k", "-1"], 2, "--top-k")
        self.assert_fails([*write, "-p", "x", "--temperature", "nan"], 2, "--temperature")
        self.assert_fails([*write, "-p", "x", "--temperature", "-1"], 2, "--temperature")
        self.assert_fails([*write, "-p", "x", "--threads", "-1"], 2, "--threads")
        self.assert_fails([*write, "-p", "x", "--kv", "f8"], 2, "--kv")
        for command in (["run", settings.models / "stories260k" / "hf-f32", "-p", "x"],
                        ["bench", settings.models / "stories260k" / "hf-f32", "-n", "1"]):
            self.assert_fails(["littlebit", *command, "--kv", "latent"], 2, "--kv latent: expected compressed")
        self.assert_fails([*validate, "--activations", "int4"], 2, "--activations")

    def test_bench_options(self):
        bench = ["littlebit", "bench"]
        self.assert_fails(bench, 2, "--shape")
        self.assert_fails([*bench, "m", "--shape", "llama-2-7b"], 2, "FILE or --shape")
        self.assert_fails([*bench, "--shape", "llama-9"], 2, "llama-2-7b")
        self.assert_fails([*bench, "m", "--bpw", "0.5"], 2, "--bpw")
        self.assert_fails([*bench, "m", "--weights", "f16"], 2, "--weights")
        random = [*bench, "--shape", "llama-2-7b"]
        self.assert_fails([*random, "--weights", "f16", "--bpw", "0.5"], 2, "--bpw")
        for value in ("0", "nan", "-1", "99"):
            self.assert_fails([*random, "--bpw", value], 2, "--bpw")
        self.assert_fails([*random, "-p", "-1"], 2, "-p")
        self.assert_fails([*random, "-n", "-1"], 2, "-n")
        self.assert_fails([*random, "-p", "0", "-n", "0"], 2, "-p")
        self.assert_fails([*random, "-r", "0"], 2, "-r")
        self.assert_fails([*random, "-d", "-1"], 2, "-d")
        self.assert_fails([*random, "-t", "5000"], 2, "--threads")
        self.assert_fails([*random, "--weights", "int2"], 2, "--weights")

    def test_instruction_set(self):
        model = settings.models / "stories260k/hf-f32"
        for command in (["run", model, "-p", "x"], ["bench", model]):
            for isa in ("abacus", "avx2" if platform.machine() == "aarch64" else "neon"):  # unknown, and another machine's
                self.assert_fails(["littlebit", *command], 2, "LLM_QUANTIZE_ISA", env={"LLM_QUANTIZE_ISA": isa})

    def test_device(self):
        model = settings.models / "stories260k/hf-f32"
        hidden = {"CUDA_VISIBLE_DEVICES": ""}  # also where there is a GPU
        for command in (["run", model, "-p", "x"], ["bench", model], ["validate", model, model]):
            self.assert_fails(["littlebit", *command, "--device", "abacus"], 2, "auto, cpu, cuda")
            self.assert_fails(["littlebit", *command, "--device", "cuda"], 2, "CUDA", env=hidden)
        command = ["littlebit", "run", model, "-p", "Once", "-n", "4"]
        by_device = {self.assert_succeeds([*command, "--device", device], env=hidden).stdout
                     for device in ("auto", "cpu")}
        self.assertEqual(len(by_device), 1)

    def test_tokenize_options(self):
        model = settings.models / "stories260k/hf-f32"
        (self.work / "ids.txt").write_text("1 2 3\n4 5 x\n")
        self.assert_fails(["tokenize"], 2, "MODEL")
        self.assert_fails(["tokenize", model, "a", "b"], 2, "unexpected argument 'b'")
        self.assert_fails(["tokenize", model, "a", "--file", "b"], 2, "TEXT and --file")
        self.assert_fails(["tokenize", model, "--decode", "--pieces", "1"], 2, "--decode and --pieces")
        for ids in ("x", "1 2x", "1 -2", "512", "1 99999999999999999999", "1.0"):
            self.assert_fails(["tokenize", model, "--decode", ids], 2, "TEXT: expected ids from 0 to 511", ids.split()[-1])
        self.assert_fails(["tokenize", model, "--decode", "--file", self.work / "ids.txt"], 2, "line 2", "'x'")
        self.assert_fails(["tokenize", model, "--file", self.work / "none.txt"], 3, "none.txt")
        self.assert_fails(["tokenize", model, "--json-lines"], 2, "line 2: expected JSON", stdin='"a"\n"b\n')
        self.assert_fails(["tokenize", model, "--json-lines", "[1]"], 2, "TEXT: expected a JSON string, found [1]")


class BadModels(ContractTest):
    def test_tokenizers(self):
        empty = self.work / "empty"
        empty.mkdir()
        self.assert_fails(["tokenize", empty, "a"], 1, "expected a tokenizer, found none")
        self.assert_fails(["tokenize", self.work / "none", "a"], 3, "none")
        self.assert_fails(["tokenize", "org/name", "a"], 3, "Hub")
        (self.work / "file").write_text("text")
        self.assert_fails(["tokenize", self.work / "file", "a"], 1, "file")
        (empty / "tokenizer.json").write_text('{"model": {"type": "Oracle"}}')
        self.assert_fails(["tokenize", empty, "a"], 1, "tokenizer.json", "Oracle")
        (empty / "tokenizer.json").write_text("{")
        self.assert_fails(["tokenize", empty, "a"], 1, "tokenizer.json", "JSON")

    def test_no_model_there(self):
        (self.work / "file").write_text("text")
        (self.work / "empty").mkdir()
        for model, part in {self.work / "none": "none", self.work / "file": "file", self.work / "empty": "config.json",
                            "meta-llama/Llama-2-7b-hf": "offline", "no-such-model": "org/name",
                            "dir/x.gguf": "x.gguf", "": "directory"}.items():
            self.assert_fails(["info", model], 1 if part == "file" else 3, part)  # info reads compressed files too
            self.assert_fails(self.compress(model), 3, part)
            self.assert_fails(["littlebit", "validate", model, "x.littlebit"], 3, part)

    def test_broken_models_are_refused_before_work(self):
        for model, code, parts in broken_models(self.work):
            self.assert_fails(["info", model], code, *parts)
            self.assert_fails(self.compress(model), code, *parts)

    def test_broken_models_do_not_run(self):
        for model, code, parts in broken_models(self.work):
            self.assert_fails(["littlebit", "run", model, "-p", "x", "-n", "1"], code, *parts)

    def test_nan_and_inf(self):
        model = ModelCopy(self.work / "model")
        model.put(UP, float("nan"))
        model.put("model.layers.0.self_attn.q_proj.weight", float("inf"))
        self.assert_fails(["info", model.path, "--check"], 6, f"{UP} (1 NaN, 0 Inf)", "q_proj.weight (0 NaN, 1 Inf)")
        self.assert_succeeds(["info", model.path])
        if settings.compressor != "OFF":
            self.assert_fails(self.compress(model.path, "--target-bpw", "2", "--train-tokens", "0"), 20, "q_proj")
            norm = ModelCopy(self.work / "norm").put("model.norm.weight", float("nan"))
            self.assert_fails([*self.compress(norm, "--target-bpw", "2", "--train-tokens", "0", "--skip-validation"),
                               "--no-checkpoints"], 20, "model.norm.weight")

    def test_tokenizer(self):
        model = ModelCopy(self.work / "model")
        for name in ("tokenizer.json", "tokenizer.model"):
            (model.path / name).unlink()
        self.assert_fails(["littlebit", "run", model.path, "-p", "x"], 1, "tokenizer")
        (model.path / "tokenizer.json").write_text("{\"model\": 7}")
        self.assert_fails(["littlebit", "run", model.path, "-p", "x"], 1, "tokenizer.json")
        if settings.compressor == "OFF":
            return
        self.assert_fails(self.compress(model.path, "--target-bpw", "2"), 1, "tokenizer.json")
        untrained = self.compress(model.path, "--target-bpw", "2", "--recipe", "littlebit", "--train-tokens", "0")
        self.assert_fails(untrained, 1, "tokenizer.json")
        without_text = self.assert_succeeds([*untrained, "--skip-validation"])
        self.assertIn("will not read or write text", without_text.stderr)


class BadFiles(ContractTest):
    def test_littlebit_files(self):
        good = self.littlebit_file().read_bytes()
        path = self.work / "bad.littlebit"
        cases = {"empty": b"", "text": b"not a model\n" * 100, "magic only": good[:4], "version": good[:4] + b"\xff" + good[5:],
                 "half": good[:len(good) // 2], "one byte short": good[:-1], "one byte long": good + b"\0"}
        for name, data in cases.items():
            with self.subTest(name):
                path.write_bytes(data)
                self.assert_fails(["info", path], 1, "bad.littlebit")
                self.assert_fails(["littlebit", "info", path], 1, "bad.littlebit")
                self.assert_fails(["littlebit", "run", path, "-p", "x"], 1, "bad.littlebit")
                self.assert_fails(["littlebit", "convert", path, "gguf-ext"], 1, "bad.littlebit")
        missing = self.work / "missing.littlebit"
        for arguments in (["info", missing], ["run", missing, "-p", "x"], ["convert", missing, "gguf-lossy"],
                          ["validate", settings.models / "stories260k/hf-f32", missing]):
            self.assert_fails(["littlebit", *arguments], 3, "missing.littlebit")
        self.assert_fails(["littlebit", "info", self.work], 1, str(self.work))

    def test_pipes_are_no_models(self):
        """And nobody waits for what could come out of them."""
        model = ModelCopy(self.work / "model")
        (model.path / "config.json").unlink()
        for pipe, model_path in ((model.path / "config.json", model.path), (self.work / "pipe", self.work / "pipe")):
            os.mkfifo(pipe)
            self.assert_fails(["info", model_path], 1 if model_path.is_dir() else 3, pipe.name)

    def test_flipped_bits_are_found(self):
        path = self.littlebit_file()
        data = bytearray(path.read_bytes())
        data[len(data) * 3 // 4] ^= 1
        path.write_bytes(data)
        self.assert_fails(["littlebit", "info", path, "--verify"], 1, "checksum")
        self.assert_fails(["info", path, "--check"], 1, "checksum")
        self.assert_fails(["littlebit", "convert", path, "gguf-ext", "-o", self.out], 1, "checksum")

    def test_conversions_that_cannot_be(self):
        path = self.littlebit_file()
        convert = ["littlebit", "convert", path]
        model = settings.models / "stories260k/hf-f32"
        self.assert_fails([*convert, "littlebit", "-o", self.out], 8, "already")
        self.assert_fails(["littlebit", "convert", model, "gguf-ext", "-o", self.out], 8, "directory")
        self.assert_fails([*convert, "gguf-lossy", "-o", self.out, "--force", "--gguf-quant", "IQ2_XS"], 8, "Q4_K_M")
        self.assert_fails([*convert, "gguf-lossy", "-o", self.out], 9, "--force")
        self.assert_fails([*convert, "gguf-lossy", "-o", self.out, "--force", "--max-shard-size", "2X"], 2, "2X")
        self.assert_fails([*convert, "gguf-ext", "-n", "a/b"], 2, "a/b")
        self.assert_fails([*convert, "gguf-ext", "-o", self.work, "-n", path.name], 2, "overwrite")
        self.assert_fails([*convert, "gguf-ext", "-o", "/proc/none"], 1, "/proc/none")
        self.assert_fails(self.compress(model, "--format", "gguf-lossy", "--gguf-quant", "Q9"), 8, "Q9")
        self.assert_fails(self.compress(model, "--format", "gguf-lossy", "--export-metadata", self.work / "m.json"), 2,
                          "--export-metadata")

    def test_dense_gguf_files(self):
        """A GGUF file without factors runs, but has nothing to convert."""
        path = self.littlebit_file()
        self.assert_succeeds(["littlebit", "convert", path, "gguf-lossy", "--force", "-o", self.work, "-n", "d.gguf"])
        dense = self.work / "d.gguf"
        for target in ("littlebit", "gguf-ext", "gguf-lossy"):
            self.assert_fails(["littlebit", "convert", dense, target, "-o", self.out, "--force"], 8, "factors")
        self.assert_fails(["littlebit", "info", dense], 1, "littlebit.version")
        data = dense.read_bytes()
        for name, bad in {"short": data[:5000], "magic": b"GGUF", "version": data[:4] + b"\x09" + data[5:]}.items():
            with self.subTest(name):
                (self.work / "bad.gguf").write_bytes(bad)
                self.assert_fails(["littlebit", "run", self.work / "bad.gguf", "-p", "x"], 1, "bad.gguf")
                self.assert_fails(["info", self.work / "bad.gguf"], 1, "bad.gguf")
        other = data.replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0other", 1)
        (self.work / "other.gguf").write_bytes(other)
        self.assert_fails(["littlebit", "run", self.work / "other.gguf", "-p", "x"], 1, "other")

    def test_compressed_input(self):
        self.assert_fails(self.compress(self.littlebit_file()), 3, "already compressed")

    def test_other_tokenizer(self):
        self.assert_fails(["littlebit", "validate", settings.models / "stories-19m", self.littlebit_file()], 6, "tokenizer")

    def test_prompts(self):
        path = self.littlebit_file()
        self.assert_fails(["littlebit", "run", path, "-p", "once upon a time " * 1000], 2, "512")
        self.assert_fails(["littlebit", "run", path, "--prompt-file", self.work / "none.txt"], 3, "none.txt")

    def test_text_data(self):
        model = settings.models / "stories260k/hf-f32"
        path = self.littlebit_file()
        (self.work / "empty.txt").write_text("")
        (self.work / "broken.jsonl").write_text('{"text": "fine"}\n{"text": \n')
        (self.work / "columns.jsonl").write_text('{"title": "no text"}\n')
        (self.work / "data.parquet").write_bytes(b"PAR1")
        cases = {"none.txt": (3, "none.txt"), "empty.txt": (2, "empty.txt"), "broken.jsonl": (2, "2"),
                 "columns.jsonl": (2, "text"), "data.parquet": (2, "arquet")}
        for name, (code, part) in cases.items():
            for option in ("--calibration-data", "--held-out-data"):
                self.assert_fails(["littlebit", "validate", model, path, option, self.work / name], code, part)
            self.assert_fails(self.compress(model, "--target-bpw", "2", "--calibration-data", self.work / name), code, part)
            self.assertFalse(self.out.exists())
        self.assert_fails(["littlebit", "validate", model, path, "--benchmark", "arc", "--benchmark-data",
                           self.work / "none.jsonl"], 3, "none.jsonl")

    def test_destinations(self):
        model = ModelCopy(self.work / "model")
        (self.work / "file").write_text("kept")
        (self.work / "directory.littlebit").mkdir()
        compress = ["littlebit", "compress", model.path, "--target-bpw", "2"]
        self.assert_fails([*compress, "-o", self.work / "file"], 1, "file")
        self.assert_fails([*compress, "-o", self.work / "file/below"], 1, "file")
        self.assert_fails([*compress, "-o", "/proc"], 1, "/proc")
        self.assert_fails([*compress, "-o", self.work, "-n", "directory.littlebit"], 2, "directory")
        os.link(model.weights, self.work / "linked.littlebit")
        self.assert_fails([*compress, "-o", self.work, "-n", "linked.littlebit"], 2, "overwrite the input")
        self.assert_fails([*compress, "-o", self.out, "--export-metadata", model.path / "config.json"], 2,
                          "overwrite the input")
        self.assert_fails([*compress, "-o", self.out, "-n", "x.json", "--export-metadata", f"{self.out}/./x.json"], 2,
                          "another path")
        text = self.work / "text.txt"
        text.write_text("some words")
        self.assert_fails([*compress, "--calibration-data", text, "--held-out-data", text], 2, "another file")
        self.assert_fails([*compress, "--resume", self.work / "nowhere"], 7, "nowhere")
        self.assertEqual((self.work / "file").read_text(), "kept")

    def test_ranks_that_do_not_fit(self):
        self.assert_fails(self.compress(settings.models / "stories260k/hf-f32", "--target-bpw", "0.1"), 23, "0.1")
        self.assert_fails(self.compress(settings.models / "stories260k/hf-f32", "--target-bpw", "0.1", "--dry-run"), 23)

    def test_full_disk(self):
        path = self.littlebit_file()
        for arguments in (["--version"], ["littlebit", "info", path], ["littlebit", "run", path, "-p", "x", "-n", "1"]):
            with open("/dev/full", "w") as full:
                result = run(arguments, stdout=full)
            self.assert_no_crash(result)
            self.assertEqual(result.returncode, 1)
            self.assertIn("standard output", result.stderr)

        def tiny_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        self.out.mkdir()
        self.assert_fails(["littlebit", "info", path, "--export-metadata", self.out / "metadata.json"], 1, "cannot write",
                          preexec_fn=tiny_files)

    def test_closed_streams(self):
        path = self.littlebit_file()
        self.out.mkdir()
        script = '"$0" littlebit info "$1" --export-metadata "$2" >&- 2>&-; echo $?'
        result = subprocess.run(["bash", "-c", script, settings.tool, path, self.out / "m.json"], text=True,
                                stdout=subprocess.PIPE)
        self.assertEqual(result.stdout, "1\n")  # nobody could read the result
        json.loads((self.out / "m.json").read_text())  # and no message strayed into the file
        self.assert_succeeds(["littlebit", "run", path, "-p", "x", "-n", "2"])
        result = subprocess.run(["bash", "-c", '"$0" littlebit info "$1" --layers | true; echo ${PIPESTATUS[0]}',
                                 settings.tool, path], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertIn(result.stdout, ("0\n", "1\n"))  # whoever is faster; never a signal


NUMBER = (int, float)
INFO_SCHEMA = {"file_path": str, "format": str, "format_version": int, "source_model": str, "architecture": str,
               "target_bpw": NUMBER, "achieved_bpw": NUMBER, "compression_ratio": NUMBER, "original_size_bytes": int,
               "compressed_size_bytes": int, "num_layers": int,
               "layer_stats": {"average_rank": NUMBER, "min_rank": int, "max_rank": int},
               "body_bpw": NUMBER, "file_bpw": NUMBER, "original_parameters": int, "embedding_bits": int,
               "head_bits": int, "budget_scope": str, "train_tokens": int, "tokenizer": str}
QUALITY_SCHEMA = {"perplexity_original": NUMBER, "perplexity_compressed": NUMBER, "perplexity_delta_pct": NUMBER,
                  "quality_passed": bool, "calibration_samples": int, "calibration_dataset": str,
                  "calibration_tokens": int, "protocol": str}


class Success(ContractTest):
    def test_info(self):
        model = settings.models / "stories260k/hf-f32"
        result = self.assert_succeeds(["info", model])
        self.assertEqual(result.stdout, "Model: hf-f32\nArchitecture: LlamaForCausalLM\nParameters: 260,032\n"
                         "Hidden Size: 64\nLayers: 5\nHeads: 8\nVocab Size: 512\nDtype: float32\n")
        expected = {"model_name": "hf-f32", "architecture": "LlamaForCausalLM", "parameter_count": 260032,
                    "hidden_size": 64, "num_layers": 5, "num_heads": 8, "vocab_size": 512, "torch_dtype": "float32"}
        result = self.assert_succeeds(["--format", "json", "info", model])
        self.assertEqual(json.loads(result.stdout), expected)
        self.assertEqual(result.stderr, "")
        result = self.assert_succeeds(["info", model, "--check", "--format", "json", "--verbosity", "quiet"])
        self.assertEqual(json.loads(result.stdout), {**expected, "check": {"tensors": 47, "nan": 0, "inf": 0}})
        self.assertEqual(result.stderr, "")
        for other in ("stories260k/hf-bf16", "stories260k/hf-f16", "stories-19m"):
            self.assert_succeeds(["info", settings.models / other, "--check"])

    def test_info_of_a_compressed_file(self):
        result = self.assert_succeeds(["--format", "json", "info", self.littlebit_file(), "--check"])
        info = json.loads(result.stdout)
        self.assertEqual((info["model_name"], info["parameter_count"]), ("hf-f32", 260032))
        self.assertEqual(info["check"]["nan"], 0)

    def test_littlebit_info(self):
        path = self.littlebit_file()
        text = self.assert_succeeds(["littlebit", "info", path]).stdout
        for line in (f"File: {path}\n", "Format: LittleBit Native v1\n", "Source: hf-f32\n",
                     "Architecture: LlamaForCausalLM\n", "\nCompression:\n  Target BPW: 2.0\n", "\nLayers: 5\n"):
            self.assertIn(line, text)
        info = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "info", path, "--layers", "--verify"]).stdout)
        self.assert_schema(info, INFO_SCHEMA)
        self.assertEqual(info["compressed_size_bytes"], path.stat().st_size)
        self.assertEqual(info["original_size_bytes"], 2 * 260032)
        self.assertEqual(len(info["layers"]), 35)
        self.assertTrue(info["verified"])
        bits = sum(8 * layer["bytes"] for layer in info["layers"])
        weights = sum(layer["shape"][0] * layer["shape"][1] for layer in info["layers"])
        self.assertAlmostEqual(info["body_bpw"], bits / weights, delta=0.02)
        self.assertLessEqual(info["body_bpw"], 2.0)

    def test_export_metadata(self):
        self.out.mkdir()
        self.assert_succeeds(["littlebit", "info", self.littlebit_file(), "--export-metadata", self.out / "m.json"])
        self.assertEqual(self.left_over(), ["m.json"])
        self.assertIn("q_proj", json.dumps(json.loads((self.out / "m.json").read_text())))

    def test_export_metadata_to_what_is_no_file(self):
        self.out.mkdir()
        script = '"$0" --format json littlebit info "$1" --export-metadata /proc/self/fd/1 > "$2"'
        path = self.work / "both.json"
        subprocess.run(["sh", "-c", script, settings.tool, self.littlebit_file(), path], check=True)
        decoder, text = json.JSONDecoder(), path.read_text()
        metadata, end = decoder.raw_decode(text)
        self.assertIn("q_proj", json.dumps(metadata))
        self.assertIn("body_bpw", json.loads(text[end:]))
        self.assert_fails(["littlebit", "info", self.littlebit_file(), "--export-metadata", self.out], 1, "directory")
        pipe = self.work / "m.gguf"
        os.mkfifo(pipe)
        self.assert_fails(["littlebit", "convert", self.littlebit_file(), "gguf-ext", "-o", self.work, "-n", "m"], 2,
                          "expected a file to write")
        self.assertTrue(pipe.is_fifo())

    def test_run(self):
        model = settings.models / "stories260k/hf-f32"
        command = ["littlebit", "run", model, "-n", "20"]
        first = self.assert_succeeds([*command, "-p", "Once upon a time"])
        self.assertIn(", there was a little girl named L", first.stdout)  # greedy: what this model is known to write
        self.assertIn("tokens/s", first.stderr)
        self.assertEqual(self.assert_succeeds([*command, "-p", "-"], stdin="Once upon a time").stdout, first.stdout)
        (self.work / "prompt.txt").write_text("Once upon a time")
        quiet = self.assert_succeeds([*command, "--prompt-file", self.work / "prompt.txt", "--verbosity", "quiet"])
        self.assertEqual((quiet.stdout, quiet.stderr), (first.stdout, ""))
        result = json.loads(self.assert_succeeds(["--format", "json", *command, "-p", "Once upon a time"]).stdout)
        self.assert_schema(result, {"text": str, "tokens": list, "prompt_tokens": int, "generated_tokens": int,
                                    "tokens_per_second": NUMBER, "reached_end": bool})
        self.assertEqual(result["text"] + "\n", first.stdout)
        self.assertEqual(len(result["tokens"]), 20)
        sampled = [*command, "-p", "One day", "--temperature", "1", "--top-k", "50", "--top-p", "0.95", "--seed"]
        outputs = [self.assert_succeeds([*sampled, seed]).stdout for seed in ("1", "1", "2")]
        self.assertEqual(outputs[0], outputs[1])
        self.assertNotEqual(outputs[0], outputs[2])
        threads = [self.assert_succeeds([*sampled, "3", "--threads", count]).stdout for count in ("1", "2")]
        self.assertEqual(threads[0], threads[1])

    def test_the_prompt_is_not_repeated(self):
        """Nor the bytes at its end that a decoder keeps until it knows whether they begin a character."""
        command = ["--format", "json", "littlebit", "run", settings.models / "stories260k/hf-f32", "-n", "6", "-p"]
        for prompt, begin in {"Once upon a time\n": "One day", "x\n\n": "One day", "A smile \U0001f600": " food"}.items():
            self.assertTrue(json.loads(self.assert_succeeds([*command, prompt]).stdout)["text"].startswith(begin), prompt)

    def test_exact_text_does_not_depend_on_the_machine(self):
        path = self.littlebit_file()
        command = ["littlebit", "run", path, "-p", "Once upon a time", "-n", "60"]
        for options in (["--exact"], []):
            texts = {self.assert_succeeds([*command, *options, "--threads", threads],
                                          env={"LLM_QUANTIZE_ISA": isa}).stdout
                     for isa in ("", "scalar") for threads in ("1", "3")}
            self.assertEqual(len(texts), 1, texts)
        for kv in ("f32", "f16", "q8", "latent"):
            self.assert_succeeds([*command, "--kv", kv])
        latent = self.assert_succeeds([*command, "--exact", "--kv", "latent"]).stdout
        self.assertEqual(latent, self.assert_succeeds([*command, "--exact"]).stdout)

    def test_running_takes_the_file_the_cache_and_little_more(self):
        if b"__asan_init" in settings.tool.read_bytes():
            self.skipTest("sanitizers have memory of their own")
        path = self.littlebit_file("0.3", "stories-19m")
        for shape, options in (([path], []), ([path], ["--exact", "--kv", "latent"]), ([path], ["-t", "8"]),
                               (["--shape", "llama-3.2-1b", "--bpw", "0.1"], [])):
            report = json.loads(self.assert_succeeds(
                ["--format", "json", "littlebit", "bench", *shape, *options, "-p", "200", "-n", "2", "-r", "1"]).stdout)
            most = report["file_bytes"] + 200 * report["kv_bytes_per_token"] + (32 << 20)
            self.assertLessEqual(report["peak_memory_bytes"], most, (shape, options))

    def test_bench(self):
        path = self.littlebit_file()
        command = ["littlebit", "bench", path, "-p", "20", "-n", "4", "-r", "2", "-t", "1"]
        text = self.assert_succeeds(command).stdout
        for part in ("| pp20 |", "| tg4 |", "±", "BPW", "Peak memory", "first token of pp20"):
            self.assertIn(part, text)
        self.assertIn("| tg4 @ d30 |", self.assert_succeeds([*command, "-d", "30"]).stdout)
        report = json.loads(self.assert_succeeds(["--format", "json", *command, "--exact"]).stdout)
        self.assert_schema(report, {"status": str, "kernels": str, "activations": str, "body_bpw": NUMBER,
                                    "file_bytes": int, "peak_memory_bytes": int, "kv_bytes_per_token": int,
                                    "load_seconds": NUMBER,
                                    "first_token_seconds": NUMBER, "results": list})
        self.assertEqual(report["activations"], "f32")
        self.assertEqual(report["file_bytes"], path.stat().st_size)
        self.assertEqual([(r["n_prompt"], r["n_gen"]) for r in report["results"]], [(20, 0), (0, 4)])
        for result in report["results"]:
            self.assert_schema(result, {"model_filename": str, "model_size": int, "model_n_params": int,
                                        "n_threads": int, "type_k": str, "avg_ns": int, "stddev_ns": int,
                                        "avg_ts": NUMBER, "stddev_ts": NUMBER, "samples_ns": list, "samples_ts": list})
            self.assertEqual(len(result["samples_ns"]), 2)
            self.assertEqual(result["avg_ns"] > 0, True)
        self.assert_fails([*command[:3], "-n", "600"], 2, "context")

    def test_run_at_the_borders_of_the_context(self):
        path = self.littlebit_file()
        self.assertEqual(self.assert_succeeds(["littlebit", "run", path, "-p", "x", "-n", "0"]).stdout, "\n")
        result = self.assert_succeeds(["littlebit", "run", path, "-p", "x", "-n", "9999999999", "--threads", "1"])
        self.assertIn("context is 512", result.stderr)

    def test_tokenize(self):
        model = settings.models / "stories-19m"
        one = self.assert_succeeds(["tokenize", model, "Once upon a time"])
        self.assertEqual((one.stdout, one.stderr), ("1 413 439 261 386\n", ""))
        self.assertEqual(self.assert_succeeds(["tokenize", model, "--decode", "1 413 439 261 386"]).stdout,
                         "<s> Once upon a time\n")
        self.assertEqual(self.assert_succeeds(["tokenize", model, "--decode", "--no-special", "[1,413, 439]"]).stdout,
                         "Once upon\n")
        lines = b"Once upon\n\n a time\xff\r\n\nend"
        (self.work / "text.txt").write_bytes(lines)
        file = self.assert_succeeds(["tokenize", model, "--no-special", "--file", self.work / "text.txt"]).stdout
        self.assertEqual([line.split()[:1] for line in file.split("\n")], [["413"], [], ["1975"], [], ["776"], []])
        back = subprocess.run([settings.tool, "tokenize", model, "--decode", file.split("\n")[2]], stdout=subprocess.PIPE)
        self.assertEqual(back.stdout.decode(), " a time\ufffd\r\n")
        result = subprocess.run([settings.tool, "tokenize", model, "--no-special"], input=lines, stdout=subprocess.PIPE)
        self.assertEqual(result.stdout.decode(), file)
        self.assertEqual(self.assert_succeeds(["tokenize", model, "-f", "-"], stdin="").stdout, "")
        pieces = self.assert_succeeds(["tokenize", model, "--pieces", "Once upon"]).stdout
        self.assertEqual(pieces, '1\t"<s>"\n413\t"▁Once"\n439\t"▁upon"\n\n')
        text = 'a\nb "c" \u2028 \0'
        line = self.assert_succeeds(["tokenize", model, "--json-lines"], stdin=json.dumps(text) + "\n").stdout
        back = self.assert_succeeds(["tokenize", model, "--json-lines", "--decode", "--no-special"], stdin=line).stdout
        self.assertEqual(json.loads(back), text)

    def test_tokenize_json_and_other_containers(self):
        model = settings.models / "stories260k/hf-f32"
        result = json.loads(self.assert_succeeds(["--format", "json", "tokenize", model, "--pieces"], stdin="a b\n\n").stdout)
        self.assert_schema(result, {"status": str, "model": str, "vocab_size": int, "bos_id": int, "eos_id": int, "lines": list})
        self.assertEqual([len(line["ids"]) == len(line["pieces"]) for line in result["lines"]], [True, True])
        self.assertEqual(result["lines"][1], {"ids": [1], "pieces": ["<s>"]})
        decoded = json.loads(self.assert_succeeds(["--format", "json", "tokenize", model, "--decode", "1"]).stdout)
        self.assertEqual(decoded["lines"], [{"text": "<s>"}])
        path = self.littlebit_file()
        self.assert_succeeds(["littlebit", "convert", path, "gguf-ext", "-o", self.out])
        self.assert_succeeds(["littlebit", "convert", path, "gguf-lossy", "--force", "--gguf-quant", "q8_0", "-o", self.out])
        texts = {self.assert_succeeds(["tokenize", file, "Once upon a time"]).stdout
                 for file in (model, path, self.out / "model.gguf", self.out / "model-lossy-Q8_0.gguf")}
        self.assertEqual(len(texts), 1)
        only = self.work / "only"  # no config.json, no weights
        only.mkdir()
        shutil.copy(model / "tokenizer.json", only)
        self.assertEqual(self.assert_succeeds(["tokenize", only, "Once upon a time"]).stdout, texts.pop())

    def test_chat_templates_are_carried_verbatim(self):
        model = ModelCopy(self.work / "model").path
        template = "{{ bos_token }}{% for m in messages %}\n\t[\u2581é \"x\"]{{ m['content'] }}{% endfor %}\n"
        (model / "chat_template.jinja").write_text(template)
        (model / "additional_chat_templates").mkdir()
        tools = template.replace("m in", "tool in")
        (model / "additional_chat_templates" / "tool_use.jinja").write_text(tools)
        path = self.littlebit_file(model=model)
        self.assert_succeeds(["littlebit", "convert", path, "gguf-ext", "-o", self.out])
        self.assert_succeeds(["littlebit", "convert", path, "gguf-lossy", "--force", "--gguf-quant", "q8_0", "-o", self.out])
        for file in (path, self.out / "model.gguf", self.out / "model-lossy-Q8_0.gguf"):
            content = file.read_bytes()
            self.assertIn(template.encode(), content)
            self.assertIn(tools.encode(), content)
        self.assertIn(b"tokenizer.chat_template.tool_use", content)

    def test_validate(self):
        model = settings.models / "stories260k/hf-f32"
        same = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "validate", model,
                                                settings.models / "stories260k/hf-bf16", "--calibration-samples", "64"]).stdout)
        self.assert_schema(same, {"status": str, "verdict": str, "quality_metrics": QUALITY_SCHEMA})
        self.assertEqual(same["verdict"], "GOOD")
        self.assertLess(abs(same["quality_metrics"]["perplexity_delta_pct"]), 1)

        text = self.work / "text.txt"
        text.write_text("Once upon a time there was a girl who liked to play with her dog in the park. " * 30)
        noise = ["littlebit", "validate", model, self.littlebit_file(), "--held-out-data", text, "--coherence-test"]
        result = json.loads(self.assert_succeeds(["--format", "json", *noise]).stdout)
        self.assertEqual(result["verdict"], "POOR")
        self.assertGreater(result["quality_metrics"]["perplexity_delta_pct"], 100)
        self.assertEqual(result["quality_metrics"]["calibration_dataset"], "text.txt")
        self.assertFalse(result["coherence"]["passed"])
        human = self.assert_succeeds(noise).stdout
        for part in ("Validation: ", "  Perplexity (Original): ", "  Perplexity (Compressed): ", "  Perplexity Delta: +",
                     "Coherence Test: FAILED (", "\nVerdict: POOR ("):
            self.assertIn(part, human)

    def test_verdicts_between_good_and_poor(self):
        """A larger last norm makes the model surer than it should be."""
        model = settings.models / "stories260k/hf-f32"
        for factor, least, most, words in ((1.25, 10, 50, "ACCEPTABLE"), (1.5, 50, 100, "significant quality loss")):
            other = ModelCopy(self.work / str(factor)).scale("model.norm.weight", factor)
            command = ["littlebit", "validate", model, other, "--calibration-samples", "64"]
            result = json.loads(self.assert_succeeds(["--format", "json", *command]).stdout)
            delta = result["quality_metrics"]["perplexity_delta_pct"]
            self.assertTrue(least < delta < most, delta)
            self.assertEqual(result["verdict"], "ACCEPTABLE")
            self.assertIn(words, result["verdict_text"])

    def test_the_protocol_of_llama_cpp_scores_half_of_each_window(self):
        command = ["--format", "json", "littlebit", "validate", settings.models / "stories260k/hf-f32",
                   settings.models / "stories260k/hf-bf16", "--calibration-samples", "64"]
        paper, other = (json.loads(self.assert_succeeds([*command, "--protocol", name]).stdout)["quality_metrics"]
                        for name in ("paper", "llama.cpp"))
        half = paper["window_tokens"] // 2 - 1
        self.assertEqual(other["calibration_tokens"], half * other["calibration_samples"])
        self.assertNotEqual(other["perplexity_original"], paper["perplexity_original"])
        self.assertIn("second half", other["protocol"])

    def test_convert(self):
        path = self.littlebit_file()
        schema = {"status": str, "input_path": str, "input_format": str, "output_path": str, "output_files": list,
                  "format": str, "input_size_bytes": int, "compressed_size_bytes": int, "original_size_bytes": int,
                  "compression_ratio": float, "warnings": list, "duration_seconds": float, "peak_memory_bytes": int}
        result = json.loads(self.assert_succeeds(
            ["--format", "json", "littlebit", "convert", path, "gguf-ext", "-o", self.out]).stdout)
        self.assert_schema(result, schema)
        extension = self.out / "model.gguf"
        self.assertEqual(result["output_files"], [str(extension)])
        self.assertEqual(result["compressed_size_bytes"], extension.stat().st_size)
        self.assert_succeeds(["littlebit", "convert", extension, "littlebit", "-o", self.out])
        self.assertEqual((self.out / "model.littlebit").read_bytes(), path.read_bytes())
        for arguments in (["littlebit", "run", "-p", "Once", "-n", "8"], ["littlebit", "info", "--verify"], ["info", "--check"]):
            texts = {self.assert_succeeds([*arguments, file]).stdout.replace(str(file), "") for file in (path, extension)}
            self.assertEqual(len(texts), 2 if "--verify" in arguments else 1, texts)

        result = json.loads(self.assert_succeeds(
            ["--format", "json", "littlebit", "convert", extension, "gguf-lossy", "--gguf-quant", "q8_0", "--force", "-o",
             self.out]).stdout)
        self.assert_schema(result, schema)
        self.assertEqual(result["gguf_quant"], "Q8_0")
        lossy = self.out / "model-lossy-Q8_0.gguf"
        self.assertEqual(result["output_path"], str(lossy))
        self.assertEqual(sum(result["tensor_types"].values()), 47)
        summary = json.loads(self.assert_succeeds(["--format", "json", "info", lossy, "--check"]).stdout)
        self.assertEqual((summary["num_layers"], summary["hidden_size"]), (5, 64))
        self.assert_succeeds(["littlebit", "run", lossy, "-p", "Once", "-n", "8"])
        model = settings.models / "stories260k/hf-f32"
        metrics = [json.loads(self.assert_succeeds(["--format", "json", "littlebit", "validate", model, file,
                                                    "--calibration-samples", "64"]).stdout)["quality_metrics"]
                   for file in (path, extension, lossy)]
        self.assertEqual(metrics[0]["perplexity_compressed"], metrics[1]["perplexity_compressed"])
        self.assertAlmostEqual(metrics[2]["perplexity_compressed"] / metrics[0]["perplexity_compressed"], 1, delta=0.02)

    def test_import_of_packed_checkpoints(self):
        for name in ("littlebit", "nanoquant"):
            source = settings.models.parent / "tests/golden/packed" / name
            result = json.loads(self.assert_succeeds(
                ["--format", "json", "littlebit", "convert", source, "littlebit", "-o", self.out]).stdout)
            self.assertEqual(result["input_format"], "packed")
            self.assertEqual(result["output_path"], str(self.out / f"{name}.littlebit"))
            self.assert_succeeds(["littlebit", "info", result["output_path"], "--verify"])
            self.assert_exit_code(["littlebit", "convert", source, "gguf-ext", "-o", self.out], 8)

    def test_convert_in_shards(self):
        path = self.littlebit_file()
        result = json.loads(self.assert_succeeds(
            ["--format", "json", "littlebit", "convert", path, "gguf-lossy", "--gguf-quant", "F32", "--force", "-o", self.out,
             "--max-shard-size", "300K"]).stdout)
        self.assertGreater(len(result["output_files"]), 2)
        self.assertEqual(self.left_over(), sorted(pathlib.Path(file).name for file in result["output_files"]))
        self.assert_succeeds(["littlebit", "run", result["output_files"][0], "-p", "Once", "-n", "8"])
        self.assert_exit_code(["littlebit", "run", result["output_files"][1], "-p", "Once"], 1)

    def test_benchmark(self):
        model = settings.models / "stories260k/hf-f32"
        items = self.work / "arc.jsonl"
        question = {"question": {"stem": "What do dogs do?", "choices": [{"label": "A", "text": "bark"},
                                                                         {"label": "B", "text": "fly"}]}, "answerKey": "A"}
        items.write_text((json.dumps(question) + "\n") * 3)
        result = json.loads(self.assert_succeeds(
            ["--format", "json", "littlebit", "validate", model, model, "--calibration-samples", "64", "--benchmark", "arc",
             "--benchmark-data", items, "--benchmark-items", "2"]).stdout)
        self.assertEqual(result["benchmark"]["original"], result["benchmark"]["compressed"])
        self.assertEqual(result["benchmark"]["original"]["items"], 2)

    def test_dry_run(self):
        config = self.work / "seven-b"
        config.mkdir()
        (config / "config.json").write_text(json.dumps({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008,
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32000,
            "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "hidden_act": "silu", "torch_dtype": "float16"}))
        command = self.compress(config, "--target-bpw", "0.1", "--dry-run")
        plan = json.loads(self.assert_succeeds(["--format", "json", *command]).stdout)
        self.assertEqual(plan["original_parameters"], 6738415616)
        self.assertEqual(len(plan["layers"]), 224)
        self.assertLessEqual(plan["body_bpw"], 0.1)
        self.assertGreater(plan["body_bpw"], 0.095)
        self.assertAlmostEqual(plan["file_bpw"], 8 * plan["compressed_size_bytes"] / 6738415616, places=9)
        human = self.assert_succeeds(command).stdout
        self.assertIn("q_proj ", human)
        self.assertIn("dry run", human)
        every = self.assert_succeeds([*command, "--verbosity", "verbose"]).stdout
        self.assertIn("model.layers.31.mlp.down_proj", every)
        self.assertFalse(self.out.exists())

    def test_dry_run_of_a_whole_file(self):
        model = settings.models / "stories-19m"
        command = ["--format", "json", *self.compress(model, "--budget-scope", "file", "--dry-run")]
        for target, bits in ((0.6, "auto"), (1.0, "6"), (1.9, "auto")):
            plan = json.loads(self.assert_succeeds([*command, "--target-bpw", str(target), "--embedding-bits", bits]).stdout)
            self.assertEqual(plan["budget_scope"], "file")
            self.assertLessEqual(plan["file_bpw"], target)
            self.assertGreater(plan["file_bpw"], 0.99 * target)
            self.assertIn(plan["embedding_bits"], (8, 6, 4) if bits == "auto" else (6,))
            self.assertEqual(plan["head_bits"], plan["embedding_bits"])  # tied
        self.assert_fails([*command[2:], "--target-bpw", "0.3"], 23, "BPW of the whole file", "or fewer --embedding-bits")

    def test_the_program_itself_does_not_link_the_compressor(self):
        if settings.compressor == "LINK":
            self.skipTest("linked on purpose")
        libraries = subprocess.run(["ldd", settings.tool], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertNotIn("torch", libraries)


LAYER_SCHEMA = {"name": str, "shape": list, "rank": int, "paths": int, "bpw": NUMBER, "relative_error": NUMBER,
                "dense_macs": int, "sign_adds": int, "macs_reduction": NUMBER, "milliseconds": NUMBER}
COMPRESS_SCHEMA = {
    "status": str, "output_path": str, "format": str, "source_model": str, "target_bpw": NUMBER, "achieved_bpw": NUMBER,
    "compression_ratio": NUMBER, "original_size_bytes": int, "compressed_size_bytes": int, "duration_seconds": NUMBER,
    "peak_memory_bytes": int, "quality_metrics": {**QUALITY_SCHEMA, "coherence_score": NUMBER, "coherence_passed": bool},
    "per_layer_summary": {"total_layers": int, "average_rank": NUMBER, "min_bpw": NUMBER, "max_bpw": NUMBER,
                          "total_matrices": int},
    "body_bpw": NUMBER, "file_bpw": NUMBER, "original_parameters": int, "timestamp": str, "warnings": list,
    "training": {"tokens": int, "first_loss": NUMBER, "last_loss": NUMBER, "seconds": NUMBER}}


class Compress(ContractTest):
    """With the compressor; without it, that its absence is said."""

    def setUp(self):
        super().setUp()
        self.model = settings.models / "stories260k/hf-f32"

    def need_compressor(self):
        if settings.compressor == "OFF":
            self.skipTest("built without the compressor")

    def test_absent_compressor(self):
        if settings.compressor != "OFF":
            self.skipTest("built with the compressor")
        self.assert_fails(self.compress(self.model, "--target-bpw", "2"), 1, "without the compressor")

    def quick(self, *options):
        return self.compress(self.model, "--target-bpw", "2", "--train-tokens", "0", "--calibration-samples", "64", *options)

    def test_json_result(self):
        self.need_compressor()
        # Allocation moves ranks at the same total; padding makes a few bytes more or less of it.
        command = self.quick("--export-metadata", self.out / "metadata.json", "-n", "small", "--allocation", "uniform")
        plan = json.loads(self.assert_succeeds(["--format", "json", *command, "--dry-run"]).stdout)
        result = json.loads(self.assert_succeeds(["--format", "json", "--verbosity", "quiet", *command]).stdout)
        self.assert_schema(result, COMPRESS_SCHEMA)
        for layer in result["layers"]:
            self.assert_schema(layer, LAYER_SCHEMA)
        self.assertEqual(self.left_over(), ["metadata.json", "small.littlebit"])
        size = (self.out / "small.littlebit").stat().st_size
        self.assertEqual(result["output_path"], str(self.out / "small.littlebit"))
        self.assertEqual(result["compressed_size_bytes"], size)
        self.assertEqual(plan["compressed_size_bytes"], size)  # the dry run promises what the file holds
        self.assertAlmostEqual(plan["body_bpw"], result["body_bpw"])
        self.assertEqual(result["per_layer_summary"]["total_layers"], 5)
        self.assertAlmostEqual(result["compression_ratio"], 2 * 260032 / size, places=6)
        info = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "info", self.out / "small.littlebit"]).stdout)
        self.assertAlmostEqual(info["achieved_bpw"], result["achieved_bpw"], places=9)
        metrics = result["quality_metrics"]
        validated = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "validate", self.model,
                                                     self.out / "small.littlebit", "--calibration-samples", "64"]).stdout)
        for key in ("perplexity_original", "perplexity_compressed"):
            self.assertAlmostEqual(validated["quality_metrics"][key], metrics[key], places=6)

    def test_budget_of_the_whole_file(self):
        self.need_compressor()
        environment = {"LLM_QUANTIZE_LITTLEBIT_MAX_BPW": "8"}  # half of such a small file is its tokenizer
        command = [*self.quick("--budget-scope", "file", "--embedding-bits", "6", "--skip-validation"), "--target-bpw", "4"]
        command.remove("2"), command.remove("--target-bpw")
        result = json.loads(self.assert_succeeds(["--format", "json", "--verbosity", "quiet", *command], env=environment).stdout)
        path = self.out / "hf-f32.littlebit"
        self.assertEqual(result["compressed_size_bytes"], path.stat().st_size)
        self.assertLessEqual(8 * path.stat().st_size / 260032, 4)
        self.assertGreater(8 * path.stat().st_size / 260032, 3.8)
        for key, value in (("budget_scope", "file"), ("embedding_bits", 6), ("head_bits", 6), ("target_bpw", 4)):
            self.assertEqual(result[key], value)
        info = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "info", path, "--verify"]).stdout)
        for key, value in (("budget_scope", "file"), ("embedding_bits", 6), ("scale_bits", 4), ("format_version", 3),
                           ("target_bpw", 4)):
            self.assertEqual(info[key], value)
        self.assertAlmostEqual(info["file_bpw"], result["file_bpw"], places=9)
        self.assertEqual(result["scale_bits"], 4)  # the layers' scales are why the version is 3
        self.assertIn("Target BPW: 4.0 of the whole file\n", self.assert_succeeds(["littlebit", "info", path]).stdout)

    def test_progress_and_report(self):
        self.need_compressor()
        result = self.assert_succeeds(["--verbosity", "verbose", *self.quick()])
        position = 0
        for part in (f"[llm-quantize] LittleBit compression: {self.model}\n",
                     "[llm-quantize] Target: 2.0 BPW, Format: littlebit\n", "[llm-quantize] Rank selection: AUTO\n",
                     "[llm-quantize] Model loaded: 5 layers, 260K parameters\n", "Factorizing ", "  Layer ", "100%",
                     "Validating ", "[llm-quantize] Achieved: ", "[llm-quantize] Quality: Perplexity ",
                     "[llm-quantize] Complete: "):
            found = result.stderr.find(part, position)
            self.assertGreaterEqual(found, 0, f"{part!r} after {result.stderr[:position]!r} in {result.stderr!r}")
            position = found
        for layer in range(5):  # in the order in which workers finish them
            self.assertIn(f"\n  Layer {layer}: rank=", result.stderr)
        for part in ("Output: ", "Achieved BPW: ", "Compression Ratio: ", "Perplexity: "):
            self.assertIn(part, result.stdout)
        again = self.assert_succeeds(self.quick("--skip-validation"))  # a sweep runs again
        self.assertIn("Replacing ", again.stderr)
        quiet = self.assert_succeeds(["--verbosity", "quiet", *self.quick("--skip-validation")])
        self.assertEqual(quiet.stderr, "")

    def test_gguf_formats(self):
        self.need_compressor()
        options = ["--target-bpw", "2", "--train-tokens", "0", "--calibration-samples", "64"]
        for container, name in (("gguf-ext", "hf-f32.gguf"), ("gguf-lossy", "hf-f32-lossy-Q8_0.gguf")):
            with self.subTest(container):
                result = json.loads(self.assert_succeeds(
                    ["--format", "json", *self.compress(self.model, *options, "--format", container, "--gguf-quant", "Q8_0")]
                ).stdout)
                self.assertEqual(result["format"], container)
                self.assertEqual(result["output_path"], str(self.out / name))
                self.assertEqual(result["compressed_size_bytes"], (self.out / name).stat().st_size)
                self.assertGreater(result["quality_metrics"]["perplexity_compressed"], 1)
        self.assertEqual(self.left_over(), ["hf-f32-lossy-Q8_0.gguf", "hf-f32.gguf"])
        result = json.loads(self.assert_succeeds(
            ["--format", "json", *self.compress(self.model, *options, "--format", "gguf-lossy", "--gguf-quant", "F32", "-n", "split",
                                                "--max-shard-size", "300K")]).stdout)
        self.assertGreater(len(result["output_files"]), 2)
        self.assertEqual(result["output_path"], result["output_files"][0])
        self.assertEqual([str(path) for path in sorted(self.out.glob("split*"))], result["output_files"])
        left = self.out / "hf-f32.gguf.littlebit"
        left.write_bytes(b"left by a run that could not be converted")
        self.assert_exit_code(self.compress(self.model, *options, "--format", "gguf-ext"), 2)
        self.assertEqual(left.read_bytes(), b"left by a run that could not be converted")

    def test_the_file_says_how_it_began(self):
        self.need_compressor()
        self.assert_succeeds(self.compress(self.model, "--target-bpw", "2", "--train-tokens", "0", "--skip-validation", "--init",
                                           "admm"))
        info = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "info", self.out / "hf-f32.littlebit"]).stdout)
        self.assertEqual(info["recipe"], "auto, init admm")

    def test_options_reach_the_file(self):
        self.need_compressor()
        result = json.loads(self.assert_succeeds(["--format", "json", *self.compress(
            self.model, "--target-bpw", "1.9", "--train-tokens", "0", "--skip-validation", "--recipe", "littlebit", "--init",
            "itq", "--importance", "forward", "--residual", "off", "--scale-bits", "8", "--kv-rank-factor", "2",
            "--embedding-bits", "6", "--seed", "7")]).stdout)
        info = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "info", result["output_path"]]).stdout)
        for key, value in {"scale_bits": 8, "embedding_bits": 6, "seed": 7,
                           "recipe": "littlebit, init itq, importance forward, residual off, scale bits 8, "
                                     "kv rank factor 2"}.items():
            self.assertEqual((result[key], info[key]), (value, value))

    def test_effort_reaches_the_factorization(self):
        self.need_compressor()
        files = set()
        for effort in ("quick", "standard"):
            self.assert_succeeds(self.quick("--skip-validation", "--effort", effort))
            files.add((self.out / "hf-f32.littlebit").read_bytes())
        self.assertEqual(len(files), 2)

    def test_every_family_goes_all_the_way(self):
        self.need_compressor()
        parity = HERE.parent / "golden" / "parity"
        refused = ("gemma2", "gemma3", "opt", "opt-plain-linears", "opt-350m", "opt-narrow", "gpt2-unscaled",
                   "qwen2-moe-mixed", "qwen3-moe-window")  # docs/architecture.md
        for name in ("llama-bias-linear", "llama-llama3", "llama-yarn", "llama-dynamic", "llama-longrope", "mistral-window",
                     "gemma3-vision", "gemma3-vision-new", "phi4-mini", "qwen2-bias", "qwen2-window", "qwen3-norms", "gemma", "phi3-partial", "phi3-longrope", "gpt2",
                     "gpt2-published", "mixtral", "mixtral-fused", "qwen2-moe", "qwen3-moe", *refused):
            with self.subTest(name):
                self.assert_succeeds(self.compress(parity / name, "--rank", 8, "--train-tokens", 1024, "-n", "m",
                                                   "--calibration-samples", 64))
                file = self.out / "m.littlebit"
                written = json.loads(self.assert_succeeds(
                    ["--format", "json", "littlebit", "run", file, "-p", "Once", "-n", 5]).stdout)["text"]
                self.assert_succeeds(["littlebit", "validate", parity / name, file])
                self.assert_succeeds(["littlebit", "convert", file, "gguf-ext", "--force", "-o", self.out])
                again = json.loads(self.assert_succeeds(
                    ["--format", "json", "littlebit", "run", self.out / "m.gguf", "-p", "Once", "-n", 5]).stdout)
                self.assertEqual(again["text"], written)
                lossy = run(["littlebit", "convert", file, "gguf-lossy", "--gguf-quant", "F32", "--force", "-o", self.out])
                self.assertEqual(lossy.returncode, 8 if name in refused else 0, lossy.stderr)
        for name in refused:
            shutil.rmtree(self.out, ignore_errors=True)
            self.assert_fails(self.compress(parity / name, "--format", "gguf-lossy"), 8, "llama.cpp")
            self.assertEqual(self.left_over(), [])

    def test_tensors_for_images_are_left_out_with_a_warning(self):
        self.need_compressor()
        model = HERE.parent / "golden" / "parity" / "gemma3-vision"
        result = json.loads(self.assert_succeeds(["--format", "json", *self.compress(
            model, "--rank", 8, "--train-tokens", 0, "--skip-validation", "-n", "m")]).stdout)
        self.assertRegex(" ".join(result["warnings"]), "left out [0-9]+ tensors for images")
        self.assertNotIn(b"vision_tower", (self.out / "m.littlebit").read_bytes())
        block = 64 * 32 + 2 * 32 * 32 + 32 * 64 + 3 * 72 * 32 + 4 * 32 + 2 * 16
        self.assertEqual(result["original_parameters"], 512 * 32 + 3 * block + 32)

    def test_manual_rank(self):
        self.need_compressor()
        result = json.loads(self.assert_succeeds(["--format", "json", *self.quick("--rank", "12", "--skip-validation")]).stdout)
        self.assertEqual({layer["rank"] for layer in result["layers"]}, {12})
        self.assertIsNone(result["quality_metrics"])

    def test_threshold_met_and_missed(self):
        self.need_compressor()
        command = self.compress(self.model, "--train-tokens", "0", "--calibration-samples", "64", "--target-bpw", "1.9")
        result = json.loads(self.assert_succeeds(["--format", "json", *command, "--quality-threshold", "1000000"]).stdout)
        self.assertEqual([one["passed"] for one in result["quality_search"]["tries"]], [True])
        self.assertEqual(self.left_over(), ["hf-f32.littlebit"])
        shutil.rmtree(self.out)
        result = run(["--format", "json", *command, "--quality-threshold", "0.001"])
        error = json.loads(result.stdout)
        self.assertEqual((result.returncode, error["error_type"]), (21, "QualityThresholdExceeded"))
        self.assertRegex(error["message"], r"^Quality degradation \([0-9.]+%\) exceeds threshold \(0.001%\)")
        self.assertIn("--train-tokens", error["suggestion"])
        self.assertEqual(self.left_over(), [])

    def test_threshold_search_raises_the_bpw(self):
        self.need_compressor()
        command = self.compress(self.model, "--train-tokens", "0", "--calibration-samples", "64", "--residual", "off")
        delta = {}
        for bpw in ("1.2", "2.0"):
            result = json.loads(self.assert_succeeds(["--format", "json", *command, "--target-bpw", bpw]).stdout)
            delta[bpw] = result["quality_metrics"]["perplexity_delta_pct"]
        self.assertLess(delta["2.0"], delta["1.2"])
        threshold = (delta["1.2"] + delta["2.0"]) / 2
        result = json.loads(self.assert_succeeds(
            ["--format", "json", *command, "--target-bpw", "1.2", "--quality-threshold", f"{threshold:.3f}"],
            env={"LLM_QUANTIZE_LITTLEBIT_RANK_SEARCH": "4"}).stdout)
        tries = result["quality_search"]["tries"]
        self.assertEqual([one["target_bpw"] for one in tries[:2]], [1.2, 2.0])
        self.assertLessEqual(len(tries), 4)
        best = min(one["target_bpw"] for one in tries if one["passed"])
        info = json.loads(self.assert_succeeds(["--format", "json", "littlebit", "info", result["output_path"]]).stdout)
        self.assertAlmostEqual(info["target_bpw"], best)
        self.assertTrue(result["quality_metrics"]["quality_passed"])
        self.assertEqual(self.left_over(), ["hf-f32.littlebit"])

    def test_full_disk_leaves_nothing(self):
        self.need_compressor()

        def tiny_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
        self.assert_fails(self.quick("--no-checkpoints"), 1, "cannot write", preexec_fn=tiny_files)

    def start_training(self, *options):
        """The running program, which has begun to train."""
        process = subprocess.Popen([settings.tool, *map(str, self.compress(self.model, "--target-bpw", "2", *options))],
                                   env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        self.read_up_to(process, "Training")
        return process

    def read_up_to(self, process, begin):
        for line in process.stderr:
            if line.startswith(begin):
                return
        self.fail(f"no line begins with {begin}")

    def test_interrupt_saves_and_resume_continues(self):
        self.need_compressor()
        options = ["--skip-validation", "--train-tokens", "30000"]
        self.assert_succeeds(["littlebit", "compress", self.model, "--target-bpw", "2", *options, "-o", self.work / "reference",
                              "--checkpoint-dir", self.work / "reference-checkpoint"])
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start_training(*options)
            process.send_signal(number)
            rest = process.communicate()[1]
            self.assertEqual(process.returncode, 9, rest)
            self.assertEqual(self.left_over(), [])
            resumed = self.assert_succeeds(["littlebit", "compress", self.model, "--target-bpw", "2", *options, "-o", self.out,
                                            "--resume", self.work / "checkpoint"])
            self.assertIn(f"[llm-quantize] Resuming from checkpoint: {self.work / 'checkpoint'}\n", resumed.stderr)
            self.assertEqual((self.out / "hf-f32.littlebit").read_bytes(),
                             (self.work / "reference/hf-f32.littlebit").read_bytes())
            shutil.rmtree(self.out)

    def test_a_second_interrupt_ends_at_once(self):
        self.need_compressor()
        # A step of so many sequences lasts seconds.
        process = self.start_training("--skip-validation", "--own-text", "0", "--train-tokens", "500000", "--train-batch", "256")
        process.send_signal(signal.SIGINT)
        self.read_up_to(process, "[llm-quantize] Stopping")
        process.send_signal(signal.SIGINT)
        process.communicate()
        self.assertEqual(process.returncode, 130)
        self.assertEqual(self.left_over(), [])


def main():
    global settings
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", type=pathlib.Path, required=True)
    parser.add_argument("--make-littlebit", type=pathlib.Path, required=True)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--compressor", choices=["MODULE", "LINK", "OFF"], required=True)
    parser.add_argument("--update-help", action="store_true", help="write the --help goldens anew")
    settings, rest = parser.parse_known_args()
    for name in ("tool", "make_littlebit", "models"):
        setattr(settings, name, getattr(settings, name).resolve())
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
