"""Probing: known answers, one classifier at a time as the oracle, and scikit-learn beside it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from pixel_m4.analysis import run as analysis
from pixel_m4.analysis.probing import (
    Probed,
    ProbeSettings,
    Words,
    majority,
    ngram_model,
    numbered,
    probe,
    read_task,
)
from pixel_m4.cli.main import main
from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError

SIZES = {"train": 2000, "dev": 300, "test": 300}


def planted(strength: float, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two layers: in the second one a direction tells the class."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(3, 8))
    states, labels = {}, {}
    for split, count in SIZES.items():
        labels[split] = generator.integers(0, 3, count)
        noise = generator.normal(size=(2, count, 8))
        noise[1] += strength * directions[labels[split]]
        states[split] = noise.astype(np.float32)
    return states, labels


def test_a_planted_feature_is_found_and_chance_is_chance() -> None:
    states, labels = planted(2.0)
    without, with_it = probe(states, labels, 3)
    assert with_it.test > 0.95
    assert abs(without.test - 1 / 3) < 0.1
    unknown = {**labels, "test": np.full(300, -1)}
    assert all(found.test == 0 for found in probe(states, unknown, 3))


def test_against_scikit_learn() -> None:
    differences = []
    for seed in range(5):
        states, labels = planted(0.7, seed)
        reference = LogisticRegression(C=10).fit(states["train"][1], labels["train"])
        expected = reference.score(states["test"][1], labels["test"])
        differences.append(probe(states, labels, 3)[1].test - expected)
    assert abs(np.mean(differences)) < 0.02
    assert np.abs(differences).max() < 0.04


def test_all_together_are_as_one_alone() -> None:
    """Layers and decays are trained at once, and stop apart."""
    states, labels = planted(0.5)
    settings = ProbeSettings(passes=24, score_every=2, patience=2)
    found = probe(states, labels, 3, settings)
    for layer in range(2):
        best = (-1.0, 0.0, 0.0)
        for decay in settings.decays:
            torch.manual_seed(settings.seed)
            model = nn.Linear(8, 3)
            optimizer = torch.optim.Adam(model.parameters(), lr=settings.rate, weight_decay=decay)
            data = {split: torch.from_numpy(values[layer]) for split, values in states.items()}
            targets = {split: torch.from_numpy(values) for split, values in labels.items()}
            dev, test, waiting = -1.0, 0.0, 0
            for done in range(1, settings.passes + 1):
                for chosen in torch.randperm(2000).split(settings.batch_size):
                    optimizer.zero_grad()
                    F.cross_entropy(model(data["train"][chosen]), targets["train"][chosen]).backward()
                    optimizer.step()
                if done % 2 == 0:
                    now = [
                        float((model(data[split]).argmax(1) == targets[split]).float().mean())
                        for split in ("dev", "test")
                    ]
                    waiting = 0 if now[0] > dev else waiting + 1
                    dev, test = now if now[0] > dev else (dev, test)
                    if waiting == settings.patience:
                        break
            best = max(best, (dev, test, decay), key=lambda each: each[0])
        assert found[layer].dev == pytest.approx(best[0])
        assert found[layer].test == pytest.approx(best[1])


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

        monkeypatch.setattr(analysis, "_probe_all", all_of)

    def analyze(**changed: Any) -> list[dict[str, Any]]:
        return analysis.analyze_probe(
            "pixel-m4-tiny", tmp_path / "d", tmp_path / "out", device="cpu", **changed
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
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["probing.csv", "settings.json"]
    # Other words under the same name are another analysis.
    stopped_at(5)
    with pytest.raises(KeyboardInterrupt):
        analyze(overwrite=True)
    (tmp_path / "d" / "Case" / "latin" / "dev.txt").write_text("word\tX\n", encoding="utf-8")
    stopped_at(0)
    analyze(overwrite=True)
    assert len(probed) == 7
