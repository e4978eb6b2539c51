"""Scores of a parser by treebank, on the test file of a mixture or on any CoNLL-U with `# treebank = …`.

    python benchmarks/score_treebanks.py pixel-m4-ud data/ud-mixture/test.conllu.gz --output scores.json

Words are those of the treebank, and only the tree and the parts of speech are the parser's. Prints a table:
the share of words with the right part of speech (UPOS), the right head (UAS), and the right head and relation
without its subtype (LAS), of well-formed trees; then the same by language, the mean of its treebanks; then,
where they are published, the figures of UDPipe 2 for release 2.6 with gold tokenization, a model a treebank
with pretrained word embeddings (documentation of its models ud-2.6-200830).  These count relations with
subtypes, and other releases of some treebanks.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from pixel_m4 import load
from pixel_m4.files import replacing
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.splits import evenly

COLUMNS = ("upos", "uas_mst", "las_mst")
PUBLISHED = Path(__file__).with_name("udpipe2.tsv")


def score(model: str, file: Path, most: int | None) -> dict[str, dict[str, float]]:
    """Scores in percent, and the number of test sentences, by treebank.

    Args:
        model: folder or name of the parser.
        file: CoNLL-U.
        most: sentences of a treebank to score; None: all.

    Raises:
        ValueError: the model is no parser.
    """
    annotator = load(model)
    task = annotator.task
    if not isinstance(task, Parsing):
        raise ValueError(f"{model} is for the task {task.name!r}, not for parsing")
    groups: defaultdict[str, list[Any]] = defaultdict(list)
    for sentence in task.read_file(file):
        groups[task.group_of(sentence) or file.name].append(sentence)
    found = {}
    for name, sentences in sorted(groups.items()):
        sentences = evenly(sentences, most)
        sorted_by_length = sorted(sentences, key=lambda sentence: len(sentence.words))
        scores = task.score(sorted_by_length, list(annotator.annotate(sorted_by_length)))
        shares = {column: round(scores[column], 2) for column in COLUMNS if column in scores}
        found[name] = {"sentences": len(sentences), **shares}
    return found


def by_language(scores: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """The sum of a language's sentences and the mean of its treebanks' scores, by language."""
    groups: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for name, each in scores.items():
        groups[name.partition("-")[0]].append(each)
    return {
        language: {
            key: sum(each[key] for each in rows) / (1 if key == "sentences" else len(rows)) for key in rows[0]
        }
        for language, rows in groups.items()
    }


def table(scores: dict[str, dict[str, float]], what: str) -> str:
    """Markdown: a row a treebank or language, and a last one of their means."""
    columns = [column for column in COLUMNS if column in next(iter(scores.values()))]
    names = [column.removesuffix("_mst").upper() for column in columns]
    means = {column: sum(each[column] for each in scores.values()) / len(scores) for column in columns}
    total = {"sentences": sum(each["sentences"] for each in scores.values()), **means}
    lines = [f"| {what} | sentences | {' | '.join(names)} |", "|---|---|" + "---|" * len(columns)]
    for name, each in [*scores.items(), (f"**mean of {len(scores)} {what}s**", total)]:
        shares = " | ".join(f"{each[column]:.1f}" for column in columns)
        lines.append(f"| {name} | {each['sentences']:,.0f} | {shares} |")
    return "\n".join(lines)


def beside(scores: dict[str, dict[str, float]]) -> str:
    """Markdown: the treebanks that have published figures, with these, and the means of both."""
    with PUBLISHED.open(encoding="utf-8", newline="") as stream:
        published = {row["treebank"]: row for row in csv.DictReader(stream, delimiter="\t")}
    names = [name for name in scores if name in published]
    if not names:
        return ""
    lines = ["| treebank | UPOS | UDPipe 2 | UAS | UDPipe 2 | LAS | UDPipe 2 |", "|---" * 7 + "|"]
    sums = [0.0] * 6
    for name in names:
        row = []
        for column in COLUMNS:
            row += [scores[name][column], float(published[name][column.removesuffix("_mst")])]
        sums = [total + value for total, value in zip(sums, row, strict=True)]
        lines.append(f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |")
    means = " | ".join(f"{total / len(names):.1f}" for total in sums)
    return "\n".join([*lines, f"| **mean of {len(names)}** | {means} |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", help="folder or name of the parser")
    parser.add_argument("file", type=Path, help="CoNLL-U, also compressed")
    parser.add_argument(
        "--sentences", type=int, help="score so many of a treebank, evenly taken; default: all"
    )
    parser.add_argument("--output", type=Path, help="also write the scores as JSON, to this file")
    arguments = parser.parse_args()
    start = time.perf_counter()
    scores = score(arguments.model, arguments.file, arguments.sentences)
    print(table(scores, "treebank"))
    print()
    print(table(by_language(scores), "language"))
    if compared := beside(scores):
        print(f"\n{compared}")
    print(f"\n{time.perf_counter() - start:.0f} s")
    if arguments.output is not None:
        with replacing(arguments.output) as scratch:
            scratch.write_text(json.dumps(scores, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
