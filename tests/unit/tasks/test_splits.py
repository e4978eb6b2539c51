from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.files import DataError
from pixel_m4.formats.conllu import parse_conllu
from pixel_m4.formats.folders import find_split
from pixel_m4.formats.tables import TABLE_FILES
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.classification import Classification
from pixel_m4.tasks.ner import NER
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.tasks.qa import QuestionAnswering
from pixel_m4.tasks.splits import (
    SPLITS,
    SingleFile,
    divide,
    grouped,
    only_file,
    read_single_file,
    tell_shared,
)
from pixel_m4.tasks.tagging import Tagging

HUNDRED = list(range(100))
ALONE = [None] * 100


def test_shares_cover_everything_once_and_in_order() -> None:
    parts = divide(HUNDRED, ALONE, seed=0, dev=0.1, test=0.2)
    assert {split: len(part) for split, part in parts.items()} == {"train": 70, "dev": 10, "test": 20}
    assert sorted(number for part in parts.values() for number in part) == HUNDRED
    assert all(part == sorted(part) for part in parts.values())


def test_the_seed_decides() -> None:
    first, again, other = (divide(HUNDRED, ALONE, seed=seed, dev=0.1, test=0.1) for seed in (0, 0, 1))
    assert first == again != other
    # A changed division makes published numbers worthless, so the very numbers are pinned.
    assert first["dev"] == [3, 7, 12, 15, 20, 32, 43, 48, 69, 85]


def test_a_group_stays_together() -> None:
    groups = [number // 7 for number in HUNDRED]
    parts = divide(HUNDRED, groups, seed=3, dev=0.1, test=0.1)
    homes = [{groups[number] for number in parts[split]} for split in SPLITS]
    assert not homes[0] & homes[1]
    assert not homes[0] & homes[2]
    assert not homes[1] & homes[2]
    assert 10 <= len(parts["dev"]) < 17


def test_too_few_groups() -> None:
    with pytest.raises(ValueError, match="nothing is left for train"):
        divide(HUNDRED, [number // 50 for number in HUNDRED], seed=0, dev=0.1, test=0.1)


@pytest.mark.parametrize(("dev", "test"), [(0, 0.1), (0.1, 0), (0.5, 0.5), (-0.1, 0.1)])
def test_impossible_shares(dev: float, test: float) -> None:
    with pytest.raises(ValueError, match=f"dev_share {dev} and test_share {test}"):
        SingleFile(path=Path("x"), dev=dev, test=test)


def test_a_treebank_in_one_file(tmp_path: Path) -> None:
    file = tmp_path / "all.conllu"
    rows = [f"1\tword{i}\t_\tX\t_\t_\t0\troot\t_\t_\n\n" for i in range(20)]
    file.write_text("".join(rows), encoding="utf-8")
    parts = read_single_file(Tagging(TextRenderer(max_seq_length=49)), SingleFile(path=file))
    assert [len(parts[split]) for split in SPLITS] == [16, 2, 2]


def test_small_and_missing_files_are_named(tmp_path: Path) -> None:
    task = Tagging(TextRenderer(max_seq_length=49))
    file = tmp_path / "one.conllu"
    with pytest.raises(DataError, match=r"data_file is no file: .*one\.conllu"):
        read_single_file(task, SingleFile(path=file))
    file.write_text("1\tword\t_\tX\t_\t_\t0\troot\t_\t_\n\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"one\.conllu: 1 examples in 1 groups are too few"):
        read_single_file(task, SingleFile(path=file))


def a_treebank(*texts: str) -> str:
    return "".join(
        "".join(
            f"{i}\t{word}\t_\tX\t_\t_\t{int(i > 1)}\t{'dep' if i > 1 else 'root'}\t_\t_\n"
            for i, word in enumerate(text.split(), 1)
        )
        + "\n"
        for text in texts
    )


TEXTS = [f"the goat {i} sleeps" for i in range(30)]


@pytest.mark.parametrize("name", ["parsing", "pos", "ner", "classification", "pairs", "qa"])
def test_copies_stay_in_one_split_whatever_the_task(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    renderer = TextRenderer(max_seq_length=49)
    texts = [variant for text in TEXTS for variant in (text, text.upper(), text.title())]
    kinds: dict[str, tuple[Task, str, str]] = {
        "parsing": (Parsing(renderer), "a.conllu", a_treebank(*texts)),
        "pos": (Tagging(renderer), "a.conllu", a_treebank(*texts)),
        "ner": (NER(renderer), "a.tsv", "".join("\tB-X\n".join(t.split()) + "\tO\n\n" for t in texts)),
        "classification": (
            Classification(renderer),
            "a.csv",
            "text,label\n" + "".join(f"{t.replace(' ', '  ')},{i % 2}\n" for i, t in enumerate(texts)),
        ),
        "pairs": (
            Classification(renderer),
            "a.tsv",
            "sentence1\tsentence2\tlabel\n"
            + "".join(f"{t}\tsame\t{i % 2}\n" if i % 3 else f"Same\t{t}\t1\n" for i, t in enumerate(texts)),
        ),
        "qa": (
            QuestionAnswering(renderer),
            "a.jsonl",
            "".join(
                json.dumps({"question": f"{i}?", "context": t, "answers": {"text": [], "answer_start": []}})
                + "\n"
                for i, t in enumerate(texts)
            ),
        ),
    }
    task, file, text = kinds[name]
    (tmp_path / file).write_text(text, encoding="utf-8")
    parts = read_single_file(task, SingleFile(path=tmp_path / file))
    homes = [{task.text_of(example) for example in parts[split]} for split in SPLITS]
    assert [len(home) for home in homes] == [24, 3, 3]
    assert len(set.union(*homes)) == 30
    assert "60 of 90 texts are copies of others" in caplog.text


def test_groups_and_copies_make_one_group() -> None:
    class Chained(Tagging):
        def group(self, example: Any) -> Any:
            return example[0]

        def text_of(self, example: Any) -> Any:
            return example[1]

    task = Chained(TextRenderer(max_seq_length=49))
    groups = grouped(task, [(1, "a"), (1, "b"), (2, "b"), (2, "c"), (None, "c"), (None, "d")], "x")
    assert len(set(groups[:5])) == 1
    assert groups[5] not in groups[:5]


def test_splits_without_copies_are_those_of_before(tmp_path: Path) -> None:
    task = Tagging(TextRenderer(max_seq_length=49))
    (tmp_path / "a.conllu").write_text(a_treebank(*(f"w{i}" for i in range(100))), encoding="utf-8")
    parts = read_single_file(task, SingleFile(path=tmp_path / "a.conllu"))
    assert [int(s.words[0][1:]) for s in parts["dev"]] == [3, 7, 12, 15, 20, 32, 43, 48, 69, 85]


def test_given_splits_that_share_copies_are_told(caplog: pytest.LogCaptureFixture) -> None:
    task = Parsing(TextRenderer(max_seq_length=49))
    read = {"train": TEXTS, "dev": ["The  goat 1 sleeps", "x"], "test": ["THE GOAT 2 sleeps", "X", "y"]}
    data = {name: parse_conllu(a_treebank(*texts)) for name, texts in read.items()}
    tell_shared(task, data, "here")
    assert "here: 1 of 2 sentences of dev have a text that train has too" in caplog.text
    assert "here: 1 of 3 sentences of test have a text that train has too" in caplog.text
    assert "here: 1 of 3 sentences of test have a text that dev has too" in caplog.text
    caplog.clear()
    tell_shared(task, {"train": data["train"], "test": data["dev"][1:]}, "here")
    assert not caplog.text


def test_bhojpuri_has_no_copies_across_its_splits(shared: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = shared / "data" / "ud" / "UD_Bhojpuri-BHTB"
    if not folder.is_dir():
        pytest.skip("no Bhojpuri here")
    task = Parsing(TextRenderer(max_seq_length=49))
    (file,) = folder.glob("*.conllu*")
    parts = read_single_file(task, SingleFile(path=file))
    homes = {split: {task.text_of(example) for example in part} for split, part in parts.items()}
    assert not homes["train"] & homes["test"]
    assert not homes["train"] & homes["dev"]
    assert "texts are copies of others" in caplog.text


def test_only_file_must_not_be_named_after_a_split(tmp_path: Path) -> None:
    patterns = ["*{split}.conllu"]
    assert only_file(tmp_path / "missing", patterns) is None
    assert only_file(tmp_path, patterns) is None
    (tmp_path / "README.md").touch()
    (tmp_path / "all.conllu").touch()
    assert only_file(tmp_path, patterns) == tmp_path / "all.conllu"
    (tmp_path / "all.conllu").rename(tmp_path / "xx-ud-test.conllu")
    assert only_file(tmp_path, patterns) is None
    (tmp_path / "more.conllu").touch()
    assert only_file(tmp_path, patterns) is None


def test_dev_may_be_called_validation(tmp_path: Path) -> None:
    (tmp_path / "xx-validation.conllu").touch()
    assert find_split(tmp_path, "dev", ["*{split}.conllu"]) == tmp_path / "xx-validation.conllu"


def test_a_split_in_two_formats_is_not_guessed(tmp_path: Path) -> None:
    for name in ("train.tsv", "train.csv", "dev.tsv", "dev.tsv.gz"):
        (tmp_path / name).touch()
    assert find_split(tmp_path, "dev", TABLE_FILES) == tmp_path / "dev.tsv"
    message = (
        r"several files for the split 'train': train.csv, train.tsv; leave one, or name it by --train_file"
    )
    with pytest.raises(DataError, match=message):
        find_split(tmp_path, "train", TABLE_FILES)
