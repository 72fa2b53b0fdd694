#!/usr/bin/env python3
"""Compares `llm-quantize tokenize` with the libraries "tokenizers", "sentencepiece" and "tiktoken" on generated strings.

    tokenizer_fuzz.py --tool build/release/bin/llm-quantize [--count 10000] [--seed 1] [--only NAME]
                      [--tokenizers FOLDER] [--keep FOLDER]

Needs the packages. The tokenizers are those of models/, one of every kind in tokenizer_kinds.py, and, with --tokenizers,
those of public models (docs/tokenizers.md says what the folder holds). Prints a line per tokenizer: strings whose ids
differ, ids whose text differs (with and without special tokens), byte strings that are not UTF-8 whose ids differ, and
seconds of the tool (for all strings, loading included). Ends with 1 if anything differs. --keep leaves a NAME.json with
the first differences.

Characters are those about which the libraries' own tables, some of Unicode 8, agree with Unicode 14, which all know.
"""

import argparse
import functools
import json
import pathlib
import random
import resource
import string
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
import tiktoken
from tokenizers import Tokenizer, normalizers, pre_tokenizers

import make_tokenizer_golden
import tokenizer_kinds

ROOT, WORDS, SPACES = tokenizer_kinds.ROOT, tokenizer_kinds.WORDS, make_tokenizer_golden.SPACES

# ------------------------------------------------------------------------------------------------------ strings

BLOCKS = [(0x20, 0x7F), (0x20, 0x7F), (0x80, 0x250), (0x250, 0x370), (0x370, 0x530), (0x530, 0x700), (0x700, 0xA00),
          (0xA00, 0xE00), (0xE00, 0x1200), (0x1200, 0x1800), (0x1800, 0x1E00), (0x1E00, 0x2000), (0x2000, 0x2100),
          (0x2100, 0x2C00), (0x2C00, 0x3000), (0x3000, 0x3400), (0x4E00, 0x5200), (0xA000, 0xAC00), (0xAC00, 0xAF00),
          (0xF900, 0xFE00), (0xFE00, 0x10000), (0x10000, 0x11000), (0x1D400, 0x1D800), (0x1F000, 0x1FB00), (0x20000, 0x20100)]
EMOJI = ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🇩🇪", "🇫🇷", "❤️", "☺", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "1️⃣", "🙃", "👩🏾‍🚀"]
MARKS = "\u0300\u0301\u0308\u0323\u0327\u05b0\u064b\u093c\u094d\u0e31\u200d\ufe0f\u3099"
SPECIALS = make_tokenizer_golden.SPECIALS + ["[CLS]", "[MASK]", "<mask>", "<extra_id_0>", "<bos>", "<pad>", "Tool", "<table>"]
BAD_BYTES = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\xaf", b"\xfe"]


@functools.cache
def agreed(c):
    """Whether the library takes a character for the mark, punctuation and so on that it is, and knows its script."""
    category = unicodedata.category(c)
    if category in ("Cn", "Cs") or normalizers.NFKD().normalize_str(c) != unicodedata.normalize("NFKD", c):
        return False
    def removed(normalizer):
        return normalizer.normalize_str(f"a{c}b") == "ab"
    marks = normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
    clean = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    cut = len(pre_tokenizers.BertPreTokenizer().pre_tokenize_str(f"a{c}b")) == 3
    if c in "\u0589\u061c\u0953\u0954":  # of another script since
        return False
    has_script = c == " " or bool(pre_tokenizers.UnicodeScripts().pre_tokenize_str(c))
    return (has_script and removed(normalizers.StripAccents()) == (category[0] == "M") and removed(marks) == (category == "Mn")
            and (category not in ("Cf", "Co") or removed(clean)) and cut == (category[0] == "P" or c in string.punctuation))


def assigned(rng, low, high):
    while True:
        c = chr(rng.randrange(low, high))
        if agreed(c):
            return c


def make_string(rng, specials, stories):
    kind = rng.random()
    if kind < 0.10:
        story = rng.choice(stories)
        at = rng.randrange(max(1, len(story) - 200))
        return story[at:at + rng.randint(1, 200)]
    if kind < 0.30:  # one script
        low, high = rng.choice(BLOCKS)
        return "".join(assigned(rng, low, high) + rng.choice(["", "", "", " "]) for _ in range(rng.randint(1, 20)))
    if kind < 0.40:  # anything
        return "".join(assigned(rng, *rng.choice(BLOCKS)) + rng.choice(["", "", rng.choice(SPACES)]) for _ in range(rng.randint(1, 20)))
    if kind < 0.50:  # letters and marks
        return "".join(rng.choice(["a", "e", "O", "क", "ا", "ก", "か", "é", "ﬁ", "Å", " "]) + "".join(
            rng.choice(MARKS) for _ in range(rng.randint(0, 3))) for _ in range(rng.randint(1, 12)))
    if kind < 0.60:
        return "".join(rng.choice(EMOJI + SPACES + ["x"]) for _ in range(rng.randint(1, 12)))
    if kind < 0.70:  # runs
        return "".join(rng.choice([" ", "\n", "\t", "a", ".", "0", "\u3000", "é", "=", "\u2581", "\r\n"]) * rng.randint(1, 12)
                       for _ in range(rng.randint(1, 6)))
    parts = [WORDS, WORDS, SPACES, SPECIALS, specials] if kind < 0.85 else [WORDS, WORDS, SPACES]
    return "".join(rng.choice(rng.choice(parts)) + rng.choice(SPACES) for _ in range(rng.randint(1, 12)))


def make_bytes(rng, stories):
    text = make_string(rng, [""], stories).replace("\n", " ").encode()
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(text) + 1)
        text = text[:at] + rng.choice(BAD_BYTES) + text[at + rng.randrange(2):]
    return text


# ---------------------------------------------------------------------------------------------------- references

class JsonReference:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer
        self.vocab_size = tokenizer.get_vocab_size()
        added = tokenizer.get_added_tokens_decoder()
        self.specials = [token.content for token in added.values()] or [""]
        # Written as their normalized form by version 0.23, as they are by src/text: docs/tokenizers.md.
        self.unclear = {i for i, token in added.items() if tokenizer.id_to_token(i) != token.content}

    def encode(self, texts, add_special):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=add_special)]

    def decode(self, lists, skip_special):
        return self.tokenizer.decode_batch(lists, skip_special_tokens=skip_special)

    def comparable(self, text):
        return True


class SentencePieceReference:
    """Knows no control pieces in a text, and never shows them."""
    unclear = set()

    def __init__(self, data):
        self.processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        self.vocab_size = self.processor.vocab_size()
        pieces = [(i, self.processor.id_to_piece(i)) for i in range(self.vocab_size)]
        self.control = [piece for i, piece in pieces if self.processor.is_control(i) or self.processor.is_unknown(i)]
        self.specials = [piece for i, piece in pieces if self.processor.is_byte(i)][:3] or [""]

    def encode(self, texts, add_special):
        ids = self.processor.encode(texts)
        return [[self.processor.bos_id(), *line] for line in ids] if add_special else ids

    def decode(self, lists, skip_special):
        return [self.processor.decode(ids) for ids in lists] if skip_special else None

    def comparable(self, text):
        return not any(piece in text for piece in self.control)


class TiktokenReference:
    unclear = set()

    def __init__(self, ranks, pattern, specials):
        self.encoding = tiktoken.Encoding("fuzz", pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)
        self.vocab_size = self.encoding.n_vocab
        self.specials = list(specials)
        self.special_ids = set(specials.values())
        self.bos = []

    def encode(self, texts, add_special):
        first = self.bos if add_special else []
        return [first + self.encoding.encode(text, allowed_special="all") for text in texts]

    def decode(self, lists, skip_special):
        skipped = self.special_ids if skip_special else set()
        return [self.encoding.decode([i for i in ids if i not in skipped]) for ids in lists]

    def comparable(self, text):
        return True


# ------------------------------------------------------------------------------------------------------ subjects

def restore_no_break_spaces(text):
    """The copy of Llama-2's tokenizer.json that goes around has spaces where no-break spaces belong, and three merges
    that cannot be read."""
    file = json.loads(text)
    file["model"]["vocab"] = {token.replace(" ", "\u00a0"): id for token, id in file["model"]["vocab"].items()}
    merges = {"   ": "\u00a0 \u00a0", "     ": "\u00a0\u00a0 \u00a0\u00a0", "\u2581  ": "\u2581 \u00a0"}
    file["model"]["merges"] = [merges.get(merge, merge) for merge in file["model"]["merges"]]
    return json.dumps(file)


def gpt2_json(folder):
    vocab = json.loads((folder / "vocab.json").read_text())
    merges = [tuple(line.split(" ")) for line in (folder / "merges.txt").read_text().splitlines() if not line.startswith("#version")]
    tokenizer = Tokenizer(make_tokenizer_golden.models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = make_tokenizer_golden.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = make_tokenizer_golden.decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|endoftext|>"])
    return tokenizer


def from_json(text):
    if '"Unigram"' in text:  # the library reads some scores one unit in the last place off, but not those that it wrote
        text = Tokenizer.from_str(text).to_str()
    return {"tokenizer.json": text.encode()}, JsonReference(Tokenizer.from_str(text))


def from_model(data):
    return {"tokenizer.model": data}, SentencePieceReference(data)


def from_ranks(ranks, name, pattern, tokenizer_class):
    files, specials = tokenizer_kinds.tiktoken_files(ranks, name, tokenizer_class)
    return files, TiktokenReference(ranks, pattern, specials)


def public_subjects(folder):
    """Of the models whose tokenizers a folder holds."""
    def text(name):
        return (folder / name).read_text(encoding="utf-8")
    yield "llama-2 json", lambda: from_json(restore_no_break_spaces(text("llama-2/tokenizer.json")))
    yield "llama-2 model", lambda: from_model((folder / "llama-2/tokenizer.model").read_bytes())
    yield "llama-3.2", lambda: from_json(text("llama-3.2/tokenizer.assembled.json"))
    yield "qwen2.5", lambda: from_json(text("qwen2.5/tokenizer.assembled.json"))
    yield "phi-3", lambda: from_json(text("phi-3/tokenizer.json"))
    yield "gpt2", lambda: ({name: (folder / "gpt2" / name).read_bytes() for name in ("vocab.json", "merges.txt")},
                           JsonReference(gpt2_json(folder / "gpt2")))
    for name in ("tokenizer.model.v1", "mistral_instruct_tokenizer_240216.model.v2",
                 "mistral_instruct_tokenizer_240323.model.v3", "mistral_instruct_tokenizer_241114.model.v7"):
        yield "mistral " + name.split(".")[-1], lambda name=name: from_model((folder / "mistral" / name).read_bytes())
    for kind, source in (("tiktoken-llama3", "llama-3.2"), ("tiktoken-qwen", "qwen2.5")):
        yield f"{kind} full", lambda kind=kind, source=source: from_ranks(
            tokenizer_kinds.tiktoken_ranks(json.loads(text(f"{source}/tokenizer.assembled.json"))),
            *tokenizer_kinds.TIKTOKEN_KINDS[kind])


def subjects(arguments):
    for folder in ("stories-19m", "stories260k/hf-f32"):
        path = ROOT / "models" / folder
        yield f"{folder} json", lambda path=path: from_json((path / "tokenizer.json").read_text(encoding="utf-8"))
        yield f"{folder} model", lambda path=path: from_model((path / "tokenizer.model").read_bytes())
    for name, make in {**make_tokenizer_golden.TRAINED, **tokenizer_kinds.JSON_KINDS}.items():
        own_size = name in make_tokenizer_golden.TRAINED
        yield name, lambda make=make, own_size=own_size: from_json((make() if own_size else make(2000)).to_str())
    for name, options in tokenizer_kinds.SENTENCEPIECE_KINDS.items():
        yield name, lambda options=options: from_model(tokenizer_kinds.train_sentencepiece_model(vocab_size=1500, **options))
    for name, kind in tokenizer_kinds.TIKTOKEN_KINDS.items():
        yield name, lambda kind=kind: from_ranks(
            tokenizer_kinds.tiktoken_ranks(json.loads(make_tokenizer_golden.gpt2().to_str())), *kind)
    if arguments.tokenizers:
        yield from public_subjects(arguments.tokenizers)


# ------------------------------------------------------------------------------------------------------ comparing

class Tool:
    def __init__(self, program, folder):
        self.command = [program, "tokenize", folder]

    def run(self, data, *options):
        result = subprocess.run([*self.command, *options], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if result.returncode != 0:
            raise RuntimeError(result.stderr.decode(errors="replace"))
        return result.stdout.decode().split("\n")[:-1]

    def encode(self, texts, *options):
        data = "".join(json.dumps(text) + "\n" for text in texts).encode()
        return [[int(id) for id in line.split()] for line in self.run(data, "--json-lines", *options)]

    def encode_bytes(self, lines):
        return [[int(id) for id in line.split()] for line in self.run(b"".join(line + b"\n" for line in lines), "--no-special")]

    def decode(self, lists, *options):
        data = "".join(" ".join(map(str, ids)) + "\n" for ids in lists).encode()
        return [json.loads(line) for line in self.run(data, "--decode", "--json-lines", *options)]


def differences(inputs, expected, found):
    assert len(inputs) == len(expected) == len(found), (len(inputs), len(expected), len(found))
    return [{"input": i, "expected": e, "found": f} for i, e, f in zip(inputs, expected, found) if e != f]


def compare(name, files, reference, arguments):
    rng = random.Random(f"{arguments.seed} {name}")
    stories = tokenizer_kinds.stories()
    texts = []
    while len(texts) < arguments.count:
        text = make_string(rng, reference.specials, stories)
        if reference.comparable(text):
            texts.append(text)
    raw = [make_bytes(rng, stories) for _ in range(arguments.count // 10)]
    read = [line.decode(errors="replace") for line in raw]  # damage can make other characters
    raw = [line for line, text in zip(raw, read) if reference.comparable(text) and all(map(agreed, text))]
    with tempfile.TemporaryDirectory() as folder:
        for file, data in files.items():
            (pathlib.Path(folder) / file).write_bytes(data)
        tool = Tool(arguments.tool, folder)
        found = tool.encode(texts, "--no-special")
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        plain = reference.encode(texts, False)
        result = {"encode": differences(texts, plain, found)}
        result["special"] = differences(texts[:1000], reference.encode(texts[:1000], True), tool.encode(texts[:1000]))
        lists = plain + [[rng.randrange(reference.vocab_size) for _ in range(rng.randint(1, 12))] for _ in range(1000)]
        lists = [ids for ids in lists if not reference.unclear & set(ids)]
        result["decode"] = differences(lists, reference.decode(lists, True), tool.decode(lists, "--no-special"))
        shown = reference.decode(lists, False)
        result["shown"] = differences(lists, shown, tool.decode(lists)) if shown else []
        repaired = reference.encode([line.decode(errors="replace") for line in raw], False)
        result["bytes"] = differences([line.hex() for line in raw], repaired, tool.encode_bytes(raw))
    return len(texts), len(lists), len(raw), result, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", help="names that contain this")
    parser.add_argument("--tokenizers", type=pathlib.Path)
    parser.add_argument("--keep", type=pathlib.Path)
    arguments = parser.parse_args()
    failed = False
    print(f"{'tokenizer':24} {'strings':>7} {'ids≠':>5} {'+spec≠':>6} {'lists':>6} {'text≠':>5} {'shown≠':>6} {'bytes':>5} {'ids≠':>5} {'s':>5}")
    for name, make in subjects(arguments):
        if arguments.only and arguments.only not in name:
            continue
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        try:
            files, reference = make()
            strings, lists, raw, result, seconds = compare(name, files, reference, arguments)
        except RuntimeError as error:
            print(f"{name:24} {error}")
            failed = True
            continue
        counts = {part: len(found) for part, found in result.items()}
        failed = failed or any(counts.values())
        print(f"{name:24} {strings:7} {counts['encode']:5} {counts['special']:6} {lists:6} {counts['decode']:5} {counts['shown']:6} "
              f"{raw:5} {counts['bytes']:5} {seconds - before:5.1f}", flush=True)
        if arguments.keep and any(counts.values()):
            arguments.keep.mkdir(exist_ok=True)
            kept = {part: found[:20] for part, found in result.items()}
            (arguments.keep / f"{name.replace(' ', '-')}.json").write_text(json.dumps(kept, ensure_ascii=False, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
