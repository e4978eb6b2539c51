"""Links in the documentation lead somewhere, as code hosts show it; the build of the site checks, too."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

import documents


def broken(page: Path, target: str) -> str | None:
    """What is wrong with a link, if anything."""
    if re.match(r"(https?|mailto):", target):
        return None
    path, _, anchor = unquote(target).partition("#")
    place = (page.parent / path).resolve() if path else page
    if not place.exists():
        return f"{path} does not exist"
    if not place.is_relative_to(documents.ROOT):
        return f"{path} is outside of the repository"
    if anchor and (place.suffix != ".md" or anchor not in documents.anchors(place)):
        return f"{path or 'the page'} has no heading #{anchor}"
    return None


@pytest.mark.parametrize("page", documents.PAGES, ids=documents.name)
def test_links_lead_somewhere(page: Path) -> None:
    problems = [
        f"{documents.name(page)}:{line}: {problem}"
        for line, target in documents.links(page)
        if (problem := broken(page, target)) is not None
    ]
    assert not problems, "\n".join(problems)


def test_what_is_broken_is_seen(tmp_path: Path) -> None:
    page = documents.ROOT / "README.md"
    assert broken(page, "docs/nowhere.md") == "docs/nowhere.md does not exist"
    assert broken(page, "docs/results.md#nothing") == "docs/results.md has no heading #nothing"
    assert broken(page, "#try-it") is None
    sample = tmp_path / "sample.md"
    sample.write_text("# A `b`, c!\n\n## A b c\n\n[x](y.md) ![z](z.png)\n", encoding="utf-8")
    assert documents.anchors(sample) == {"a-b-c", "a-b-c-1"}
    assert [target for _, target in documents.links(sample)] == ["y.md", "z.png"]


@pytest.mark.parametrize("page", documents.PAGES, ids=documents.name)
def test_make_targets_exist(page: Path) -> None:
    makefile = (documents.ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
