"""The terminal: text is shown as it is, whatever brackets, colons and long lines it has."""

from __future__ import annotations

from typing import Any

from rich.console import Console


def plain_console(**options: Any) -> Console:
    """A console that shows texts, paths and labels as they are.

    By default rich reads ``[b]`` as a style, stops with an error at ``[/x]``, turns ``:cat:`` into a picture
    and breaks long paths. For a style of our own there is ``print(…, style=…)``, or a ``Text``.

    """
    plain = {"markup": False, "emoji": False, "highlight": False, "soft_wrap": True}
    return Console(**{**plain, **options})
