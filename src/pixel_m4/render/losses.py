"""What rendering could not show: characters that no font has, and text that does not fit on its canvas.

Python users are warned: under the usual filters once for each kind and renderer, else at every call.
Commands say it once, at their end: :func:`told_at_end`.  Processes that they start with fork or
multiprocessing, such as the workers of a loader, leave their counts in a folder of the command's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_SHOWN = 12  # characters that a summary names
_ONCE = ("default", "module", "once")
_FONTS = (
    "for fonts that have them, name their folder with --fallback_fonts_dir (in Python: fallback_fonts_dir), "
    "or noto after `pixel-m4 fonts fetch --fallback`; `pixel-m4 fonts check` tells more"
)
_FOLDER_ENV = "PIXEL_M4_LOSSES"  # where processes of a command leave their counts
_MOST_BYTES = 1 << 20  # of such a file, before its lines are added up


class MissingGlyphWarning(UserWarning):
    """A text holds characters that no font has."""


class TruncationWarning(UserWarning):
    """A text does not fit on its canvas, so that a part of it is not drawn."""


class Cut(NamedTuple):
    """What does not fit on a canvas.

    Attributes:
        texts: how many texts were too long.
        words: words of which nothing is drawn.
        characters: characters that are not drawn, those of partly drawn words included; without white space.
        of_words: words of these texts.
        of_characters: characters of these texts.
    """

    texts: int = 0
    words: int = 0
    characters: int = 0
    of_words: int = 0
    of_characters: int = 0

    def plus(self, other: Cut) -> Cut:
        """Both together."""
        return Cut(*(one + two for one, two in zip(self, other, strict=True)))

    def __str__(self) -> str:
        texts = "a text does" if self.texts == 1 else f"{self.texts:,} texts do"
        return (
            f"{texts} not fit: {self.words:,} of {self.of_words:,} words and {self.characters:,} of "
            f"{self.of_characters:,} characters are not drawn"
        )


NOTHING = Cut()


@dataclass
class Losses:
    """What a renderer, or a command, could not show so far.

    Attributes:
        missing: characters that no font has, and how often they were drawn as missing glyphs.
        cut: what did not fit.
        notices: what else a command tells, each once.
        left_out: characters of text for pretraining that no font has, and how often they became spaces.
    """

    missing: Counter[str] = field(default_factory=Counter)
    cut: Cut = NOTHING
    notices: dict[str, None] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, missing: str, cut: Cut) -> None:
        """Count characters without a glyph (as often as they were drawn) and what did not fit."""
        self.missing.update(missing)
        self.cut = self.cut.plus(cut)

    def to_json(self) -> str:
        """All of it as a line, for :meth:`add_json`."""
        content = {"missing": self.missing, "cut": self.cut, "left_out": self.left_out}
        return json.dumps({**content, "notices": list(self.notices)})

    def add_json(self, line: str) -> None:
        """Add what another process has counted.

        Raises:
            ValueError: the line is not whole.
        """
        content = json.loads(line)
        self.missing.update(content["missing"])
        self.left_out.update(content["left_out"])
        self.cut = self.cut.plus(Cut(*content["cut"]))
        self.notices |= dict.fromkeys(content["notices"])

    def lines(self) -> list[str]:
        """A line for each kind of loss: what it is, how much, and what to do; none without losses."""
        lines = list(self.notices)
        if self.missing:
            lines.append(
                f"missing glyphs: no font has {_number(len(self.missing), 'character')}, drawn "
                f"{_number(self.missing.total(), 'time')} as the missing glyph: {shown(self.missing)}; "
                f"{_FONTS}"
            )
        if self.left_out:
            lines.append(
                f"left out: no font has {_number(len(self.left_out), 'character')} of the text, which became "
                f"spaces {_number(self.left_out.total(), 'time')}: {shown(self.left_out)}; {_FONTS}"
            )
        if self.cut.texts:
            lines.append(
                f"truncated: {self.cut}; cut such texts into shorter ones (a long word may need spaces), or "
                "raise --max_seq_length where there is more room"
            )
        return lines


class RenderingNotice(UserWarning):
    """Something about a renderer that its user should know."""


_collected: Losses | None = None
_left_at: Path | None = None  # where a process of a command leaves what it collects


def notice(message: str) -> None:
    """Tell something once: at the end of a command, or as a warning."""
    if _collected is not None:
        if message not in _collected.notices:
            _collected.notices[message] = None
            _leave(Losses(notices={message: None}))
    else:
        warnings.warn(message, RenderingNotice, stacklevel=2)


@contextmanager
def told_at_end(write: Callable[[str], object]) -> Iterator[None]:
    """Warn of no losses inside; at the end, also after an error, tell the losses of all renderers together.

    Inside of another one it does nothing: the outer one tells.  What processes lose that are started inside,
    such as the workers of a loader, is told too.

    Args:
        write: takes a line without its end.
    """
    global _collected
    if _collected is not None:
        yield
        return
    with ExitStack() as stack:
        folder = None
        with suppress(OSError):  # without a place for temporary files, other processes warn
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixel-m4-")))
            os.environ[_FOLDER_ENV] = str(folder)
        _collected = losses = Losses()
        try:
            yield
        finally:
            _collected = None
            os.environ.pop(_FOLDER_ENV, None)
            for file in sorted(folder.glob("*.jsonl")) if folder else ():
                for line in file.read_text(encoding="utf-8").splitlines():
                    with suppress(ValueError):  # a process that was killed as it wrote
                        losses.add_json(line)
            for line in losses.lines():
                write(line)


@contextmanager
def untold() -> Iterator[None]:
    """Neither warn of losses inside, nor tell them at the end: for programs that show them in another way."""
    global _collected
    outer, _collected = _collected, Losses()
    try:
        yield
    finally:
        _collected = outer


def tell(losses: Losses, missing: str, cut: Cut, stacklevel: int) -> None:
    """Count losses of a call, and warn of them unless they are told at the end.

    Args:
        losses: those of the renderer so far.
        missing: characters without a glyph, as often as they were drawn.
        cut: what did not fit.
        stacklevel: as for ``warnings.warn``, counted from the caller.
    """
    first_missing, first_cut = not losses.missing, not losses.cut.texts
    losses.add(missing, cut)
    if _collected is not None:
        _collected.add(missing, cut)
        _leave(Losses(Counter(missing), cut))
        return
    if missing and (first_missing or not _heard_once(MissingGlyphWarning)):
        codes = ", ".join(map(_code, sorted(set(missing))))
        warnings.warn(
            f"no font has {len(missing)} character(s) of a text, drawn as missing glyphs: {codes}; give "
            "fallback_fonts_dir=... (renderer.losses counts all of them)",
            MissingGlyphWarning,
            stacklevel=stacklevel + 1,
        )
    if cut.texts and (first_cut or not _heard_once(TruncationWarning)):
        warnings.warn(
            f"{cut}; cut such texts into shorter ones, or ask for the overflow windows of a pair "
            "(renderer.losses counts all of them)",
            TruncationWarning,
            stacklevel=stacklevel + 1,
        )


def left_out(chars: str) -> None:
    """Count characters of text for pretraining that became spaces as no font has them; else warn once."""
    if _collected is not None:
        _collected.left_out.update(chars)
        _leave(Losses(left_out=Counter(chars)))
    else:
        warnings.warn(
            f"characters that no font has become spaces; {_FONTS}", MissingGlyphWarning, stacklevel=2
        )


def _heard_once(category: type[Warning]) -> bool:
    """Whether Python would show a warning with always the same words only once.

    Ours count something else each time, so that a loop over texts would show one a text.
    """
    for action, message, kind, module, line in warnings.filters:
        if issubclass(category, kind) and message is None and module is None and not line:
            return action in _ONCE
    return True


def shown(counts: Counter[str], most: int = _SHOWN) -> str:
    """The most frequent characters with their code points, and how often they come, for messages."""
    named = ", ".join(
        f"{_code(char)}{f' {char}' if char.isprintable() else ''} ({count:,} ×)"
        for char, count in counts.most_common(most)
    )
    return f"{named} and {len(counts) - most:,} more" if len(counts) > most else named


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"


def _leave(losses: Losses) -> None:
    """In a process of a command, write down what is lost at once: nobody knows when it will be stopped."""
    if _left_at is None or _collected is None:
        return
    with suppress(OSError):  # the command has ended, or the disk is full
        if _left_at.is_file() and _left_at.stat().st_size > _MOST_BYTES:
            whole = _left_at.with_suffix(".whole")
            whole.write_text(_collected.to_json() + "\n", encoding="utf-8")
            whole.replace(_left_at)
            return
        with _left_at.open("a", encoding="utf-8") as file:
            file.write(losses.to_json() + "\n")


def _collect_for_command() -> None:
    """In a process that a command has started: collect, and leave it where the command looks."""
    global _collected, _left_at
    folder = os.environ.get(_FOLDER_ENV)
    _collected = Losses() if folder else None
    _left_at = Path(folder, f"{uuid.uuid4().hex}.jsonl") if folder else None


def _started_by_multiprocessing() -> bool:
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_collect_for_command)
if _started_by_multiprocessing():
    _collect_for_command()
