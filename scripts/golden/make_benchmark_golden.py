"""Makes tests/golden/benchmarks: what lm-evaluation-harness's protocol gives on models/stories-19m, item by item.

    make_benchmark_golden.py                                      # items made from data/tinystories
    make_benchmark_golden.py --out FOLDER --hellaswag FILE --arc FILE FILE --items N \
        --test build/release/bin/runtime_test                     # the first N of real data sets (JSONL), and compare

Needs torch and transformers. Writes NAME.jsonl, the items, and NAME.json: for every item the log-likelihood of each choice, the
choices by acc and by acc_norm, and the right one. Made items that are nearer to a tie than rounding are left out; of real ones
`ties` says which. The test BenchmarkGolden compares; it also reads the folder that LLM_QUANTIZE_BENCHMARKS_DIR names, which
--test sets: files of which the names begin with hellaswag or arc.
"""

import argparse
import json
import os
import pathlib
import random
import re
import subprocess

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "models/stories-19m"
ITEMS = 200
TIE = 1e-3  # sums of float32 log-likelihoods differ by less


def preprocess(text):
    """The cleaning of the harness's HellaSwag task."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def hellaswag(item):
    context = item["context"] if "context" in item else \
        f"{item['activity_label']}: {item['ctx_a']} {item['ctx_b'].capitalize()}"
    return preprocess(context), [preprocess(ending) for ending in item["endings"]]


def arc(item):
    if "query" in item:
        return item["query"] + "\nAnswer:", item["choices"]
    return f"Question: {item['question']}\nAnswer:", item["choices"]["text"]


def right(item):
    """The number of the right choice."""
    if "answerKey" in item:
        return item["choices"]["label"].index(item["answerKey"])
    return int(item["label"] if "label" in item else item["gold"])


class Scorer:
    def __init__(self):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
        self.limit = self.model.config.max_position_embeddings

    def encode(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def pair(self, context, continuation):
        """Tokens, at most one more than the context, and how many of them are the continuation."""
        spaces = len(context) - len(context.rstrip())
        if spaces:
            context, continuation = context[:-spaces], context[-spaces:] + continuation
        whole, length = self.encode(context + continuation), len(self.encode(context))
        return whole[-(self.limit + 1):], len(whole) - length

    def score(self, context, choices):
        pairs = [self.pair(context, " " + choice) for choice in choices]
        longest = max(len(tokens) for tokens, _ in pairs)
        batch = torch.tensor([tokens[:-1] + [0] * (longest - len(tokens)) for tokens, _ in pairs])
        logp = torch.log_softmax(self.model(batch).logits, -1)
        return [sum(logp[i, at - 1, tokens[at]].item() for at in range(len(tokens) - count, len(tokens)))
                for i, (tokens, count) in enumerate(pairs)]


def gap(values):
    best = sorted(values)
    return best[-1] - best[-2]


def evaluate(scorer, items, word, leave_out_ties):
    """(items kept, answer)"""
    kept, answer = [], {"log_likelihoods": [], "chosen": [], "chosen_norm": [], "right": [], "ties": []}
    for item in items:
        context, choices = word(item)
        sums = scorer.score(context, choices)
        normed = [value / len(choice) for value, choice in zip(sums, choices)]
        if min(gap(sums), gap(normed)) < TIE:
            if leave_out_ties:
                continue
            answer["ties"].append(len(kept))
        kept.append(item)
        answer["log_likelihoods"].append([round(value, 4) for value in sums])
        answer["chosen"].append(sums.index(max(sums)))
        answer["chosen_norm"].append(normed.index(max(normed)))
        answer["right"].append(right(item))
    return kept, answer


def made_items():
    """HellaSwag's: what comes next in a story, with the data set's marks. ARC's: which sentence holds a word."""
    generator = random.Random(1)
    lines = (ROOT / "data/tinystories/stories_valid.jsonl").read_text().splitlines()
    stories = [re.findall(r"[^.!?]+[.!?]+[\"']?", json.loads(line)["text"].replace("\n", " ")) for line in lines]
    stories = [[sentence.strip() for sentence in story] for story in stories if len(story) > 6]
    sentences = [sentence for story in stories for sentence in story if 20 < len(sentence) < 120]
    marks = ["", "", "[header] ", "[step] ", "[substeps] [a] "]
    continued, asked = [], []
    for i in range(2 * ITEMS):
        story = generator.choice(stories)
        at = generator.randrange(2, min(len(story), 25))
        begin = 0 if i % 10 == 0 else max(0, at - 3)  # some are longer than the model's context
        context = f" [title] {generator.choice(marks)}".join([" ".join(story[begin:at - 1]), story[at - 1]])
        words = story[at].split(" ")
        split = min(generator.randrange(0, 4), len(words) - 1)
        endings = generator.sample(sentences, 3)
        label = generator.randrange(4)
        endings.insert(label, " ".join(words[split:]))
        endings[(label + 1) % 4] += generator.choice(["", " ", " [step]", "\u00a0", "  é 水"])
        continued.append(dict(ind=i, activity_label=generator.choice(["Playing", "Going home\u2019s", "A  long day"]), ctx_a=context,
                              ctx_b=" ".join(words[:split]), endings=endings, label=str(label)))
        choices = generator.sample(sentences, generator.choice([3, 4, 4, 4, 5]))
        label = generator.randrange(len(choices))
        labels = generator.choice(["ABCDE", "12345"])[:len(choices)]
        word = max(choices[label].split(" "), key=len).strip(".,!?\"'")
        asked.append(dict(id=str(i), question=f"Which sentence has the word \"{word}\" in it?", answerKey=labels[label],
                          choices=dict(text=choices, label=list(labels))))
    return continued, asked


def write(folder, name, items, answer):
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items))
    (folder / f"{name}.json").write_text(json.dumps(answer) + "\n")
    print(name, len(items), "items,", len(answer["ties"]), "nearer to a tie than", TIE)


def write_made(scorer, folder, count):
    for name, word, items in zip(("hellaswag", "arc"), (hellaswag, arc), made_items()):
        items, answer = evaluate(scorer, items, word, leave_out_ties=True)
        write(folder, name, items[:count], {key: values[:count] for key, values in answer.items()})


def write_real(scorer, folder, files, count):
    for path, word in files:
        lines = path.read_text().splitlines()[:count]
        write(folder, path.stem, *evaluate(scorer, [json.loads(line) for line in lines], word, leave_out_ties=False))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/benchmarks")
    parser.add_argument("--items", type=int, default=ITEMS)
    for name in ("--hellaswag", "--arc"):
        parser.add_argument(name, type=pathlib.Path, nargs="+", default=[])
    parser.add_argument("--test", type=pathlib.Path, help="the program runtime_test, to compare with")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    files = [(path, hellaswag) for path in arguments.hellaswag] + [(path, arc) for path in arguments.arc]
    if files:
        write_real(Scorer(), arguments.out, files, arguments.items)
    else:
        write_made(Scorer(), arguments.out, arguments.items)
    if arguments.test:
        subprocess.run([arguments.test, "--gtest_filter=BenchmarkGolden.RealDataSets"], check=True,
                       env=os.environ | {"LLM_QUANTIZE_BENCHMARKS_DIR": str(arguments.out.resolve())})


if __name__ == "__main__":
    with torch.no_grad():
        main()
