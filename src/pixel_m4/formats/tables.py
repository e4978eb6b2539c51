"""Tables of examples, rows with their places: csv, tsv, JSON, Parquet, Arrow folders, and the hub."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pixel_m4.files import COMPRESSED, DataError, content_suffix, read_bytes, read_text, split_lines
from pixel_m4.formats.folders import ALIASES, find_split
from pixel_m4.formats.jsonlines import begins_json, first_line, load
from pixel_m4.formats.rows import BadRows

_NAMES = [
    f"{{split}}{end}{zipped}"
    for end in (".tsv", ".csv", ".jsonl", ".ndjson", ".json")
    for zipped in ("", *COMPRESSED)
]
_BINARY = ("{split}.parquet", "{split}.arrow", "{split}.feather")
TABLE_FILES = [*_NAMES, *_BINARY, *(f"*{name}" for name in _NAMES), "{split}-*.parquet"]
"""Patterns of a split's file."""

_LONGEST_FIELD = 2**31 - 1  # of a csv file, in characters
_SENTENCE = 5  # words that no name of a column has


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
        if self.columns.count(name) > 1:
            raise DataError(f"{self.source} has {self.columns.count(name)} columns {name!r}; keep one")
        if name not in self.columns:
            what = "has the columns" if self.header else "has no header; its columns are numbered"
            raise DataError(f"{self.source} has no column {name!r}; it {what} {', '.join(self.columns)}")
        return self.columns.index(name)

    def find(self, names: Sequence[str]) -> int:
        """Number of the first of some columns that is there.

        Raises:
            DataError: there is none of them.
        """
        return self.column(next((name for name in names if name in self.columns), names[0]))


def read_split(
    folder: Path,
    split: str,
    *,
    files: Sequence[str] = TABLE_FILES,
    columns: Sequence[str] = (),
    known: Sequence[str] = (),
    bad: BadRows | None = None,
) -> Table:
    """The table of a split in a folder: an Arrow folder, or a file that is named after the split.

    Args:
        folder: the data set.
        split: ``train``, ``dev`` or ``test``.
        files: patterns of its file.
        columns: names of the columns of files without a header.
        known: column names that tell a header from data.
        bad: what to do with rows that are wrong; default: the first one is an error.

    Raises:
        DataError: there is no such split, or it cannot be read.
    """
    if folder.is_dir() and is_arrow(folder):
        return read_arrow(folder, split)
    return read_table(find_split(folder, split, files), columns=columns, known=known, bad=bad)


def is_arrow(folder: Path) -> bool:
    """Whether ``datasets`` has saved a data set, or one of our splits, in a folder."""
    marks = ["dataset_dict.json", "dataset_info.json"]
    marks += [f"{name}/dataset_info.json" for names in ALIASES.values() for name in names]
    return any((folder / mark).is_file() for mark in marks)


def read_table(
    path: Path, *, columns: Sequence[str] = (), known: Sequence[str] = (), bad: BadRows | None = None
) -> Table:
    """Read one file, also a compressed one; JSON is an array of objects, or an object a line.

    Args:
        path: its suffix tells the format.
        columns: names of the columns, if the file has no header.
        known: column names that tell a header from data; without them the first line is the header.
        bad: what to do with rows that are wrong; default: the first one is an error.

    Raises:
        DataError: the file is not what it should be; names file, line and value.
    """
    suffix = content_suffix(path)
    if suffix in (".parquet", ".arrow", ".feather"):
        with _arrow_errors(path):
            return _from_arrow(_arrow_table(path, suffix), str(path))
    text = read_text(path)
    bad = BadRows() if bad is None else bad
    if suffix in (".json", ".jsonl", ".ndjson"):
        return parse_json(text, str(path), bad)
    with _long_fields():
        return _parse_delimited(text, str(path), suffix, columns, known, bad)


def _arrow_table(path: Path, suffix: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet

    data = pa.BufferReader(read_bytes(path)) if path.suffix in COMPRESSED else pa.memory_map(str(path))
    if suffix == ".parquet":
        return pyarrow.parquet.read_table(data)
    try:
        return pa.ipc.open_file(data).read_all()
    except pa.ArrowInvalid:  # `datasets` writes streams
        data.seek(0)
        return pa.ipc.open_stream(data).read_all()


@contextmanager
def _arrow_errors(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError, DataError):
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, NotImplementedError) as error:
        kind = content_suffix(path)[1:].title()
        raise DataError(f"{path} is not valid {kind}: {str(error).splitlines()[0]}") from error


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let fields of csv be as long as they are; Python's limit is one of the process."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def parse_json(text: str, source: str, bad: BadRows | None = None) -> Table:
    """Objects as rows: an array of them, an object with such an array under ``data``, or one a line.

    Args:
        text: JSON.
        source: what messages call it.
        bad: what to do with rows that are wrong; default: the first one is an error.

    Raises:
        DataError: something is no JSON, or no object; names the line.
    """
    bad = BadRows() if bad is None else bad
    records: list[Any] = []
    lines: list[int] = []
    if text.lstrip()[:1] == "[" or (text.lstrip()[:1] == "{" and _is_one_object(text)):
        parsed = load(text, source)
        if isinstance(parsed, dict):
            parsed = parsed["data"] if isinstance(parsed.get("data"), list) else [parsed]
        places = [f"{source}, row {number}" for number in range(1, len(parsed) + 1)]
        for record, place in zip(parsed, places, strict=True):
            with bad.row():
                records.append(_record(record, place))
    else:
        for number, line in enumerate(split_lines(text), 1):
            if line.strip():
                with bad.row():
                    records.append(_record(load(line, f"{source}:{number}"), f"{source}:{number}"))
                    lines.append(number)
    columns = list(dict.fromkeys(name for record in records for name in record))
    rows = [[record.get(name) for name in columns] for record in records]
    return Table(source=source, columns=columns, rows=rows, lines=lines)


def _record(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{place}: {str(value)[:60]!r} is no JSON object; every row must be one")
    return value


def json_tables(lines: Iterable[str], source: str) -> Iterator[Table]:
    """Rows of a stream of JSON: a table a row where an object is a line, else one of all rows.

    Rows have the columns of the first one, and None where they lack one.

    Raises:
        DataError: something is no JSON, or no object; names the line.
    """
    head, rest = first_line(lines)
    if not head or begins_json(head[-1]) != "object":
        yield parse_json("\n".join(rest), source)
        return
    columns: list[str] = []
    for number, line in enumerate(rest, 1):
        if line.strip():
            place = f"{source}:{number}"
            record = _record(load(line, place), place)
            if not columns:
                columns = list(record)
                if isinstance(record.get("data"), list):  # SQuAD's file in one line
                    yield parse_json("\n".join([line, *rest]), source)
                    return
            names = list(dict.fromkeys([*columns, *record]))
            yield Table(
                source=source, columns=names, rows=[[record.get(name) for name in names]], lines=[number]
            )


def _is_one_object(text: str) -> bool:
    first = next((line for line in split_lines(text) if line.strip()), "")
    return begins_json(first) != "object" or sum(bool(line.strip()) for line in split_lines(text)) == 1


def _parse_delimited(
    text: str, source: str, suffix: str, columns: Sequence[str], known: Sequence[str], bad: BadRows
) -> Table:
    first = next((line for line in split_lines(text) if line), "")
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
    header = _is_header(rows[0], columns, known, f"{source}:{lines[0]}")
    if header:
        names = names or [name.strip() for name in rows[0]]
        rows, lines = rows[1:], lines[1:]
    names = names or [str(number) for number in range(len(rows[0]))]
    good: list[int] = []
    for at, (row, number) in enumerate(zip(rows, lines, strict=True)):
        with bad.row():
            if len(row) != len(names):
                raise DataError(
                    f"{source}:{number}: {len(row)} columns instead of {len(names)} ({', '.join(names)})"
                )
            good.append(at)
    return Table(
        source=source,
        columns=names,
        rows=[rows[at] for at in good],
        lines=[lines[at] for at in good],
        header=header or bool(columns),
    )


def _is_header(row: Sequence[str], columns: Sequence[str], known: Sequence[str], place: str) -> bool:
    """Whether the first row names the columns."""
    if not known:
        return True
    lowered = {name.lower() for name in known}
    if not any(name.strip().lower() in lowered for name in row):
        return False
    longest = max(row, key=lambda cell: len(cell.split()))
    if columns:  # which say that there is no header; one that is there all the same is no example
        return len(longest.split()) == 1
    if len(longest.split()) > _SENTENCE:
        raise DataError(
            f"{place}: not clear whether this is a header or an example: {', '.join(row)[:90]!r}; name the "
            f"columns by --columns, or begin the file with a header"
        )
    return True


def _is_quoted(text: str, delimiter: str) -> bool:
    """Whether quotation marks at the start of fields enclose these, as in csv; GLUE's tsv has bare ones."""
    fields = [value for line in split_lines(text) for value in line.split(delimiter) if value[:1] == '"']
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


def _values(loaded: Any, source: str) -> list[list[Any]]:
    try:
        return [loaded[name][:] for name in loaded.column_names]
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: a text is not UTF-8 ({error.reason}); write the file again") from error


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
    values = _values(loaded, source)
    return Table(
        source=source if split is None else f"{source}, {split}",
        columns=columns,
        rows=list(zip(*values, strict=True)),
        label_names=names,
    )
