"""The list of mutations is true to the code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from mutants import MUTATIONS, ROOT, mutate

SOURCE = ROOT / "src" / "pixel_m4"


def test_each_can_be_made() -> None:
    """Its old text occurs exactly once, and what comes of it is still Python."""
    texts = {name: (SOURCE / name).read_text(encoding="utf-8") for name in {m.file for m in MUTATIONS}}
    for mutation in MUTATIONS:
        mutated = mutate(mutation, texts[mutation.file])
        assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(texts[mutation.file])), mutation.name


def test_names_and_tests() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 44
    for mutation in MUTATIONS:
        assert mutation.tests, mutation.name
        for test in mutation.tests:
            assert Path(ROOT, "tests", test.partition("::")[0]).is_file(), (mutation.name, test)


def test_a_text_that_has_changed_is_an_error() -> None:
    with pytest.raises(ValueError, match="occurs 0 times"):
        mutate(MUTATIONS[0], "")
