"""Pixels against digests in the repository, which need no shared data; see ``rendering_digests.py``."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from golden.rendering_digests import CASES, FILE, compute, versions


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple]:
    return {name: rest for name, *rest in compute()}


@pytest.fixture(scope="module")
def content() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))


def test_every_case_has_a_digest(content: dict) -> None:
    assert list(content["cases"]) == list(CASES)
    assert len(CASES) >= 20
    assert FILE.stat().st_size < 20_000


@pytest.mark.parametrize("name", CASES)
def test_pixels(name: str, drawn: dict[str, tuple], content: dict) -> None:
    kept, renderer, text, call = drawn[name]
    then = {key: value for key, value in content["versions"].items() if versions()[key] != value}
    assert kept == content["cases"][name], f"not as with {then or 'the same versions'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoding = renderer(text, **call)
        batch = renderer.batch([text, "a"] if isinstance(text, str) else [text], padding="max_length", **call)
    np.testing.assert_array_equal(batch["pixel_values"][0], encoding.pixel_values)
    assert batch["attention_mask"][0].sum() == encoding.num_text_patches + 1
    starts = batch.word_starts[0]
    assert starts[starts != -100].tolist() == encoding.word_starts
