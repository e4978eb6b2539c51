"""Retrieval of translations: known answers, and a slow oracle."""

from __future__ import annotations

import csv
import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from pixel_m4.analysis.retrieval import RANKS, read_parallel, retrieve, similarities_of
from pixel_m4.cli.main import main


def test_a_copy_is_found_and_random_vectors_are_chance() -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(300, 20)).astype(np.float32)
    for found in retrieve({"a": rows + 5, "b": 3 * rows + 5}):  # scale and the common mean are taken away
        assert found.recall[1] > 0.99
    for found in retrieve({"a": rows, "b": rows.copy()}):
        assert dict(found.recall) == {1: 1.0, 5: 1.0, 10: 1.0}
        assert found.reciprocal_rank == 1
    chance = retrieve({name: generator.normal(size=(1000, 20)) for name in "abc"})
    assert len(chance) == 6
    for k in RANKS:
        mean = np.mean([found.recall[k] for found in chance])
        assert abs(mean - k / 1000) < 4 * (k / 1000 / 6000) ** 0.5
    # What is all alike finds nothing: the translation is the last of those that are equally near.
    for found in retrieve({"a": np.ones((50, 3)), "b": np.ones((50, 3))}):
        assert found.recall[10] == 0


def test_against_a_slow_oracle() -> None:
    generator = np.random.default_rng(1)
    vectors = {name: generator.normal(size=(40, 5)) + generator.normal(size=5) for name in ("x", "y", "z")}
    vectors["y"] = vectors["x"] + 0.3 * generator.normal(size=(40, 5))
    mean = sum(row for rows in vectors.values() for row in rows) / 120
    for found, (source, target) in zip(retrieve(vectors), permutations(vectors, 2), strict=True):
        ranks = []
        for number in range(40):
            asked = vectors[source][number] - mean
            near = [
                float(asked @ (row - mean)) / np.linalg.norm(asked) / np.linalg.norm(row - mean)
                for row in vectors[target]
            ]
            ranks.append(sorted(near, reverse=True).index(near[number]) + 1)
        assert (found.source, found.target) == (source, target)
        assert found.recall == {k: pytest.approx(sum(rank <= k for rank in ranks) / 40) for k in RANKS}
        assert found.reciprocal_rank == pytest.approx(sum(1 / rank for rank in ranks) / 40)
        similar, others = np.zeros(40, int), np.zeros(40, int)
        for number, row in enumerate(vectors[source] - mean):
            for other, column in enumerate(vectors[target] - mean):
                cosine = float(row @ column) / np.linalg.norm(row) / np.linalg.norm(column)
                (similar if number == other else others)[int((cosine + 1) * 20)] += 1
        assert found.similar.tolist() == similar.tolist()
        assert found.others.tolist() == others.tolist()


def test_similarities_are_shares() -> None:
    rows = np.eye(4) - 0.25
    found = retrieve({"a": rows, "b": rows})
    histogram = similarities_of(found, layer=3)
    assert [row["layer"] for row in histogram] == [3] * 40
    assert sum(row["translations"] for row in histogram) == pytest.approx(1)
    assert histogram[-1] == {"layer": 3, "from": 0.95, "to": 1.0, "translations": 1.0, "others": 0.0}
    assert [row["from"] for row in histogram if row["others"]] == [-0.35]  # −1/3


def write(folder: Path, language: str, rows: dict[int, str]) -> None:
    (folder / language).mkdir(parents=True)
    lines = [f"{number}\tscience\t{text}" for number, text in rows.items()]
    text = "\n".join(["index_id\tcategory\ttext", *lines, ""])
    (folder / language / "train.tsv").write_text(text, encoding="utf-8")


def test_the_command_aligns_and_leaves_a_tidy_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["cat", "dog", "house", "tree", "river", "stone", "bread", "light"]
    write(tmp_path / "d", "aa", {number: f"{word} {number}" for number, word in enumerate(words)})
    write(tmp_path / "d", "bb", {n: f"{words[n]} {n}" for n in (7, 5, 3, 1, 0, 2, 4)})
    texts = read_parallel(tmp_path / "d", ["aa", "bb"], "train")
    assert texts["aa"] == texts["bb"]
    assert len(texts["aa"]) == 7
    output = tmp_path / "out"
    command = ["analyze", "retrieval", "pixel-m4-tiny", "--data_dir", str(tmp_path / "d"), "--languages"]
    command += ["aa", "bb", "--output_dir", str(output), "--layers", "1", "-1", "--device", "cpu"]
    assert main(command) == 0
    assert "7 sentences a language" in " ".join(capsys.readouterr().out.split())
    with (output / "retrieval.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * 2 * 2  # trained and random weights, layers, directions
    assert {row["layer"] for row in rows} == {"1", "4"}
    assert all(row["recall@1"] == "1.0" for row in rows)
    assert json.loads((output / "settings.json").read_text())["sentences"] == 7
    figures = {f"retrieval{part}{end}" for part in ("", ".matrix", ".similarity") for end in (".png", ".svg")}
    assert {*figures, "retrieval.similarity.csv"} < {path.name for path in output.iterdir()}
    assert main(command) == 1
    assert "is there already; --overwrite" in capsys.readouterr().err
    assert main([*command[:6], "aa", "--output_dir", str(output / "x")]) == 1
    assert "at least two languages" in capsys.readouterr().err
