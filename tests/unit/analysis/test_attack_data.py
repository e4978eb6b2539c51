"""Attacked copies of data sets: read back, they differ in words and in nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixel_m4.analysis.attacked import attacked
from pixel_m4.cli.main import main
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.registry import TASKS

CONLLU = "# text = They sleep\n1\tThey\tthey\tPRON\t_\t_\t2\tnsubj\t_\t_\n"
CONLLU += "2\tsleep\tsleep\tVERB\t_\t_\t0\troot\t_\t_\n\n"
DATA = {
    "parsing": ("x-{split}.conllu", CONLLU * 2),
    "pos": ("x-{split}.conllu", CONLLU * 2),
    "ner": ("{split}.txt", "Anna\tB-PER\nsleeps\tO\n\nin\tO\nBerlin\tB-LOC\n\n"),
    "classification": ("{split}.tsv", "text\tlabel\nlittle children\tyes\nthey wake\tno\n"),
}


def write_splits(folder: Path, task: str, *splits: str) -> Path:
    name, content = DATA[task]
    folder.mkdir()
    for split in splits:
        (folder / name.format(split=split)).write_text(content, encoding="utf-8")
    return folder


def command(source: Path, task: str, output: Path, *options: str) -> list[str]:
    start = ["data", "attack", str(source), "--task", task, "--attack", "truncate", "--strength", "0.5"]
    return [*start, "--output_dir", str(output), *options]


@pytest.mark.parametrize("task", DATA)
def test_copies_differ_in_words_only(tmp_path: Path, task: str) -> None:
    source = write_splits(tmp_path / "source", task, "train", "dev", "test")
    output = tmp_path / "copy"
    assert main(command(source, task, output, "--seed", "3")) == 0
    reader = TASKS[task](TextRenderer())
    for split in ("train", "dev", "test"):
        expected = attacked(reader.read(source, split), "truncate", 0.5, 3)
        found = reader.read(output, split)
        what = ("text", "pair", "label") if task == "classification" else ("words",)
        what += {"ner": ("tags",), "classification": ()}.get(task, ("upos", "heads", "deprels", "text"))
        for name in what:
            assert [getattr(each, name) for each in found] == [getattr(each, name) for each in expected]
        assert found != reader.read(source, split)
    record = json.loads((output / "attack.json").read_text())
    assert (record["attack"], record["strength"], record["seed"]) == ("truncate", 0.5, 3)
    counts = record["files"][f"test{reader.suffix}"]
    assert counts["examples"] == 2
    assert 0 < counts["words_changed"] < counts["words"] == 4


def test_a_file_keeps_its_name_and_missing_splits_stay_missing(tmp_path: Path) -> None:
    source = write_splits(tmp_path / "source", "pos", "test")
    assert main(command(source / "x-test.conllu", "pos", tmp_path / "one")) == 0
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == ["attack.json", "x-test.conllu"]
    assert main(command(source, "pos", tmp_path / "all")) == 0
    assert sorted(file.name for file in (tmp_path / "all").iterdir()) == ["attack.json", "test.conllu"]


def test_nothing_is_replaced_and_nothing_is_half_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_splits(tmp_path / "source", "pos", "train", "test")
    assert main(command(source, "pos", source)) == 1
    assert "source is there already, and not empty" in capsys.readouterr().err
    (source / "x-test.conllu").write_text("1\ta\n", encoding="utf-8")
    assert main(command(source, "pos", tmp_path / "copy")) == 1
    assert "x-test.conllu:1: 2 tab-separated columns" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()
    (tmp_path / "empty").mkdir()
    assert main(command(tmp_path / "empty", "pos", tmp_path / "copy")) == 1
    assert "has no file of train, dev, test that pos reads" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        ("swap", "there is no attack 'swap'"),
        ("font_swap", "there is no attack 'font_swap'"),
        ("segmentation", "segmentation makes one word of two"),
        ("natural_typo", "natural_typo needs misspellings: --typos FILE"),
    ],
)
def test_wrong_attacks_are_told(
    tmp_path: Path, attack: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_splits(tmp_path / "source", "pos", "test")
    options = command(source, "pos", tmp_path / "copy", "--attack", attack)
    assert main(options) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


def test_spaces_of_texts_are_deleted(tmp_path: Path) -> None:
    source = write_splits(tmp_path / "source", "classification", "train")
    options = ["--attack", "segmentation", "--strength", "1"]
    assert main(command(source, "classification", tmp_path / "copy", *options)) == 0
    rows = [json.loads(line) for line in (tmp_path / "copy" / "train.jsonl").read_text().splitlines()]
    assert rows == [{"text": "littlechildren", "label": "yes"}, {"text": "theywake", "label": "no"}]
