"""Tables of examples, rows with their places: csv, tsv, JSON, Parquet, Arrow folders, and the hub."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .base import ALIASES, DataError, find_split

_NAMES = [f"{{split}}{end}{zipped}" for end in (".tsv", ".csv", ".jsonl", ".json") for zipped in ("", ".gz")]
TABLE_FILES = [*_NAMES, "{split}.parquet", *(f"*{name}" for name in _NAMES), "{split}-*.parquet"]
"""Patterns of a split's file."""

_BOM_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows of one split.

    Attributes:
        source: file, or data set and split.
        columns: names, in order; ``"0"``, ``"1"`` … where the file has no header.
        rows: values of each row, in the order of the columns.
        lines: line number of each row, empty where rows have none.
        header: whether the columns have real names.
        label_names: by column, the names of the numbers, or lists of numbers, in it (``ClassLabel``).
    """

    source: str
    columns: list[str]
    rows: Sequence[Sequence[Any]]
    lines: list[int] = field(default_factory=list)
    header: bool = True
    label_names: Mapping[str, list[str]] = field(default_factory=dict)

    def place(self, row: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.source}:{self.lines[row]}" if self.lines else f"{self.source}, row {row + 1}"

    def column(self, name: str) -> int:
        """Number of a column.

        Raises:
            DataError: there is none; names the columns that are there.
        """
        if name not in self.columns:
            what = "has the columns" if self.header else "has no header; its columns are numbered"
            raise DataError(f"{self.source} has no column {name!r}; it {what} {', '.join(self.columns)}")
        return self.columns.index(name)


def read_split(
    folder: Path,
    split: str,
    *,
    files: Sequence[str] = TABLE_FILES,
    columns: Sequence[str] = (),
    known: Sequence[str] = (),
) -> Table:
    """The table of a split in a folder: an Arrow folder, or a file that is named after the split.

    Args:
        folder: the data set.
        split: ``train``, ``dev`` or ``test``.
        files: patterns of its file.
        columns: names of the columns of files without a header.
        known: column names that tell a header from data.

    Raises:
        DataError: there is no such split, or it cannot be read.
    """
    if folder.is_dir() and is_arrow(folder):
        return read_arrow(folder, split)
    return read_table(find_split(folder, split, files), columns=columns, known=known)


def is_arrow(folder: Path) -> bool:
    """Whether ``datasets`` has saved a data set, or one of our splits, in a folder."""
    marks = ["dataset_dict.json", "dataset_info.json"]
    marks += [f"{name}/dataset_info.json" for names in ALIASES.values() for name in names]
    return any((folder / mark).is_file() for mark in marks)


def read_table(path: Path, *, columns: Sequence[str] = (), known: Sequence[str] = ()) -> Table:
    """Read one file (.gz too); JSON is an array of objects, or an object a line.

    Args:
        path: its suffix tells the format.
        columns: names of the columns, if the file has no header.
        known: column names that tell a header from data; without them the first line is the header.

    Raises:
        DataError: the file is not what it should be; names file, line and value.
    """
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix
    if suffix == ".parquet":
        import pyarrow.parquet

        try:
            return _from_arrow(pyarrow.parquet.read_table(path), str(path))
        except (pyarrow.ArrowInvalid, OSError) as error:
            raise DataError(f"{path} is not valid Parquet: {error}") from error
    text = read_text(path)
    if suffix in (".json", ".jsonl"):
        return parse_json(text, str(path))
    return _parse_delimited(text, str(path), suffix, columns, known)


def read_text(path: Path) -> str:
    """The text of a file (.gz too).

    Raises:
        DataError: it is not UTF-8; names line and byte.
    """
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise DataError(f"{path} is not valid gzip: {error}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        guess = "UTF-16" if data.startswith(_BOM_16) else "WINDOWS-1252"
        raise DataError(
            f"{path}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8, for "
            f"example by: iconv -f {guess} -t UTF-8 (with the encoding that the file really has)"
        ) from error


def parse_json(text: str, source: str) -> Table:
    """Objects as rows: an array of them, an object with such an array under ``data``, or one a line.

    Raises:
        DataError: something is no JSON, or no object; names the line.
    """
    records: list[Any] = []
    lines: list[int] = []
    if text.lstrip()[:1] == "[" or (text.lstrip()[:1] == "{" and _is_one_object(text)):
        try:
            parsed = json.loads(text)
        except ValueError as error:
            raise DataError(f"{source} is not valid JSON: {error}") from error
        records = parsed.get("data", [parsed]) if isinstance(parsed, dict) else parsed
    else:
        for number, line in enumerate(text.split("\n"), 1):  # not splitlines(): texts hold U+2028
            if line.strip():
                try:
                    records.append(json.loads(line))
                except ValueError as error:
                    raise DataError(f"{source}:{number}: not valid JSON: {error}") from error
                lines.append(number)
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            place = f"{source}:{lines[number]}" if lines else f"{source}, row {number + 1}"
            raise DataError(f"{place}: {str(record)[:60]!r} is no JSON object; every row must be one")
    columns = list(dict.fromkeys(name for record in records for name in record))
    rows = [[record.get(name) for name in columns] for record in records]
    return Table(source=source, columns=columns, rows=rows, lines=lines)


def _is_one_object(text: str) -> bool:
    first = text.lstrip().partition("\n")[0]
    try:
        json.loads(first)
    except ValueError:
        return True  # an object over several lines
    return "\n" not in text.strip()


def _parse_delimited(
    text: str, source: str, suffix: str, columns: Sequence[str], known: Sequence[str]
) -> Table:
    first = text.partition("\n")[0]
    delimiter = "," if suffix == ".csv" else "\t"
    if delimiter not in first:
        delimiter = next((other for other in "\t;" if other in first), delimiter)
    if suffix == ".csv" or _is_quoted(text, delimiter):
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    else:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=csv.QUOTE_NONE)
    rows: list[list[str]] = []
    lines: list[int] = []
    line = 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{source}:{line}: {error}") from error
    if not rows:
        raise DataError(f"{source} is empty")
    names = list(columns)
    lowered = {name.lower() for name in known}
    header = not known or any(name.strip().lower() in lowered for name in rows[0])
    if header:
        names = names or [name.strip() for name in rows[0]]
        rows, lines = rows[1:], lines[1:]
    names = names or [str(number) for number in range(len(rows[0]))]
    for row, number in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise DataError(
                f"{source}:{number}: {len(row)} columns instead of {len(names)} ({', '.join(names)})"
            )
    return Table(source=source, columns=names, rows=[*rows], lines=lines, header=header or bool(columns))


def _is_quoted(text: str, delimiter: str) -> bool:
    """Whether quotation marks at the start of fields enclose these, as in csv; GLUE's tsv has bare ones."""
    fields = [
        value
        for line in text.replace("\r\n", "\n").split("\n")
        for value in line.split(delimiter)
        if value[:1] == '"'
    ]
    return bool(fields) and all(re.fullmatch(r'"(?:[^"]|"")*"', value) for value in fields)


def read_arrow(folder: Path, split: str) -> Table:
    """A split of what ``datasets`` saved in a folder: all splits, or a folder each.

    Raises:
        DataError: there is no such split; names those that are there.
    """
    import datasets

    if (folder / "dataset_dict.json").is_file():
        loaded = datasets.load_from_disk(str(folder))
        return _from_arrow(_choose(loaded, split, str(folder)), str(folder), split)
    for name in ALIASES.get(split, (split,)):
        if (folder / name / "dataset_info.json").is_file():
            return _from_arrow(datasets.load_from_disk(str(folder / name)), str(folder / name))
    there = ", ".join(sorted(file.name for file in folder.iterdir()))
    raise DataError(f"{folder} has no {split!r} split; it holds {there}")


def read_hub(name: str, language: str | None, split: str) -> Table:
    """A split of a data set on the hub, or of a folder in a format that ``datasets`` reads.

    Args:
        name: of the repository, or of the folder.
        language: name of its configuration.
        split: ``train``, ``dev`` or ``test``.

    Raises:
        DataError: there is no such configuration or split; names those that are there.
        OSError: the hub cannot be reached, or has no such data set.
    """
    import datasets

    folder = Path(name)
    if folder.is_dir():
        folder = find_language(folder, language)
        if is_arrow(folder):
            return read_arrow(folder, split)
        language = language if folder == Path(name) else None
    configurations = datasets.get_dataset_config_names(str(folder) if folder.is_dir() else name)
    if language is not None and language not in configurations:
        raise DataError(unknown_language(name, language, configurations))
    if language is None and len(configurations) > 1:
        raise DataError(f"{name} has several configurations: give --language, one of {_some(configurations)}")
    loaded = datasets.load_dataset(str(folder) if folder.is_dir() else name, language)
    source = name if language is None else f"{name} ({language})"
    return _from_arrow(_choose(loaded, split, source), source, split)


def find_language(folder: Path, language: str | None) -> Path:
    """The folder of a language in the folder of a data set, or the folder itself if it is the language's.

    Raises:
        DataError: there is none; names the most similar ones.
    """
    if language is None or (folder / language).is_dir():
        return folder / (language or "")
    if folder.name == language or not folder.is_dir():
        return folder
    there = sorted(child.name for child in folder.iterdir() if child.is_dir())
    raise DataError(unknown_language(str(folder), language, there))


def unknown_language(source: str, language: str, there: Sequence[str]) -> str:
    """The message about a language that a data set does not have."""
    folded = {name.lower(): name for name in there}
    near = [folded[name] for name in get_close_matches(language.lower(), folded, n=5, cutoff=0.3)]
    hint = f"the nearest names: {', '.join(near)}" if near else f"it has {_some(there) or 'none'}"
    return f"{source} has no language {language!r}; {hint}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _choose(loaded: Any, split: str, source: str) -> Any:
    for name in ALIASES.get(split, (split,)):
        if name in loaded:
            return loaded[name]
    raise DataError(f"{source} has no {split!r} split; it has {', '.join(loaded)}")


def _from_arrow(loaded: Any, source: str, split: str | None = None) -> Table:
    import datasets
    from datasets.table import InMemoryTable

    if not isinstance(loaded, datasets.Dataset):
        loaded = datasets.Dataset(InMemoryTable(loaded))  # keeps names of labels that the schema holds
    inner = {name: getattr(feature, "feature", feature) for name, feature in loaded.features.items()}
    names = {
        name: list(feature.names)
        for name, feature in inner.items()
        if isinstance(feature, datasets.ClassLabel)
    }
    columns = loaded.column_names
    values = [loaded[name][:] for name in columns]
    return Table(
        source=source if split is None else f"{source}, {split}",
        columns=columns,
        rows=list(zip(*values, strict=True)),
        label_names=names,
    )
