"""Pairs, limits, what does not fit, and windows over it: every strategy, any canvas."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixel_m4.render import Encoding, TextRenderer, TruncationWarning
from pixel_m4.render.strategies import STRATEGIES

pytestmark = [
    pytest.mark.filterwarnings("ignore::pixel_m4.render.MissingGlyphWarning"),
    pytest.mark.filterwarnings("ignore::pixel_m4.render.TruncationWarning"),
]

CANVASES = (2, 3, 5, 24)
WORDS = [
    "a",
    "W" * 7,
    "猫" * 9,
    "字" * 70,
    "קשת",
    "سلام" * 9,
    "क्षत्रिय",
    "e\u0301" * 5,
    "\u200d",
    "﷽",
    "한국어",
    "1,2",
]
TEXTS = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
LIMITS = st.sampled_from([None, 1, 2, 3, 7, 23, 24, 25, 1000])


@functools.cache
def renderer_of(strategy: str, canvas: int) -> TextRenderer:
    return TextRenderer(strategy=strategy, max_seq_length=canvas)


def check(encoding: Encoding, canvas: int) -> None:
    """An encoding fits on its canvas, and says where its black patches are."""
    assert encoding.num_text_patches <= canvas - 1
    assert encoding.sep_patches == sorted(encoding.sep_patches)
    assert encoding.sep_patches[-1] == encoding.num_text_patches
    pixels = encoding.pixel_values
    assert pixels.shape == (16, canvas * 16)
    for patch in encoding.sep_patches:
        assert not pixels[:, patch * 16 : (patch + 1) * 16].any()
    assert (pixels[:, (encoding.num_text_patches + 1) * 16 :] == 255).all()


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(
    canvas=st.sampled_from(CANVASES),
    first=TEXTS,
    second=TEXTS,
    limit=LIMITS,
    first_limit=LIMITS,
    rtl=st.booleans(),
)
@example(canvas=24, first="ab " * 60, second="answer", limit=None, first_limit=None, rtl=False)
@example(canvas=24, first="ab " * 60, second="", limit=None, first_limit=None, rtl=False)
@example(canvas=24, first="ab " * 22 + "a", second="answer me", limit=None, first_limit=None, rtl=False)
@settings(max_examples=60, deadline=None)
def test_any_pair_fits_on_its_canvas_and_batches_agree(
    strategy: str, canvas: int, first: str, second: str, limit: int | None, first_limit: int | None, rtl: bool
) -> None:
    renderer = renderer_of(strategy, canvas)
    options = {"max_length": limit, "text_a_max_length": first_limit, "rtl": rtl}
    encoding = renderer((first, second), **options)
    check(encoding, canvas)
    batch = renderer.batch([(first, second), "x", ["y", first]], padding="max_length", **options)
    np.testing.assert_array_equal(batch["pixel_values"][0], encoding.pixel_values)
    assert batch["attention_mask"][0].sum() == encoding.num_text_patches + 1
    assert batch.num_text_patches[0] == encoding.num_text_patches
    starts = batch.word_starts[0]
    assert starts[starts != -100].tolist() == encoding.word_starts
    check(renderer(first, limit, rtl), canvas)
    check(renderer(first.split(), limit, rtl), canvas)
    longest = renderer.batch([(first, second)], **options)
    np.testing.assert_array_equal(
        longest["pixel_values"][0], encoding.pixel_values[:, : longest["pixel_values"].shape[2]]
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_first_text_that_fills_the_canvas(strategy: str) -> None:
    renderer = TextRenderer(strategy=strategy)
    alone = renderer("ab " * 900)
    for second in ("answer", "", "two words"):
        encoding = renderer(("ab " * 900, second))
        check(encoding, 529)
        if encoding.sep_patches[0] == 528:  # no strategy leaves a place for the second text then
            np.testing.assert_array_equal(encoding.pixel_values, alone.pixel_values)
        assert renderer.batch([("ab " * 900, second)])["pixel_values"].shape == (1, 16, 529 * 16)


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(
    canvas=st.sampled_from((3, 5, 24)),
    first=st.sampled_from(["", "a", "Wo ist es ?"]),
    second=TEXTS,
    data=st.data(),
)
@example(canvas=24, first="a", second="标题 " + "字" * 600, data=None)
@example(canvas=24, first="", second="字" * 70, data=None)
@settings(max_examples=60, deadline=None)
def test_windows_never_lose_a_character(
    strategy: str, canvas: int, first: str, second: str, data: st.DataObject | None
) -> None:
    renderer = renderer_of(strategy, canvas)
    pair = (first, second)
    plain = renderer(pair)
    room = canvas - 1 - plain.sep_patches[0] - 1
    if room < 1:
        with pytest.raises(ValueError, match="leaves no room"):
            renderer(pair, return_overflowing_patches=True)
        return
    stride = data.draw(st.integers(0, room - 1)) if data is not None else 0
    encoding = renderer(pair, return_overflowing_patches=True, stride=stride)
    np.testing.assert_array_equal(encoding.pixel_values, plain.pixel_values)
    shown = np.zeros(len(second), bool)
    prefix = (plain.sep_patches[0] + 1) * 16
    for window in [encoding, *encoding.overflowing_patches]:
        check(window, canvas)
        np.testing.assert_array_equal(window.pixel_values[:, :prefix], plain.pixel_values[:, :prefix])
        shown |= renderer.offsets(pair, window).patches[1][:, 0] >= 0
    words = second.split()
    start = 0
    for word, width in zip(words, renderer.measure(words), strict=True):
        start = second.index(word, start)
        assert not width or shown[start : start + len(word)].all(), word
        start += len(word)


def test_windows_of_bigrams_hold_the_pixels_of_the_whole_word() -> None:
    renderer = TextRenderer(max_seq_length=20)
    word = "".join(map(chr, range(0x4E00, 0x4E00 + 61)))
    whole = TextRenderer(max_seq_length=529)(word).pixel_values
    encoding = renderer(("Wo ?", word), return_overflowing_patches=True)
    first = encoding.sep_patches[0] + 1
    covered = np.zeros(61, bool)
    for window in [encoding, *encoding.overflowing_patches]:
        places = renderer.offsets(("Wo ?", word), window).patches[1]
        chars = np.flatnonzero(places[:, 0] >= 0)
        covered[chars] = True
        patches = places[chars[-1], 1] - first
        begin = 16 * (chars[0] if chars[0] % 2 == 0 else chars[0] - 1)  # a Han character is a patch wide
        shown = window.pixel_values[:, 16 * first : 16 * (first + patches)]
        np.testing.assert_array_equal(shown[:, 1:-1], whole[:, begin : begin + 16 * patches][:, 1:-1])
    assert covered.all()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_does_not_fit_is_counted_in_one_warning(strategy: str) -> None:
    renderer = TextRenderer(strategy=strategy, max_seq_length=100)
    with pytest.warns(TruncationWarning) as caught:
        encoding = renderer("标题 " + "字" * 600)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("a text does not fit: ")
    if strategy in ("bigrams", "graphemes", "words", "adaptive"):  # the published rule: the word vanishes
        assert encoding.num_text_patches == 2
        assert "1 of 2 words and 600 of 602 characters are not drawn" in message
    assert caught[0].filename == __file__
    with pytest.warns(TruncationWarning, match=r"2 texts do not fit: .* of 1,204 characters") as caught:
        renderer.batch(["a", "标题 " + "字" * 600, "b", ["标题", "字" * 600]])
    assert len(caught) == 1
    assert renderer.losses.cut.texts == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        renderer("fits")
        renderer.batch(["fits", ("a", "b")])
        renderer(("Wo ?", "字" * 600), return_overflowing_patches=True)
        renderer.offsets("字" * 600)  # nothing is drawn


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_counts_of_what_is_cut_agree_with_offsets(strategy: str) -> None:
    renderer = renderer_of(strategy, 24)
    for text in (
        "字" * 70 + " end",
        "W" * 500,
        "ab " * 40,
        "שלום " * 40,
        "قلب" * 80,
        ["ab"] * 40,
        ["字" * 70, "x"],
    ):
        before = renderer.losses.cut
        renderer(text)
        lost = renderer.losses.cut.characters - before.characters
        joined = text if isinstance(text, str) else " ".join(text)
        places = renderer.offsets(text).patches[0][:, 0]
        hidden = sum(place < 0 and not char.isspace() for place, char in zip(places, joined, strict=True))
        assert lost == hidden > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("unit", ["\U0001f469\u200d\U0001f466", "7", "\ufdfd", "\u05e9", "a"])
@pytest.mark.parametrize("rtl", [False, True])
def test_windows_over_a_word_that_repeats_itself(strategy: str, unit: str, rtl: bool) -> None:
    """Its windows look like the canvas, and are of other characters nevertheless."""
    for canvas in (8, 12):
        renderer = TextRenderer(strategy=strategy, max_seq_length=canvas)
        for pair in (("q", unit * 40), ("q", unit * 40 + " b"), ("\u05e9\u05dc", unit * 40)):
            encoding = renderer(pair, return_overflowing_patches=True, rtl=rtl)
            seen = np.array([char == " " for char in pair[1]])
            for window in (encoding, *encoding.overflowing_patches):
                seen |= renderer.offsets(pair, window, rtl=rtl).patches[1][:, 0] >= 0
            assert seen.all(), f"{(~seen).sum()} characters are in no window"
