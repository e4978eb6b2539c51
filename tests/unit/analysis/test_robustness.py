"""The command: rows, settings, and wrong options."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pixel_m4 import PixelConfig, PixelForSequenceClassification, TextRenderer
from pixel_m4.cli.main import main
from pixel_m4.tasks.classification import Classification

LINES = "\n".join(
    f"{number}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_"
    for number, (word, tag, head, relation) in enumerate(
        [("Little", "ADJ", 2, "amod"), ("children", "NOUN", 3, "nsubj"), ("sleep", "VERB", 0, "root")], 1
    )
)


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """The command on a small treebank, up to its output folder and what follows."""
    file = tmp_path / "test.conllu"
    file.write_text(f"{LINES}\n\n" * 4, encoding="utf-8")
    return ["analyze", "robustness", "pixel-m4-ud", "--data", str(file), "--device", "cpu", "--output_dir"]


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "robustness.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_rows_of_attacks_and_strengths(
    tmp_path: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    command += [str(output), "--attacks", "truncate", "intrude", "font_size", "--strengths", "0", "1"]
    command += ["--sentences", "3", "--font_sizes", "4"]
    assert main(command) == 0
    assert "truncate                     1: las" in capsys.readouterr().out
    rows = read_rows(output)
    assert [(row["attack"], row["strength"]) for row in rows] == [
        *(("truncate", "0.0"), ("truncate", "1.0"), ("intrude", "0.0"), ("intrude", "1.0")),
        *(("font_size", "0.0"), ("font_size", "1.0")),
    ]
    assert [row["words_changed"] for row in rows] == ["0.0", "1.0", "0.0", "1.0", "0.0", "0.0"]
    assert [float(row["patches_changed"]) > 0 for row in rows] == [False, True] * 3
    assert rows[0]["upos"] == rows[2]["upos"] == rows[4]["upos"]
    assert float(rows[0]["las"]) > float(rows[1]["las"])
    assert float(rows[4]["las"]) > float(rows[5]["las"])
    settings = json.loads((output / "settings.json").read_text())
    assert settings["names"] == ["truncate", "intrude", "font_size"]
    assert settings["font_sizes"] == [4]
    assert main(command) == 1
    assert "is there already; --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--attacks swap", "there is no attack 'swap'; there are full_swap"),
        ("--seed -1", "--seed must be from 0 to 4294967295, got -1"),
        ("--strengths 0 2", "a strength is from 0 to 1, got 2"),
        ("--sentences 0", "--sentences must be at least 1, got 0"),
        ("--per_device_eval_batch_size 0", "batch_size must be at least 1, got 0"),
        ("--attacks segmentation", "segmentation makes one word of two"),
        ("--attacks natural_typo", "natural_typo needs --typos"),
        ("--attacks font_swap", "font_swap needs --fonts"),
        ("--attacks font_size", "font_size needs --font_sizes"),
        ("--attacks truncate --font_sizes 7", "--font_sizes is for the attack font_size"),
        ("--fonts none.ttf", "font that does not exist: none.ttf"),
        ("--font_sizes -1", "font_size must be greater than 0, not -1"),
    ],
)
def test_wrong_options_are_told(
    tmp_path: Path, command: list[str], options: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, str(tmp_path / "out"), *options.split()]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_texts_are_attacked_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = Classification(TextRenderer(max_seq_length=49), labels=["no", "yes"])
    config = PixelConfig.named("nano", max_seq_length=49)
    task.configure(config)
    PixelForSequenceClassification(config).save_pretrained(tmp_path / "model")
    task.renderer.save_pretrained(tmp_path / "model")
    data = tmp_path / "test.tsv"
    data.write_text("text\tlabel\nlittle children sleep\tyes\nwe wake\tno\n", encoding="utf-8")
    command = ["analyze", "robustness", str(tmp_path / "model"), "--data", str(data), "--device", "cpu"]
    command += ["--output_dir", str(tmp_path / "out"), "--strengths", "1"]
    assert main(command) == 0
    rows = {row["attack"]: row for row in read_rows(tmp_path / "out")}
    assert {"truncate", "segmentation", "keyboard_typo"} <= rows.keys()
    assert not {"natural_typo", "font_swap", "font_size"} & rows.keys()  # nothing was given for them
    assert rows["segmentation"]["words_changed"] == "1.0"
    assert rows["truncate"]["words_changed"] == "0.8"
