from __future__ import annotations

import json
import multiprocessing
import pickle
import random
import string
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import uharfbuzz as hb

from pixel_m4.render import MissingGlyphWarning, TextRenderer
from pixel_m4.render.glyphs import Typesetter
from pixel_m4.render.strategies import Bigrams, is_rtl

SENTENCES = [
    "My cat loves oatmeal; it eats 3 bowls a day, Wow!",
    "jjj fff įį ÂÂ",
    "Моя кішка любить вівсянку.",
    "मेरी बिल्ली को दलिया पसंद है।",
    "我的猫喜欢燕麦片。它每天吃三碗。",
    "แมวของฉันชอบข้าวโอ๊ต",
    "قطتي تحب دقيق الشوفان، وتأكل ٣ أطباق",
    "החתול שלי אוהב שיבולת שועל",
    "བཀྲ་ཤིས་བདེ་ལེགས།",
    "",
    " \t\n ",
]


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer()


def slow_render(text: str, patches: int) -> tuple[np.ndarray, int]:
    """The specification read literally: every character drawn, in order, over what is there."""
    renderer = TextRenderer()
    typesetter = Typesetter([renderer.font_file], 40 / 3, 16)
    margin = 64
    canvas = np.full((16, margin + patches * 16 + margin), 255.0)
    rtl = is_rtl(text)
    words = text.split()[::-1] if rtl else text.split()
    pen = margin
    for word in words:
        units = [word[i : i + 2] for i in range(0, len(word), 2)]
        if rtl:
            units = [unit[::-1] for unit in reversed(units)]
        for unit in units:
            for char in unit:
                for ink in typesetter.draw(char):
                    left = pen + ink.left
                    part = canvas[:, left : left + ink.coverage.shape[1]]
                    part[:] = np.floor(part * (255.0 - ink.coverage) / 255 + 0.5)
                    pen += ink.advance
            pen = -(-pen // 16) * 16
    canvas[:, pen : pen + 16] = 0
    canvas[:, pen + 16 :] = 255
    return canvas[:, margin : margin + patches * 16].astype(np.uint8), (pen - margin) // 16


@pytest.mark.parametrize("text", SENTENCES)
def test_equals_drawing_every_character_anew(renderer: TextRenderer, text: str) -> None:
    encoding = renderer(text)
    pixels, patches = slow_render(text, 529)
    assert encoding.num_text_patches == patches
    np.testing.assert_array_equal(encoding.pixel_values, pixels)


def test_cache_does_not_change_pixels(renderer: TextRenderer) -> None:
    for text in SENTENCES:
        np.testing.assert_array_equal(TextRenderer()(text).pixel_values, renderer(text).pixel_values)


def test_batch_equals_single_renderings(renderer: TextRenderer) -> None:
    batch = renderer.batch(SENTENCES)
    width = batch["pixel_values"].shape[2]
    assert width == 16 * (max(batch.num_text_patches) + 1)
    assert batch["attention_mask"].shape == (len(SENTENCES), width // 16)
    for row, text in enumerate(SENTENCES):
        encoding = renderer(text)
        np.testing.assert_array_equal(batch["pixel_values"][row], encoding.pixel_values[:, :width])
        assert batch["attention_mask"][row].sum() == encoding.num_text_patches + 1
        starts = batch.word_starts[row].tolist()
        assert starts == encoding.word_starts + [-100] * (len(starts) - len(encoding.word_starts))


def test_batch_to_full_length_in_place(renderer: TextRenderer) -> None:
    out = np.empty((2, 16, 529 * 16), np.uint8)
    batch = renderer.batch(["a b", "c"], padding="max_length", out=out)
    assert batch["pixel_values"] is out
    np.testing.assert_array_equal(out[1], renderer("c").pixel_values)
    with pytest.raises(ValueError, match=r"out must be .*shape \(1, 16, 8464\)"):
        renderer.batch(["a"], padding="max_length", out=out)


def test_flat_buffer_to_draw_into(renderer: TextRenderer) -> None:
    buffer = np.empty(100_000, np.uint8)
    batch = renderer.batch(["a b", "c"], out=buffer)
    assert np.shares_memory(batch["pixel_values"], buffer)
    np.testing.assert_array_equal(batch["pixel_values"], renderer.batch(["a b", "c"])["pixel_values"])
    with pytest.raises(ValueError, match="at least as large"):
        renderer.batch(["a b" * 100], out=np.empty(5, np.uint8))


def test_torch_tensors(renderer: TextRenderer) -> None:
    torch = pytest.importorskip("torch")
    batch = renderer.batch(["a b", "c"], return_tensors="pt")
    assert batch["pixel_values"].dtype == torch.uint8
    assert batch["attention_mask"].dtype == torch.int64


def test_empty_text_and_batch(renderer: TextRenderer) -> None:
    encoding = renderer("")
    assert (encoding.num_text_patches, encoding.word_starts, encoding.sep_patches) == (0, [0], [0])
    assert not encoding.pixel_values[:, :16].any()
    assert renderer([]).num_text_patches == 0
    assert renderer.batch([])["pixel_values"].shape == (0, 16, 16)


def test_words_of_a_list_may_hold_spaces(renderer: TextRenderer) -> None:
    assert renderer(["Trả lời", "ab"]).word_starts == [0, 4, 5]


def test_rgb_repeats_grey() -> None:
    text = SENTENCES[0]
    rgb = TextRenderer(rgb=True)(text).pixel_values
    assert rgb.shape == (16, 529 * 16, 3)
    np.testing.assert_array_equal(rgb, np.repeat(TextRenderer()(text).pixel_values[..., None], 3, axis=2))


@pytest.mark.parametrize("text", ["abc jjj fff", "मेरी बिल्ली", "我爱 NLP", "קטתי שלום"])
def test_rgb_batches_of_black_ink_are_grey_ones(renderer: TextRenderer, text: str) -> None:
    rgb = TextRenderer(rgb=True).batch([text, "x"])["pixel_values"]
    grey = renderer.batch([text, "x"])["pixel_values"]
    np.testing.assert_array_equal(rgb, np.repeat(grey[..., None], 3, axis=3))


def test_forced_direction_reverses_words_and_units(renderer: TextRenderer) -> None:
    forced = renderer("abc de", rtl=True).pixel_values
    np.testing.assert_array_equal(forced, renderer(["ed", "c", "ba"]).pixel_values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("123 !?", False),
        ("שלום", True),
        ("שלום abc", True),
        ("abc שלום def", False),
        ("a שלום", True),
        ("العربية 123", True),
        ("हिन्दी", False),
    ],
)
def test_direction(text: str, expected: bool) -> None:
    assert is_rtl(text) is expected


def test_units_of_a_word() -> None:
    bigrams = Bigrams()
    assert list(bigrams.units("abcde", rtl=False)) == ["ab", "cd", "e"]
    assert list(bigrams.units("abcde", rtl=True)) == ["e", "dc", "ba"]
    assert list(bigrams.units("abcd", rtl=True)) == ["dc", "ba"]
    assert list(bigrams.units("", rtl=True)) == []


def test_missing_glyphs_warn_once_with_code_points(renderer: TextRenderer) -> None:
    with pytest.warns(MissingGlyphWarning, match=r"2 character.*: U\+2211, U\+221E") as caught:
        renderer("x ∞ ∑")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        renderer("no missing glyph")


def test_fallback_font_draws_what_the_main_one_lacks(tmp_path: Path, renderer: TextRenderer) -> None:
    blob = hb.Blob.from_file_path(str(renderer.font_file))
    words = {"latin.ttf": "abc", "fallbacks/cyrillic.ttf": "жук", "fallbacks/han.ttf": "猫"}
    drawn = []
    for file, word in words.items():
        wanted = hb.SubsetInput()
        wanted.unicode_set.update(map(ord, word + " "))
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes(hb.subset(hb.Face(blob), wanted).blob.data)
        encoding = TextRenderer(font_file=tmp_path / file)(word)
        drawn.append(encoding.pixel_values[:, : encoding.num_text_patches * 16])
    text = " ".join(words.values())
    alone = TextRenderer(font_file=tmp_path / "latin.ttf")
    with pytest.warns(MissingGlyphWarning, match=r"4 character.*U\+0436, .*U\+732B"):
        assert alone(text).num_text_patches > 0
    both = TextRenderer(font_file=tmp_path / "latin.ttf", fallback_fonts_dir=tmp_path / "fallbacks")(text)
    expected = np.concatenate(drawn, axis=1)
    np.testing.assert_array_equal(both.pixel_values[:, : expected.shape[1]], expected)
    assert both.num_text_patches * 16 == expected.shape[1]


def test_a_renderer_with_changes_is_like_the_first_one_else(renderer: TextRenderer) -> None:
    first = TextRenderer(max_seq_length=31, strategy="words", rgb=True, dpi=100)
    same, other = first.with_changes(), first.with_changes(font_size=7, strategy="graphemes")
    np.testing.assert_array_equal(same("two words").pixel_values, first("two words").pixel_values)
    assert (other.font_size, other.strategy) == (7, "graphemes")
    assert (other.max_seq_length, other.rgb, other.dpi) == (31, True, 100)
    assert first.font_size == 8
    with pytest.raises(ValueError, match="font_size must be greater than 0"):
        first.with_changes(font_size=-1)


@pytest.mark.parametrize("length", [64, 100_000])
def test_long_words_are_measured_past_the_canvas(length: int) -> None:
    renderer = TextRenderer(max_seq_length=49)
    encoding = renderer("W" * length)
    assert encoding.word_starts == [0, length]  # a W takes half of a patch and a bit
    assert encoding.num_text_patches == 48


def test_any_string_renders(renderer: TextRenderer) -> None:
    odd = ["\ud800", "\x00", "\u202eabc", "\u200d" * 50, "a\u0301\u0301\u0301", "\U0010ffff", "\ufeff"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MissingGlyphWarning)
        for text in [*odd, "".join(odd)]:
            assert renderer(text).pixel_values.shape == (16, 529 * 16)


def test_tiny_cache_still_gives_the_same_pixels() -> None:
    small, large = TextRenderer(), TextRenderer()
    small._atlas._max_bytes = 1
    rng = random.Random(0)
    for _ in range(30):
        text = " ".join("".join(rng.choices(string.ascii_letters, k=rng.randint(1, 9))) for _ in range(20))
        np.testing.assert_array_equal(small(text).pixel_values, large(text).pixel_values)
    assert small.cache_stats().evictions > 20
    assert large.cache_stats().evictions == 0
    assert large.cache_stats().bytes > 0


def test_tiny_cache_gives_the_same_batches() -> None:
    small, large = TextRenderer(), TextRenderer()
    small._atlas._max_bytes = 100_000
    for first in range(0x4E00, 0x5200, 64):
        texts = ["".join(map(chr, range(first + i, first + i + 20))) for i in range(0, 40, 10)] + SENTENCES
        np.testing.assert_array_equal(small.batch(texts)["pixel_values"], large.batch(texts)["pixel_values"])
    assert small.cache_stats().evictions > 5
    assert large.cache_stats().evictions == 0
    assert small.cache_stats().bytes < large.cache_stats().bytes < large.cache_stats().limit


def test_threads_share_a_renderer(renderer: TextRenderer) -> None:
    fresh = TextRenderer()
    fresh._atlas._max_bytes = 50_000
    texts = SENTENCES * 20
    with ThreadPoolExecutor(4) as pool:
        drawn = list(pool.map(lambda text: fresh(text).pixel_values, texts))
    for text, pixels in zip(texts, drawn, strict=True):
        np.testing.assert_array_equal(pixels, renderer(text).pixel_values)


def render_sum(renderer: TextRenderer) -> int:
    return int(renderer(SENTENCES[0]).pixel_values.sum())


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_get_their_own_fonts(renderer: TextRenderer, method: str) -> None:
    with renderer._lock, multiprocessing.get_context(method).Pool(1) as pool:  # a lock held while forking
        assert pool.apply_async(render_sum, (renderer,)).get(60) == int(
            TextRenderer()(SENTENCES[0]).pixel_values.sum()
        )


def test_pickle_keeps_options() -> None:
    copy = pickle.loads(pickle.dumps(TextRenderer(max_seq_length=64)))
    assert copy.max_seq_length == 64
    assert copy("ab").num_text_patches == 1


def test_rendering_leaves_torch_alone() -> None:
    code = (
        "import sys, pixel_m4.render as r; r.TextRenderer()('abc'); "
        "sys.exit(bool({'torch', 'transformers', 'PIL'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "trigrams"}, "unknown strategy 'trigrams'"),
        ({"max_seq_length": 1}, "max_seq_length must be greater than 1"),
        ({"font_size": 0}, "font_size must be greater than 0"),
        ({"dpi": -1}, "dpi must be greater than 0, not -1"),
    ],
)
def test_bad_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextRenderer(**options)


def test_bad_calls(renderer: TextRenderer) -> None:
    with pytest.raises(ValueError, match="a pair of two texts, not 3"):
        renderer(("a", "b", "c"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="padding must be"):
        renderer.batch(["a"], padding="shortest")
    with pytest.raises(ValueError, match="return_tensors must be"):
        renderer.batch(["a"], return_tensors="tf")
    with pytest.raises(ValueError, match="only a pair"):
        renderer("a", return_overflowing_patches=True)
    with pytest.raises(ValueError, match="no room for the second one; give text_a_max_length"):
        renderer(("a " * 600, "b"), return_overflowing_patches=True)
    with pytest.raises(ValueError, match="stride must be"):
        renderer(("a", "b " * 900), return_overflowing_patches=True, stride=600)


@pytest.mark.parametrize("stride", [0, 32, 64])
def test_overflow_loses_no_word(stride: int) -> None:
    renderer = TextRenderer(max_seq_length=100)
    question, words = "Which one?", [f"word{i}" for i in range(150)]
    words[70] = "W" * 400  # longer than a window
    encoding = renderer((question, " ".join(words)), return_overflowing_patches=True, stride=stride)
    shown = set()
    prefix = (encoding.sep_patches[0] + 1) * 16
    for window in [encoding, *encoding.overflowing_patches]:
        np.testing.assert_array_equal(window.pixel_values[:, :prefix], encoding.pixel_values[:, :prefix])
        for i, start in enumerate(window.word_starts[:-1]):
            word = window.first_word + i
            end = window.word_starts[i + 1]
            if end > 99:
                assert word == 70 or window is encoding  # only this one may be cut
            if end <= 99 or word == 70:
                shown.add(word)
                expected = renderer([words[word]]).pixel_values[:, : (min(end, 99) - start) * 16]
                got = window.pixel_values[:, start * 16 : min(end, 99) * 16]
                np.testing.assert_array_equal(got, expected)
    assert shown == set(range(150))


def test_renderer_config_round_trip(tmp_path: Path) -> None:
    TextRenderer(max_seq_length=64, dpi=110, rgb=True).save_pretrained(tmp_path)
    again = TextRenderer.from_pretrained(tmp_path)
    assert (again.max_seq_length, again.dpi, again.rgb) == (64, 110, True)
    assert TextRenderer.from_pretrained(tmp_path, rgb=False, max_seq_length=49).max_seq_length == 49
    again.save_pretrained(tmp_path / "copy")
    name = "text_renderer_config.json"
    assert (tmp_path / name).read_text() == (tmp_path / "copy" / name).read_text()


def test_published_renderer_config(tmp_path: Path) -> None:
    config = {
        "background_color": "white",
        "dpi": 120,
        "font_color": "black",
        "font_file": "f" * 125 + ".ttf",
        "font_size": 8,
        "fonts_list": ["stray"] * 1000,
        "max_seq_length": 529,
        "pad_size": 3,
        "pixels_per_patch": 16,
        "text_renderer_type": "PangoCairoTextRenderer",
    }
    file = tmp_path / "text_renderer_config.json"
    file.write_text(json.dumps(config))
    assert TextRenderer.from_pretrained(tmp_path).font_file.name == "GoNotoCurrent.ttf"
    file.write_text(json.dumps({**config, "font_file": "MyFont.ttf"}))
    with pytest.raises(ValueError, match=r"MyFont\.ttf, which is not beside it"):
        TextRenderer.from_pretrained(tmp_path)
    file.write_text("{")
    with pytest.raises(ValueError, match="not valid JSON"):
        TextRenderer.from_pretrained(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"no text_renderer_config\.json"):
        TextRenderer.from_pretrained(tmp_path)


@pytest.mark.parametrize("strategy", ["bigrams", "adaptive"])
def test_measuring_texts_is_measuring_their_words(strategy: str) -> None:
    renderer, again = TextRenderer(strategy=strategy), TextRenderer(strategy=strategy)
    # Among them: no words, a unit of more than 15 patches, ink without width, a word wider than a canvas.
    texts = [*SENTENCES, "\ufdfd\ufdfd a\ufdfd", "\u0301 \u200d", "wide" * 700, "a\u00a0b\u2028c", "end"]
    assert [widths.tolist() for widths in renderer.measure_texts(texts)] == [
        again.measure(text.split()) for text in texts
    ]
    assert renderer.measure_texts([]) == []
    (nothing,) = renderer.measure_texts([""])
    assert (nothing.dtype, nothing.shape) == (np.int64, (0,))


def test_coverage_of_characters() -> None:
    renderer = TextRenderer()
    assert renderer.covers("a")
    assert not renderer.covers("\U000f0000")
