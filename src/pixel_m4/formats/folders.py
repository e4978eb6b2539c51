"""Data sets on disk: which file of a folder holds which split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pixel_m4.files import DataError, content_suffix

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather")
"""Suffixes of tables."""

ALIASES: Mapping[str, Sequence[str]] = {
    "train": ("train",),
    "dev": ("dev", "validation", "valid", "val", "dev_matched", "validation_matched"),
    "test": ("test", "test_matched"),
}
"""Names of our splits in the wild, the preferred one first; the last ones are those of MultiNLI."""


class MissingSplitError(DataError):
    """A folder has no file of a split."""


def split_patterns(split: str, patterns: Sequence[str]) -> list[str]:
    """Patterns with the names of a split filled in, the preferred one first."""
    return [pattern.format(split=name) for name in ALIASES.get(split, (split,)) for pattern in patterns]


def find_split(data_dir: Path, split: str, patterns: Sequence[str]) -> Path:
    """The one file of a split.

    Args:
        data_dir: folder of the data set.
        split: name of the split, which ``{split}`` in the patterns stands for; dev may also be called
            validation, valid or val.
        patterns: glob patterns, the preferred one first.

    Raises:
        MissingSplitError: the folder has no such file.
        DataError: no folder, or several files.
    """
    if not data_dir.is_dir():
        raise DataError(f"data_dir is no folder: {data_dir}")
    for name in ALIASES.get(split, (split,)):
        by_pattern = [sorted(data_dir.glob(pattern.format(split=name))) for pattern in patterns]
        found = next((files for files in by_pattern if files), [])
        others = {file for files in by_pattern for file in files if content_suffix(file) in TABLES}
        formats = {content_suffix(file) for file in others}
        if len(found) == 1 and len(formats) < 2:  # of a packed and a plain one the first is taken
            return found[0]
        if found:
            names = ", ".join(sorted(file.name for file in {*found, *others}))
            raise DataError(
                f"{data_dir} holds several files for the split {split!r}: {names}; leave one, or name it by "
                f"--{split}_file"
            )
    there = ", ".join(sorted(file.name for file in data_dir.iterdir())) or "nothing"
    wanted = " or ".join(pattern.format(split=split) for pattern in patterns)
    raise MissingSplitError(f"{data_dir} has no {split!r} split ({wanted}); it holds {there}")
