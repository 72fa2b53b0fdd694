"""Makes tests/golden/parquet: small Parquet files of one table, and its rows as lines of JSON.

    make_parquet_golden.py

Needs pyarrow. The files differ in codec, page version, encoding, sizes of pages and row groups; rows.jsonl is what all of them
hold. nested.parquet holds structs and lists of every nesting (nested.jsonl), rejected_*.parquet what the reader refuses.
hub_*.parquet have the columns of the benchmarks' data sets on the Hub and the items of tests/golden/parity.
"""

import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = pathlib.Path(__file__).resolve().parent.parent.parent / "tests/golden/parquet"

TEXTS = ["", "Once upon a time", None, "naïve — 水", "the same", "the same", "a\nb\t\0c", "the same", None, "x" * 70, "end", "the same"]

ROWS = [{
    "text": text,
    "always": f"row {i}",
    "int32": None if i % 5 == 4 else (-1) ** i * i * 1000003,
    "int64": (-1) ** i * (i << 40),
    "float": None if i % 4 == 1 else i / 8 - 0.5,
    "double": i * 1e100,
    "truth": None if i % 7 == 3 else i % 3 == 0,
    "nothing": None,
    "endings": None if i == 3 else ["", "the same", None, f"ending {i}"][:i % 5],
    "choices": None if i == 6 else {"text": [f"choice {j}" for j in range(i % 4)], "label": list("ABCD")[:i % 4]},
} for i, text in enumerate(TEXTS)]

SCHEMA = pa.schema([
    pa.field("text", pa.string()), pa.field("always", pa.string(), nullable=False), pa.field("int32", pa.int32()),
    pa.field("int64", pa.int64(), nullable=False), pa.field("float", pa.float32()), pa.field("double", pa.float64()),
    pa.field("truth", pa.bool_()), pa.field("nothing", pa.string()), pa.field("endings", pa.list_(pa.string())),
    pa.field("choices", pa.struct([("text", pa.list_(pa.string())), ("label", pa.list_(pa.string()))])),
])

# name: what pyarrow.parquet.write_table is told
FILES = {
    "plain_v1": {"compression": "none", "use_dictionary": False, "data_page_version": "1.0"},
    "plain_v2": {"compression": "none", "use_dictionary": False, "data_page_version": "2.0"},
    "snappy_v1": {"compression": "snappy", "data_page_version": "1.0", "write_page_checksum": True},
    "gzip_v2": {"compression": "gzip", "data_page_version": "2.0", "row_group_size": 5},
    "zstd_v2": {"compression": "zstd", "data_page_version": "2.0", "write_page_checksum": True},
    "pages_v1": {"compression": "zstd", "data_page_version": "1.0", "data_page_size": 1, "write_batch_size": 2,
                 "use_dictionary": ["text", "endings.list.element"]},
}

NESTED = [
    {"deep": None, "people": []},
    {"deep": [], "people": None},
    {"deep": [None, [], [1], [2, None, 3]], "people": [{"name": "Ann", "friends": [{"name": "Bob", "ages": [1, 2]}, None]}]},
    {"deep": [[]], "people": [{"name": None, "friends": None}, None, {"name": "Cy", "friends": []}]},
    {"deep": [[4]], "people": [{"name": "Di", "friends": [{"name": "Ed", "ages": None}, {"name": "Fay", "ages": []}]}] * 3},
]
FRIEND = pa.struct([("name", pa.string()), ("ages", pa.list_(pa.int64()))])
NESTED_SCHEMA = pa.schema([("deep", pa.list_(pa.list_(pa.int64()))),
                           ("people", pa.list_(pa.struct([("name", pa.string()), ("friends", pa.list_(FRIEND))])))])

REJECTED = {
    "codec": ([{"text": "a" * 50}], pa.schema([("text", pa.string())]), {"compression": "lz4"}),
    "encoding": ([{"text": "a"}], pa.schema([("text", pa.string())]),
                 {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}),
    "type": ([{"text": 1}], pa.schema([("text", pa.timestamp("ms"))]), {}),
}


PARITY = FOLDER.parent / "parity"
LABELLED = pa.struct([("text", pa.list_(pa.string())), ("label", pa.list_(pa.string()))])
HUB = {
    "wikitext": pa.schema([("text", pa.string())]),
    "hellaswag": pa.schema([("ind", pa.int32()), *[(name, pa.string()) for name in ("activity_label", "ctx_a", "ctx_b", "ctx")],
                            ("endings", pa.list_(pa.string())),
                            *[(name, pa.string()) for name in ("source_id", "split", "split_type", "label")]]),
    "arc": pa.schema([("id", pa.string()), ("question", pa.string()), ("choices", LABELLED), ("answerKey", pa.string())]),
}
WIKITEXT = ["", " = A day = \n", "", " Once upon a time there was a little girl . She had a dog @-@ and a ball . \n", "", "",
            " = = The end = = \n"]


def hub_hellaswag():
    items = map(json.loads, (PARITY / "hellaswag.jsonl").read_text().splitlines())
    return [dict(ind=i, ctx=f"{item['ctx_a']} {item['ctx_b'].capitalize()}", source_id=f"test~{i}", split="val",
                 split_type="indomain", **item) for i, item in enumerate(items)]


def hub_arc():
    items = map(json.loads, (PARITY / "arc.jsonl").read_text().splitlines())
    return [dict(id=item["id"], question=item["question"]["stem"], answerKey=item["answerKey"],
                 choices={key: [choice[key] for choice in item["question"]["choices"]] for key in ("text", "label")})
            for item in items]


def write(name, rows, schema, **options):
    table = pa.Table.from_pylist(rows, schema=schema)
    pq.write_table(table, FOLDER / name, write_statistics=False, store_schema=False, **options)
    assert pq.read_table(FOLDER / name).to_pylist() == table.to_pylist()


def write_lines(name, rows):
    (FOLDER / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def main():
    FOLDER.mkdir(exist_ok=True)
    for name, options in FILES.items():
        write(f"{name}.parquet", ROWS, SCHEMA, **options)
    write_lines("rows.jsonl", ROWS)
    write("nested.parquet", NESTED, NESTED_SCHEMA)
    write("nested_v2.parquet", NESTED, NESTED_SCHEMA, compression="none", data_page_version="2.0", row_group_size=2)
    write_lines("nested.jsonl", NESTED)
    for name, (rows, schema, options) in REJECTED.items():
        write(f"rejected_{name}.parquet", rows, schema, **{"compression": "none", **options})
    write("hub_wikitext.parquet", [{"text": text} for text in WIKITEXT], HUB["wikitext"])
    write("hub_hellaswag.parquet", hub_hellaswag(), HUB["hellaswag"])
    write("hub_arc_easy.parquet", hub_arc()[:4], HUB["arc"])
    write("hub_arc_challenge.parquet", hub_arc()[4:], HUB["arc"])
    for path in sorted(FOLDER.iterdir()):
        print(path.stat().st_size, path.name)


if __name__ == "__main__":
    main()
