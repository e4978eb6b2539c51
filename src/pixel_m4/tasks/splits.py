"""The splits of a data set: its own, or made from its only file by a seeded shuffle."""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .base import DataError, Task, split_patterns

Example = TypeVar("Example")

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, kw_only=True)
class SingleFile:
    """A data set that is one file, and how it is divided.

    Attributes:
        path: the file.
        seed: of the shuffle; the same seed always gives the same splits.
        dev: share of the examples that dev gets.
        test: share of the examples that test gets; train gets what is left.
    """

    path: Path
    seed: int = 0
    dev: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        if not (self.dev > 0 and self.test > 0 and self.dev + self.test < 1):
            raise ValueError(
                f"dev_share {self.dev} and test_share {self.test} must be above 0 and leave something for "
                "train: their sum must be below 1"
            )


def read_single_file(task: Task, source: SingleFile) -> dict[str, list]:
    """Read the file and divide it; a task without labels gets those of the whole file.

    Raises:
        DataError: the file is wrong, or too small to be divided.
    """
    if not source.path.is_file():
        raise DataError(f"data_file is no file: {source.path}")
    examples = task.read_file(source.path)
    if not task.labels:
        task.labels = task.find_labels(examples)  # a rare one may be in any of the splits
    groups = [task.group(example) for example in examples]
    try:
        return divide(examples, groups, seed=source.seed, dev=source.dev, test=source.test)
    except ValueError as error:
        raise DataError(f"{source.path}: {error}") from error


def divide(
    examples: Sequence[Example],
    groups: Sequence[Hashable | None],
    *,
    seed: int,
    dev: float,
    test: float,
) -> dict[str, list[Example]]:
    """Shuffle groups of examples and deal them to ``test``, ``dev`` and ``train``, in this order.

    A split is full when it has its share of the examples; within a split they keep their order.

    Args:
        examples: what is divided.
        groups: of each example; examples of one group stay together, and None is a group of its own.
        seed: of the shuffle.
        dev: share of the examples that dev gets.
        test: share of the examples that test gets.

    Raises:
        ValueError: there are so few groups that a split would be empty.
    """
    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault((number,) if group is None else ("group", group), []).append(number)
    # Python promises the sequence of random() for a seed, but not that of shuffle().
    rng = random.Random(seed)
    shuffled = sorted(members.values(), key=lambda _: rng.random())
    wanted = {"test": round(test * len(examples)) or 1, "dev": round(dev * len(examples)) or 1}
    dealt: dict[str, list[int]] = {split: [] for split in SPLITS}
    for numbers in shuffled:
        split = next((name for name, count in wanted.items() if len(dealt[name]) < count), "train")
        dealt[split] += numbers
    for split, numbers in dealt.items():
        if not numbers:
            raise ValueError(
                f"{len(examples)} examples in {len(members)} groups are too few to divide: "
                f"nothing is left for {split}"
            )
    return {split: [examples[number] for number in sorted(numbers)] for split, numbers in dealt.items()}


def only_file(data_dir: Path, patterns: Sequence[str]) -> Path | None:
    """The one data file of a folder, if no split is named in it; a README or LICENSE beside it is no data."""
    if not data_dir.is_dir():
        return None
    notes = ("readme", "license", "licence", ".")
    files = [file for file in data_dir.iterdir() if not file.name.lower().startswith(notes)]
    named = any(
        any(data_dir.glob(pattern)) for split in SPLITS for pattern in split_patterns(split, patterns)
    )
    return files[0] if len(files) == 1 and files[0].is_file() and not named else None
