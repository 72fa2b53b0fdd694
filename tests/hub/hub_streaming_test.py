"""Compression that begins while weights are still coming: what it may use when, how it ends, and that its bytes are those of a local
model.

    hub_streaming_test.py --tool build/release/bin/llm-quantize --models models --golden tests/golden/hub [TestClass[.test]]
"""

import json

import shutil
import signal
import subprocess

from hub_testing import HubTest, main, settings

LAST_SHARD = "model-00002-of-00002.safetensors"
FACTORIZE = ["--recipe", "littlebit", "--train-tokens", "0", "--rank", "8", "--skip-validation"]


def matrices_of_first_shard():
    index = json.loads((settings.models / "stories-19m/model.safetensors.index.json").read_text())
    return sum(name.endswith("_proj.weight") and shard != LAST_SHARD for name, shard in index["weight_map"].items())


class StreamingTest(HubTest):
    def arguments(self, model, *options):
        checkpoints = [] if "--resume" in options else ["--checkpoint-dir", "checkpoints"]
        return ["littlebit", "compress", model, *checkpoints, "-o", "streamed", *options]

    def compress(self, model, *options, **changes):
        return self.json_of(*self.arguments(model, *options), **changes)

    def local_bytes(self, model, *options):
        """Of the same weights in a directory of the same name."""
        folder = self.work / "local"
        shutil.copytree(settings.models / "stories-19m", folder / model, dirs_exist_ok=True)
        result = subprocess.run([settings.tool, "littlebit", "compress", model, *options], env=self.environment(HF_HUB_OFFLINE="1"),
                                cwd=folder, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        return next(folder.glob("*.littlebit")).read_bytes()

    def streamed_bytes(self):
        return next((self.work / "streamed").glob("*.littlebit")).read_bytes()

    def layers(self):
        return len(list((self.work / "checkpoints").glob("*/layer-*.state")))

    def hold(self):
        (self.held / LAST_SHARD).touch()

    def release(self):
        (self.held / LAST_SHARD).unlink()

    def serve_well(self):
        (self.held / "well").touch()


class Streaming(StreamingTest):
    def test_matrices_are_factorized_before_the_last_shard_has_come(self):
        self.hold()
        process = self.start_tool("--format", "json", *self.arguments("test/shards", *FACTORIZE))
        self.wait_until(lambda: self.layers() >= matrices_of_first_shard(), process)
        self.assertEqual(self.layers(), matrices_of_first_shard())  # no byte of the other shard has been used
        self.assertTrue(list(self.cache.rglob("*.incomplete")))
        self.release()
        stdout, stderr = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, stderr)
        result = json.loads(stdout)
        self.assertGreater(result["download"]["bytes"], 30 << 20)
        self.assertGreater(result["download"]["waited_seconds"], 0)
        self.assertLess(result["download"]["waited_seconds"], result["download"]["seconds"])
        for line in stderr.splitlines():  # two activities, but no line of two
            self.assertRegex(line, r"^(\[llm-quantize\] .*|Downloading: \d+%, [\d.]+ .B of 35 MB, .*|\w+ [━─]{20} .*\])?( model\S*)?$")
        self.assertEqual(self.streamed_bytes(), self.local_bytes("test/shards", *FACTORIZE))
        # From the cache, and without a network, it is the same model to the same bytes.
        shutil.rmtree(self.work / "streamed")
        again = self.compress("test/shards", *FACTORIZE, HF_HUB_OFFLINE="1")
        self.assertNotIn("download", again)
        self.assertEqual(self.streamed_bytes(), self.local_bytes("test/shards", *FACTORIZE))

    def test_block_by_block(self):
        options = ["--recipe", "auto", "--train-tokens", "0", "--block-tokens", "512", "--kd-tokens", "0", "--rank", "8",
                   "--importance", "off", "--allocation", "uniform", "--init", "dual-svid", "--skip-validation"]
        self.hold()
        process = self.start_tool(*self.arguments("test/shards", *options))
        self.wait_until(lambda: list((self.work / "checkpoints").glob("*/block-*.state")), process)
        self.assertTrue(list(self.cache.rglob("*.incomplete")))
        self.release()
        _, stderr = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, stderr)
        self.assertEqual(self.streamed_bytes(), self.local_bytes("test/shards", *options))

    def test_validation_waits_for_the_original(self):
        options = FACTORIZE[:-1] + ["--calibration-samples", "64"]
        result = self.compress("test/shards", *options)
        self.assertGreater(result["quality_metrics"]["perplexity_original"], 1)
        searched = self.compress("test/stories-19m", "--recipe", "littlebit", "--train-tokens", "0", "--target-bpw", "2.0",
                                 "--quality-threshold", "1000000", "--calibration-samples", "64")
        self.assertEqual(searched["quality_search"]["iterations"], 1)


class Resumed(StreamingTest):
    def stopped_and_resumed(self, model, part):
        """The first run ends for want of the last shard; the second goes on with what the first has made, which it returns."""
        error = self.compress(model, *FACTORIZE, code=1)
        self.assertIn(part, error["message"])
        self.assertIn("--resume", error["suggestion"])
        made = self.layers()
        self.assertFalse(list((self.work / "streamed").glob("*.littlebit")))
        self.serve_well()
        result = self.compress(model, *FACTORIZE, "--resume", "checkpoints")
        self.assertEqual(sum(layer["from_checkpoint"] for layer in result["layers"]), made)
        self.assertEqual(self.streamed_bytes(), self.local_bytes(model, *FACTORIZE))
        return made

    def test_a_wrong_checksum(self):
        self.assertLessEqual(self.stopped_and_resumed("test/shard-corrupt", "checksum"), matrices_of_first_shard())

    def test_a_shard_that_is_gone(self):
        self.stopped_and_resumed("test/shard-lost", LAST_SHARD)  # known before the first shard has come

    def test_another_header_than_the_first(self):
        self.assertEqual(self.stopped_and_resumed("test/shard-other-header", "header"), matrices_of_first_shard())

    def test_a_dropped_connection_is_resumed_at_once(self):
        self.compress("test/shard-dropped", *FACTORIZE)
        self.assertEqual(self.streamed_bytes(), self.local_bytes("test/shard-dropped", *FACTORIZE))

    def test_a_store_without_ranges(self):
        self.compress("test/shard-no-range", *FACTORIZE)
        self.assertEqual(self.streamed_bytes(), self.local_bytes("test/shard-no-range", *FACTORIZE))

    def test_interrupted_while_waiting(self):
        self.hold()
        process = self.start_tool(*self.arguments("test/shards", *FACTORIZE))
        self.wait_until(lambda: self.layers() >= matrices_of_first_shard(), process)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 9, stderr)
        self.assertIn("--resume checkpoints", stderr)
        self.release()
        result = self.compress("test/shards", *FACTORIZE, "--resume", "checkpoints")
        self.assertEqual(sum(layer["from_checkpoint"] for layer in result["layers"]), matrices_of_first_shard())
        self.assertEqual(self.streamed_bytes(), self.local_bytes("test/shards", *FACTORIZE))

    def test_stopped_while_streaming_resumed_from_the_cache(self):
        self.hold()
        process = self.start_tool(*self.arguments("test/shards", *FACTORIZE))
        self.wait_until(lambda: self.layers() > 0, process)
        process.kill()
        process.communicate()
        self.release()
        self.run_tool("info", "test/shards", "--check")
        result = self.compress("test/shards", *FACTORIZE, "--resume", "checkpoints", HF_HUB_OFFLINE="1")
        self.assertTrue(any(layer["from_checkpoint"] for layer in result["layers"]))
        self.assertEqual(self.streamed_bytes(), self.local_bytes("test/shards", *FACTORIZE))


class Headers(StreamingTest):
    def test_headers_tell_what_a_directory_tells(self):
        local = self.json_of("info", settings.models / "stories-19m")
        self.assertEqual(self.json_of("info", "test/stories-19m"), local)
        options = ["--target-bpw", "1.5", "--embedding-bits", "16", "--dry-run"]
        local = self.json_of("littlebit", "compress", settings.models / "stories-19m", *options)
        plan = self.json_of("littlebit", "compress", "test/stories-19m", *options)
        self.assertEqual({**local, "source_model": "test/stories-19m"}, plan)
        self.assertEqual(self.requests_of_weights(), [])
        self.assertEqual(list(self.cache.rglob("*00001*")) + list(self.cache.rglob("*.incomplete")), [])  # Python's tree stays as it is

    def test_what_does_not_fit_is_refused_by_its_header(self):
        cases = {"shape": "expected shape [512, 512], found [512, 512, 1]", "dtype": "found I16", "long": "header of at most",
                 "missing": "model.layers.4.self_attn.q_proj.weight: expected a tensor of shape", "garbage": "JSON",
                 "index": "model.layers.4.self_attn.q_proj.weight: expected this tensor as"}
        for name, part in cases.items():
            for command in (["info"], ["littlebit", "compress", "--dry-run"], ["littlebit", "compress", *FACTORIZE]):
                with self.subTest(name=name, command=command):
                    error = self.json_of(*command, f"test/header-{name}", code=1)
                    self.assertIn(part, error["message"])
                    self.assertTrue(error["suggestion"])
        self.assertEqual(self.requests_of_weights(), [])


if __name__ == "__main__":
    main()
