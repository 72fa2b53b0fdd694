"""Small tokenizers of every kind that src/text reads, trained on data/tinystories with the libraries "tokenizers" and
"sentencepiece": for scripts/golden/make_tokenizer_golden.py and scripts/golden/tokenizer_fuzz.py.

Each is a function of the wanted vocabulary size; a small one keeps golden files small. Some trainers number tokens in no
fixed order, so that another run gives other files, as good as those before.
"""

import base64
import json
import pathlib
import tempfile

import sentencepiece
import tiktoken
from sentencepiece import sentencepiece_model_pb2
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                        trainers)

ROOT = pathlib.Path(__file__).resolve().parents[2]

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CLIP = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
RULES = "FF21\t0041\nFF22\t0042\nFB01\t0066 0069\nAD\t\n9\t20\nA\t20\nA0\t20\n3000\t20\n65 301\tE9\n3300\t30A2 30D1 30FC 30C8\n"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


# ------------------------------------------------------------------------------------------------------ training

WORDS = ("the little dog ran Home and SAID Hello world's don't I'LL we'VE it'S they're you'd I'm 'tis O'Neil "
         "x=1 a+b {json} [list] <tag> http://a.b/c?d=e&f email@host.org 3.14 1,000,000 12345678901 0x7F 1st 2nd "
         "naïve café Ångström ﬁne ﬂow ﬀ ſet 'ſ Straße STRASSE İstanbul ıǅ "
         "Привет мир Здравствуй, Ελληνικά σίγμας ΣΑΣ עברית שלום العربية مرحبا بالعالم हिन्दी नमस्ते क्षत्रिय ไทยสวัสดี "
         "中文字符 你好，世界。 漢字かな カタカナ ﾊﾝｶｸ 한국어 안녕하세요 한글 ქართული Հայերեն አማርኛ தமிழ் བོད་ "
         "😀 👍🏽 👨‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️ ☺ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 𝔘𝔫𝔦 𝟘𝟙𝟚 𐍈 𠀀𪛖 "
         "e\u0301 e\u0300\u0323 a\u030a \u1e9b\u0323 \u0958 \u212b \u2126 \u00bd \u00b2 \u2460 \u2167 \u3007 \u0661\u0662\u0663 "
         "\uff11\uff12 \u0e51\u0e52 \u2075 \u24b6 \ufb01 \u3300 \ufdfa \uff21\uff22 "
         "— – … “quoted” ‘single’ ’s «guillemets» ¿qué? ¡sí! № ™ © ¥ € £ ^_^ (╯°□°) ### *** --- === ... !!! ??? "
         "_under_score camelCase snake_case CONST_NAME a\u200bb a\u200db a\u00adb \ufeff \u2581 \u2581x x\u2581y "
         "\x00 \x01 \x7f \u0080 \ufffd \ufffe \U0010ffff \ue000").split(" ")


def stories():
    lines = open(ROOT / "data/tinystories/stories_valid.jsonl", encoding="utf-8")
    return [json.loads(line)["text"] for line in lines]


CORPUS = None


def corpus():
    """Stories, and some of the strings, so that other scripts have merges too."""
    global CORPUS
    if CORPUS is None:
        CORPUS = stories()[22:] + [" ".join(WORDS)] * 6 + ["    \n\n   \t  " * 3] * 5
    return CORPUS


def split(regex):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated", invert=False),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def train_sentencepiece_model(rules=None, **options):
    """The bytes of a tokenizer.model."""
    with tempfile.TemporaryDirectory() as folder:
        if rules is not None:
            path = pathlib.Path(folder) / "rules.tsv"
            path.write_text(rules, encoding="utf-8")
            options["normalization_rule_tsv"] = str(path)
        text = [line for document in corpus() for line in document.split("\n") if line]
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_prefix=f"{folder}/m", minloglevel=2,
                                                 num_threads=1, **options)
        return (pathlib.Path(folder) / "m.model").read_bytes()


def charsmap(**options):
    """The compiled character rules of a SentencePiece model."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(train_sentencepiece_model(vocab_size=300, model_type="bpe", character_coverage=0.98, **options))
    return bytes(model.normalizer_spec.precompiled_charsmap)


def trained(tokenizer, trainer):
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def bpe(tokenizer, vocab, specials, **options):
    return trained(tokenizer, trainers.BpeTrainer(vocab_size=vocab, special_tokens=specials, show_progress=False, **options))


def byte_level(vocab, pre_tokenizer, specials=("<|endoftext|>",), normalizer=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    suffix = {name: value for name, value in options.items() if name == "end_of_word_suffix"}
    return bpe(tokenizer, vocab, list(specials), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), **suffix)


def unigram(vocab, specials, normalizer, pre_tokenizer, unk="<unk>"):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.Metaspace()
    return trained(tokenizer, trainers.UnigramTrainer(vocab_size=vocab, special_tokens=specials, unk_token=unk,
                                                      show_progress=False))


def wrapped(tokenizer, first, last):
    ids = [(name, tokenizer.token_to_id(name)) for name in (first, last)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}", special_tokens=ids)
    return tokenizer


# ---------------------------------------------------------------------------------------------- tokenizer.json

def unigram_t5(vocab, rules=None):
    """T5: Precompiled rules (nmt_nfkc), Metaspace, an end token. The rules that ship with the library are 300 KB."""
    rules = charsmap(rules=rules) if rules else charsmap(normalization_rule_name="nmt_nfkc")
    tokenizer = unigram(vocab, ["<pad>", "</s>", "<unk>", "<extra_id_0>"],
                        normalizers.Sequence([normalizers.Precompiled(rules), normalizers.Replace(Regex(" {2,}"), " ")]),
                        pre_tokenizers.Metaspace(prepend_scheme="always"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", tokenizer.token_to_id("</s>"))])
    return tokenizer


def unigram_bytes(vocab):
    """llm-jp, later T5s: bytes for the unknown, no cut between words."""
    tokenizer = unigram(vocab, ["<unk>", "<s>", "</s>", *BYTES], normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]), pre_tokenizers.Split("\u2581", "merged_with_next"))
    value = json.loads(tokenizer.to_str())
    value["model"]["byte_fallback"] = True
    value["pre_tokenizer"] = None
    tokenizer = Tokenizer.from_str(json.dumps(value))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    return tokenizer


def unigram_albert(vocab):
    """ALBERT, XLNet: quotes, accents and case removed before SentencePiece's rules."""
    tokenizer = unigram(vocab, ["<pad>", "<unk>", "[CLS]", "[SEP]"], normalizers.Sequence(
        [normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(),
         normalizers.Lowercase(), normalizers.Precompiled(charsmap(rules=RULES))]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]))
    tokenizer = wrapped(tokenizer, "[CLS]", "[SEP]")
    tokenizer.add_special_tokens([AddedToken("[MASK]", lstrip=True, normalized=False)])
    return tokenizer


def unigram_nmt(vocab):
    """Nmt, and words cut at borders of scripts too."""
    return unigram(vocab, ["<unk>"], normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC()]), pre_tokenizers.Sequence(
        [pre_tokenizers.UnicodeScripts(), pre_tokenizers.Metaspace(prepend_scheme="always", split=True)]))


def wordpiece(vocab, normalizer, **options):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(cleanup=True)
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer = trained(tokenizer, trainers.WordPieceTrainer(vocab_size=vocab, special_tokens=specials, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", tokenizer.token_to_id("[SEP]")),
                                                         ("[CLS]", tokenizer.token_to_id("[CLS]")))
    return tokenizer


def bert_uncased(vocab):
    return wordpiece(vocab, normalizers.BertNormalizer())


def bert_cased(vocab):
    tokenizer = wordpiece(vocab, normalizers.BertNormalizer(lowercase=False, strip_accents=False, clean_text=True,
                                                            handle_chinese_chars=False), max_input_chars_per_word=9)
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def word_level(vocab):
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    return trained(tokenizer, trainers.WordLevelTrainer(vocab_size=vocab, special_tokens=["<unk>", "<s>"], show_progress=False))


def clip(vocab):
    """Words marked at their end, text rewritten before."""
    tokenizer = byte_level(vocab, pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
                                                           pre_tokenizers.ByteLevel(add_prefix_space=False)]),
                           ["<|startoftext|>", "<|endoftext|>"],
                           normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "),
                                                 normalizers.Lowercase()]),
                           unk_token="<|endoftext|>", end_of_word_suffix="</w>")
    tokenizer.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), trim_offsets=False,
                                                            add_prefix_space=False)
    return tokenizer


def gpt1(vocab):
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=False, strip_accents=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    return bpe(tokenizer, vocab, ["<unk>"], end_of_word_suffix="</w>", limit_alphabet=200)


def bpe_prefix(vocab):
    """Parts of words marked at their begin, as WordPiece does."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##", fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return bpe(tokenizer, vocab, ["<unk>"], continuing_subword_prefix="##", limit_alphabet=200)


def roberta(vocab):
    tokenizer = byte_level(vocab, pre_tokenizers.ByteLevel(add_prefix_space=True), ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, normalized=False)])
    return tokenizer


def falcon(vocab):
    return byte_level(vocab, pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")]))


def deepseek(vocab):
    return byte_level(vocab, pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"),
        pre_tokenizers.Split(Regex(r"[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                                   r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))


def bloom(vocab):
    """An expression with a class inside a class."""
    return byte_level(vocab, split(r" ?[^(\s|[.,!?…。，、।۔،])]+"))


def scripts(vocab):
    """Kimi's way with Chinese, and other scripts by name."""
    return byte_level(vocab, split(r"[\p{Han}]+|\p{Hiragana}+|\p{Greek}[\p{Greek}\s]*|[^\p{Han}\r\n\p{N}]?\p{L}+|\p{N}{1,3}|\s+"))


def gpt4o(vocab):
    return byte_level(vocab, split(GPT4O), ignore_merges=True)


def command_r(vocab):
    return byte_level(vocab, pre_tokenizers.Sequence([pre_tokenizers.Digits(True), pre_tokenizers.ByteLevel(False)]),
                      ["<PAD>", "<BOS_TOKEN>"], normalizers.NFC())


def byte_normalizer(vocab):
    """Bytes written by a normalizer, not by a pre-tokenizer."""
    tokenizer = byte_level(vocab, pre_tokenizers.Split(Regex("\u0120?[^\u0120]+"), "isolated"), normalizer=normalizers.ByteLevel())
    tokenizer.add_tokens(["Tool"])
    return tokenizer


def gemma(vocab):
    """Words cut before their space is made visible; runs of white space are added tokens."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = bpe(tokenizer, vocab, ["<pad>", "<eos>", "<bos>", "<unk>", *BYTES])
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in ("\n\n", "\t\t", "\u2581" * 4, "<table>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    return tokenizer


def delimiter(vocab):
    """Pieces of six characters between commas."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.CharDelimiterSplit(","), pre_tokenizers.FixedLength(6)])
    return bpe(tokenizer, vocab, ["<unk>"], limit_alphabet=200)


JSON_KINDS = {
    "unigram-t5": unigram_t5, "unigram-bytes": unigram_bytes, "unigram-albert": unigram_albert,
    "unigram-nmt": unigram_nmt, "bert-uncased": bert_uncased, "bert-cased": bert_cased, "word-level": word_level,
    "clip": clip, "gpt1": gpt1, "bpe-prefix": bpe_prefix, "roberta": roberta, "falcon": falcon, "deepseek": deepseek, "bloom": bloom,
    "scripts": scripts,    "gpt-4o": gpt4o, "command-r": command_r, "byte-normalizer": byte_normalizer, "gemma": gemma, "delimiter": delimiter}

# ---------------------------------------------------------------------------------------------- tokenizer.model

SENTENCEPIECE_KINDS = {
    "sp-unigram": dict(model_type="unigram", character_coverage=0.98, control_symbols=["<sep>"],
                       normalization_rule_name="nmt_nfkc"),
    "sp-unigram-bytes": dict(model_type="unigram", byte_fallback=True, character_coverage=0.98, split_digits=True,
                             user_defined_symbols=["<tool>", "[X]", "ing"], normalization_rule_name="identity",
                             remove_extra_whitespaces=False),
    "sp-unigram-cf": dict(model_type="unigram", character_coverage=0.98, normalization_rule_name="nmt_nfkc_cf",
                          split_by_whitespace=False, treat_whitespace_as_suffix=True),
    "sp-bpe-nfkc": dict(model_type="bpe", byte_fallback=True, character_coverage=0.98, split_digits=True,
                        normalization_rule_name="nmt_nfkc", user_defined_symbols=["<tool>"]),
    "sp-bpe-cross": dict(model_type="bpe", character_coverage=0.98, split_by_whitespace=False,
                         normalization_rule_name="nfkc"),
}

# -------------------------------------------------------------------------------------------------- tiktoken

TIKTOKEN_KINDS = {"tiktoken-llama3": ("tokenizer.model", LLAMA3, "PreTrainedTokenizerFast"),
                  "tiktoken-qwen": ("qwen.tiktoken", LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}"), "QWenTokenizer")}


def byte_of_character():
    """The byte alphabet backwards."""
    same = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    other = [byte for byte in range(256) if byte not in same]
    return {**{chr(byte): byte for byte in same}, **{chr(256 + i): byte for i, byte in enumerate(other)}}


def tiktoken_ranks(tokenizer_json):
    """{bytes: rank} of a byte-level tokenizer.json whose vocabulary is ordered by merges, specials left out."""
    table = byte_of_character()
    added = {token["content"] for token in tokenizer_json.get("added_tokens", [])}
    tokens = sorted((id, token) for token, id in tokenizer_json["model"]["vocab"].items() if token not in added)
    return {bytes(table[c] for c in token): rank for rank, (_, token) in enumerate(tokens)}


def tiktoken_file(ranks):
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items())


def tiktoken_files(ranks, name, tokenizer_class):
    """The files, and the two special tokens that tokenizer_config.json names."""
    specials = {"<|first|>": len(ranks), "<|im_end|>": len(ranks) + 1}
    config = {"tokenizer_class": tokenizer_class, "added_tokens_decoder": {
        str(id): {"content": text, "special": True} for text, id in specials.items()}}
    return {name: tiktoken_file(ranks), "tokenizer_config.json": json.dumps(config).encode()}, specials


# ---------------------------------------------------------------------------------- small ones, for golden files

SMALL_JSON = {"unigram-t5": lambda: unigram_t5(400, RULES), "unigram-bytes": lambda: unigram_bytes(700),
              "bert-uncased": lambda: bert_uncased(500), "bert-cased": lambda: bert_cased(500),
              "word-level": lambda: word_level(300), "clip": lambda: clip(600), "gpt1": lambda: gpt1(400),
              "bpe-prefix": lambda: bpe_prefix(500), "byte-normalizer": lambda: byte_normalizer(400)}
SMALL_SENTENCEPIECE = {"sp-unigram": dict(vocab_size=400, model_type="unigram", character_coverage=0.98, rules=RULES,
                                          control_symbols=["<sep>"], user_defined_symbols=["<tool>", "[X]"]),
                       "sp-unigram-bytes": dict(vocab_size=700, **SENTENCEPIECE_KINDS["sp-unigram-bytes"])}
GOLDEN_KINDS = [*SMALL_JSON, *SMALL_SENTENCEPIECE, *TIKTOKEN_KINDS]


def make_small(name):
    """The files of a tokenizer and, for tiktoken, the reference."""
    if name in SMALL_JSON:
        return {"tokenizer.json": SMALL_JSON[name]().to_str().encode()}, None
    if name in SMALL_SENTENCEPIECE:
        return {"tokenizer.model": train_sentencepiece_model(**SMALL_SENTENCEPIECE[name])}, None
    file, pattern, tokenizer_class = TIKTOKEN_KINDS[name]
    ranks = tiktoken_ranks(json.loads(byte_level(600, split(pattern)).to_str()))
    files, specials = tiktoken_files(ranks, file, tokenizer_class)
    return files, tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)
