"""Sentences with entity tags: the column formats of named entity recognition.

All tags become IOB2 (Tjong Kim Sang & Veenstra 1999, https://aclanthology.org/E99-1023/) when they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, TextIO

from pixel_m4.files import DataError, clean_lines
from pixel_m4.formats.rows import BadRows, InputFormat, OneWordLines
from pixel_m4.formats.segment import segment, warn_of_script

DataFormat = Literal["auto", "columns", "numbered", "characters"]

# B begins, I and M are inside, E and L end, S and U are a whole entity: IOB, BIOES, BMES and BILOU.
_TAG = re.compile(r"O|[BIMELSU]-\S+")
_BEGINS = "BSU"
_NO_TAG = ("", "_", "-")  # what stands for a tag that is to be found
_HEAD = 4096  # lines after which a format must be clear


@dataclass(frozen=True, slots=True, kw_only=True)
class TaggedSentence:
    """A sentence and its entities.

    Attributes:
        words: its words (in the format ``characters``: its characters without spaces).
        tags: of each word, in IOB2.
        source: file, or data set and split.
        lines: line number of each word; empty if they have none.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    source: str
    lines: tuple[int, ...] = ()

    def place(self, word: int) -> str:
        """Where a word stands, for messages."""
        return f"{self.source}:{self.lines[word]}" if self.lines else f"{self.source}, word {word + 1}"


def is_tag(text: str) -> bool:
    """Whether a text is a tag of one of the schemes that are read."""
    return _TAG.fullmatch(text) is not None


def to_iob2(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags of any scheme, also broken ones, as IOB2.

    An entity begins where a tag says so (B, S, U), and where a tag inside an entity (I, M, E, L) follows O or
    another type; everything else inside stays inside.  So IOB1 and BIOES are converted as they are meant, and
    an I without its B begins an entity, as CoNLL's own evaluation counts it.
    """
    converted: list[str] = []
    inside = ""  # the type of the entity that the next word may continue
    for tag in tags:
        prefix, _, kind = tag.partition("-")
        if prefix == "O":
            converted.append("O")
            inside = ""
            continue
        converted.append(f"{'B' if prefix in _BEGINS or kind != inside else 'I'}-{kind}")
        inside = "" if prefix in "SUEL" else kind
    return tuple(converted)


def parse_iob(
    lines: Iterable[str] | str,
    source: str,
    *,
    data_format: DataFormat = "auto",
    tags: bool = True,
    bad: BadRows | None = None,
) -> list[TaggedSentence]:
    """Read sentences that stand a word a line, with an empty line between them.

    - ``columns``: the word first and its tag last, separated by tabs or spaces (CoNLL-2002 and 2003,
      MasakhaNER, HiNER), the same number in every line.  Lines ``-DOCSTART-`` are skipped, and so are lines
      before a sentence that begin with ``#`` and a space and have no tag (MultiCoNER); any other ``#`` is a
      word.
    - ``numbered``: number (of the word in its sentence, from 0 or 1), word, tag and further columns, or the
      tag last, separated by tabs or spaces, with comments (Universal NER, GermEval 2014, WikiNEuRal).  Type
      OTH of Universal NER becomes O, for the data set's own evaluation knows three types only.
    - ``characters``: a character a line, with lines ``##`` before each sentence (KLUE).  Characters are the
      words; those that are spaces are left out.

    Args:
        lines: the text.
        source: what messages call it.
        data_format: one of these, or ``auto``: as the lines look.
        tags: demand tags; otherwise they may be missing, and are not looked at.
        bad: what to do with sentences that are wrong; default: the first one is an error.

    Raises:
        DataError: a line is wrong, or there is no sentence; names source and line.
    """
    rows = list(clean_lines(lines))
    if data_format == "auto":
        data_format = _find_format(rows, tags)
    return list(_stream_rows(rows, source, data_format, tags, bad))


def _stream_rows(
    rows: Iterable[str], source: str, data_format: DataFormat, tags: bool, bad: BadRows | None = None
) -> Iterator[TaggedSentence]:
    """Sentences as they come; there must be one."""
    bad = BadRows("sentences") if bad is None else bad
    kept = 0
    splitter = _Splitter(data_format, source, tags)
    found: list[tuple[str, str, int]] = []  # word, tag and line number
    damaged = False  # the sentence, of which the rest is left out
    for number, row in enumerate(chain(rows, [""]), 1):
        boundary = not row.strip(" \t") and not (data_format == "characters" and "\t" in row)
        if boundary or (data_format == "characters" and _is_klue_title(row)):
            if found and not damaged:
                words, labels, numbers = zip(*found, strict=True)
                kept += 1
                yield TaggedSentence(words=words, tags=to_iob2(labels), source=source, lines=numbers)
            found, damaged = [], False
            splitter.before = 0
            continue
        if damaged or _is_comment(row, data_format, not found):
            continue
        try:
            word, tag = splitter(row, number)
        except DataError as error:
            bad.add(error)
            damaged = True
            continue
        if data_format == "characters" and word.isspace():
            continue
        found.append((word, tag, number))
    bad.tell(source, kept)
    if not kept:
        raise DataError(f"{source} holds no sentence; is it the right file, and was it fetched in full?")


def parse_raw(lines: Iterable[str], source: str, input_format: InputFormat = "auto") -> list[TaggedSentence]:
    """All sentences of :func:`stream_raw`."""
    return list(stream_raw(lines, source, input_format))


def stream_raw(
    lines: Iterable[str],
    source: str,
    input_format: InputFormat = "auto",
    *,
    data_format: DataFormat = "auto",
    bad: BadRows | None = None,
) -> Iterator[TaggedSentence]:
    """Sentences to annotate, as they come.

    Args:
        lines: a word a line, whose tags may be missing or ``_``; or a sentence a line.
        source: what messages call them.
        input_format: ``columns``: a word a line.  ``text``: raw text, cut into words by
            :func:`~pixel_m4.formats.segment.segment`.  ``tokens``: words between white space.  ``auto``:
            columns if all lines of the first sentence are words with tags, text if one of them is not; where
            that is not clear, an error.
        data_format: of columns, see :func:`parse_iob`.
        bad: what to do with sentences that are wrong; default: the first one is an error.

    Raises:
        DataError: there is no sentence, a line is wrong, or it is not clear what the lines are.
    """
    rows: Iterable[str] = clean_lines(lines)
    guessed = input_format == "auto"
    if input_format in ("auto", "columns"):
        head: list[str] = []
        for row in rows:
            head.append(row)
            if input_format == "auto" and _kind(row) == "text" and not row.startswith("#"):
                break  # which columns cannot hold: enough is known, and a slow stream is answered soon
            if len(head) > _HEAD or not (row.strip() or all(map(_skipped, head))):
                break
        if input_format == "auto":
            input_format = _guess(head, source)
        if input_format == "columns" and data_format == "auto":
            data_format = _find_format(head, False)
        rows = chain(head, rows)
    if input_format == "columns":
        yield from _stream_rows(rows, source, data_format, False, bad)
        return
    told = False
    so_far = OneWordLines(source)
    for number, row in enumerate(rows, 1):
        if guessed:
            so_far.check(row, number)
        if guessed and "\t" in row and is_tag(row.rpartition("\t")[2]):
            raise DataError(
                f"{source}:{number}: looks like a word and its tag, but is among lines of text: "
                f"{row[:80]!r}; give one of both, or say --input_format text or columns"
            )
        if input_format == "tokens":
            words = tuple(row.split())
        else:
            segments = segment(row)
            words = tuple(found.word for found in segments)
            script = next((found.unsegmented for found in segments if found.unsegmented), None)
            if script and data_format != "characters" and not told:
                told = True
                warn_of_script(source, number, script)
        if data_format == "characters":
            words = tuple("".join(words))
        if words:
            yield TaggedSentence(
                words=words, tags=("O",) * len(words), source=source, lines=(number,) * len(words)
            )


def _skipped(row: str) -> bool:
    """Whether a line before the first sentence is none of its words."""
    return not row.strip() or row.startswith("-DOCSTART-") or _is_klue_title(row) or _is_note(row)


def _is_note(row: str) -> bool:
    """Whether a line before a sentence of columns is a comment: ``#``, a space, and no tag."""
    return row.startswith("# ") and not is_tag(row.split()[-1]) and _after_tab(row) not in _NO_TAG


def _after_tab(row: str) -> str | None:
    return row.rpartition("\t")[2].strip() if "\t" in row else None


def _kind(row: str) -> str:
    """What a line can be: ``tagged`` (after a tab), ``spaced``, ``tabbed`` or ``text``; empty if blank."""
    if not row.strip():
        return ""
    if "\t" in row:
        columns = row.split("\t")
        known = columns[-1].strip() in _NO_TAG or is_tag(columns[-1])
        known = known or (len(columns) > 2 and columns[0].isdecimal() and is_tag(columns[2]))
        return "tagged" if known else "tabbed"
    columns = row.split()
    wordless = row.startswith(" ")  # a tag whose word is missing
    return "spaced" if (len(columns) > 1 or wordless) and is_tag(columns[-1]) else "text"


def _guess(head: Sequence[str], source: str) -> InputFormat:
    """Whether the first lines are columns or text, if that is clear."""
    first = next((number for number, row in enumerate(head) if not _skipped(row)), None)
    if first is None:
        return "text"
    rows = [row for row in head[first:] if row.strip() and not _is_note(row)]
    kinds = {_kind(row) for row in rows}
    titled = any(row.startswith("-DOCSTART-") for row in head)
    if kinds == {"tagged"} or (titled and "text" not in kinds):
        return "columns"
    widths = {len(row.split()) for row in rows}
    if kinds == {"spaced"} and len(widths) == 1:
        if len(rows) > 1 and any(row.split()[-1] == "O" for row in rows):
            return "columns"
    elif "text" in kinds and not titled:
        spaced = [row for row in rows if _kind(row) == "spaced"]
        if len(spaced) < 2 and not any(len(row.split()) <= 2 for row in spaced):
            return "text"  # else columns, of which a line is damaged
    raise DataError(
        f"{source}:{first + 1}: not clear whether this is a sentence or a word with its tag: "
        f"{head[first][:80]!r}; say --input_format text, tokens (words between spaces) or columns (a word a "
        "line)"
    )


def write_iob2(sentences: Iterable[TaggedSentence], stream: TextIO) -> None:
    """Write words and tags separated by a tab, with an empty line after every sentence."""
    for sentence in sentences:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            stream.write(f"{word}\t{tag}\n")
        stream.write("\n")


def _find_format(rows: Sequence[str], tags: bool) -> DataFormat:
    """The format of columns, from lines of which the last sentence may be cut off."""
    filled = [row for row in rows if row.strip(" ")]
    if filled and _is_klue_title(filled[0]):
        body = [row.split("\t") for row in filled if not _is_klue_title(row)]
        if body and all(len(columns) == 2 and len(columns[0]) == 1 for columns in body[:100]):
            return "characters"
    rows = [row for row in filled if not row.startswith("#")]
    if len(rows) == 1 and "\t" not in rows[0]:  # a sentence that is a number, with spaces between its columns
        return "columns"
    return "numbered" if _is_numbered([_cells(row) for row in rows], tags) else "columns"


def _cells(row: str) -> list[str]:
    return row.split("\t") if "\t" in row else row.split()


def _is_numbered(body: Sequence[Sequence[str]], tags: bool) -> bool:
    """Whether rows begin with the numbers of words; the first has a tag (or, for prediction, none) too."""
    if not body or len(body[0]) < 3 or body[0][0] not in ("0", "1"):
        return False
    known = is_tag(body[0][2]) or is_tag(body[0][-1]) or (not tags and body[0][2] in _NO_TAG)
    return known and all(columns[0].isdecimal() for columns in body[:100])


def _is_klue_title(row: str) -> bool:
    return row.startswith("##") and not is_tag(row.rpartition("\t")[2])


def _is_comment(row: str, data_format: DataFormat, at_start: bool) -> bool:
    """Whether a line is skipped; ``at_start`` if no word of a sentence is before it."""
    if data_format == "columns":  # where "#" may be a word
        return at_start and (row.startswith("-DOCSTART-") or _is_note(row))
    return row.startswith("#") and data_format == "numbered"


class _Splitter:
    """Lines to words and tags; all must have as many columns as the first.

    Attributes:
        before: words of the sentence so far.
    """

    def __init__(self, data_format: DataFormat, source: str, tags: bool) -> None:
        self.before = 0
        self._format = data_format
        self._source = source
        self._tags = tags
        self._first: tuple[int, int, bool] | None = None  # line number, columns, separated by tabs
        self._numbers: tuple[int, int] | None = None  # that of a sentence's first word; column of the tag
        self._universal = False  # Universal NER

    def __call__(self, row: str, number: int) -> tuple[str, str]:
        """Word and tag of a line; raises :class:`DataError`."""
        place = f"{self._source}:{number}"
        tabs = "\t" in row
        if self._format == "numbered":
            return self._numbered(_cells(row), row, place)
        columns = row.split("\t") if tabs else row.split(" ")
        if not tabs and columns[0]:
            columns = [column for column in columns if column]
        if not columns[0].strip() and self._format != "characters":
            raise DataError(f"{place}: the word is empty: {row!r}; write a word before its tag")
        if self._tags and len(columns) < 2:
            raise DataError(f"{place}: one column instead of a word and its tag: {row!r}")
        if self._first is None:
            self._first = (number, len(columns), tabs)
        elif self._first[1:] != (len(columns), tabs):
            first, count, by_tabs = self._first
            kinds = [f"{n} column(s) separated by {'tabs' if t else 'spaces'}" for n, t in (
                (len(columns), tabs), (count, by_tabs)
            )]  # fmt: skip
            raise DataError(f"{place}: {kinds[0]}, but line {first} has {kinds[1]}: {row!r}")
        self.before += 1
        return columns[0], self._tag(columns[0], columns[-1], place)

    def _numbered(self, columns: Sequence[str], row: str, place: str) -> tuple[str, str]:
        if len(columns) < (3 if self._tags else 2):
            raise DataError(f"{place}: {len(columns)} columns instead of number, word and tag: {row!r}")
        if self._numbers is None:  # the first word of all
            last = len(columns) > 2 and not is_tag(columns[2]) and is_tag(columns[-1])
            self._numbers = (int(columns[0] != "0"), -1 if last else 2)
            # GermEval has a second layer of tags there, in which OTH is a type like others.
            self._universal = not last and len(columns) > 3 and not is_tag(columns[3])
        start, tag_at = self._numbers
        if columns[0] != str(self.before + start):
            raise DataError(
                f"{place}: the number {columns[0]!r} is not the next, {self.before + start}; number the "
                f"words of a sentence from {start}, with an empty line between sentences"
            )
        if not columns[1].strip():
            raise DataError(f"{place}: the word is empty: {row!r}; write a word before its tag")
        self.before += 1
        tag = self._tag(columns[1], columns[tag_at] if self._tags else "O", place)
        return columns[1], "O" if self._universal and tag.endswith("-OTH") else tag

    def _tag(self, word: str, tag: str, place: str) -> str:
        if not self._tags:
            return "O"
        if not is_tag(tag):
            raise DataError(
                f"{place}: the word {word!r} has the tag {tag!r}, which is neither O nor a type with B-, I- "
                "(or M-, E-, L-, S-, U-) before it"
            )
        return tag
