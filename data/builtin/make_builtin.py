#!/usr/bin/env python3
"""Makes train.txt, held_out.txt and words.txt from the two sources named in SOURCES.md.

  make_builtin.py WAR_AND_PEACE.txt ../tinystories   (standard library only)

The first argument is the plain text of the book without licence boilerplate.
"""
import collections
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
SEPARATOR = "\n\f\n"
BOOK_BYTES = 1_900  # of one excerpt, about
STORY_BYTES = {"train": 100_000, "held_out": 20_000}
EXCERPTS = {"train": 53, "held_out": 11}


def paragraphs_of(book):
    """The book's paragraphs with lines joined, without headings."""
    for block in re.split(r"\n\s*\n", book):
        text = " ".join(block.split())
        if len(text) > 40 and not text.isupper():
            yield text


def excerpts_of(paragraphs, count):
    """`count` runs of whole paragraphs, evenly through the book, none overlapping another."""
    step = len(paragraphs) // count
    for start in range(step // 2, step * count, step):
        run, size = [], 0
        for paragraph in paragraphs[start:start + step]:
            run.append(paragraph)
            size += len(paragraph)
            if size >= BOOK_BYTES:
                break
        yield "\n\n".join(run)


def stories_of(path, limit):
    size = 0
    stories = [json.loads(line)["text"].strip() for line in open(path, encoding="utf-8")]
    step = max(1, len(stories) * 800 // limit)
    for story in stories[::step]:
        if size + len(story) > limit:
            break
        size += len(story)
        yield story


def interleave(a, b):
    """Both lists spread evenly over the result."""
    keyed = [((i + 0.5) / len(x), k, t) for k, x in enumerate((a, b)) for i, t in enumerate(x)]
    return [text for _, _, text in sorted(keyed)]


def word_counts(text):
    return collections.Counter(re.findall(r"(?<![A-Za-z'])[a-z]+(?:'[a-z]+)?(?![A-Za-z])", text))


def main():
    book = open(sys.argv[1], encoding="utf-8").read()
    stories = pathlib.Path(sys.argv[2])
    total = sum(EXCERPTS.values())
    excerpts = list(excerpts_of(list(paragraphs_of(book)), total))
    every = total // EXCERPTS["held_out"]
    held = excerpts[every // 2::every][:EXCERPTS["held_out"]]
    books = {"held_out": held, "train": [e for e in excerpts if e not in held]}
    files = {"train": "stories_train.jsonl", "held_out": "stories_valid.jsonl"}
    for part in ("train", "held_out"):
        told = list(stories_of(stories / files[part], STORY_BYTES[part]))
        text = SEPARATOR.join(interleave(books[part], told)) + "\n"
        (HERE / f"{part}.txt").write_text(text, encoding="utf-8")

    words = {w for w, n in word_counts(book).items() if n >= 3}
    story_text = "\n".join(json.loads(line)["text"] for name in files.values()
                           for line in open(stories / name, encoding="utf-8"))
    words |= {w for w, n in word_counts(story_text.lower()).items() if n >= 3}
    words = {w for w in words if len(w) > 1 or w in "aio"}
    (HERE / "words.txt").write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")


main()
