"""What rendering could not show: characters that no font has, and text that does not fit on its canvas.

Python users are warned: under the usual filters once for each kind and renderer, else at every call.
Commands say it once, at their end: :func:`told_at_end`.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

_SHOWN = 12  # characters that a summary names
_ONCE = ("default", "module", "once")


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
    """

    missing: Counter[str] = field(default_factory=Counter)
    cut: Cut = NOTHING
    notices: dict[str, None] = field(default_factory=dict)

    def add(self, missing: str, cut: Cut) -> None:
        """Count characters without a glyph (as often as they were drawn) and what did not fit."""
        self.missing.update(missing)
        self.cut = self.cut.plus(cut)

    def lines(self) -> list[str]:
        """A line for each kind of loss: what it is, how much, and what to do; none without losses."""
        lines = list(self.notices)
        if self.missing:
            shown = ", ".join(
                f"{_code(char)}{f' {char}' if char.isprintable() else ''} ({count:,} ×)"
                for char, count in self.missing.most_common(_SHOWN)
            )
            more = f" and {len(self.missing) - _SHOWN:,} more" if len(self.missing) > _SHOWN else ""
            lines.append(
                f"missing glyphs: no font has {_number(len(self.missing), 'character')}, drawn "
                f"{_number(self.missing.total(), 'time')} as the missing glyph: {shown}{more}; for fonts "
                "that have them, name their folder with --fallback_fonts_dir (in Python: fallback_fonts_dir)"
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


def notice(message: str) -> None:
    """Tell something once: at the end of a command, or as a warning."""
    if _collected is not None:
        _collected.notices[message] = None
    else:
        warnings.warn(message, RenderingNotice, stacklevel=2)


@contextmanager
def told_at_end(write: Callable[[str], object]) -> Iterator[None]:
    """Warn of no losses inside; at the end, also after an error, tell the losses of all renderers together.

    Inside of another one it does nothing: the outer one tells.

    Args:
        write: takes a line without its end.
    """
    global _collected
    if _collected is not None:
        yield
        return
    _collected = losses = Losses()
    try:
        yield
    finally:
        _collected = None
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


def _heard_once(category: type[Warning]) -> bool:
    """Whether Python would show a warning with always the same words only once.

    Ours count something else each time, so that a loop over texts would show one a text.
    """
    for action, message, kind, module, line in warnings.filters:
        if issubclass(category, kind) and message is None and module is None and not line:
            return action in _ONCE
    return True


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _code(char: str) -> str:
    return f"U+{ord(char):04X}"


def _forget_collected() -> None:
    """A child process has nobody who tells its losses at the end, so it warns."""
    global _collected
    _collected = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_collected)
