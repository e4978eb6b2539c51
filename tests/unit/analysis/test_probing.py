"""The analysis by probing: its table, and how it goes on after a stop."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.analysis import probing
from pixel_m4.analysis.classifiers import Probed, Words, majority, ngram_model, numbered, read_task
from pixel_m4.analysis.states import Running
from pixel_m4.cli.main import main
from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError


def write(folder: Path, lines: dict[str, list[str]]) -> Path:
    folder.mkdir(parents=True)
    for split, content in lines.items():
        (folder / f"{split}.txt").write_text("\n".join(content) + "\n", encoding="utf-8")
    return folder


def made_up(kind: int) -> list[str]:
    """Words whose ending tells the label."""
    stems = ["kat", "dom", "les", "rek", "pol", "nos", "luk", "sad"]
    return [
        f"{stem}{'a' * kind}{'um' if n % 2 else 'es'}\t{'X' if n % 2 else 'Y'}"
        for n, stem in enumerate(stems)
    ]


def test_reading_and_simple_controls(tmp_path: Path) -> None:
    content = {split: made_up(kind) for kind, split in enumerate(("train", "dev", "test"))}
    content["test"].append("a b c\tZ")
    words = read_task(write(tmp_path / "Case" / "latin", content))
    assert words["test"].texts[-1] == "a b c"
    classes, labels = numbered(words)
    assert classes == ["X", "Y"]
    assert labels["test"].tolist() == [1, 0] * 4 + [-1]
    assert majority({**words, "train": Words(["a", "b", "c"], ["Y", "X", "Y"])}).test == pytest.approx(4 / 9)
    assert ngram_model(words).test == pytest.approx(8 / 9)
    (tmp_path / "Case" / "latin" / "dev.txt").write_text("word\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"dev.txt:1: 'word' has no label"):
        read_task(tmp_path / "Case" / "latin")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = {split: made_up(kind) * 3 for kind, split in enumerate(("train", "dev", "test"))}
    write(tmp_path / "d" / "Case" / "latin", content)
    write(tmp_path / "d" / "Case" / "greek", content)
    output = tmp_path / "out"
    command = ["analyze", "probe", "pixel-m4-tiny", "--data_dir", str(tmp_path / "d"), "--device", "cpu"]
    command += ["--languages", "latin", "--output_dir", str(output), "--layers", "0", "-1"]
    assert main(command) == 0
    with (output / "probing.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    kinds = [row["representation"] for row in rows]
    assert kinds == [
        *("trained", "trained", "shuffled labels", "shuffled labels", "random weights", "random weights"),
        *("mean patch", "character n-grams", "most frequent label"),
    ]
    assert {row["language"] for row in rows} == {"latin"}
    assert max(float(row["test"]) for row in rows[:2]) > 0.8
    assert "Case, latin: accuracy on test" in capsys.readouterr().out
    assert main([*command[:-4], str(output / "x"), "--tasks", "POS"]) == 1
    assert "has no task 'POS'; it has Case" in capsys.readouterr().err


def test_a_stopped_analysis_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {split: made_up(kind) * 3 for kind, split in enumerate(("train", "dev", "test"))}
    for language in ("greek", "latin"):
        write(tmp_path / "d" / "Case" / language, content)
    probed: list[int] = []

    def stopped_at(number: int) -> None:
        def all_of(*args: Any) -> Iterator[tuple[str, int | None, Probed]]:
            probed.append(len(probed))
            if len(probed) == number:
                raise KeyboardInterrupt
            yield "trained", 0, Probed(0.5, 0.25, 0.0)

        monkeypatch.setattr(probing, "_probe_all", all_of)

    def analyze(**changed: Any) -> list[dict[str, Any]]:
        return probing.analyze_probe(
            "pixel-m4-tiny", tmp_path / "d", tmp_path / "out", running=Running(device="cpu"), **changed
        )

    stopped_at(2)
    with pytest.raises(KeyboardInterrupt):
        analyze()
    assert not (tmp_path / "out" / "probing.csv").exists()
    with pytest.raises(UserError, match="other settings, words or weights"):
        analyze(layers=[0])
    stopped_at(0)
    assert [row["language"] for row in analyze()] == ["greek", "latin"]
    assert len(probed) == 3
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"probing.csv", "probing.png", "probing.svg", "settings.json"}
    # Other words under the same name are another analysis.
    stopped_at(5)
    with pytest.raises(KeyboardInterrupt):
        analyze(overwrite=True)
    (tmp_path / "d" / "Case" / "latin" / "dev.txt").write_text("word\tX\n", encoding="utf-8")
    stopped_at(0)
    analyze(overwrite=True)
    assert len(probed) == 7
