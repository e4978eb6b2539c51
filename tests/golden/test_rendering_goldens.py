"""The published renderer's pixels, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pixel_m4.render import TextRenderer

CASES = 70


@pytest.fixture(scope="module")
def goldens(shared: Path) -> tuple[list[dict], np.lib.npyio.NpzFile]:
    folder = shared / "goldens"
    return json.loads((folder / "visible.json").read_text(encoding="utf-8")), np.load(folder / "visible.npz")


@pytest.fixture(scope="module")
def renderers() -> dict[str, TextRenderer]:
    return {}


def test_number_of_cases(goldens) -> None:
    assert len(goldens[0]) == CASES


@pytest.mark.parametrize("number", range(CASES))
def test_visible(number: int, goldens, renderers: dict[str, TextRenderer]) -> None:
    cases, pixels = goldens
    case = cases[number]
    options = case.get("renderer", {})
    renderer = renderers.setdefault(str(options), TextRenderer(**options))
    text = tuple(case["input"]) if case["kind"] == "pair" else case["input"]
    if case["uncovered"]:
        pytest.skip(f"the font lacks {case['uncovered']}: the published renderer drew hex boxes there")
    encoding = renderer(text, **case.get("kwargs", {}))
    assert encoding.num_text_patches == case["num_text_patches"]
    assert encoding.sep_patches == case["sep_patches"]
    if case["word_starts"] is not None:
        assert encoding.word_starts == case["word_starts"]
    np.testing.assert_array_equal(
        encoding.pixel_values[:, : (case["num_text_patches"] + 1) * 16], pixels[str(number)]
    )
