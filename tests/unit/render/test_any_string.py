"""Any Python string renders, alone and in a batch, to the same pixels; nothing is lost or left behind."""

from __future__ import annotations

import random
import time
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pixel_m4.render import MissingGlyphWarning, TextRenderer
from pixel_m4.render.strategies import STRATEGIES

pytestmark = [
    pytest.mark.filterwarnings("ignore::pixel_m4.render.MissingGlyphWarning"),
    pytest.mark.filterwarnings("ignore::pixel_m4.render.TruncationWarning"),
]

# What rendering stumbles on: controls, marks, joiners, directions, surrogates, wide and huge characters.
ODD = (
    "\x00\t\n\r\x1c\x7f\x85\xa0\u0301\u05d0\u0627\u0640\u064b\u070f"
    "\u0b95\u0bc8\u0e33\u0f3c\u1100\u1160\u11a8"
    "\u200b\u200d\u200e\u200f\u2027\u2028\u202e\u2066\u2069\u3000\ufdfd\ufe0f\ufeff\uffff\ud800\udfff"
    "\U0001f468\U0001f1e6\U000e0001\U0010ffff"
)
STRINGS = st.text(
    st.one_of(st.sampled_from(ODD), st.characters(), st.sampled_from("ab f j अि क्ष مش 我")), max_size=60
)


@pytest.fixture(scope="module")
def renderers() -> dict[str, TextRenderer]:
    return {strategy: TextRenderer(strategy=strategy, max_seq_length=64) for strategy in STRATEGIES}


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(STRINGS, min_size=1, max_size=5))
def test_batch_and_single_agree(renderers: dict[str, TextRenderer], strategy: str, texts: list[str]) -> None:
    check(renderers[strategy], texts)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.lists(STRINGS, max_size=6), min_size=1, max_size=4), rtl=st.booleans())
def test_lists_of_words(renderers: dict[str, TextRenderer], texts: list[list[str]], rtl: bool) -> None:
    check(renderers["bigrams"], texts, rtl=rtl)


def test_short_words_of_both_directions(renderers: dict[str, TextRenderer]) -> None:
    rng = random.Random(0)
    words = ["א", "אב", "ب", "a", "bc", "1", ".", "\uffff", "a\uffffb", "", " ", "猫", "\u200d"]
    texts = [rng.choices(words, k=rng.randint(0, 7)) for _ in range(2000)]
    check(renderers["bigrams"], texts)
    check(renderers["bigrams"], [" ".join(text) for text in texts])


def check(renderer: TextRenderer, texts: list, **options: bool) -> None:
    batch = renderer.batch(texts, padding="max_length", **options)
    for row, text in enumerate(texts):
        encoding = renderer(text, **options)
        np.testing.assert_array_equal(batch["pixel_values"][row], encoding.pixel_values)
        assert batch.num_text_patches[row] == encoding.num_text_patches
        starts = batch.word_starts[row]
        assert starts[starts != -100].tolist() == encoding.word_starts


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "count"), [("bigrams", 100_000), ("continuous", 20_000)])
def test_many_thousand_strings(renderers: dict[str, TextRenderer], strategy: str, count: int) -> None:
    rng = random.Random(0)
    pools = [ODD, *("".join(map(chr, range(start, start + 256))) for start in range(0, 0x11000, 256))]
    texts = []
    for _ in range(count):
        pool = rng.choice(pools) + rng.choice(pools)
        texts.append("".join(rng.choices(pool + "  ", k=rng.randint(0, 40))))
    for first in range(0, len(texts), 500):
        check(renderers[strategy], texts[first : first + 500])


@pytest.mark.slow
@pytest.mark.parametrize("text", ["W", "我", "a\u0301", "\u200d", "ab cd "])
def test_five_million_characters_take_linear_time_and_little_memory(text: str) -> None:
    renderer = TextRenderer()
    renderer(text)
    times = []
    for size in (500_000, 5_000_000):
        long = text * (size // len(text))
        start = time.process_time()
        encoding = renderer(long)
        times.append(time.process_time() - start)
        assert encoding.pixel_values.shape == (16, 529 * 16)
    assert (
        times[1] < 40 * times[0] + 1
    )  # ten times longer; a quadratic step would take a hundred times as long


@pytest.mark.slow
def test_memory_is_bounded_by_the_canvas() -> None:
    renderer = TextRenderer()
    rng = random.Random(0)
    long = "".join(chr(rng.randrange(0x4E00, 0x9FA6)) for _ in range(100_000))
    tracemalloc.start()
    renderer(long)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000_000
    assert renderer.cache_stats().patches < 2000


def test_no_warning_without_missing_glyphs(renderers: dict[str, TextRenderer]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", MissingGlyphWarning)
        for renderer in renderers.values():
            renderer.batch(["plain text", "звичайний текст", "普通文本"])
