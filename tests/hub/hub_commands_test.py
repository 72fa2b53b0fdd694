"""The commands on models of a Hub, one after the other.

    hub_commands_test.py --tool build/release/bin/llm-quantize --models models --golden tests/golden/hub [TestClass[.test]]
"""

import json
import os
import shutil
import signal

from hub_testing import TOKEN, HubTest, main, settings


class Commands(HubTest):
    def test_info_needs_no_weights(self):
        local = self.json_of("info", settings.models / "stories260k/hf-f32")
        info = self.json_of("info", "test/stories260k")
        self.assertEqual({**local, "model_name": "stories260k"}, info)
        self.assertEqual(self.requests_of_weights(), [])
        self.assertEqual(self.json_of("info", "test/stories260k", "--check")["check"], {"tensors": 47, "nan": 0, "inf": 0})
        self.assertEqual(self.json_of("info", "test/stories260k"), info)  # now from the weights

    def test_dry_run_needs_no_weights(self):
        options = ["--target-bpw", "1.5", "--dry-run"]
        local = self.json_of("littlebit", "compress", settings.models / "stories-19m", *options)
        plan = self.json_of("littlebit", "compress", "test/stories-19m", "--revision", "v1.0", *options)
        self.assertEqual(plan["source_model"], "test/stories-19m")
        self.assertEqual(plan["output_path"], "./stories-19m.littlebit")
        self.assertEqual({**local, "source_model": plan["source_model"]}, plan)
        self.assertEqual(self.requests_of_weights(), [])
        self.assertEqual(self.json_of("littlebit", "compress", "test/stories-19m@v1.0", *options), plan)

    def test_validate(self):
        result = self.json_of("littlebit", "validate", "test/stories260k", settings.models / "stories260k/hf-bf16",
                              "--calibration-samples", "64")
        self.assertEqual((result["original"], result["verdict"]), ("test/stories260k", "GOOD"))

    def test_what_ends_a_run_ends_it_before_the_weights(self):
        (self.work / "empty.jsonl").write_text("\n")
        cases = {2: ["--calibration-data", "empty.jsonl"], 3: ["--held-out-data", "none.txt"],
                 23: ["--recipe", "littlebit", "--target-bpw", "0.1"], 1: ["--output-dir", self.log / "no"]}
        for code, options in cases.items():
            self.json_of("littlebit", "compress", "test/stories-19m", *options, code=code)
        self.assertEqual(self.requests_of_weights(), [])

    def test_models_that_run(self):
        local = self.json_of("littlebit", "run", settings.models / "stories260k/hf-f32", "-p", "Once", "-n", "8")
        fetched = self.json_of("littlebit", "run", "test/stories260k@v1.0", "-p", "Once", "-n", "8")
        self.assertEqual((fetched["model"], fetched["text"]), ("test/stories260k@v1.0", local["text"]))
        result = self.json_of("littlebit", "validate", settings.models / "stories260k/hf-f32", "test/stories260k@v1.0",
                              "--calibration-samples", "64")
        self.assertEqual(result["quality_metrics"]["perplexity_delta_pct"], 0)
        bench = self.json_of("littlebit", "bench", "test/stories260k", "-p", "4", "-n", "0", "-r", "1")
        self.assertEqual(bench["results"][0]["n_prompt"], 4)

    def test_benchmarks_come_from_the_hub(self):
        """The same items as the local files give; each data set in the cache after the first time."""
        model = settings.models / "stories260k/hf-f32"
        parquet = settings.golden.parent / "parquet"
        def measure(benchmark, *options, **changes):
            return self.json_of("littlebit", "validate", model, model, "--calibration-samples", "64", "--benchmark", benchmark,
                                *options, **changes)["benchmark"]
        for benchmark, file in {"hellaswag": "hellaswag", "arc-easy": "arc_easy", "arc-challenge": "arc_challenge",
                                "wikitext": "wikitext"}.items():
            fetched = measure(benchmark)
            self.assertEqual(fetched["name"], benchmark)
            self.assertEqual(measure(benchmark, "--benchmark-data", parquet / f"hub_{file}.parquet"), fetched)
        self.assertEqual(measure("arc")["original"]["items"], 6)  # both sets
        self.assertEqual(measure("arc", "--benchmark-items", "5", HF_HUB_OFFLINE="1")["original"]["items"], 5)
        shutil.rmtree(self.cache)
        error = self.json_of("littlebit", "validate", model, model, "--benchmark", "arc", HF_HUB_OFFLINE="1", code=3)
        self.assertIn("allenai/ai2_arc", error["message"])

    def test_a_directory_wins(self):
        shutil.copytree(settings.models / "stories260k/hf-f32", self.work / "test/stories-19m")
        self.assertEqual(self.json_of("info", "test/stories-19m")["num_layers"], 5)
        self.assertEqual(self.requests(), [])

    def test_progress(self):
        result = self.run_tool("info", "test/stories-19m", "--check")
        bars = [line for line in result.stderr.splitlines() if line.startswith("Downloading ")]
        self.assertRegex(bars[-1], r"^Downloading ━+ 100% 35/35 MB \[.* elapsed\]$")
        self.assertEqual(self.run_tool("--verbosity", "quiet", "info", "test/stories260k", "--check").stderr, "")
        shutil.rmtree(self.work / "home")
        result = self.run_tool("info", "test/stories260k", HF_HUB_DISABLE_PROGRESS_BARS="1")
        self.assertEqual(result.stderr, "")

    def test_no_secret_is_shown(self):
        result = self.run_tool("--verbosity", "debug", "info", "test/private", "--check", HF_TOKEN=TOKEN)
        self.assertIn("Asking ", result.stderr)
        self.assertNotIn(TOKEN, result.stderr + result.stdout)
        self.assertNotIn("Signature", result.stderr)
        hosts = {}
        for request in self.requests() + self.requests(method="HEAD"):
            hosts.setdefault(request["host"], set()).add(request["headers"].get("authorization"))
        self.assertEqual(hosts, {"127.0.0.1": {"Bearer " + TOKEN}, "127.0.0.2": {None}})
        for path in (self.work / "home").rglob("*"):
            if path.is_file():
                self.assertNotIn(TOKEN.encode(), path.read_bytes(), path)

    def test_errors(self):
        cases = {"test/unknown": (3, "ModelNotFound", "HF_TOKEN"), "test/private": (3, "ModelNotFound", "HF_TOKEN"),
                 "test/stories260k@v9": (3, "ModelNotFound", "'v9'"), "test/empty": (3, "ModelNotFound", "config.json"),
                 "test/gated": (4, "AuthenticationRequired", f"{self.hub}/test/gated to ask for access"),
                 "test/disabled": (4, "AuthenticationRequired", "disabled"),
                 "test/pickled": (1, "GeneralError", "safetensors"), "test/gptq": (1, "GeneralError", "quantiz"),
                 "test/corrupt": (1, "GeneralError", "checksum"), "test/loop": (1, "GeneralError", "redirects")}
        for model, (code, kind, part) in cases.items():
            for command in (["info", model, "--check"], ["littlebit", "compress", model, "--target-bpw", "2"],
                            ["littlebit", "validate", model, "x"]):
                if model == "test/corrupt" and "compress" in command:
                    continue  # weights come during the work: hub_streaming_test.py, which needs a compressor
                with self.subTest(command):
                    error = self.json_of(*command, code=code)
                    self.assertEqual((error["error_code"], error["error_type"]), (code, kind))
                    self.assertIn(part, error["message"] + error["suggestion"])
                    self.assertTrue(error["suggestion"])
                    human = self.run_tool(*command, code=code)
                    self.assertEqual(human.stdout, "")
                    self.assertIn("Error: ", human.stderr)
        self.assertEqual(self.requests("test/gptq/model.safetensors"), [])  # refused by its config.json
        self.assertEqual(self.requests("test/pickled/resolve"), [])

    def test_bad_environment(self):
        for name, value in {"HF_ENDPOINT": "nowhere", "HF_HUB_ETAG_TIMEOUT": "soon", "HF_TOKEN": "hf_a\nb"}.items():
            error = self.json_of("info", "test/stories260k", code=2, **{name: value})
            self.assertIn(name, error["message"])
            self.assertNotIn("hf_a", error["message"])
        (self.work / "file").write_text("")
        error = self.json_of("info", "test/stories260k", code=1, HF_HUB_CACHE=str(self.work / "file"))
        self.assertIn("cannot write", error["message"])


class Interrupted(HubTest):
    def test_interrupt_and_go_on(self):
        process = self.start_tool("info", "test/stories-19m", "--check")
        blobs = self.cache / "models--test--stories-19m/blobs"
        self.wait_until(lambda: sum(path.stat().st_size for path in blobs.glob("*.incomplete")) >= 4 << 20, process)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 9, stderr)
        self.assertIn("continues where it stopped", stderr)
        self.assertEqual(stdout, "")
        self.assertTrue(list(blobs.glob("*.incomplete")))
        self.run_tool("info", "test/stories-19m", "--check")
        self.assertEqual(list(blobs.glob("*.incomplete")), [])
        ranges = [one["headers"]["range"] for one in self.requests(".safetensors?") if "range" in one["headers"]]
        self.assertEqual(len(ranges), 2)


class SharedCache(HubTest):
    """With the tree that Python's huggingface_hub makes (scripts/golden/hub_cache.py)."""

    def golden(self):
        return json.loads((settings.golden / "python_cache.json").read_text())

    def test_what_python_cached_is_used_without_a_network(self):
        bytes_of = {}
        for path in (settings.models / "stories260k/hf-f32").iterdir():
            bytes_of[path.stat().st_size] = path
        for name, entry in self.golden().items():
            path = self.cache / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if "link" in entry:
                path.symlink_to(entry["link"])
            elif "text" in entry:
                path.write_text(entry["text"])
            else:
                shutil.copy(bytes_of[entry["size"]], path)
        self.stop_server()
        info = self.json_of("info", "test/stories260k", "--check", HF_HUB_OFFLINE="1")
        self.assertEqual(info["check"]["tensors"], 47)
        commit = self.golden()["models--test--stories260k/refs/main"]["text"]
        self.assertEqual(self.json_of("info", f"test/stories260k@{commit}", "--check"), info)  # offline or not
        result = self.run_tool("info", "test/stories260k", "--check")  # the Hub is gone
        self.assertIn("Warning: test/stories260k: 127.0.0.1 gives no answer", result.stderr)
        error = self.json_of("info", "test/stories260k@v1.0", code=3, TRANSFORMERS_OFFLINE="1")
        self.assertIn("offline", error["message"])

    def test_what_we_cache_is_the_same_tree(self):
        self.run_tool("info", "test/stories260k", "--check")
        tree = {}
        for path in self.cache.rglob("*"):
            name = path.relative_to(self.cache)
            if path.is_symlink():
                tree[str(name)] = {"link": os.readlink(path)}
            elif path.is_file() and name.parts[1] == "refs":
                tree[str(name)] = {"text": path.read_text()}
            elif path.is_file() and name.parts[1] == "blobs":
                tree[str(name)] = {"size": path.stat().st_size}
        golden = {name: {key: value for key, value in entry.items() if key != "sha256"}
                  for name, entry in self.golden().items()}
        self.assertEqual(tree, golden)

    def test_a_read_only_cache_serves(self):
        """As the user nobody, if this is root: root may write anywhere."""
        nobody = 65534 if os.geteuid() == 0 else None
        self.run_tool("info", "test/stories260k", "--check")
        (self.cache / "models--test--stories260k/refs/main").unlink()  # a note that cannot be written now
        self.work.chmod(0o755)
        folders = [self.cache, *(path for path in self.cache.rglob("*") if path.is_dir() and not path.is_symlink())]
        for path in reversed(folders):
            path.chmod(0o555)
        try:
            self.run_tool("info", "test/stories260k", "--check", user=nobody)
            error = self.json_of("info", "test/stories-19m", code=1, user=nobody)
            self.assertIn("cannot write", error["message"])
        finally:
            for path in folders:
                path.chmod(0o755)


if __name__ == "__main__":
    main()
