"""JSON that may be damaged, or typed loosely: told with its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError, clean_lines


def load(text: str, place: str) -> Any:
    """The value of JSON.

    Raises:
        DataError: it is not valid, nested too deep, or an object names one key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise DataError(f"{place}: not valid JSON: {reason}") from error


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UserError(f"the key {twice!r} is twice in one object")
    return found


def begins_json(line: str) -> str | None:
    """Whether a line is an object (``object``), opens JSON that goes on (``open``), or is text (None)."""
    text = line.strip()
    if text[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # A text may begin with a bracket too; JSON goes on with a string, an object, a list, or nothing.
        return "open" if text[1:].lstrip()[:1] in ("", '"', "{", "[") else None
    if isinstance(value, dict):
        return "object"
    return "open" if value and isinstance(value[0], dict) else None


def first_line(lines: Iterable[str]) -> tuple[list[str], Iterator[str]]:
    """The lines up to the first that is not blank, and all lines, these among them."""
    cleaned = clean_lines(lines)
    head: list[str] = []
    for line in cleaned:
        head.append(line)
        if line.strip():
            break
    return head, chain(head, cleaned)
