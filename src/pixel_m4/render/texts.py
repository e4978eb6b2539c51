"""What may be rendered: containers of texts, single texts and limits, checked before anything is drawn.

Columns of pandas, NumPy and Arrow, and iterators, become lists; what is no text is named with its place.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from pixel_m4.console.errors import UserError

Text = str | Sequence[str] | tuple[str, str]
"""A string (split on white space), a list of words, or a pair of strings as a tuple."""

_KINDS = "a text is a string, a list of words, or a pair of strings as a tuple"


class TextTypeError(TypeError, UserError):
    """Something that is given is no text, or no list of texts."""


def as_list(items: Any, what: str = "texts") -> list[Any]:
    """The items of a list, of a column (NumPy, pandas, Arrow …) or of an iterator.

    Raises:
        TextTypeError: it is one string, or holds no items.
    """
    if isinstance(items, list):
        return items
    if isinstance(items, str | bytes | bytearray):
        kind = type(items).__name__
        raise TextTypeError(f"give a list of {what}, not one {kind}: [{_shown(items)}]")
    if isinstance(items, set | frozenset):
        raise TextTypeError(f"give a list of {what}, not a {type(items).__name__}, which has no order")
    if hasattr(items, "columns"):  # iterating gives the names of the columns, or the columns
        raise TextTypeError(f"give a list of {what}, not a whole {type(items).__name__}: one of its columns")
    if isinstance(items, Mapping) or items is None:
        raise TextTypeError(f"give a list of {what}, not {type(items).__name__}")
    for convert in ("to_pylist", "tolist", "to_list"):  # Arrow; NumPy, pandas, torch; polars
        if callable(getattr(items, convert, None)):
            items = getattr(items, convert)()
            break
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise TextTypeError(f"give a list of {what}, not {type(items).__name__}")
    return list(items)


def as_strings(items: Any, what: str = "texts") -> list[str]:
    """A list of strings.

    Raises:
        TextTypeError: it is no list, or an item is no string; names its place, its value and its type.
    """
    strings = as_list(items, what)
    if not _all_strings(strings):
        strings = [_unwrapped(item) for item in strings]
        for i, item in enumerate(strings):
            if not isinstance(item, str):
                raise TextTypeError(f"{what}[{i}] is {_described(item)}, not a string")
    return strings


def as_texts(items: Any) -> list[Text]:
    """A list of texts.

    Raises:
        TextTypeError: it is no list, or an item is no text; names its place, its value and its type.
        ValueError: a tuple is no pair.
    """
    texts: list[Text] = as_list(items)
    if _all_strings(texts):
        return texts
    if set(map(type, texts)) == {list} and _all_strings(chain.from_iterable(texts)):
        return texts
    return [as_text(text, f"texts[{i}]") for i, text in enumerate(texts)]


def as_text(text: Any, name: str = "the text") -> Text:
    """One text; what holds its words may be any column or iterator.

    Args:
        text: the text.
        name: what messages call it.

    Raises:
        TextTypeError: it is no text, or one of its words is no string.
        ValueError: a tuple is no pair.
    """
    text = _unwrapped(text)
    if isinstance(text, str):
        return text
    if isinstance(text, tuple):
        if len(text) != 2:
            raise UserError(f"a tuple is a pair of two texts, not {len(text)}; give a list for words")
        first, second = (_unwrapped(part) for part in text)
        for i, part in enumerate((first, second)):
            if not isinstance(part, str):
                raise TextTypeError(f"{name}[{i}], a text of a pair, is {_described(part)}, not a string")
        return first, second
    if text is None or isinstance(text, bytes | bytearray | Mapping):
        raise TextTypeError(f"{name} is {_described(text)}; {_KINDS}")
    try:
        words = as_list(text)
    except TypeError:
        raise TextTypeError(f"{name} is {_described(text)}; {_KINDS}") from None
    return as_strings(words, name)


def check_limit(name: str, value: Any) -> int | None:
    """A number of patches that limits a text, or None for no limit.

    Raises:
        ValueError: it is no whole number, or smaller than 1.
    """
    return None if value is None else check_whole(name, value, 1, " (None: as many as the canvas holds)")


def check_whole(name: str, value: Any, least: int, hint: str = "") -> int:
    """A whole number that is at least ``least``; a bool is none.

    Raises:
        ValueError: it is something else.
    """
    try:
        number = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = -1
        if isinstance(value, float) and value.is_integer():
            number = int(value)
    if number < least or isinstance(value, bool):
        raise UserError(f"{name} must be a whole number of at least {least}{hint}, not {value!r}")
    return number


def check_truth(name: str, value: Any) -> bool:
    """True or False; a string such as "false" is neither.

    Raises:
        ValueError: it is something else.
    """
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def _all_strings(items: Iterable[Any]) -> bool:
    return set(map(type, items)) <= {str}


def _unwrapped(item: Any) -> Any:
    """An item of an Arrow column as what it is in Python; all else as it is."""
    return item.as_py() if callable(getattr(item, "as_py", None)) else item


def _described(item: Any) -> str:
    if item is None:
        return "None"
    if isinstance(item, float) and math.isnan(item):
        return "nan (a missing value, of type float)"
    return f"{_shown(item)} of type {type(item).__name__}"


def _shown(item: Any) -> str:
    shown = repr(item)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
