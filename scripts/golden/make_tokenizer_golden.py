#!/usr/bin/env python3
"""Makes tests/golden/tokenizers: what the libraries "tokenizers" and "sentencepiece" answer, for src/text to equal.

Needs both packages; the tests need only what it wrote. Run from the repository root. It writes
  texts.json            the strings, shared by all tokenizers
  NAME/tokenizer.*      small tokenizers trained on data/tinystories (the models' own are read from models/), those of
                        tokenizer_kinds.py among them
  NAME/golden.json      ids of every string, and the text of id lists, random ones among them
  steps.json            normalizers, pre-tokenizers and decoders one at a time
"""

import base64
import json
import pathlib
import random

import sentencepiece
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

import tokenizer_kinds
from tokenizer_kinds import LLAMA3, ROOT, RULES, WORDS, corpus, split, stories

OUT = ROOT / "tests" / "golden" / "tokenizers"

QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

# ---------------------------------------------------------------------------------------------- the strings

SPACES = [" ", " ", " ", " ", " ", "  ", "   ", "     ", "\t", "\n", "\n\n", "\r\n", " \n", "\n ", "\t\t ", "\u00a0",
          "\u3000", "\u2003", "\u2028", "\u0085", "\u180e", "\x0b\x0c", "", ""]
SPECIALS = ["<s>", "</s>", "<unk>", "<|begin_of_text|>", "<|end_of_text|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>",
            "<tool>", "[X]", "[lr]", "ing", "<NORM é>", "Big", "<0x41>", "<0x0A>", "<|im_start", "s>", "<sep>"]
FIXED = ["", " ", "  ", "   ", "\n", "\n\n\n", "\t", "a", " a", "a ", " a ", "Hello", "Hello world", " Hello  world ",
         "Once upon a time, there was a little girl named Lily.", "\r\n\r\n", "'", "''", "'s", " 's", "'S'T'RE'VE'M'LL'D",
         "1234567890", "12 345 6789", "a" * 50, "ab" * 40, " " * 33, "\n" * 20, " \n" * 9, "=" * 30, "é" * 10, "😀" * 7,
         "\u2581", "\u2581\u2581", " \u2581 ", "\ufeffBOM", "x\x00y", "<s>", "<s>a", "a<s>", "a <s> b", "<s><s>", "</s>x</s>",
         "<unk>", "a<unk>b", " <s> ", "a  [lr]  b", "a\n[lr]\tb", "[X][X]", "going", "ing", "x ing y", "<NORM É>", "<norm é>",
         "BIG Big big", "Bigger", "é<tool>", "<tool>é", "a<|endoftext|>b", "<|im_start|>user\nHi<|im_end|>\n",
         "é e\u0301 \u1100\u1161\u11a8", "ＡＢＣ ①②③ ㍿ ﷺ"]


def make_texts():
    rng = random.Random(2024)
    texts = list(FIXED)
    for _ in range(150):
        texts.append("".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(rng.randint(1, 9))))
    for _ in range(60):
        texts.append("".join(rng.choice([rng.choice(WORDS), rng.choice(SPECIALS), rng.choice(SPACES)])
                             for _ in range(rng.randint(2, 9))))
    for _ in range(30):
        texts.append("".join(rng.choice(SPACES + ["\n", " "]) for _ in range(rng.randint(1, 8))) + rng.choice(["", "x", "9"]))
    for story in stories()[:2]:
        texts.append(story)
    for story in stories()[2:22]:
        at = rng.randrange(len(story) - 60)
        texts.append(story[at:at + 60])
    return list(dict.fromkeys(texts))


# ------------------------------------------------------------------------------------- small tokenizers, trained

def trained(tokenizer, vocab, specials, alphabet=None, texts=None):
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=specials, show_progress=False,
                                  initial_alphabet=alphabet or [])
    tokenizer.train_from_iterator(texts or corpus(), trainer)
    return tokenizer


def byte_level(vocab, pre_tokenizer, normalizer=None, specials=("<|endoftext|>",)):
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return trained(tokenizer, vocab, list(specials), pre_tokenizers.ByteLevel.alphabet())


def gpt2():
    return byte_level(1200, pre_tokenizers.ByteLevel(add_prefix_space=False))


def llama3():
    specials = ["<|begin_of_text|>", "<|end_of_text|>"]
    tokenizer = byte_level(1000, split(LLAMA3), specials=specials)
    tokenizer.model.ignore_merges = True
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    return tokenizer


def qwen2():
    tokenizer = byte_level(900, split(QWEN2), normalizers.NFC())
    tokenizer.add_special_tokens([AddedToken("<|im_start|>", normalized=False), AddedToken("<|im_end|>", normalized=False)])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("[X]", single_word=True, normalized=False),
                          AddedToken("[lr]", lstrip=True, rstrip=True, normalized=False),
                          AddedToken("ing", single_word=True, normalized=True)])
    return tokenizer


def smollm():
    tokenizer = byte_level(700, pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                         pre_tokenizers.ByteLevel(add_prefix_space=True)]))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <|endoftext|>",
                                                             special_tokens=[("<|endoftext|>", 0)])
    return tokenizer


def metaspace():
    """Mistral's later files: no prefix in a normalizer, Metaspace for the first word, bytes for the unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = trained(tokenizer, 900, specials)
    return tokenizer


def unknown():
    """No bytes to fall back on, a decoder of its own, normalized added tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Strip(left=True, right=False),
                                                 normalizers.Lowercase(), normalizers.Replace(Regex(r"[0-9]{2,}"), "#")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer = trained(tokenizer, 400, ["<unk>", "<s>"], texts=stories()[22:])
    tokenizer.add_tokens([AddedToken("<NORM É>", normalized=True), AddedToken("Big", normalized=True, single_word=True)])
    return tokenizer


TRAINED = dict(gpt2=gpt2, llama3=llama3, qwen2=qwen2, smollm=smollm, metaspace=metaspace, unknown=unknown)

SENTENCEPIECE = {
    "sp-rules": dict(vocab_size=500, byte_fallback=False, user_defined_symbols=["<tool>", "[X]", "\u2581\u2581\u2581", "ＡＢ"],
                     control_symbols=["<sep>"], rules=RULES),
    "sp-suffix": dict(vocab_size=600, byte_fallback=True, treat_whitespace_as_suffix=True, remove_extra_whitespaces=True,
                      normalization_rule_name="identity"),
    "sp-plain": dict(vocab_size=600, byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False,
                     allow_whitespace_only_pieces=True, normalization_rule_name="identity",
                     user_defined_symbols=["<tool>", "\n\n"]),
}


# ------------------------------------------------------------------------------------------------- the answers

def random_lists(count, vocab, seed):
    rng = random.Random(seed)
    return [[rng.randrange(vocab) for _ in range(rng.randint(0, 10))] for _ in range(count)]


def byte_lists(id_of_byte, words, seed):
    """Lists in which most ids are bytes, good and bad sequences."""
    rng = random.Random(seed)
    parts = [b"\n", "é".encode(), "€".encode(), "😀".encode(), b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xed\xa0\x80",
             b"\xf4\x90\x80\x80", b"\xc0\xaf", b"A"]
    lists = []
    for _ in range(60):
        ids = []
        for _ in range(rng.randint(1, 5)):
            ids += [id_of_byte(byte) for byte in rng.choice(parts)] if rng.random() < 0.75 else [rng.choice(words)]
        lists.append(ids)
    return lists


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


def json_golden(tokenizer, texts, seed):
    encoded = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    vocab = tokenizer.get_vocab_size()
    lists = [ids for ids in encoded if ids][::6] + random_lists(60, vocab, seed)
    if tokenizer.token_to_id("<0x00>") is not None:
        lists += byte_lists(lambda byte: tokenizer.token_to_id(f"<0x{byte:02X}>"), encoded[8] + [0, 1], seed)
    # Version 0.23 writes a normalized added token as its normalized form, and so no longer knows special ones;
    # src/text, like earlier versions, writes it as the file does.
    changed = {i for i, token in tokenizer.get_added_tokens_decoder().items() if tokenizer.id_to_token(i) != token.content}
    lists = [ids for ids in lists if not changed & set(ids)]
    return {"special": tokenizer.encode("a", add_special_tokens=True).ids, "encode": encoded, "decode": [
        [ids, tokenizer.decode(ids, skip_special_tokens=True), tokenizer.decode(ids, skip_special_tokens=False)]
        for ids in lists]}


def sentencepiece_golden(path, texts, seed):
    """Strings with control pieces in them are left out (null): the library takes them for ordinary text."""
    sp = sentencepiece.SentencePieceProcessor(model_file=str(path))
    control = [sp.id_to_piece(i) for i in range(sp.vocab_size()) if sp.is_control(i) or sp.is_unknown(i)]
    encoded = [None if any(piece in text for piece in control) else sp.encode(text) for text in texts]
    lists = [ids for ids in encoded if ids][::6] + random_lists(60, sp.vocab_size(), seed)
    if sp.is_byte(sp.piece_to_id("<0x00>")):
        lists += byte_lists(lambda byte: sp.piece_to_id(f"<0x{byte:02X}>"), sp.encode("Hello little dog") + [0, 1], seed)
    return {"encode": encoded, "decode": [[ids, sp.decode(ids)] for ids in lists]}


# --------------------------------------------------------------------------------------------- steps on their own

def step(part, value):
    """The step's own object, made from the JSON that a file would have."""
    blank = json.loads(Tokenizer(models.BPE(vocab={"a": 0}, merges=[])).to_str())
    blank[part] = value
    return getattr(Tokenizer.from_str(json.dumps(blank)), part)


def pre_tokenizer_cases():
    behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
    patterns = [{"String": " "}, {"String": "ab"}, {"Regex": r"\s+"}, {"Regex": r"\d"}, {"Regex": r"(?=[A-Z])"}, {"Regex": r"\w*"},
                {"Regex": r"^[^\r\n]|o$"}, {"Regex": r"[^\s\p{L}\p{N}]"}]
    for pattern in patterns:
        for behavior in behaviors:
            for invert in (False, True):
                yield {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}
    for prefix in (False, True):
        for regex in (False, True):
            yield {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}
        yield {"type": "Digits", "individual_digits": prefix}
        for scheme in ("always", "never", "first"):
            yield {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": prefix}
    yield {"type": "Metaspace", "replacement": "_", "add_prefix_space": True, "prepend_scheme": "always"}
    yield {"type": "BertPreTokenizer"}
    yield {"type": "UnicodeScripts"}
    for character in (" ", "é", "o"):
        yield {"type": "CharDelimiterSplit", "delimiter": character}
    for length in (1, 4, 1000):
        yield {"type": "FixedLength", "length": length}
    yield {"type": "Whitespace"}
    yield {"type": "WhitespaceSplit"}
    for behavior in behaviors:
        yield {"type": "Punctuation", "behavior": behavior}
    yield {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581",
                                                                             "prepend_scheme": "first", "split": True}]}
    yield {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": False},
        {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"String": "o"}, "behavior": "MergedWithPrevious",
                                                "invert": False},
                                               {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True,
                                                "trim_offsets": True}]}]}


def normalizer_cases():
    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        yield {"type": form}
    for left in (False, True):
        for right in (False, True):
            yield {"type": "Strip", "strip_left": left, "strip_right": right}
    for kind in ("StripAccents", "Nmt", "ByteLevel"):
        yield {"type": kind}
    for clean, han, strip, lower in ((True, True, None, True), (False, False, None, False), (True, False, True, False),
                                     (False, True, False, True)):
        yield {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": han, "strip_accents": strip,
               "lowercase": lower}
    yield {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(tokenizer_kinds.charsmap(rules=RULES)).decode()}
    yield {"type": "Prepend", "prepend": "\u2581"}
    for pattern in ({"String": " "}, {"String": "ab"}, {"Regex": r"\s+"}, {"Regex": r"[0-9]*"}, {"Regex": r"\s"}, {"Regex": "^."}):
        yield {"type": "Replace", "pattern": pattern, "content": "<é>"}
    yield {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Replace", "pattern": {"Regex": r"\p{Mn}+"}, "content": ""},
                                               {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "NFC"}]}]}


def decoder_cases():
    yield {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    yield {"type": "ByteFallback"}
    yield {"type": "Fuse"}
    for start, stop in ((0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (0, 3)):
        yield {"type": "Strip", "content": " ", "start": start, "stop": stop}
        yield {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
                                                {"type": "ByteFallback"}, {"type": "Fuse"},
                                                {"type": "Strip", "content": " ", "start": start, "stop": stop}]}
    for cleanup in (False, True):
        yield {"type": "WordPiece", "prefix": "##", "cleanup": cleanup}
    yield {"type": "BPEDecoder", "suffix": "</w>"}
    yield {"type": "Replace", "pattern": {"Regex": r"[aeiou]+"}, "content": "-"}
    for scheme in ("always", "never", "first"):
        yield {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": True}
    yield {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "lo"}, "content": "LO"}]}


TOKENS = ["\u2581", "\u2581Hello", "\u2581\u2581", "\u2581a\u2581b", "wor", "ld", "lo", "l", "o", "  x  ", " ", "   ", "\u0120the", "\u0120", "\u010a",
          "\u00c3", "\u00a9", "\u00e2\u0124", "\u00ac", "\u00f0\u0141", "\u013a\u0122", "plain \u2581 text", "<0xC3>", "<0xA9>", "<0xe2>", "<0x0A>", "<0xG1>",
          "<0x41>", "<0x4>", "é", "😀", ",", "<0xFF>", "##ing", "##", "a</w>", "</w></w>", ".", "n't", "'", "do not", "'re"]


def make_steps(texts):
    rng = random.Random(7)
    steps = {"normalizer": [], "pre_tokenizer": [], "decoder": []}
    texts = [text for text in texts if len(text) < 90]
    for value in normalizer_cases():
        normalizer = step("normalizer", value)
        steps["normalizer"].append([value, [[text, normalizer.normalize_str(text)] for text in rng.sample(texts, 30)]])
    own = ["abab ab", "a b  c", "HelloWorldFoo", "one o\ntwo o", " x", "12 a3 45", "o 1o2", "foo   "]
    for value in pre_tokenizer_cases():
        pre_tokenizer = step("pre_tokenizer", value)
        cases = [text for text in own + rng.sample(texts, 8) if text]
        steps["pre_tokenizer"].append(
            [value, [[text, [piece for piece, _ in pre_tokenizer.pre_tokenize_str(text)]] for text in cases]])
    for value in decoder_cases():
        decoder = step("decoder", value)
        cases = []
        for _ in range(25):
            tokens = [rng.choice(TOKENS) for _ in range(rng.randint(1, 6))]
            try:
                cases.append([tokens, decoder.decode(tokens)])
            except BaseException as error:  # the library's Strip fails where nothing is left of a token
                if type(error).__name__ != "PanicException":
                    raise
        steps["decoder"].append([value, cases])
    return steps


def thinned(golden):
    """Every third string, a third of the lists: enough for one more kind."""
    golden["encode"] = [ids if i % 3 == 0 else None for i, ids in enumerate(golden["encode"])]
    golden["decode"] = golden["decode"][::3] + golden["decode"][-30:]
    return golden


def write_kinds(texts):
    for seed, name in enumerate(tokenizer_kinds.GOLDEN_KINDS):
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        files, reference = tokenizer_kinds.make_small(name)
        for file, data in files.items():
            (folder / file).write_bytes(data)
        if "tokenizer.json" in files:
            golden = json_golden(Tokenizer.from_file(str(folder / "tokenizer.json")), texts, seed)
        elif reference is not None:
            encoded = [reference.encode(text, allowed_special="all") for text in texts]
            lists = [ids for ids in encoded if ids][::6] + random_lists(60, reference.n_vocab - 2, seed)
            golden = {"encode": encoded, "decode": [[ids, reference.decode(ids)] for ids in lists]}
        else:
            golden = sentencepiece_golden(folder / "tokenizer.model", texts, seed)
        write(folder / "golden.json", thinned(golden))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    texts = make_texts()
    write(OUT / "texts.json", texts)
    write(OUT / "steps.json", make_steps(texts))
    for seed, (name, make) in enumerate(TRAINED.items()):
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        value = json.loads(make().to_str())
        if name in ("llama3", "qwen2"):  # the older way to write merges
            value["model"]["merges"] = [" ".join(pair) for pair in value["model"]["merges"]]
        write(folder / "tokenizer.json", value)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        write(folder / "golden.json", json_golden(tokenizer, texts, seed))
    for seed, (name, options) in enumerate(SENTENCEPIECE.items()):
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        (folder / "tokenizer.model").write_bytes(tokenizer_kinds.train_sentencepiece_model(
            model_type="bpe", character_coverage=0.98, **options))
        write(folder / "golden.json", sentencepiece_golden(folder / "tokenizer.model", texts, seed))
    write_kinds(texts)
    for name, source in (("stories-19m", "stories-19m"), ("stories260k", "stories260k/hf-f32")):
        folder = OUT / name
        folder.mkdir(exist_ok=True)
        source = ROOT / "models" / source
        write(folder / "golden_json.json", json_golden(Tokenizer.from_file(str(source / "tokenizer.json")), texts, 11))
        write(folder / "golden_model.json", sentencepiece_golden(source / "tokenizer.model", texts, 12))


if __name__ == "__main__":
    main()
