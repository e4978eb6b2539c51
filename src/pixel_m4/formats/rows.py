"""Rows that cannot be used: the first one stops the reading, or all are left out, counted and named."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pixel_m4.files import DataError

InputFormat = Literal["auto", "text", "tokens", "columns"]
"""What text to annotate looks like: raw text, words between spaces, or the files of the task."""

_NAMED = 3  # of those that are left out
_NUMBERED_WORD = re.compile(r"\d+\t\S+\s*")

logger = logging.getLogger(__name__)


class BadRows:
    """What a reader does with rows that are wrong.

    Args:
        what: what a row is, in the plural: rows, sentences, questions.
        skip: leave wrong ones out; else the first one is an error.
    """

    def __init__(self, what: str = "rows", *, skip: bool = False) -> None:
        self.what = what
        self.skip = skip
        self.errors: list[DataError] = []

    @contextmanager
    def row(self) -> Iterator[None]:
        """Read one row; if it is wrong and wrong ones are skipped, nothing is raised.

        Raises:
            DataError: the row is wrong, and wrong ones are not skipped.
        """
        try:
            yield
        except DataError as error:
            self.add(error)

    def add(self, error: DataError) -> None:
        """Note an error, or raise it.

        Raises:
            DataError: wrong rows are not skipped.
        """
        if not self.skip:
            raise type(error)(f"{error}; --skip_bad_rows leaves such {self.what} out") from error
        self.errors.append(error)

    def tell(self, source: str, kept: int) -> None:
        """Say how many rows were left out since the last time, and the first of them.

        Args:
            source: what messages call the data.
            kept: rows that are left.

        Raises:
            DataError: nothing is left.
        """
        if not self.errors:
            return
        total = len(self.errors) + kept
        text = f"{source}: {len(self.errors):,} of {total:,} {self.what} are left out as wrong: "
        text += "; ".join(map(str, self.errors[:_NAMED]))
        if len(self.errors) > _NAMED:
            text += f"; and {len(self.errors) - _NAMED:,} more"
        self.errors = []
        if not kept:
            raise DataError(f"{text}; nothing is left")
        logger.warning("%s", text)


class OneWordLines:
    """Lines taken for sentences so far; tells when they rather are a word a line.

    Args:
        source: what messages call them.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._words = 0  # lines of one word since the last blank one
        self._sentence = 0  # line number of the first blank line after two or more of them
        self._all = True  # so far every line was blank or one word

    def check(self, line: str, number: int) -> None:
        """Look at the next line.

        Raises:
            DataError: it is not clear whether the lines are sentences.
        """
        if not self._all:
            return
        if _NUMBERED_WORD.fullmatch(line):
            raise self._unclear(line, number, "a word and its number")
        parts = line.split()
        if len(parts) > 1:
            self._all = False
        elif parts and self._sentence:
            raise self._unclear(line, number, f"a word, as those before line {self._sentence} do")
        elif parts:
            self._words += 1
        elif self._words > 1:
            self._sentence = self._sentence or number
        else:
            self._words = 0

    def _unclear(self, line: str, number: int, what: str) -> DataError:
        return DataError(
            f"{self._source}:{number}: not clear whether this is a sentence: {line.strip()[:80]!r} looks "
            f"like {what}; say --input_format text, tokens (words between spaces, a sentence a line) or "
            "columns (a word a line, in the task's own format)"
        )


def check_text(value: Any, what: str, place: str) -> str:
    """A value that must be text, and not blank.

    Args:
        value: anything.
        what: what it is, for messages.
        place: where it stands.

    Raises:
        DataError: it is something else, or holds half a character (a surrogate), which no file can.
    """
    if not isinstance(value, str):
        raise DataError(f"{place}: the {what} is no text, but {shown(value)}; write it as text")
    if not value.strip():
        raise DataError(f"{place}: the {what} is empty ({value!r}); give it words, or drop the row")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = value[error.start]
            raise DataError(
                f"{place}: the {what} holds half a character ({half!r}, a surrogate without its partner) "
                f"at character {error.start}; write the whole character"
            ) from error
    return value


def shown(value: Any) -> str:
    """A value and its kind, for messages."""
    text = repr(value)
    kind = {"NoneType": "nothing", "bool": "a truth value", "dict": "an object"}.get(
        type(value).__name__, f"{type(value).__name__}"
    )
    return f"{text[:60]}{'…' if len(text) > 60 else ''} ({kind})"


def folded(text: str) -> str:
    """A text in which case and white space do not count."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())
