"""Data in a file a split, and the first examples only."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4 import TextRenderer
from pixel_m4.files import DataError
from pixel_m4.finetune.arguments import parse_arguments
from pixel_m4.finetune.checks import check_places, check_splits
from pixel_m4.finetune.data import data_files, read_splits
from pixel_m4.formats.folders import MissingSplitError
from pixel_m4.tasks.classification import Classification

COMMON = ["--output_dir", "o", "--config_name", "nano"]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, count in (("one.csv", 8), ("two.csv", 4), ("three.csv", 6)):
        rows = [f"{name} {i},{'ab'[i % 2]}" for i in range(count)]
        (tmp_path / name).write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    names = zip(("train", "dev", "test"), ("one.csv", "two.csv", "three.csv"), strict=True)
    return [f"--{split}_file={tmp_path / name}" for split, name in names]


def test_a_file_a_split(files: list[str]) -> None:
    argv = [*files, "--max_train_samples=5", "--max_test_samples=100"]
    arguments, training, options = parse_arguments("x", Classification, [*COMMON, *argv])
    task = Classification(TextRenderer(max_seq_length=64), options=options)
    check_places(Classification, arguments, training)
    check_splits(task, arguments, training)
    data = read_splits(task, arguments, ["train", "dev", "test"])
    assert {split: len(part) for split, part in data.items()} == {"train": 5, "dev": 4, "test": 6}
    assert data["train"][4].text == "one.csv 4"
    assert [file.name for file in data_files(task, arguments, ["train", "test"])] == ["one.csv", "three.csv"]


def test_files_that_are_not_there(files: list[str], tmp_path: Path) -> None:
    arguments, training, options = parse_arguments("x", Classification, [*COMMON, *files[:2]])
    task = Classification(TextRenderer(max_seq_length=64), options=options)
    with pytest.raises(MissingSplitError, match="give --test_file; --do_train --do_eval do without test"):
        check_splits(task, arguments, training)
    with pytest.raises(MissingSplitError, match="there is no --test_file"):
        read_splits(task, arguments, ["test"])
    arguments, training, _ = parse_arguments("x", Classification, [*COMMON, files[0], "--dev_file=none.csv"])
    with pytest.raises(DataError, match=r"--dev_file is no file: none\.csv"):
        check_places(Classification, arguments, training)
    arguments, training, _ = parse_arguments(
        "x", Classification, [*COMMON, files[0], "--dev_from_train=0.25", "--do_train", "--do_eval"]
    )
    check_splits(task, arguments, training)
    data = read_splits(task, arguments, ["train", "dev"])
    assert (len(data["train"]), len(data["dev"])) == (6, 2)


def test_one_source_of_data(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments("x", Classification, [*COMMON, *files, "--data_dir=d"])
    assert "give one of --data_dir and --train_file, not both" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_arguments("x", Classification, COMMON)
