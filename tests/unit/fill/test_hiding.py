from __future__ import annotations

import re

import numpy as np
import pytest

from pixel_m4.corpus.masking import span_mask
from pixel_m4.fill.hiding import Hidden, Hiding, hide
from pixel_m4.render import TextRenderer

TEXT = "My cat loves oatmeal."  # My | ca t | lo ve s | oa tm ea l.


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


def masked(hidden: Hidden) -> list[int]:
    return np.flatnonzero(hidden.mask).tolist()


def shown(hidden: Hidden) -> list[str]:
    return [hidden.text[slice(*stretch.chars)] for stretch in hidden.stretches]


def test_words(renderer: TextRenderer) -> None:
    hidden = hide(renderer, TEXT, Hiding(words=[2, 4]))
    starts = renderer(TEXT).word_starts
    assert masked(hidden) == [*range(starts[1], starts[2]), *range(starts[3], starts[4])]
    assert shown(hidden) == ["cat", "oatmeal."]
    assert len(hidden.mask) == starts[-1] + 1
    assert not hidden.hole.any()
    np.testing.assert_array_equal(hidden.encoding.pixel_values, renderer(TEXT).pixel_values)


def test_neighbouring_words_are_stretches_of_their_own(renderer: TextRenderer) -> None:
    assert shown(hide(renderer, TEXT, Hiding(words=[2, 3]))) == ["cat", "loves"]


def test_strings_are_whole_words_first(renderer: TextRenderer) -> None:
    assert shown(hide(renderer, "a cat concat", Hiding(strings=["cat"]))) == ["cat"]
    assert shown(hide(renderer, "concat", Hiding(strings=["cat"]))) == ["ncat"]
    assert shown(hide(renderer, "a b c a b", Hiding(strings=["a b"]))) == ["a", "b", "a", "b"]


def test_a_part_of_a_wide_unit_is_read_with_the_rest_of_it(renderer: TextRenderer) -> None:
    text = "我的猫喜"
    hidden = hide(renderer, text, Hiding(strings=["猫"]))
    first, _ = renderer.offsets(text).char_to_patches(2) or (0, 0)
    assert masked(hidden) == [first]
    assert [tuple(stretch) for stretch in hidden.stretches] == [(first, first + 2, (2, 4), False)]


def test_patches_and_spans(renderer: TextRenderer) -> None:
    hidden = hide(renderer, TEXT, Hiding(patches=[1, 0]))
    assert masked(hidden) == [0, 1]
    count = hidden.encoding.num_text_patches
    spans = hide(renderer, TEXT, Hiding(ratio=0.3, seed=5))
    np.testing.assert_array_equal(spans.mask[:-1], span_mask(count, count, np.random.default_rng(5), 0.3))
    assert not spans.mask[-1]


@pytest.mark.parametrize("strategy", ["bigrams", "graphemes", "adaptive", "words"])
@pytest.mark.parametrize(("mark", "width"), [("[MASK]", 2), ("[MASK:1]", 1), ("[MASK:7]", 7)])
def test_holes(strategy: str, mark: str, width: int) -> None:
    renderer = TextRenderer(strategy=strategy, max_seq_length=64)
    text = f"My {mark} loves"
    hidden = hide(renderer, text)
    before, after = renderer("My"), renderer("loves")
    first = before.num_text_patches
    assert masked(hidden) == [*range(first, first + width)]
    assert hidden.hole.tolist() == hidden.mask.tolist()
    assert hidden.encoding.num_text_patches == first + width + after.num_text_patches
    (stretch,) = hidden.stretches
    assert stretch.hole
    assert shown(hidden) == [mark]
    strip = hidden.encoding.pixel_values[:, 16 * (first + width) :][:, : 16 * after.num_text_patches]
    np.testing.assert_array_equal(strip, after.pixel_values[:, : 16 * after.num_text_patches])


def test_a_hole_inside_a_word(renderer: TextRenderer) -> None:
    hidden = hide(renderer, "un[MASK:3]able [MASK][MASK:1]")
    assert masked(hidden) == [1, 2, 3, 6, 7, 8]
    assert shown(hidden) == ["[MASK:3]", "[MASK]", "[MASK:1]"]


def test_right_to_left(renderer: TextRenderer) -> None:
    text = "قرأت الطالبة [MASK:3] 12"
    hidden = hide(renderer, text, Hiding(words=[1]))
    assert hidden.rtl
    assert shown(hidden) == ["[MASK:3]", "قرأت"]  # from the left
    plain = renderer.offsets("قرأت الطالبة").patches[0]
    width = hidden.encoding.num_text_patches
    assert masked(hidden)[-1] == width - 1  # the first word is at the right
    assert hidden.mask.sum() == 3 + len({patch for start, stop in plain[:4] for patch in range(start, stop)})
    assert hidden.stretches[0].start == 1
    assert hidden.stretches[0].stop == 4


def test_continuous_lines(renderer: TextRenderer) -> None:
    line = TextRenderer(strategy="continuous", max_seq_length=64)
    hidden = hide(line, "My [MASK:3] loves oatmeal.")
    assert hidden.stretches == []
    assert 3 <= hidden.mask.sum() <= 4
    assert hide(line, TEXT, Hiding(words=[2])).mask.any()
    with pytest.raises(ValueError, match="does not fit on the 64 patches"):
        hide(line, TEXT * 20, Hiding(words=[2]))


@pytest.mark.parametrize(
    ("text", "hiding", "message"),
    [
        (TEXT, Hiding(), r"nothing is masked: write \[MASK\] into the text"),
        (" ", Hiding(words=[1]), "there is no text to mask"),
        (TEXT, Hiding(words=[5]), "there is no word 5 to mask: the text has 4, numbered from 1"),
        (TEXT, Hiding(words=[0]), "there is no word 0"),
        (TEXT, Hiding(strings=["dog"]), "there is no 'dog' to mask in 'My cat"),
        (TEXT, Hiding(strings=[" "]), "there is no ' ' to mask"),
        (TEXT, Hiding(patches=[3, 12]), "there is no patch 12 to mask: the text has 12, numbered from 0"),
        (TEXT, Hiding(ratio=1.5), "ratio must lie between 0 and 1"),
        ("ab" * 64, Hiding(patches=[0]), "takes 65 patches, and the model has positions for 64"),
        ("a [MASK:63]", Hiding(), "takes 65 patches"),
        ("a [MASK:64]", Hiding(), r"\[MASK:64\] must take at least 1 patch, and fewer than the 64"),
        ("a [MASK:0]", Hiding(), r"\[MASK:0\] must take at least 1"),
        ("\u200b", Hiding(words=[1]), "nothing to draw"),
    ],
)
def test_errors(renderer: TextRenderer, text: str, hiding: Hiding, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        hide(renderer, text, hiding)


def test_the_longest_text_fits(renderer: TextRenderer) -> None:
    assert hide(renderer, "ab" * 63, Hiding(patches=[62])).encoding.num_text_patches == 63


@pytest.mark.parametrize(
    "wrong",
    [
        "[MASK:]",
        "[MASK:x]",
        "[MASK:-1]",
        "[MASK:1.5]",
        "[MASK 3]",
        "[MASKED]",
        "[MASK",
        "[MASK:3",
        "[MASK:[MASK]]",
    ],
)
def test_holes_that_are_written_wrong_are_named(wrong: str) -> None:
    renderer = TextRenderer(max_seq_length=64)
    named = wrong.removesuffix("[MASK]]")
    with pytest.raises(ValueError, match=re.escape(f"{named!r} at character 5 is no hole: write [MASK], or")):
        hide(renderer, f"the {wrong}")


def test_brackets_that_are_no_holes_are_text() -> None:
    text = "the [b]bold[/b] [/x] [mask] [red] MASK [MASK]"
    hidden = hide(TextRenderer(max_seq_length=64), text)
    assert hidden.text == text
    assert len(hidden.stretches) == 1


def test_what_cannot_be_hidden() -> None:
    renderer = TextRenderer(max_seq_length=64)
    with pytest.raises(ValueError, match="seed must be 0 or more, got -1"):
        Hiding(seed=-1)
    for ratio in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="ratio must lie between 0 and 1"):
            hide(renderer, "some text", Hiding(ratio=ratio))
