"""What ``pixel-m4 fonts check`` tells: the scripts of a text, and which font draws each character."""

from __future__ import annotations

import sys
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from pixel_m4.console.screen import plain_console
from pixel_m4.render.itemize import script_of
from pixel_m4.render.losses import shown
from pixel_m4.render.renderer import TextRenderer

COMMON = "Zyyy"
"""ISO 15924 tag of characters of no script of their own: digits, punctuation, marks, symbols."""
MISSING = "none"
_EXAMPLES = 8


class Character(NamedTuple):
    """A character of a text.

    Attributes:
        char: the character.
        times: how often it comes.
        script: ISO 15924 tag; :data:`COMMON` of those that have none.
        font: file of the font that draws it alone; None: it is drawn as the missing glyph.
    """

    char: str
    times: int
    script: str
    font: Path | None


def characters(renderer: TextRenderer, texts: Iterable[str]) -> list[Character]:
    """The characters of texts without white space: by script, the frequent ones first.

    Args:
        renderer: what draws them; marks stay with the character they follow where its font has them.
        texts: lines of a file, for example; they are held no longer than needed.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    found = []
    for char, count in counts.items():
        if not char.isspace():
            font = renderer.font_of(char)
            place = None if font is None else font.path
            found.append(Character(char, count, script_of(char) or COMMON, place))
    return sorted(found, key=lambda one: (one.script, -one.times, one.char))


def check(renderer: TextRenderer, texts: Iterable[str], *, per_character: bool = False) -> list[Character]:
    """Print which font draws what of texts, and what no font has.

    Args:
        renderer: what draws them.
        texts: the texts.
        per_character: a row a character, instead of a row a script and font.

    Returns:
        What was found.
    """
    found = characters(renderer, texts)
    console = plain_console(soft_wrap=False, width=None if sys.stdout.isatty() else 200)
    console.print(_character_table(found) if per_character else _script_table(found))
    missing = [one for one in found if one.font is None]
    if missing:
        times = sum(one.times for one in missing)
        plain_console().print(
            f"missing: no font has {len(missing):,} of {len(found):,} characters ({times:,} of "
            f"{sum(one.times for one in found):,} times): "
            f"{shown(Counter({one.char: one.times for one in missing}), 2 * _EXAMPLES)}"
        )
    else:
        console.print("missing: nothing")
    return found


def _script_table(found: list[Character]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column, side in (
        *(("script", "left"), ("characters", "right"), ("times", "right")),
        *(("font", "left"), ("such as", "left")),
    ):
        table.add_column(column, justify=side, overflow="fold")  # type: ignore[arg-type]
    groups: dict[tuple[str, Path | None], list[Character]] = {}
    for one in found:
        groups.setdefault((one.script, one.font), []).append(one)
    for (script, font), group in groups.items():
        times = sum(one.times for one in group)
        examples = "".join(one.char for one in group[:_EXAMPLES] if one.char.isprintable())
        row = (script, f"{len(group):,}", f"{times:,}", font.name if font else MISSING, examples)
        table.add_row(*map(Text, row))
    return table


def _character_table(found: list[Character]) -> Table:
    table = Table("character", "code point", "name", "script", "times", "font", box=None, pad_edge=False)
    for one in found:
        name = unicodedata.name(one.char, "no name")
        char = one.char if one.char.isprintable() else ""
        font = one.font.name if one.font else MISSING
        row = (char, f"U+{ord(one.char):04X}", name, one.script, f"{one.times:,}", font)
        table.add_row(*map(Text, row))
    return table
