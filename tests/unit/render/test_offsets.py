from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pixel_m4.render import Encoding, MissingGlyphWarning, TextRenderer
from pixel_m4.render.glyphs import Typesetter
from pixel_m4.render.offsets import Offsets
from pixel_m4.render.strategies import STRATEGIES, is_rtl

PATCHES = 24
ALPHABET = "abcW AV אבש عمر ٣1 (),. 猫かー한 \u0301\u05b8\u200d\u202b\u202e\u2067\u2069 \n\tक्ष\ufeff"
TEXTS = st.text(st.sampled_from(ALPHABET), max_size=60)
NAMES = list(STRATEGIES)


@functools.cache
def renderer_of(strategy: str) -> TextRenderer:
    return TextRenderer(strategy=strategy, max_seq_length=PATCHES)


@pytest.fixture(autouse=True)
def _missing_glyphs_are_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingGlyphWarning)
        yield


def check(offsets: Offsets, encoding: Encoding, texts: list[str]) -> None:
    """What holds for every text, strategy and direction."""
    count = encoding.num_text_patches + 1
    assert offsets.spans.shape == (count, 2)
    assert [len(places) for places in offsets.patches] == [len(text) for text in texts]
    for patch in encoding.sep_patches:
        assert offsets.patch_to_chars(patch) is None
        assert offsets.text_of_patch[patch] == -1
    starts = [0, *(patch + 1 for patch in encoding.sep_patches)]
    for number, text in enumerate(texts):
        first, end = starts[number], encoding.sep_patches[number]
        covered = set()
        for char in range(len(text)):
            patches = offsets.char_to_patches(char, number)
            assert offsets.char_to_patch(char, number) == (None if patches is None else patches[0])
            if patches is None:
                continue
            assert first <= patches[0] < patches[1] <= end
            for patch in range(*patches):
                span = offsets.patch_to_chars(patch)
                assert span is not None
                assert span[0] <= char < span[1]
                assert offsets.text_of_patch[patch] == number
                covered.add(patch)
        # A patch of this text shows exactly the characters that say so.
        assert covered == {patch for patch in range(first, end) if offsets.text_of_patch[patch] == number}
        for patch in covered:
            chars = [char for char, (a, b) in enumerate(offsets.patches[number]) if a <= patch < b]
            assert offsets.patch_to_chars(patch) == (min(chars), max(chars) + 1)


def check_word_starts(offsets: Offsets, encoding: Encoding, words: int, turned: bool, text: int = 0) -> None:
    """Where the encoding says that a word starts, the offsets show that word."""
    for i, (start, end) in enumerate(zip(encoding.word_starts, encoding.word_starts[1:], strict=False)):
        word = encoding.first_word + i
        word = words - 1 - word if turned else word
        if start < min(end, encoding.num_text_patches):
            assert offsets.patch_to_word(start) == word
            assert offsets.text_of_patch[start] == text


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS, rtl=st.booleans(), max_length=st.sampled_from([None, 1, 7, 20]))
@example(text="", rtl=False, max_length=None)
@example(text="  \u200d \ufeff ", rtl=False, max_length=None)
@example(text="a" * 500, rtl=True, max_length=None)
@example(text="猫" * 40 + " x", rtl=False, max_length=None)
@settings(max_examples=60, deadline=None)
def test_strings(name: str, text: str, rtl: bool, max_length: int | None) -> None:
    renderer = renderer_of(name)
    encoding = renderer(text, max_length, rtl)
    offsets = renderer.offsets(text, max_length=max_length, rtl=rtl)
    check(offsets, encoding, [text])
    if name != "continuous":
        check_word_starts(offsets, encoding, len(text.split()), rtl or is_rtl(text))
        assert all(offsets.char_to_patch(i) is None for i, char in enumerate(text) if char.isspace())


@pytest.mark.parametrize("name", NAMES)
@given(words=st.lists(st.text(st.sampled_from(ALPHABET), max_size=12), max_size=10))
@settings(max_examples=60, deadline=None)
def test_lists_of_words(name: str, words: list[str]) -> None:
    """Words of a list may be empty, or hold spaces."""
    renderer = renderer_of(name)
    encoding = renderer(words)
    offsets = renderer.offsets(words)
    check(offsets, encoding, [" ".join(words)])
    if all(words):
        check_word_starts(offsets, encoding, len(words), turned=False)


@pytest.mark.parametrize("name", NAMES)
@given(first=TEXTS, second=TEXTS.map(lambda text: text * 4), stride=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_pairs_with_overflow(name: str, first: str, second: str, stride: int) -> None:
    renderer = renderer_of(name)
    pair = (first, second)
    options = {"text_a_max_length": 6}
    encoding = renderer((pair), **options)
    if encoding.sep_patches[0] < PATCHES - 1 - 4:
        encoding = renderer(pair, **options, return_overflowing_patches=True, stride=stride)
    shown: set[int] = set()
    for window in [encoding, *encoding.overflowing_patches]:
        offsets = renderer.offsets(pair, window, **options)
        check(offsets, window, [first, second])
        np.testing.assert_array_equal(
            offsets.spans[: encoding.sep_patches[0]],
            renderer.offsets(pair, **options).spans[: encoding.sep_patches[0]],
        )
        shown.update(np.flatnonzero(offsets.patches[1][:, 0] >= 0).tolist())
    if encoding.overflowing_patches:
        words = [match.span() for match in re.finditer(r"\S+", second)]
        for start, end in words:
            # A word longer than a window is cut; one without width is nowhere.
            if 0 < renderer.measure([second[start:end]])[0] < PATCHES - encoding.sep_patches[0] - 3:
                assert {*range(start, end)} <= shown


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text(st.sampled_from("abcW VAT,猫Жक्ष\u0301"), max_size=40))
@settings(max_examples=60, deadline=None)
def test_left_to_right_is_monotone(name: str, text: str) -> None:
    renderer = renderer_of(name)
    offsets = renderer.offsets(text)
    starts = [place for place in offsets.patches[0][:, 0].tolist() if place >= 0]
    assert starts == sorted(starts)
    for side in (0, 1):
        edges = [span for span in offsets.spans[:, side].tolist() if span >= 0]
        assert edges == sorted(edges)
    drawn = [char for char in range(len(text)) if offsets.char_to_patch(char) is not None]
    union = {char for start, end in offsets.spans.tolist() for char in range(start, end) if start >= 0}
    assert set(drawn) <= union


def test_bigrams() -> None:
    text = "  abc  de "
    offsets = renderer_of("bigrams").offsets(text)
    assert [offsets.patch_to_chars(patch) for patch in range(6)] == [(2, 4), (4, 5), (7, 9), None, None, None]
    assert [offsets.char_to_patch(char) for char in range(12)] == [
        None, None, 0, 0, 1, None, None, 2, 2, None, None, None,
    ]  # fmt: skip
    assert [offsets.patch_to_word(patch) for patch in range(4)] == [0, 0, 1, None]
    assert offsets.patch_to_chars(-1) is None
    with pytest.raises(ValueError, match="no text 1 among 1"):
        offsets.char_to_patch(0, text=1)


def test_right_to_left_bigrams_are_counted_in_the_input() -> None:
    text = "לוי דון"  # drawn: ן | וד | י | ול
    offsets = renderer_of("bigrams").offsets(text)
    assert [offsets.patch_to_chars(patch) for patch in range(5)] == [(6, 7), (4, 6), (2, 3), (0, 2), None]
    assert offsets.word_of_patch.tolist() == [1, 1, 0, 0, -1]
    words = renderer_of("bigrams").offsets(text.split())
    assert [words.patch_to_chars(patch) for patch in range(5)] == [(2, 3), (0, 2), (6, 7), (4, 6), None]
    assert words.word_of_patch.tolist() == [0, 0, 1, 1, -1]


def test_wide_units_take_two_patches() -> None:
    offsets = renderer_of("bigrams").offsets("猫猫a")
    assert offsets.spans.tolist() == [[0, 2], [1, 2], [2, 3], [-1, -1]]
    assert offsets.char_to_patches(1) == (0, 2)
    single = renderer_of("adaptive").offsets("猫猫ab")
    assert single.spans.tolist() == [[0, 1], [1, 2], [2, 4], [-1, -1]]


def test_joined_letters_are_counted_from_the_right() -> None:
    word = "مستشفياتنا"
    offsets = renderer_of("adaptive").offsets(word)
    patches = [offsets.char_to_patches(char) for char in range(len(word))]
    assert all(patches)
    starts = [patch[1] for patch in patches if patch]
    assert starts == sorted(starts, reverse=True)
    assert starts[0] == renderer_of("adaptive")(word).num_text_patches


def test_columns_of_a_word_agree_with_its_advance() -> None:
    renderer = TextRenderer(strategy="words")
    typesetter = Typesetter([renderer.font_file], 40 / 3, 16)
    for word in ("AVATAR", "क्षत्रिय", "مرحبا", "فلا", "e\u0301e"):
        rtl = word[0] >= "\u0600" and word[0] < "\u0700"
        boxes = typesetter.boxes(word, rtl)
        assert boxes[:, 1].max() == sum(ink.advance for ink in typesetter.draw(word, rtl))
        assert boxes[:, 0].min() == 0
    _, lam, alif = typesetter.boxes("فلا", True).tolist()
    assert lam == alif  # a ligature


def test_a_character_without_width_at_a_border_is_on_the_last_patch() -> None:
    word = "bmm\u200b"  # 32 pixels, and a space of no width
    renderer = renderer_of("words")
    assert renderer(word).num_text_patches == 2
    assert [renderer.offsets(word).char_to_patch(char) for char in range(4)] == [0, 0, 1, 1]


def test_marks_take_no_room_of_their_own_on_a_line() -> None:
    line = TextRenderer(strategy="continuous", max_seq_length=10)
    encoding = line(" ".join(["e\u0301" * 3] * 5))
    assert len(encoding.word_starts) == 5 + 1
    assert not line.losses.cut.words


def test_continuous_words_share_patches() -> None:
    text = "a b  c"
    offsets = renderer_of("continuous").offsets(text)
    encoding = renderer_of("continuous")(text)
    assert encoding.num_text_patches == 2
    assert offsets.char_to_patch(0) == 0
    assert offsets.char_to_patch(4) is None  # of two spaces one is drawn
    assert offsets.patch_to_chars(0) == (0, 3)
    assert [offsets.char_to_patch(char) for char in (0, 2, 5)] == encoding.word_starts[:-1]


def test_truncated_text_has_no_patch() -> None:
    text = " ".join(["word"] * 30)
    for name in NAMES:
        renderer = renderer_of(name)
        encoding = renderer(text)
        offsets = renderer.offsets(text)
        drawn = len(encoding.word_starts) - 1
        drawn -= encoding.word_starts[-2] == PATCHES - 1  # no room was left for the last one
        assert offsets.char_to_patch(5 * drawn - 5) is not None
        assert offsets.char_to_patch(5 * drawn) is None
        assert offsets.patch_to_word(encoding.num_text_patches - 1) == drawn - 1


def test_answers_are_found_again_in_every_window() -> None:
    context = " ".join(f"w{i}" for i in range(80)) + " needle in " + " ".join(f"v{i}" for i in range(80))
    start = context.index("needle")
    for name in NAMES:
        renderer = TextRenderer(strategy=name, max_seq_length=60)
        pair = ("Where is it?", context)
        encoding = renderer(pair, return_overflowing_patches=True, stride=10)
        found = 0
        for window in [encoding, *encoding.overflowing_patches]:
            offsets = renderer.offsets(pair, window)
            first, last = offsets.char_to_patch(start, 1), offsets.char_to_patch(start + 5, 1)
            if first is None or last is None:
                continue
            found += 1
            span = (offsets.spans[first, 0], offsets.spans[last, 1])
            assert "needle" in context[slice(*span)]
            assert len(context[slice(*span)]) < 16
        assert found >= 1
