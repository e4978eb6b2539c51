"""Files to documents: text of one language, read part by part, from any position, in shares.

A *document* is a sequence of *parts* (lines, or the text of a row).  A *share* is what one of several
readers reads of a source; shares are disjoint and together they are the whole.

* ``<lang>.txt``: a document a line.
* Text files in a folder ``<lang>/``: a paragraph a line, an empty line between documents.  Where the first
  1,000 lines of such a file hold no empty one, each of its lines is a document.
* jsonl, parquet, Arrow, data sets of the hub: a document a row, in the field ``text``.  A row whose text is
  null or empty is passed over and counted; a row without the field, or with anything but text in it, is an
  error.

Lines end at ``\\n``, ``\\r\\n`` or ``\\r``, and nowhere else.  Text and jsonl may be compressed
(``.gz``, ``.xz``, ``.bz2``, ``.zst``).
"""

from __future__ import annotations

import copy
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pixel_m4.console.errors import UserError
from pixel_m4.files import COMPRESSED, DataError, byte_lines, content_suffix, open_bytes, reading

FORMATS = (".txt", ".jsonl", ".parquet", ".arrow")
_PROBE_LINES = 1000
_EVEN = 1.1  # files are dealt out whole if no share gets more than this times the mean
_SAMPLE = 1 << 14  # bytes at either end of a file that tell it from another one of its size


class Part(NamedTuple):
    """A part of a document.

    Attributes:
        text: a line, or the text of a row.
        document: number of its document, which neighbouring parts of one document share.
    """

    text: str
    document: int


class Reader(Protocol):
    """Iterates over the parts of a share."""

    def __iter__(self) -> Iterator[Part]: ...

    def position(self) -> dict[str, Any]:
        """Where the next part is, as JSON."""
        ...


class Source(Protocol):
    """The text of a language."""

    @property
    def size(self) -> int | None:
        """Bytes, as they are stored, or None if that is not known."""
        ...

    def open(self, share: int, shares: int, position: Mapping[str, Any] | None = None) -> Reader:
        """Read share number ``share`` of ``shares``, from the beginning or from a position."""
        ...


def nulls_of(position: Any) -> int:
    """How many rows without text a reader has passed over, from its position."""
    if isinstance(position, Mapping):
        return sum(
            int(value) if name == "nulls" else nulls_of(value)
            for name, value in position.items()
            if name != "dataset"  # the state of a library
        )
    return sum(map(nulls_of, position)) if isinstance(position, list) else 0


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Text in files.

    Args:
        files: in the order in which they are read.
        line_documents: lines of text files are documents, without a look at empty lines.
        text_column: field or column that holds the text.
    """

    files: tuple[Path, ...]
    line_documents: bool = False
    text_column: str = "text"

    @property
    def size(self) -> int:
        """Bytes of the files, compressed as they are."""
        return sum(file.stat().st_size for file in self.files)

    def identity(self) -> list[Any]:
        """What tells this text from another, as JSON, wherever the files lie."""
        files = [[file.name, *fingerprint(file)] for file in self.files]
        return [files, self.line_documents, self.text_column]

    def open(self, share: int, shares: int, position: Mapping[str, Any] | None = None) -> FileReader:
        """Read a share: whole files if they can be dealt out evenly by size, else every n-th document."""
        return self.reader(*self.share_of(share, shares), position)

    def share_of(self, share: int, shares: int) -> tuple[Sequence[Path], tuple[int, int]]:
        """The files of a share, and which of their documents, as :class:`FileReader` takes them."""
        dealt = deal([file.stat().st_size for file in self.files], shares)
        if dealt is None:
            return self.files, (share, shares)
        return [self.files[i] for i in dealt[share]], (0, 1)

    def reader(
        self, files: Sequence[Path], modulus: tuple[int, int], position: Mapping[str, Any] | None
    ) -> FileReader:
        """Read some of the files."""
        return FileReader(files, modulus, self.line_documents, self.text_column, position)


def identity_of(source: Source) -> Any:
    """What tells the text of a source from another, as JSON; its size if the source says no more."""
    identity = getattr(source, "identity", None)
    return source.size if identity is None else identity()


def fingerprint(file: Path) -> tuple[int, int]:
    """The size of a file, and a checksum of its beginning and its end."""
    status = file.stat()
    return status.st_size, _checksum(file, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=65_536)
def _checksum(file: Path, size: int, changed: int) -> int:
    with file.open("rb") as stream:
        checksum = zlib.crc32(stream.read(_SAMPLE))
        stream.seek(max(size - _SAMPLE, 0))
        return zlib.crc32(stream.read(_SAMPLE), checksum)


def deal(sizes: Sequence[int], shares: int) -> list[list[int]] | None:
    """Numbers of the files of each share, about equal in size, or None if files are too few or too unlike."""
    dealt: list[list[int]] = [[] for _ in range(shares)]
    loads = [0] * shares
    for i in sorted(range(len(sizes)), key=lambda i: (-sizes[i], i)):
        least = loads.index(min(loads))
        dealt[least].append(i)
        loads[least] += sizes[i]
    if max(loads) > _EVEN * sum(loads) / shares:
        return None
    return [sorted(files) for files in dealt]


class FileReader:
    """Parts of files, one after another.

    Args:
        files: what to read.
        modulus: (r, n): of all documents those whose number is r modulo n.
        line_documents: as of :class:`FileSource`.
        text_column: as of :class:`FileSource`.
        position: where to begin.

    Raises:
        ValueError: a file is damaged, not UTF-8, or lacks the column; names the file and the line or row.
        OSError: a file cannot be read.
    """

    def __init__(
        self,
        files: Sequence[Path],
        modulus: tuple[int, int],
        line_documents: bool,
        text_column: str,
        position: Mapping[str, Any] | None,
    ) -> None:
        self._files = files
        self._remainder, self._modulus = modulus
        self._line_documents = line_documents
        self._column = text_column
        start = dict(position or {})
        self._file = int(start.get("file", 0))
        self._row = int(start.get("row", 0))  # lines or rows of the file that were read
        self._offset = int(start.get("offset", 0))  # bytes of them, for text that is not compressed
        self._document = int(start.get("document", 0))
        self._open_document = bool(start.get("open", False))  # the next line goes on with the document
        self._nulls = int(start.get("nulls", 0))  # rows without text that were passed over

    def position(self) -> dict[str, Any]:
        """Where the next part is."""
        return {
            "file": self._file,
            "row": self._row,
            "offset": self._offset,
            "document": self._document,
            "open": self._open_document,
            "nulls": self._nulls,
        }

    def __iter__(self) -> Iterator[Part]:
        while self._file < len(self._files):
            path = self._files[self._file]
            if content_suffix(path) == ".txt":
                yield from self._lines(path)
            else:
                yield from self._rows(path)
            self._end_document()
            self._file += 1
            self._row = self._offset = 0

    def _end_document(self) -> None:
        if self._open_document:
            self._document += 1
            self._open_document = False

    def _mine(self) -> bool:
        return self._document % self._modulus == self._remainder

    def _lines(self, path: Path) -> Iterator[Part]:
        alone = self._line_documents or not _has_empty_line(path)
        for line in read_lines(path, self._row, self._offset):
            self._row += 1
            self._offset += len(line)
            text = _decode(line, path, self._row)
            if not text or text.isspace():
                self._end_document()
                continue
            part, mine = Part(text, self._document), self._mine()
            self._open_document = True
            if alone:
                self._end_document()
            if mine:
                yield part

    def _rows(self, path: Path) -> Iterator[Part]:
        if content_suffix(path) == ".jsonl":
            rows = self._json_rows(path)
        else:
            rows = _table_rows(path, self._column, self._row)
        for text in rows:
            self._row += 1
            if text is None:  # a blank line between rows
                continue
            part, mine = Part(text, self._document), self._mine()
            self._document += 1
            if mine and text:
                yield part
            self._nulls += mine and not text

    def _json_rows(self, path: Path) -> Iterator[str | None]:
        for number, line in enumerate(read_lines(path, self._row, self._offset), self._row + 1):
            self._offset += len(line)
            if line.isspace():
                yield None
                continue
            # The line is parsed even if its document is another reader's: its damage is ours to tell.
            yield json_text(_decode(line, path, number), self._column, f"{path}, line {number}")


def json_text(line: str, column: str, where: str) -> str:
    """The text of a row of jsonl; empty where it is null.

    Raises:
        ValueError: the row is no JSON object, lacks the field, or has no text in it.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not valid JSON ({error}); mend or remove it") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: no text in the field {column!r}: {_short(row)} is no object with fields")
    if column not in row:
        there = ", ".join(map(repr, row)) or "none"
        raise UserError(f"{where}: no text in the field {column!r}; fields there: {there}")
    return text_of(row[column], column, where)


def text_of(value: Any, column: str, where: str) -> str:
    """A row's text as it is, or empty if it is null: such rows are passed over in all formats.

    Raises:
        ValueError: it is something else.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(
            f"{where}: no text in the field {column!r}, but {_short(value)} ({type(value).__name__}); "
            "write text, or null to leave the row out"
        )
    return value


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def read_lines(path: Path, row: int = 0, offset: int = 0) -> Iterator[bytes]:
    """Lines of a file from number ``row`` on, which is at byte ``offset`` of the text.

    Raises:
        ValueError: the compressed file is truncated or damaged.
    """
    number, skip = row, row if path.suffix in COMPRESSED else 0
    try:
        with reading(str(path)), open_bytes(path) as file:
            if not skip:
                file.seek(offset)
            for line in byte_lines(file):
                if skip:
                    skip -= 1
                    continue
                number += 1
                yield line
    except DataError as error:
        raise UserError(
            f"{path}: truncated or damaged after line {number - skip} ({error.__cause__}); fetch it again"
        ) from error


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}, line {number}: not UTF-8 ({error}); convert the file") from error


def _has_empty_line(path: Path) -> bool:
    for number, line in enumerate(read_lines(path)):
        if line.isspace():
            return True
        if number >= _PROBE_LINES:
            break
    return False


def _table_rows(path: Path, column: str, skip: int) -> Iterator[str]:
    """Texts of a parquet or Arrow file from row ``skip`` on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if content_suffix(path) == ".parquet":
            with pq.ParquetFile(path) as file:
                _check_column(path, column, file.schema_arrow)
                groups: list[int] = []
                before = 0
                for group in range(file.num_row_groups):
                    rows = file.metadata.row_group(group).num_rows
                    if skip >= before + rows and not groups:
                        before += rows
                    else:
                        groups.append(group)
                batches = file.iter_batches(256, row_groups=groups, columns=[column])
                yield from _texts(path, column, batches, before, skip)
        else:
            with pa.memory_map(str(path)) as file:
                try:
                    opened = pa.ipc.open_file(file)
                    found = (opened.get_batch(i) for i in range(opened.num_record_batches))
                except pa.ArrowInvalid:  # `datasets` writes streams
                    file.seek(0)
                    opened = pa.ipc.open_stream(file)
                    found = iter(opened)
                _check_column(path, column, opened.schema)
                yield from _texts(path, column, found, 0, skip)
    except pa.ArrowException as error:
        raise UserError(
            f"{path}: not a whole {content_suffix(path)[1:]} file ({error}); fetch it again"
        ) from error


def _texts(path: Path, column: str, batches: Iterator[Any], row: int, skip: int) -> Iterator[str]:
    for batch in batches:
        if row + batch.num_rows > skip:
            for text in batch.column(column)[max(skip - row, 0) :].to_pylist():
                yield text or ""
        row += batch.num_rows


def _check_column(path: Path, column: str, schema: Any) -> None:
    import pyarrow.types as types

    if column not in schema.names:
        raise UserError(f"{path}: no column {column!r}; there are: {', '.join(schema.names)}")
    kind = schema.field(column).type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    views = getattr(types, "is_string_view", types.is_string)  # of newer versions
    if not any(check(kind) for check in (types.is_string, types.is_large_string, views, types.is_null)):
        names = {types.is_integer: "int", types.is_floating: "float", types.is_list: "list"}
        name = next((name for check, name in names.items() if check(kind)), str(kind))
        raise UserError(f"{path}: the column {column!r} holds {name}, not text")


@dataclass(frozen=True, kw_only=True)
class HubSource:
    """Rows of a dataset of the hub (or of a folder that ``datasets`` can load), streamed.

    Args:
        dataset: a ``datasets.IterableDataset``.
        size: bytes, if they are known.
        text_column: column that holds the text.
        name: of the data set, its config, split and revision.
    """

    dataset: Any
    size: int | None
    text_column: str = "text"
    name: str = ""

    def identity(self) -> list[Any]:
        """What tells this text from another, as JSON."""
        return [self.name, self.size, self.text_column]

    def open(self, share: int, shares: int, position: Mapping[str, Any] | None = None) -> HubReader:
        """Read a share: whole shards of the dataset if they can be dealt out evenly, else every n-th row."""
        from datasets.distributed import split_dataset_by_node

        return HubReader(split_dataset_by_node(self.dataset, share, shares), self.text_column, position)


class HubReader:
    """Rows of a streamed dataset, whose own state is the position."""

    def __init__(self, dataset: Any, text_column: str, position: Mapping[str, Any] | None) -> None:
        self._dataset = dataset
        self._column = text_column
        self._document = int(position["document"]) if position else 0
        self._nulls = int(position.get("nulls", 0)) if position else 0
        # Until a row is read, a dataset does not tell the state that it was given.
        self._start = dict(position["dataset"]) if position and position["dataset"] else None
        if self._start is not None:
            dataset.load_state_dict(copy.deepcopy(self._start))

    def position(self) -> dict[str, Any]:
        """Where the next row is."""
        state = self._dataset.state_dict() if self._start is None else copy.deepcopy(self._start)
        return {"document": self._document, "dataset": state, "nulls": self._nulls}

    def __iter__(self) -> Iterator[Part]:
        # Iterated plainly, a dataset would divide what it has among a loader's workers once more.
        for rows in self._dataset.iter(batch_size=1):
            self._start = None
            if self._column not in rows:
                raise UserError(f"no column {self._column!r} in the dataset; there are: {', '.join(rows)}")
            self._document += 1
            (value,) = rows[self._column]
            text = text_of(value, self._column, f"row {self._document} of a share of the dataset")
            if text:
                yield Part(text, self._document)
            self._nulls += not text


def local_sources(
    data_dir: Path | str, languages: Sequence[str] | None = None, *, text_column: str = "text"
) -> dict[str, FileSource]:
    """Find the text of each language: ``<lang>.txt`` (also compressed) or a folder ``<lang>/``.

    Args:
        data_dir: where to look.
        languages: which to take; default all that there are.
        text_column: field or column of jsonl, parquet and Arrow files that holds the text.

    Raises:
        FileNotFoundError: there is no such folder, or no text in it.
        ValueError: a language is missing, is there twice, or has no text.
    """
    root = Path(data_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"no folder {root}")
    found: dict[str, FileSource] = {}
    for entry in sorted(root.iterdir()):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            language = entry.name
            files = sorted(file for file in entry.rglob("*") if file.is_file() and _is_text(file))
            if not files and (languages is None or language not in languages):
                continue
        elif _is_text(entry):
            language = (entry.with_suffix("") if _compressed(entry) else entry).stem
            files = [entry]
        else:
            continue
        if language in found:
            raise UserError(f"{root} holds {language} twice, as a file and as a folder; keep one of them")
        if not sum(file.stat().st_size for file in files):
            raise UserError(f"the corpus of {language} is empty: {entry}")
        found[language] = FileSource(
            files=tuple(files), line_documents=not entry.is_dir(), text_column=text_column
        )
    if languages is not None:
        missing = [language for language in languages if language not in found]
        if missing:
            there = ", ".join(found) or "none"
            raise UserError(f"no text of {', '.join(missing)} in {root}; languages there: {there}")
        found = {language: found[language] for language in languages}
    if not found:
        raise FileNotFoundError(
            f"no <lang>.txt and no folder <lang>/ with {', '.join(FORMATS)} files in {root}"
        )
    return found


def _compressed(path: Path) -> bool:
    return path.suffix in COMPRESSED


def _is_text(path: Path) -> bool:
    if path.name.startswith((".", "_")):
        return False
    return content_suffix(path) in (FORMATS[:2] if _compressed(path) else FORMATS)


def hub_sources(
    dataset_name: str,
    languages: Sequence[str],
    split: str = "train",
    *,
    text_column: str = "text",
    revision: str | None = None,
) -> dict[str, Source]:
    """Stream a dataset of the hub that has one config a language.

    Args:
        dataset_name: repository of the dataset, or a local folder.
        languages: names of the configs.
        split: which split to read.
        text_column: column that holds the text.
        revision: commit, tag or branch, so that a run can be repeated.

    Raises:
        ValueError: there is no such config.
        OSError: the dataset cannot be reached.
    """
    from datasets import get_dataset_config_names, load_dataset

    configs = get_dataset_config_names(dataset_name, revision=revision)
    if missing := [language for language in languages if language not in configs]:
        raise UserError(f"{dataset_name} has no config {', '.join(missing)}; there are: {', '.join(configs)}")

    sources: dict[str, Source] = {}
    for language in languages:
        dataset = load_dataset(dataset_name, language, split=split, streaming=True, revision=revision)
        info = dataset.info
        known = (info.splits or {}).get(split)
        size = known.num_bytes if known is not None and known.num_bytes else info.dataset_size
        sources[language] = HubSource(
            dataset=dataset,
            size=size or None,
            text_column=text_column,
            name=f"{dataset_name}:{language}:{split}@{revision or ''}",
        )
    return sources
