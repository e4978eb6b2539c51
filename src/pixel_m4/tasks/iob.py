"""Sentences with entity tags: the column formats of named entity recognition.

All tags become IOB2 (Tjong Kim Sang & Veenstra 1999, https://aclanthology.org/E99-1023/) when they are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from .base import DataError

DataFormat = Literal["auto", "columns", "numbered", "characters"]

# B begins, I and M are inside, E and L end, S and U are a whole entity: IOB, BIOES, BMES and BILOU.
_TAG = re.compile(r"O|[BIMELSU]-\S+")
_BEGINS = "BSU"


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
    lines: Iterable[str], source: str, *, data_format: DataFormat = "auto", tags: bool = True
) -> list[TaggedSentence]:
    """Read sentences that stand a word a line, with an empty line between them.

    - ``columns``: the word first and its tag last, separated by tabs or spaces (CoNLL-2003, MasakhaNER,
      HiNER); lines ``-DOCSTART-`` and comments are skipped.
    - ``numbered``: number, word, tag and further columns, separated by tabs, with comments (Universal NER).
      Its type OTH becomes O, for the data set's own evaluation knows three types only.
    - ``characters``: a character a line, with lines ``##`` before each sentence (KLUE).  Characters are the
      words; those that are spaces are left out.

    Args:
        lines: the text.
        source: what messages call it.
        data_format: one of these, or ``auto``: as the first lines look.
        tags: demand tags; otherwise they may be missing, and are not looked at.

    Raises:
        DataError: a line is wrong, or there is no sentence; names source and line.
    """
    rows = [line.rstrip("\r\n") for line in lines]
    if rows:
        rows[0] = rows[0].removeprefix("\ufeff")
    if data_format == "auto":
        data_format = _find_format(rows, tags)
    sentences: list[TaggedSentence] = []
    found: list[tuple[str, str, int]] = []  # word, tag and line number

    def finish() -> None:
        if found:
            words, labels, numbers = zip(*found, strict=True)
            sentences.append(TaggedSentence(words=words, tags=to_iob2(labels), source=source, lines=numbers))
            found.clear()

    for number, row in enumerate(rows, 1):
        if not row.strip():
            finish()
            continue
        if data_format == "characters" and row.startswith("##"):
            finish()
            continue
        if _is_comment(row, data_format):
            continue
        word, tag = _split(row, data_format, f"{source}:{number}", tags)
        if data_format == "characters" and word.isspace():
            continue
        if not word.strip():
            raise DataError(f"{source}:{number}: the word is empty: {row!r}; write a word before its tag")
        if tags and not is_tag(tag):
            raise DataError(
                f"{source}:{number}: the word {word!r} has the tag {tag!r}, which is neither O nor a type "
                "with B-, I- (or M-, E-, L-, S-, U-) before it"
            )
        if not tags or (data_format == "numbered" and tag.endswith("-OTH")):
            tag = "O"
        found.append((word, tag, number))
    finish()
    if not sentences:
        raise DataError(f"{source} holds no sentence; is it the right file, and was it fetched in full?")
    return sentences


def parse_raw(lines: Iterable[str], source: str) -> list[TaggedSentence]:
    """Sentences to annotate: a word a line if lines hold tabs or tags, else a sentence a line.

    Raises:
        DataError: there is no sentence, or a line is wrong.
    """
    rows = [line.rstrip("\r\n") for line in lines]
    filled = [row.split() for row in rows if row.strip()]
    if any("\t" in row for row in rows) or (
        filled and all(len(row) == 2 and is_tag(row[1]) for row in filled)
    ):
        return parse_iob(rows, source, tags=False)
    sentences = []
    for number, row in enumerate(rows, 1):
        words = tuple(row.removeprefix("\ufeff").split())
        if words:
            numbers = (number,) * len(words)
            sentences.append(
                TaggedSentence(words=words, tags=("O",) * len(words), source=source, lines=numbers)
            )
    return sentences


def write_iob2(sentences: Iterable[TaggedSentence], stream: TextIO) -> None:
    """Write words and tags separated by a tab, with an empty line after every sentence."""
    for sentence in sentences:
        for word, tag in zip(sentence.words, sentence.tags, strict=True):
            stream.write(f"{word}\t{tag}\n")
        stream.write("\n")


def _find_format(rows: Sequence[str], tags: bool) -> DataFormat:
    filled = [row for row in rows if row.strip()]
    if filled and filled[0].startswith("##"):
        return "characters"
    first = next((row for row in filled if not _is_comment(row, "columns")), "").split("\t")
    numbered = len(first) > 2 and first[0] == "1" and (is_tag(first[2]) or (not tags and first[2] in "_-"))
    return "numbered" if numbered else "columns"


def _is_comment(row: str, data_format: DataFormat) -> bool:
    if data_format == "columns":  # where "#" may be a word, but not a word with a tag
        return row.startswith("-DOCSTART-") or (row.startswith("#") and not is_tag(row.split()[-1]))
    return row.startswith("#") and data_format == "numbered"


def _split(row: str, data_format: DataFormat, place: str, tags: bool) -> tuple[str, str]:
    columns = row.split("\t") if "\t" in row else [column for column in row.split(" ") if column]
    if data_format == "numbered":
        if len(columns) < (3 if tags else 2):
            raise DataError(f"{place}: {len(columns)} columns instead of number, word and tag: {row!r}")
        return columns[1], columns[2] if tags else ""
    if tags and len(columns) < 2:
        raise DataError(f"{place}: one column instead of a word and its tag: {row!r}")
    return columns[0], columns[-1]
