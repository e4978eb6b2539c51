"""The splits of a run, and the files that they come from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixel_m4.files import DataError
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.formats.folders import MissingSplitError, find_split
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.splits import SingleFile, divide, grouped, only_file, read_single_file, tell_shared

logger = logging.getLogger(__name__)


def read_splits(task: Task, arguments: FinetuneArguments, splits: Sequence[str]) -> dict[str, list[Any]]:
    """The wanted splits; a task whose labels are found in data gets those of train, if that is read.

    Raises:
        DataError: something is wrong with the data; the message says where and what.
    """
    data_dir = Path(arguments.data_dir or ".")
    single = only_file(data_dir, task.files) if arguments.data_dir is not None else None
    if arguments.data_file is not None:
        single = Path(arguments.data_file)
    if single is not None:
        source = SingleFile(
            path=single, seed=arguments.split_seed, dev=arguments.dev_share, test=arguments.test_share
        )
        parts = read_single_file(task, source)
        sizes = ", ".join(f"{len(examples)} {split}" for split, examples in parts.items())
        logger.warning("%s is divided (--split_seed %d): %s", single, source.seed, sizes)
        return _first(arguments, {split: parts[split] for split in splits})
    data: dict[str, list[Any]] = {}
    for split in splits:
        try:
            file = arguments.split_files.get(split)
            if file is None and arguments.split_files:
                raise MissingSplitError(f"there is no --{split}_file")
            data[split] = task.read(data_dir, split) if file is None else task.read_file(file)
        except MissingSplitError as error:
            if split != "dev" or "train" not in data:
                raise MissingSplitError(f"{error}; --data_file FILE divides one file into splits") from error
            if not arguments.dev_from_train:
                raise MissingSplitError(
                    f"{error}; --dev_from_train 0.1 holds out a tenth of train"
                ) from error
            data |= hold_out(task, data["train"], arguments, str(data_dir))
            logger.warning(
                "%s has no dev split: %d examples of train are held out for it, and %d are left",
                data_dir, len(data["dev"]), len(data["train"]),
            )  # fmt: skip
        if split == "train" and not task.labels:
            task.labels = task.find_labels(data[split])  # what the other splits are checked against
    tell_shared(task, data, str(arguments.data_dir or getattr(task.options, "dataset_name", None) or "data"))
    return _first(arguments, data)


def _first(arguments: FinetuneArguments, data: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """As many examples of each split as were asked for."""
    return {split: part[: getattr(arguments, f"max_{split}_samples")] for split, part in data.items()}


def hold_out(
    task: Task, train: Sequence[Any], arguments: FinetuneArguments, source: str
) -> dict[str, list[Any]]:
    """Divide training examples into ``train`` and ``dev``, by the seed of splits and not that of the run.

    Raises:
        DataError: there are too few.
    """
    share = arguments.dev_from_train
    if not 0 < share < 1:
        raise DataError(f"dev_from_train must be between 0 and 1: {share}")
    groups = grouped(task, train, source)
    try:
        return divide(train, groups, seed=arguments.split_seed, dev=share, test=0)
    except ValueError as error:
        raise DataError(f"dev_from_train {share}: {error}") from error


def data_files(task: Task, arguments: FinetuneArguments, splits: Sequence[str]) -> list[Path]:
    """The files that the splits come from; of a folder where they have no names of their own, all of it."""
    if arguments.data_file is not None:
        return [Path(arguments.data_file)]
    if arguments.split_files:
        return [file for split, file in arguments.split_files.items() if split in splits]
    place = arguments.data_dir or getattr(task.options, "dataset_name", None)
    if place is None or not Path(place).is_dir():  # the hub
        return []
    folder = Path(place)
    inner = folder / (getattr(task.options, "language", None) or ".")
    folder = inner if inner.is_dir() else folder
    found = []
    for split in splits:
        try:
            found.append(find_split(folder, split, task.files))
        except DataError:
            continue
    return found or sorted(file for file in folder.rglob("*") if file.is_file())
