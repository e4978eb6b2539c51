from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import DataError, find_split
from pixel_m4.tasks.splits import SPLITS, SingleFile, divide, only_file, read_single_file
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
