"""What the tests of commands on models of a Hub share: the real program against hub_server.py. Standard library only."""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
settings = argparse.Namespace()
TOKEN = "hf_good_token"


class HubTest(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="llmq-hub-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.log = self.work / "log"
        self.held = self.work / "held"
        self.held.mkdir()
        self.server = subprocess.Popen([sys.executable, HERE / "hub_server.py", settings.models, self.log, self.held],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.stop_server)
        self.hub = json.loads(self.server.stdout.readline())["hub"]
        self.cache = self.work / "home/hub"

    def stop_server(self):
        if self.server.stdin.closed:
            return
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def start_tool(self, *arguments):
        process = subprocess.Popen([settings.tool, *map(str, arguments)], env=self.environment(), cwd=self.work, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def wait_until(self, condition, process):
        """`process` must not end before."""
        deadline = time.time() + 300
        while not condition():
            self.assertLess(time.time(), deadline)
            self.assertIsNone(process.poll(), process.stderr.read() if process.poll() is not None else "")
            time.sleep(0.02)

    def environment(self, **changes):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS"))}
        kept["NO_PROXY"] = kept["no_proxy"] = "127.0.0.1,127.0.0.2"
        return {**kept, "HF_ENDPOINT": self.hub, "HF_HOME": str(self.work / "home"), **changes}

    def run_tool(self, *arguments, code=0, user=None, **changes):
        # Another user may not see the folder that the program was built in.
        tool = settings.tool if user is None else shutil.copy(settings.tool, self.work / "llm-quantize")
        result = subprocess.run([tool, *map(str, arguments)], env=self.environment(**changes), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600, cwd=self.work, user=user)
        self.assertEqual(result.returncode, code, result.stderr + result.stdout)
        return result

    def json_of(self, *arguments, **options):
        return json.loads(self.run_tool("--format", "json", *arguments, **options).stdout)

    def requests(self, part="", method="GET"):
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if part in line["path"] and line["method"] == method]

    def requests_of_weights(self):
        """Without those for headers."""
        return [one for one in self.requests() if ".safetensors" in one["path"] and "index" not in one["path"]
                and not re.fullmatch(r"bytes=0-\d+", one["headers"].get("range", ""))]


def main():
    parser = argparse.ArgumentParser()
    for name in ("--tool", "--models", "--golden"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    known, rest = parser.parse_known_args()
    for name in ("tool", "models", "golden"):
        setattr(settings, name, getattr(known, name).resolve())
    unittest.main(module="__main__", argv=[sys.argv[0], *rest])
