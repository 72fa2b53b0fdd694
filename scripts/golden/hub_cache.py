"""Makes tests/golden/hub/python_cache.json and checks both ways that the cache is shared with Python.

    hub_cache.py [--tool build/release/bin/llm-quantize]

Needs the package huggingface_hub. It talks only to tests/hub/hub_server.py on this machine. The golden is the tree that
snapshot_download() leaves for test/stories260k: {path: {"link": target} | {"text": content} | {"size", "sha256"}}. With --tool:
what Python cached is used by the program offline, and what the program cached is used by Python offline.
"""

import argparse
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests/golden/hub/python_cache.json"
REPOSITORY = "test/stories260k"


def describe(cache):
    """The tree of the cache, without locks and without what one program alone keeps."""
    tree = {}
    for path in sorted(cache.rglob("*")):
        name = path.relative_to(cache)
        if path.is_symlink():
            tree[str(name)] = {"link": os.readlink(path)}
        elif path.is_file() and name.parts[0].startswith("models--") and name.parts[1] in ("blobs", "snapshots"):
            data = path.read_bytes()
            tree[str(name)] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        elif path.is_file() and name.parts[0].startswith("models--") and name.parts[1] == "refs":
            tree[str(name)] = {"text": path.read_text()}
    return tree


def run(command, **variables):
    return subprocess.run([str(part) for part in command], env={**os.environ, **variables}, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


PYTHON_DOWNLOADS = """
import sys
from huggingface_hub import snapshot_download
print(snapshot_download(sys.argv[1], allow_patterns=["*.json", "*.safetensors", "tokenizer*"]))
"""

PYTHON_OFFLINE = """
import sys
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache, _CACHED_NO_EXIST
from huggingface_hub import __version__
repository = sys.argv[1]
folder = snapshot_download(repository, local_files_only=True)
print("huggingface_hub", __version__)
print("snapshot_download(local_files_only=True):", folder)
for name in ("config.json", "tokenizer.model", "model.safetensors"):
    path = hf_hub_download(repository, name, local_files_only=True)
    print("hf_hub_download:", name, len(open(path, "rb").read()), "bytes")
assert try_to_load_from_cache(repository, "vocab.json") is _CACHED_NO_EXIST
print("try_to_load_from_cache('vocab.json'): known not to exist")
info = scan_cache_dir()
assert not info.warnings, info.warnings
(repo,) = info.repos
print("scan_cache_dir:", repo.repo_id, repo.nb_files, "files,", repo.size_on_disk, "bytes, refs", sorted(repo.refs), "no warnings")
"""

DATASET = "allenai/ai2_arc"
DATASET_FILES = ["ARC-Easy/test-00000-of-00001.parquet", "ARC-Challenge/test-00000-of-00001.parquet"]
PYTHON_DATASET = """
import sys
from huggingface_hub import hf_hub_download
for name in sys.argv[2:]:
    print("hf_hub_download:", len(open(hf_hub_download(sys.argv[1], name, repo_type="dataset"), "rb").read()), "bytes of", name)
"""

PYTHON_LOADS = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
print("transformers:", sum(p.numel() for p in model.parameters()), "parameters,", len(tokenizer), "tokens")
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        server = subprocess.Popen([sys.executable, ROOT / "tests/hub/hub_server.py", ROOT / "models", work / "log"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        endpoint = json.loads(server.stdout.readline())["hub"]
        online = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1"}
        offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}  # the port of nobody
        python_cache, tool_cache = work / "python", work / "tool"
        run([sys.executable, "-c", PYTHON_DOWNLOADS, REPOSITORY], HF_HUB_CACHE=str(python_cache), **online)
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(describe(python_cache), indent=1) + "\n")
        print("wrote", GOLDEN.relative_to(ROOT))
        if arguments.tool:
            tool = arguments.tool.resolve()
            check = [tool, "--verbosity", "quiet", "info", REPOSITORY, "--check"]
            print("-- Python's cache, the program offline:")
            print(run(check, HF_HUB_CACHE=str(python_cache), **offline))
            print("-- the program's cache, Python offline:")
            run(check, HF_HUB_CACHE=str(tool_cache), **online)
            assert describe(tool_cache) == describe(python_cache)
            print("the same tree of blobs, refs and snapshots")
            for script in (PYTHON_OFFLINE, PYTHON_LOADS):
                print(run([sys.executable, "-c", script, REPOSITORY], HF_HUB_CACHE=str(tool_cache), **offline), end="")
            benchmark = [tool, "--verbosity", "quiet", "littlebit", "validate", *[ROOT / "models/stories260k/hf-f32"] * 2,
                         "--benchmark", "arc"]
            python = [sys.executable, "-c", PYTHON_DATASET, DATASET, *DATASET_FILES]
            print("-- a data set in Python's cache, the program offline; then the other way round:")
            run(python, HF_HUB_CACHE=str(work / "python-data"), **online)
            print(run(benchmark, HF_HUB_CACHE=str(work / "python-data"), **offline).split("\n\n")[2])
            run(benchmark, HF_HUB_CACHE=str(work / "tool-data"), **online)
            print(run(python, HF_HUB_CACHE=str(work / "tool-data"), **offline), end="")
        server.stdin.close()
        server.wait()


if __name__ == "__main__":
    main()
