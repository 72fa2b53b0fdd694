"""A Hub of two hosts for tests: 127.0.0.1 is the Hub, 127.0.0.2 stores large files. Standard library only.

    hub_server.py MODELS_DIR LOG_FILE [HELD_DIR]

prints {"hub": "http://127.0.0.1:PORT", "store": "http://127.0.0.2:PORT"} and serves until its standard input ends. The
repository decides how it is served: "test/stories260k" well, "test/dropped" with connections that break, and so on (FAULTS). Large
files (*.safetensors, tokenizer.model) are in LFS: the Hub redirects to the store. Every request is one line of JSON in LOG_FILE:
{"host", "method", "path", "headers" (names in lower case)}. While HELD_DIR/<name of a file> exists, the store holds back the second
half of that file, and while HELD_DIR/well exists, nothing is wrong with the shards of SHARD_FAULTS.
"""

import hashlib
import http.server
import json
import pathlib
import struct
import sys
import threading
import time
import urllib.parse

GOOD_TOKEN = "hf_good_token"
PARTS = 3  # bytes sent before a connection breaks: 1/PARTS of what was asked for

# What goes wrong with a repository, beside its name "test/<key>". All others are served well.
FAULTS = {
    "missing", "private", "gated", "disabled", "empty", "pickled", "gptq",
    "ratelimit", "busy", "flaky", "broken", "api-broken", "silent",
    "dropped", "dropped-no-range", "always-dropped", "always-restarted", "range416", "stalled",
    "short", "long", "wrong-range", "corrupt", "corrupt-small", "size-differs", "etag-differs",
    "loop", "store-403", "to-file", "no-etag", "evil-etag", "evil-commit", "evil-index", "absent-shard",
    "bad-json", "huge", "paged", "paged-elsewhere", "renamed", "other-commit", "weak-etag",
}
# The same for the last of two shards; its header, when that is asked for alone, is served well but for the last of these.
SHARD_FAULTS = {"shards", "shard-corrupt", "shard-dropped", "shard-lost", "shard-no-range", "shard-other-header"}
# Headers that no model of this config.json has.
HEADER_FAULTS = {"header-shape", "header-missing", "header-dtype", "header-long", "header-garbage", "header-index"}
LAST_SHARD = "model-00002-of-00002.safetensors"
SMALL_MODEL = "stories260k/hf-f32"
# The benchmarks' data sets: files of tests/golden/parquet.
DATASETS = {
    "datasets/Salesforce/wikitext": {"wikitext-2-raw-v1/test-00000-of-00001.parquet": "hub_wikitext.parquet"},
    "datasets/Rowan/hellaswag": {"data/validation-00000-of-00001.parquet": "hub_hellaswag.parquet"},
    "datasets/allenai/ai2_arc": {"ARC-Easy/test-00000-of-00001.parquet": "hub_arc_easy.parquet",
                                 "ARC-Challenge/test-00000-of-00001.parquet": "hub_arc_challenge.parquet"},
}
GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden/parquet"


def git_oid(data):
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def commit_of(name):
    return hashlib.sha1(name.encode()).hexdigest()


def with_bad_header(files, fault):
    """The last shard says something else than config.json or the index, with as many bytes as it needs."""
    data = files[LAST_SHARD]
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    name = "model.layers.4.self_attn.q_proj.weight"
    if fault == "header-shape":
        header[name]["shape"].append(1)
    if fault == "header-missing":
        header["model.other.weight"] = header.pop(name)
    if fault == "header-dtype":
        header[name]["dtype"] = "I16"
    if fault == "header-index":
        header["model.layers.0.self_attn.q_proj.weight"] = header.pop(name)
    text = json.dumps(header).encode()
    if fault == "header-garbage":
        text = b"{not a header}"
    length = (1 << 40) if fault == "header-long" else len(text)
    files = {**files, LAST_SHARD: struct.pack("<Q", length) + text + data[end:]}
    if fault == "header-missing":
        index = json.loads(files["model.safetensors.index.json"])
        index["weight_map"]["model.other.weight"] = index["weight_map"].pop(name)
        files["model.safetensors.index.json"] = json.dumps(index).encode()
    return files


def repositories(models):
    """{"test/name": {file: bytes}, "datasets/org/name": {...}}"""
    def read(directory):
        return {path.name: path.read_bytes() for path in sorted((models / directory).iterdir())}
    small = read(SMALL_MODEL)
    result = {"test/stories260k": small, "test/stories-19m": read("stories-19m")}
    for fault in FAULTS:
        result[f"test/{fault}"] = dict(small)
    for name in SHARD_FAULTS:
        result[f"test/{name}"] = dict(result["test/stories-19m"])
    for name in HEADER_FAULTS:
        result[f"test/{name}"] = with_bad_header(result["test/stories-19m"], name)
    result["test/empty"] = {"README.md": b"nothing here"}
    result["test/pickled"]["pytorch_model.bin"] = result["test/pickled"].pop("model.safetensors")
    config = json.loads(small["config.json"])
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    result["test/gptq"]["config.json"] = json.dumps(config).encode()
    for name, shard in (("evil-index", "../../../evil.safetensors"), ("absent-shard", "model-00001-of-00001.safetensors")):
        files = result[f"test/{name}"]
        files.pop("model.safetensors")
        files["model.safetensors.index.json"] = json.dumps({"weight_map": {"model.norm.weight": shard}}).encode()
    for files in result.values():
        files.setdefault("README.md", b"# A model\n")
        files[".gitattributes"] = b"*.safetensors filter=lfs\n"
        files["onnx/model.onnx"] = b"not wanted"
        files["flax_model.msgpack"] = b"not wanted either"
    for name, files in DATASETS.items():
        result[name] = {path: (GOLDEN / file).read_bytes() for path, file in files.items()}
        result[name]["data/train-00000-of-00001.parquet"] = result[name]["README.md"] = b"not wanted"
    return result


class State:
    def __init__(self, models, log, held):
        self.held = held
        self.repositories = repositories(models)
        self.log = open(log, "w")
        self.lock = threading.Lock()
        self.counts = {}
        self.hub = self.store = ""

    def nth(self, *key):
        """How often this was asked before."""
        with self.lock:
            count = self.counts.get(key, 0)
            self.counts[key] = count + 1
            return count

    def note(self, entry):
        with self.lock:
            self.log.write(json.dumps(entry) + "\n")
            self.log.flush()


def in_lfs(name):
    return name.endswith((".safetensors", ".bin", ".parquet")) or name == "tokenizer.model"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *arguments):
        pass

    def do_HEAD(self):
        self.handle_request()

    def do_GET(self):
        self.handle_request()

    def handle_request(self):
        self.state.note({"host": self.server.server_address[0], "method": self.command, "path": self.path,
                         "headers": {name.lower(): value for name, value in self.headers.items()}})
        path = urllib.parse.urlsplit(self.path).path
        try:
            self.serve(path)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def answer(self, status, body=b"", headers=(), length=None):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        if length != "none":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code="", message=""):
        headers = {name: value for name, value in (("X-Error-Code", code), ("X-Error-Message", message)) if value}
        self.answer(status, b'{"error": "refused"}', headers)

    def break_connection(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.close()


class Hub(Handler):
    def serve(self, path):
        parts = [urllib.parse.unquote(part) for part in path.strip("/").split("/")]
        if parts[:2] == ["api", "models"] and len(parts) >= 6:
            self.serve_api("/".join(parts[2:4]), parts[4], parts[5])
        elif parts[:2] == ["api", "datasets"] and len(parts) >= 6:
            self.serve_api("/".join(parts[1:4]), parts[4], parts[5], "/".join(parts[6:]))
        elif parts[:1] == ["datasets"] and len(parts) >= 6 and parts[3] == "resolve":
            self.serve_resolve("/".join(parts[:3]), parts[4], "/".join(parts[5:]))
        elif parts[:1] == ["api"] and parts[1:2] == ["resolve-cache"] and len(parts) == 6:
            self.serve_small("/".join(parts[2:4]), parts[4], parts[5])
        elif len(parts) >= 5 and parts[2] == "resolve":
            self.serve_resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self.refuse(404)

    def token(self):
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def admitted(self, repository):
        """Answers and says False if this caller may not see the repository."""
        fault = repository.removeprefix("test/")
        token = self.token()
        if token and token != GOOD_TOKEN:
            self.refuse(401, "", "Invalid credentials in Authorization header")
        elif repository not in self.state.repositories or fault == "missing" or (fault == "private" and not token):
            self.refuse(404, "RepoNotFound", "Repository not found") if token else self.refuse(401)
        elif fault == "disabled":
            self.refuse(403, "", "Access to this resource is disabled.")
        else:
            return True
        return False

    def late(self, repository, *key):
        """The faults that pass, or do not: True if this request has been answered by one."""
        fault = repository.removeprefix("test/")
        first = self.state.nth("late", repository, self.command, *key) < 2
        if fault == "silent":
            time.sleep(4)
            self.break_connection()
        elif fault == "broken":
            self.refuse(500)
        elif fault == "flaky" and first:
            self.refuse(503)
        elif fault == "busy" and first:
            self.answer(429, b"", {"Retry-After": "0"})
        elif fault == "ratelimit" and first:
            self.answer(429, b"", {"RateLimit": '"api";r=0;t=0'})
        else:
            return False
        return True

    def serve_api(self, repository, kind, revision, folder=""):
        if not self.admitted(repository) or self.late(repository, "api", kind):
            return
        fault = repository.removeprefix("test/")
        if fault == "renamed":
            return self.answer(307, b"", {"Location": self.path.replace("test/renamed", "test/stories260k")})
        if fault == "api-broken":
            return self.refuse(500)
        commit = commit_of(repository)
        if revision not in ("main", "v1.0", "refs/pr/1", commit):
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        if kind == "revision":
            sha = "../../../evil" if fault == "evil-commit" else commit
            names = sorted(self.state.repositories[repository])
            body = {"id": repository, "sha": sha, "siblings": [{"rfilename": name} for name in names]}
            return self.answer(200, b"{" if fault == "bad-json" else json.dumps(body).encode())
        self.serve_tree(repository, fault, folder)

    def serve_tree(self, repository, fault, folder):
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "onnx"},
                   {"type": "file", "oid": "0" * 40, "size": 5, "path": "../escape"}]
        for name, data in sorted(self.state.repositories[repository].items()):
            if name.rpartition("/")[0] != folder:
                continue
            entry = {"type": "file", "path": name, "size": len(data), "oid": git_oid(data)}
            if in_lfs(name):
                entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
                entry["oid"] = git_oid(b"pointer")
            if fault == "size-differs" and name == "model.safetensors":
                entry["size"] = entry["lfs"]["size"] = len(data) + 1
            if fault == "huge" and name == "config.json":
                entry["size"] = 1 << 60
            entries.append(entry)
        if folder and len(entries) == 2:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        headers = {}
        if fault.startswith("paged"):
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            begin = int(query.get("cursor", ["0"])[0])
            page, entries = entries[begin:begin + 3], entries[begin + 3:]
            if entries:
                base = self.state.store if fault == "paged-elsewhere" else self.state.hub
                path = urllib.parse.urlsplit(self.path).path
                headers["Link"] = f'<{base}{path}?cursor={begin + 3}>; rel="next"'
            entries = page
        self.answer(200, json.dumps(entries).encode(), headers)

    def serve_resolve(self, repository, revision, name):
        if not self.admitted(repository) or self.late(repository, "resolve", name):
            return
        fault = repository.removeprefix("test/")
        if fault == "renamed":
            return self.answer(307, b"", {"Location": self.path.replace("test/renamed", "test/stories260k")})
        if fault == "gated":
            return self.refuse(403 if self.token() else 401, "GatedRepo", "Access to model test/gated is restricted")
        if fault == "loop":
            return self.answer(302, b"", {"Location": self.path})
        data = self.state.repositories[repository].get(name)
        if data is None:
            return self.refuse(404, "EntryNotFound", "Entry not found")
        commit = commit_of(repository)
        headers = {"X-Repo-Commit": "0" * 40 if fault == "other-commit" else commit}
        if not in_lfs(name):
            location = f"/api/resolve-cache/{repository}/{commit}/{urllib.parse.quote(name)}"
            return self.answer(307, b"", {**headers, "Location": location})
        digest = hashlib.sha256(data).hexdigest()
        headers["X-Linked-Size"] = str(len(data))
        headers["X-Linked-Etag"] = f'"{"f" * 64 if fault == "etag-differs" else digest}"'
        headers["Location"] = f"{self.state.store}/{repository}/{name}?Signature=secret-{digest[:8]}"
        if fault == "to-file":
            headers["Location"] = "file:///etc/passwd"
        self.answer(302, b"", headers)

    def serve_small(self, repository, commit, name):
        fault = repository.removeprefix("test/")
        data = self.state.repositories[repository][name]
        etag = {"evil-etag": "../../../evil", "no-etag": ""}.get(fault, git_oid(data))
        headers = {"X-Repo-Commit": commit}
        if etag:
            headers["ETag"] = f'W/"{etag}"' if fault == "weak-etag" else f'"{etag}"'
        if fault == "corrupt-small" and name == "tokenizer.json":
            data = data[:-1] + b"?"
        self.answer(200, data, headers)


class Store(Handler):
    def serve(self, path):
        kind = "datasets/" if path.startswith("/datasets/") else ""
        _, organisation, name, file = path.removeprefix("/datasets").split("/", 3)
        repository = f"{kind}{organisation}/{name}"
        data = self.state.repositories[repository][file]
        fault = "" if self.state.held and (self.state.held / "well").exists() else name
        if fault == "store-403":
            return self.refuse(403)
        if fault == "corrupt" and file == "model.safetensors":
            data = data[:100_000] + bytes([data[100_000] ^ 1]) + data[100_001:]  # behind the header
        if fault == "shard-lost" and file == LAST_SHARD and not self.headers.get("Range", "").startswith("bytes=0-"):
            return self.refuse(404)
        if fault == "shard-corrupt" and file == LAST_SHARD:
            data = data[:-1] + bytes([data[-1] ^ 1])
        begin, end = 0, len(data)
        asked = self.headers.get("Range", "")
        if asked and fault == "range416":
            return self.answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        is_header = asked.startswith("bytes=0-") and asked != "bytes=0-"
        if asked and fault not in ("dropped-no-range", "always-restarted", "shard-no-range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(len(data), int(last) + 1) if last else len(data)
        if fault == "shard-other-header" and file == LAST_SHARD and is_header:
            data = data.replace(b'"pt"', b'"tp"', 1)
        body, status, headers = data[begin:end], 200, {}
        if (begin, end) != (0, len(data)):
            status = 206
            shown = begin + 1 if fault == "wrong-range" else begin
            headers["Content-Range"] = f"bytes {shown}-{end - 1}/{len(data)}"
        if is_header:
            return self.answer(status, body, headers)
        large = file == "model.safetensors" or (file == LAST_SHARD and fault == "shard-dropped")
        count = self.state.nth("store", repository, file)
        if fault == "short" and large:
            return self.answer(status, body[:-100], headers)
        if fault == "long" and large:
            return self.answer(status, body + b"more", headers, length="none")
        drops = {"dropped": 3, "shard-dropped": 2, "dropped-no-range": 1, "range416": 1, "wrong-range": 1, "always-dropped": 10**9, "always-restarted": 10**9,
                 "stalled": 1}
        if large and count < drops.get(fault, 0):
            part = b"" if fault == "always-dropped" and count else body[:len(body) // PARTS]
            self.answer(status, part, headers, length=len(body))
            self.wfile.flush()
            if fault == "stalled":
                time.sleep(4)
            return self.break_connection()
        if self.state.held and (self.state.held / file).exists():
            return self.hold(file, status, body, headers)
        if name == "stories-19m" and self.state.nth("pace") >= 0:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for at in range(0, len(body), 1 << 18):  # slowly: about 10 MB/s
                self.wfile.write(body[at:at + (1 << 18)])
                time.sleep(0.025)
            return
        self.answer(status, body, headers)


    def hold(self, file, status, body, headers):
        """Half of the body, and the rest when the test lets it go."""
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        half = len(body) // 2
        self.wfile.write(body[:half])
        while (self.state.held / file).exists():
            time.sleep(0.1)
            self.wfile.write(body[half:half + 1])  # a client gives up a connection that says nothing
            half += 1
        self.wfile.write(body[half:])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that hang up are part of the tests


def main():
    models, log, *held = map(pathlib.Path, sys.argv[1:])
    state = Handler.state = State(models, log, held[0] if held else None)
    hub = Server(("127.0.0.1", 0), Hub)
    store = Server(("127.0.0.2", 0), Store)
    state.hub = f"http://127.0.0.1:{hub.server_port}"
    state.store = f"http://127.0.0.2:{store.server_port}"
    for server in (hub, store):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"hub": state.hub, "store": state.store}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
