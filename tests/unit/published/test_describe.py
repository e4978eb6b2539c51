from __future__ import annotations

from pathlib import Path

from pixel_m4.published.describe import describe
from pixel_m4.published.scripts import SCRIPTS

DOCS = Path(__file__).parents[3] / "docs"


def test_the_documentation_is_what_the_tables_say() -> None:
    assert (DOCS / "published.md").read_text(encoding="utf-8") == describe(), (
        "write it anew: python -m pixel_m4.published.describe > docs/published.md"
    )


def test_every_flag_has_a_row() -> None:
    text = describe()
    for script in SCRIPTS.values():
        assert f"| `{script.path}` |" in text
        section = text.partition(f"### {script.name}\n")[2].partition("\n### ")[0]
        if section.strip().startswith("As "):
            other = section.strip().removeprefix("As ").removesuffix(".")
            assert SCRIPTS[other].flags == script.flags
        else:
            for name in script.flags:
                assert f"`--{name}` |" in section or f"`{name}` |" in section
