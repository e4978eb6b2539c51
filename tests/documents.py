"""The Markdown of the repository, as tests see it: links, anchors, and blocks of code in their order.

What is in a block is run, page by page, in a folder of its own:

- ``python``: in one namespace a page;
- ``bash``: by bash;
- ``text`` after one of these: lines that it prints, whatever their numbers;
- anything else, and what follows a comment ``<!-- not run: why -->``: not at all; what follows
  ``<!-- needs: module -->`` only where that library is installed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
_LEFT_OUT = re.compile(r"<!-- not run: \S.* -->")
_NEEDS = re.compile(r"<!-- needs: (\w+) -->")


@dataclass(frozen=True)
class Block:
    """A block of code, and the line that it begins at."""

    page: Path
    line: int
    language: str
    text: str


def name(page: Path) -> str:
    """A page as people call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page that are run, and those of what they print."""
    left_out = False
    for token in _tokens(page):
        if token.type == "fence":
            language = token.info.split()[0] if token.info.strip() else ""
            if language in ("python", "bash", "text") and not left_out:
                assert token.map is not None
                yield Block(page, token.map[0] + 1, language, token.content)
        left_out = token.type == "html_block" and _is_left_out(token.content)


def _is_left_out(comment: str) -> bool:
    needed = _NEEDS.match(comment)
    return _LEFT_OUT.match(comment) is not None or (needed is not None and find_spec(needed[1]) is None)


def links(page: Path) -> Iterator[tuple[int, str]]:
    """The line and the target of every link and picture of a page."""
    for token in _tokens(page):
        for child in token.children or ():
            target = child.attrGet("href") or child.attrGet("src")
            if target is not None:
                assert token.map is not None
                yield token.map[0] + 1, str(target)


@cache
def anchors(page: Path) -> frozenset[str]:
    """What links to headings of a page may name, as code hosts make it."""
    tokens = _tokens(page)
    seen: Counter[str] = Counter()
    found = set()
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        shown = "".join(
            child.content for child in inline.children or () if child.type in ("text", "code_inline")
        )
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return frozenset(found)


@cache
def _tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
