"""Every test that docs/reliability.md names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_tests_that_are_named_exist() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    file: Path | None = None
    names = 0
    for path, name in re.findall(r"`((?:unit|integration|golden)/[\w/]+\.py)?(?:::(\w+))?`", text):
        if path:
            file = ROOT / "tests" / path
            assert file.is_file(), path
        if name:
            assert file is not None
            content = file.read_text(encoding="utf-8")
            assert re.search(rf"^(?:def |class ){name}\b", content, re.MULTILINE), f"{file.name}::{name}"
            names += 1
    assert names > 40
