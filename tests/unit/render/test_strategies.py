from __future__ import annotations

import ctypes.util
import random
import time
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from pixel_m4.render import MissingGlyphWarning, TextRenderer
from pixel_m4.render.glyphs import Typesetter
from pixel_m4.render.itemize import Run, embedding_levels, itemize, script_of, visual_order
from pixel_m4.render.strategies import (
    MARGIN,
    STRATEGIES,
    Adaptive,
    Graphemes,
    Unit,
    Words,
    clusters,
    is_rtl,
)

SENTENCES = [
    "My cat loves oatmeal; it eats 3 bowls a day, AVA!",
    "Моя кішка любить вівсянку.",
    "मेरी बिल्ली को दलिया पसंद है। क्षत्रिय",
    "我的猫喜欢燕麦片。 カタカナー 한국어 ᄒᆞᆫ글",
    "แมวของฉันชอบข้าวโอ๊ต",
    "قطتي تحب (دقيق) الشوفان، وتأكل ٣ أطباق من Python 3.12",
    "החתול שלי אוהב (שיבולת) שועל, 100% abc",
    "abc קטע def (עברית) 12-34",
    "בְּרֵאשִׁית ܫܠܡܐ ߒߞߏ",
]
ODD = [
    "\ud800",
    "\x00",
    "\u202eabc\u202c",
    "\u200d" * 50,
    "a" + "\u0301" * 300,
    "\U0010ffff",
    "\ufeff",
    "(" * 99,
]


@pytest.fixture(scope="module", params=["words", "graphemes", "adaptive", "continuous"])
def renderer(request: pytest.FixtureRequest) -> TextRenderer:
    return TextRenderer(strategy=request.param, max_seq_length=200)


@pytest.fixture(scope="module")
def typesetter(renderer: TextRenderer) -> Typesetter:
    return Typesetter([renderer.font_file], 40 / 3, 16)


@pytest.fixture(autouse=True)
def _missing_glyphs_are_fine() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingGlyphWarning)
        yield


def texts_of(units: Iterator[Unit]) -> list[list[str]]:
    return [[run if isinstance(run, str) else run.text for run in unit] for unit in units]


def slow_draw(typesetter: Typesetter, units: list[Unit], patches: int) -> tuple[np.ndarray, int]:
    """Every run drawn in order over what is there; a unit starts at a patch border."""
    margin = 512
    canvas = np.full((16, 2 * margin + patches * 16), 255.0)
    pen = margin
    for unit in units:
        for run in unit:
            text, rtl, script, blank = (
                (run, None, None, 0)
                if isinstance(run, str)
                else (
                    run.text,
                    run.rtl,
                    run.script,
                    run.margin,
                )
            )
            pen += blank
            for ink in typesetter.draw(text, rtl, script):
                part = canvas[:, pen + ink.left : pen + ink.left + ink.coverage.shape[1]]
                part[:] = np.floor(part * (255.0 - ink.coverage) / 255 + 0.5)
                pen += ink.advance
        pen = -(-pen // 16) * 16
    canvas[:, pen : pen + 16] = 0
    canvas[:, pen + 16 :] = 255
    return canvas[:, margin : margin + patches * 16].astype(np.uint8), (pen - margin) // 16


def units_of(renderer: TextRenderer, text: str | list[str]) -> list[Unit]:
    """What is drawn, in order, by the definition of each strategy."""
    strategy = STRATEGIES[renderer.strategy]()
    words = text.split() if isinstance(text, str) else text
    rtl = is_rtl(" ".join(words))
    blank = Run("", margin=MARGIN)
    if renderer.strategy != "continuous":
        words = words[::-1] if rtl and isinstance(text, str) else words
        return [unit for word in words for unit in strategy.units(word, rtl)]
    if isinstance(text, str):
        return [(blank, *itemize(" ".join(words), rtl or None), blank)]
    return [
        (
            *[blank] * (i == 0),
            *(run for unit in strategy.units(word + " " * (i < len(words) - 1), rtl) for run in unit),
            *[blank] * (i == len(words) - 1),
        )
        for i, word in enumerate(words)
    ]


@pytest.mark.parametrize("text", SENTENCES)
@pytest.mark.parametrize("split", [False, True])
def test_equals_drawing_every_run_anew(
    renderer: TextRenderer, typesetter: Typesetter, text: str, split: bool
) -> None:
    given_text = text.split() if split else text
    encoding = renderer(given_text)
    pixels, patches = slow_draw(typesetter, units_of(renderer, given_text), 200)
    assert encoding.num_text_patches == patches
    np.testing.assert_array_equal(encoding.pixel_values, pixels)
    np.testing.assert_array_equal(
        renderer.batch([given_text])["pixel_values"][0], pixels[:, : patches * 16 + 16]
    )


def test_words_are_shaped_whole_and_start_patches(typesetter: Typesetter) -> None:
    renderer = TextRenderer(strategy="words")
    encoding = renderer("AVA fi")
    [ink] = typesetter.draw("AVA")
    assert encoding.word_starts == [0, -(-ink.advance // 16), encoding.num_text_patches]
    assert ink.advance <= sum(letter.advance for char in "AVA" for letter in typesetter.draw(char))
    assert texts_of(Words().units("AVA", False)) == [["AVA"]]
    assert texts_of(Words().units("", True)) == []


def test_joined_word_equals_shaping_it_whole(typesetter: Typesetter) -> None:
    """The five letters of مرحبا join: their ink is not that of the letters alone."""
    word = "مرحبا"
    encoding = TextRenderer(strategy="adaptive")(word)
    [ink] = typesetter.draw(word)
    strip = np.full((16, encoding.num_text_patches * 16), 255, np.uint8)
    strip[:, ink.left : ink.left + ink.coverage.shape[1]] = 255 - ink.coverage
    np.testing.assert_array_equal(encoding.pixel_values[:, : strip.shape[1]], strip)
    apart = sum(letter.advance for char in word for letter in typesetter.draw(char))
    assert ink.advance < apart
    assert texts_of(Adaptive().units(word, True)) == [[word]]


@pytest.mark.parametrize(
    ("word", "units"),
    [
        ("abcde", [["a", "b"], ["c", "d"], ["e"]]),
        ("e\u0301a\u0308\u0332x", [["e\u0301", "a\u0308\u0332"], ["x"]]),
        ("👨‍👩‍👧👍🏽🇫🇷a", [["👨‍👩‍👧", "👍🏽"], ["🇫🇷", "a"]]),
        ("\u1112\u1161\u11abᄀ", [["\u1112\u1161\u11ab", "ᄀ"]]),
        ("नमस्ते", [["न", "म"], ["स्ते"]]),
        ("\u0301a", [["\u0301", "a"]]),
        ("", []),
    ],
)
def test_grapheme_clusters(word: str, units: list[list[str]]) -> None:
    assert texts_of(Graphemes().units(word, False)) == units
    assert texts_of(Graphemes().units(word, True)) == [unit[::-1] for unit in units[::-1]]


@pytest.mark.parametrize(
    ("word", "units"),
    [
        ("ab猫cd", [["a", "b"], ["猫"], ["c", "d"]]),
        ("a猫が\u3099カー", [["a"], ["猫"], ["が\u3099"], ["カ"], ["ー"]]),
        ("한국", [["한"], ["국"]]),
        ("猫。ab", [["猫"], ["。"], ["a", "b"]]),
        ("(שלום)", [["(שלום)"]]),
        ("שלום-abc", [["abc"], ["שלום-"]]),
        ("٣٥", [["٣٥"]]),
        ("123", [["1", "2"], ["3"]]),
        ("ߒߞߏ", [["ߏ"], ["ߞ", "ߒ"]]),
    ],
)
def test_adaptive_units_in_right_to_left_text(word: str, units: list[list[str]]) -> None:
    found = texts_of(Adaptive().units(word, True))
    if len(found) == 1:
        assert ["".join(unit) for unit in found] == ["".join(unit) for unit in units] or found == [
            [run for unit in units for run in unit]
        ]
    else:
        assert found == units


def test_continuous_line_has_margins_and_single_spaces(typesetter: Typesetter) -> None:
    renderer = TextRenderer(strategy="continuous")
    encoding = renderer("  two \n words ")
    [ink] = typesetter.draw("two words")
    assert encoding.num_text_patches == -(-(ink.advance + 2 * MARGIN) // 16)
    np.testing.assert_array_equal(
        encoding.pixel_values[:, MARGIN + ink.left : MARGIN + ink.left + ink.coverage.shape[1]],
        255 - ink.coverage,
    )
    advance = typesetter.draw("two ")[0].advance
    assert encoding.word_starts == [0, (advance + MARGIN) // 16, encoding.num_text_patches]


def test_long_continuous_text_is_cut_between_words() -> None:
    short = TextRenderer(strategy="continuous", max_seq_length=20)
    text = " ".join(f"word{i}" for i in range(100_000))
    encoding = short(text)
    words = len(encoding.word_starts) - 1
    assert 5 < words < 12
    np.testing.assert_array_equal(encoding.pixel_values, short(" ".join(text.split()[:words])).pixel_values)
    assert encoding.num_text_patches < 20
    assert short("x" * 1_000_000).num_text_patches == 19


@pytest.mark.parametrize("stride", [0, 8])
def test_continuous_overflow_loses_no_word(stride: int) -> None:
    renderer = TextRenderer(strategy="continuous", max_seq_length=40)
    words = [f"word{i}" for i in range(60)]
    encoding = renderer(("Which one?", " ".join(words)), return_overflowing_patches=True, stride=stride)
    shown: set[int] = set()
    for window in [encoding, *encoding.overflowing_patches]:
        numbers = range(window.first_word, window.first_word + len(window.word_starts) - 1)
        alone = renderer(("Which one?", " ".join(words[i] for i in numbers)))
        np.testing.assert_array_equal(window.pixel_values, alone.pixel_values)
        assert window.num_text_patches <= 39
        shown.update(numbers)
    assert shown == set(range(60))


def test_any_string_renders(renderer: TextRenderer) -> None:
    for text in [*ODD, "".join(ODD), ODD, "", [], [""], "\u2028", ["a\nb", "\t", "x\u2027y"]]:
        encoding = renderer(text)
        assert encoding.pixel_values.shape == (16, 3200)
        assert encoding.num_text_patches <= 199


@given(st.text(st.sampled_from("ab אבع٣1 (),.猫\u0301\u202a\u202b\u202e\u2067\u2069\u200d\u064e\n")))
@settings(max_examples=60, deadline=None)
def test_units_show_every_character_once(text: str) -> None:
    for strategy in STRATEGIES.values():
        for rtl in (False, True):
            shown: list[tuple[int, int]] = []
            for unit in strategy().units(text, rtl):
                shown += [(run.start, run.start + len(run.text)) for run in unit if isinstance(run, Run)]
                for run in unit:
                    if isinstance(run, Run):
                        assert text[run.start : run.start + len(run.text)] == run.text
            if strategy.name != "bigrams":
                shown.sort()
                assert [start for start, _ in shown] + [len(text)] == [0] + [end for _, end in shown]


@pytest.mark.parametrize("length", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("unit", ["W", "e\u0301", "\u0301", "ש", "क्ष", "\u200d", "猫"])
@pytest.mark.parametrize("name", list(STRATEGIES))
def test_long_words_take_linear_time(name: str, unit: str, length: int) -> None:
    renderer = TextRenderer(strategy=name, max_seq_length=60)
    start = time.perf_counter()
    assert renderer(unit * length).num_text_patches <= 59
    assert time.perf_counter() - start < 10 + length / 5_000
    assert sum(len(run) if isinstance(run, str) else len(run.text) for run in renderer._atlas._runs) < 1000


@pytest.mark.parametrize(
    ("levels", "order"),
    [
        ([], []),
        ([0, 0], [0, 1]),
        ([1, 1], [1, 0]),
        ([0, 1, 2, 1, 0], [0, 3, 2, 1, 4]),
        ([2, 2, 1], [2, 0, 1]),
    ],
)
def test_visual_order(levels: list[int], order: list[int]) -> None:
    assert visual_order(levels) == order


def test_scripts() -> None:
    assert [script_of(char) for char in "aЖ猫あشש \u0301"] == [
        "Latn",
        "Cyrl",
        "Hani",
        "Hira",
        "Arab",
        "Hebr",
        None,
        None,
    ]
    runs = itemize("(猫) cat, кот")
    assert [(run.text, run.script) for run in runs] == [("(猫) ", "Hani"), ("cat, ", "Latn"), ("кот", "Cyrl")]


def test_direction_of_a_line() -> None:
    assert [run.text for run in itemize("שלום 123, abc")] == ["abc", ", ", "123", "שלום "]
    assert [run.text for run in itemize("abc שלום 123.")] == ["abc ", "123", "שלום ", "."]
    assert [run.text for run in itemize("abc.", rtl=True)] == [".", "abc"]
    assert [run.text for run in itemize("a\nb")] == ["a", "\n", "b"]


@pytest.mark.skipif(ctypes.util.find_library("fribidi") is None, reason="needs libfribidi")
def test_levels_equal_fribidi() -> None:
    fribidi = ctypes.CDLL(ctypes.util.find_library("fribidi"))

    def expected(text: str, rtl: bool | None) -> list[int]:
        count = len(text)
        codes = (ctypes.c_uint32 * count)(*map(ord, text))
        types, brackets = (ctypes.c_uint32 * count)(), (ctypes.c_uint32 * count)()
        levels = (ctypes.c_int8 * count)()
        fribidi.fribidi_get_bidi_types(codes, count, types)
        fribidi.fribidi_get_bracket_types(codes, count, types, brackets)
        base = ctypes.c_uint32({None: 0x40, True: 0x111, False: 0x110}[rtl])
        fribidi.fribidi_get_par_embedding_levels_ex(types, brackets, count, ctypes.byref(base), levels)
        return list(levels)

    # FriBidi 1.0.8 differs from the standard (and from ICU) at embeddings and at marks on brackets.
    alphabet = "ab אב عب 12 ٣٤ +-,.:/%$ () [] {}<> \u200b\t⟨⟩〈〉。"
    rng = random.Random(0)
    for _ in range(2000):
        text = "".join(rng.choices(alphabet, k=rng.randint(1, 25)))
        for rtl in (None, True, False):
            assert embedding_levels(text, rtl) == expected(text, rtl), ascii(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u2067א1\u2069b", "001200"),  # an isolate does not touch what is around it
        ("\u2068א\u2069a", "0100"),  # and a first strong isolate finds its own direction
        ("א(a)b", "11212"),  # both brackets go with the line, which what they enclose does not
        ("א1-2%", "12222"),
        ("ع1-2", "1212"),
        ("a \t", "000"),
        ("א \t", "111"),
    ],
)
def test_levels(text: str, expected: str) -> None:
    assert "".join(map(str, embedding_levels(text))) == expected


@pytest.mark.parametrize(
    "text", ["\u2068" * 50_000, "(" * 50_000 + "א" + ")" * 50_000, "(א)" * 30_000, "\u202b" * 50_000]
)
def test_bidi_is_linear(text: str) -> None:
    start = time.perf_counter()
    itemize(text)
    assert time.perf_counter() - start < 10


def test_long_rows_of_flag_letters_take_linear_time() -> None:
    """They took 46 s: a flag is a pair of letters counted from the beginning of its row."""
    for strategy in ("graphemes", "adaptive"):
        start = time.process_time()
        TextRenderer(strategy=strategy, max_seq_length=60)("\U0001f1e9" * 80_000)
        assert time.process_time() - start < 6


def test_clusters_of_flags_are_those_of_unicode() -> None:
    rng = random.Random(0)
    for _ in range(200):
        letters = rng.choices("🇩🇪a\u0301\u0600\u200d", [9, 9, 0.05, 0.1, 0.05, 0.05], k=rng.randint(1, 300))
        text = "".join(letters)
        expected = [match.start() for match in regex.finditer(r"\X", text)]
        assert [run.start for run in clusters(text)] == expected, ascii(text)
