"""The splits of a data set: its own, or made from its only file by a seeded shuffle."""

from __future__ import annotations

import logging
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError
from pixel_m4.formats.folders import ALIASES, split_patterns
from pixel_m4.tasks.base import Task

Example = TypeVar("Example")

SPLITS = tuple(ALIASES)

logger = logging.getLogger(__name__)


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
            raise UserError(
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
    groups = grouped(task, examples, str(source.path))
    try:
        return divide(examples, groups, seed=source.seed, dev=source.dev, test=source.test)
    except ValueError as error:
        raise DataError(f"{source.path}: {error}") from error


def grouped(task: Task, examples: Sequence[Any], source: str) -> list[Hashable | None]:
    """The group of each example: what the task keeps together, and copies of its text.

    Two examples with the same text, in which case and white space do not count, are copies; so whoever is
    the copy of a member joins its group.  How many copies there are is told.

    Args:
        task: knows groups and texts.
        examples: of one file.
        source: what messages call it.

    Returns:
        A number each; None for an example that is alone.
    """
    parents = list(range(len(examples)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first: dict[Hashable, int] = {}
    units: set[Hashable] = set()  # what would stand alone if there were no copies
    texts: set[Hashable] = set()
    for number, example in enumerate(examples):
        group, text = task.group(example), task.text_of(example)
        units.add(("alone", number) if group is None else ("group", group))
        texts.add(text)
        for key in (("group", group), ("text", text)):
            if key != ("group", None):
                parents[root(number)] = root(first.setdefault(key, number))
    copies = len(units) - len(texts)
    if copies > 0:
        logger.warning(
            "%s: %d of %d texts are copies of others (case and spaces aside); copies stay in one split",
            source, copies, len(units),
        )  # fmt: skip
    return [root(number) for number in range(len(examples))]


def tell_shared(task: Task, splits: Mapping[str, Sequence[Any]], source: str) -> None:
    """Say how many examples of given splits have a text that a split before them has too.

    Args:
        task: knows texts.
        splits: examples by name.
        source: what messages call the data.
    """
    texts = {name: [task.text_of(example) for example in splits[name]] for name in SPLITS if name in splits}
    for (before, known), (name, found) in combinations(texts.items(), 2):
        seen = set(known)
        shared = sum(text in seen for text in found)
        if shared:
            logger.warning(
                "%s: %d of %d %s of %s have a text that %s has too (case and spaces aside); the splits stay "
                "as they are, but scores on them are flattered",
                source, shared, len(found), task.rows_are, name, before,
            )  # fmt: skip


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
        dev: share of the examples that dev gets; 0: there is no dev.
        test: share of the examples that test gets; 0: there is no test.

    Raises:
        ValueError: there are so few groups that a split would be empty.
    """
    members: dict[Hashable, list[int]] = {}
    for number, group in enumerate(groups):
        members.setdefault((number,) if group is None else ("group", group), []).append(number)
    # Python promises the sequence of random() for a seed, but not that of shuffle().
    rng = random.Random(seed)
    shuffled = sorted(members.values(), key=lambda _: rng.random())
    shares = {split: share for split, share in (("test", test), ("dev", dev)) if share}
    wanted = {split: round(share * len(examples)) or 1 for split, share in shares.items()}
    dealt: dict[str, list[int]] = {split: [] for split in SPLITS if split == "train" or split in wanted}
    for numbers in shuffled:
        split = next((name for name, count in wanted.items() if len(dealt[name]) < count), "train")
        dealt[split] += numbers
    for split, numbers in dealt.items():
        if not numbers:
            raise UserError(
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


def evenly(examples: Sequence[Example], count: int | None) -> list[Example]:
    """So many of the examples, at like distances; all if there are not so many, or no count is given."""
    if count is None or count >= len(examples):
        return list(examples)
    return [examples[number * len(examples) // count] for number in range(count)]
