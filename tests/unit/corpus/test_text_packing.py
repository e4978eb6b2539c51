"""Documents to blocks: cleaning, nothing lost, blocks as wide as they are drawn."""

from __future__ import annotations

import json
import random
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixel_m4 import TextRenderer
from pixel_m4.corpus.packing import Cleaner, Packed, Packer, published_fill
from pixel_m4.corpus.sources import Part, local_sources
from pixel_m4.render import MissingGlyphWarning, told_at_end


class Documents:
    """Documents in memory, a list of lines each."""

    def __init__(self, documents: Sequence[Sequence[str]]) -> None:
        self.parts = [Part(line, number) for number, lines in enumerate(documents) for line in lines]
        self.size = None

    def open(self, share: int, shares: int, position: Mapping[str, Any] | None = None) -> _Reader:
        parts = [part for part in self.parts if part.document % shares == share]
        return _Reader(parts, position["next"] if position else 0)


class _Reader:
    def __init__(self, parts: list[Part], first: int) -> None:
        self._pieces, self._next = parts, first

    def position(self) -> dict[str, Any]:
        return {"next": self._next}

    def __iter__(self) -> Iterator[Part]:
        while self._next < len(self._pieces):
            self._next += 1
            yield self._pieces[self._next - 1]


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


def packer(source: Any, renderer: TextRenderer, **options: Any) -> Packer:
    default: dict[str, Any] = {
        "max_seq_length": renderer.max_seq_length,
        "min_patches": 0,
        "repeat": False,
        "name": "en",
    }
    return Packer(source, renderer, Cleaner(renderer.covers), 0, 1, **{**default, **options})


def blocks_of(packer: Packer) -> list[Packed]:
    return list(iter(packer.next, None))


TEXTS = st.lists(
    st.lists(
        st.text(
            st.sampled_from("abcdefgh     ,.\n\u00a0é한국中文字कि्षสวัสดีשלוםمرحبا\ue000\u0378\ud800\U0001f600́ﷺ")
        )
        | st.text(st.sampled_from("中文สี"), min_size=30, max_size=400),
        max_size=4,
    ),
    max_size=6,
)


@settings(deadline=None, max_examples=60)
@given(documents=TEXTS)
def test_nothing_is_lost_and_blocks_are_as_wide_as_drawn(
    documents: list[list[str]], renderer: TextRenderer
) -> None:
    clean = Cleaner(renderer.covers)
    blocks = blocks_of(packer(Documents(documents), renderer))
    for block in blocks:
        assert 0 < block.num_patches <= 64
        drawn = [renderer(text).num_text_patches for text in block.texts]
        assert sum(drawn) + len(drawn) == block.num_patches
        assert all(text and text == " ".join(text.split()) for text in block.texts)
    words = [word for lines in documents for line in lines for word in clean(line).split()]
    # Cut words go on in the next block, where nothing tells; all others are still words.
    packed = [word for block in blocks for text in block.texts for word in text.split()]
    assert "".join(packed) == "".join(words)
    whole = [word for word in words if len(word) <= 24]
    it = iter(packed)
    assert all(word in it for word in whole)


def test_texts_of_a_block_are_parts_of_different_documents(renderer: TextRenderer) -> None:
    blocks = blocks_of(packer(Documents([["one two", "three"], ["four"], ["five " * 100]]), renderer))
    assert blocks[0].texts[:2] == ("one two three", "four")
    assert set(" ".join(blocks[0].texts[2:]).split()) == {"five"}
    assert all(len(block.texts) == 1 for block in blocks[1:])
    # "five" takes two patches, and no more than one patch stays empty.
    assert all(block.num_patches >= 63 for block in blocks[:-1])


def test_long_words_are_cut_between_pieces(renderer: TextRenderer) -> None:
    word = "中文" * 500
    blocks = blocks_of(packer(Documents([[f"a {word} b"]]), renderer))
    assert "".join(block.texts[0] for block in blocks).replace(" ", "") == f"a{word}b"
    assert all(block.num_patches > 64 - 8 for block in blocks[:-1])
    assert all(len(part) % 2 == 0 for block in blocks for part in block.texts[0].split() if len(part) > 1)


@pytest.mark.parametrize("strategy", ["words", "graphemes", "adaptive"])
def test_other_strategies_pack_words_too(strategy: str) -> None:
    renderer = TextRenderer(max_seq_length=32, strategy=strategy)
    text = "the quick brown fox नमस्ते दुनिया שלום " + "中文" * 100
    blocks = blocks_of(packer(Documents([[text] * 3]), renderer))
    assert "".join("".join(block.texts).replace(" ", "") for block in blocks) == text.replace(" ", "") * 3
    for block in blocks:
        assert sum(renderer(text).num_text_patches + 1 for text in block.texts) <= 32


def test_the_last_block_is_dropped_if_it_is_short_and_counted(renderer: TextRenderer) -> None:
    source = Documents([["one " * 200 + "two"]])
    kept = blocks_of(packer(source, renderer))
    short = packer(source, renderer, min_patches=kept[-1].num_patches + 1)
    assert blocks_of(short) == kept[:-1]
    assert short.dropped_patches == kept[-1].num_patches
    enough = packer(source, renderer, min_patches=kept[-1].num_patches)
    assert blocks_of(enough) == kept
    assert enough.dropped_patches == 0


def test_repeated_passes_flow_on(renderer: TextRenderer) -> None:
    packs = packer(Documents([["one two"], ["three"]]), renderer, repeat=True)
    block = packs.next()
    assert block is not None
    assert block.texts[:4] == ("one two", "three", "one two", "three")
    assert packs.epoch > 1


def test_state_at_every_block_restores_the_rest(
    renderer: TextRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixel_m4.corpus.packing._CHUNK", 200)
    documents = [[f"{i} {'word' * (i % 9)} " * (i % 7), "中文字" * (i * 3)] for i in range(40)]
    for repeat in (False, True):
        packs = packer(Documents(documents), renderer, repeat=repeat)
        states, blocks = [packs.state()], []
        while len(blocks) < 120:
            block = packs.next()
            if block is None:
                break
            blocks.append(block)
            states.append(json.loads(json.dumps(packs.state())))
        assert len(blocks) > 50
        for done in range(0, len(blocks), 7):
            again = packer(Documents(documents), renderer, repeat=repeat, state=states[done])
            assert [again.next() for _ in blocks[done:]] == blocks[done:]
            assert len(json.dumps(states[done])) < 300


def test_cleaning(renderer: TextRenderer) -> None:
    clean = Cleaner(renderer.covers)
    assert clean("a\ue000b\ud800c\u0378d\te\nf") == "a b c d\te\nf"
    assert clean("\U0001f600") in (" ", "\U0001f600")  # as the font has it
    every = "".join(map(chr, range(0x3000)))
    expected = [
        char
        if char.isspace() or (unicodedata.category(char) not in ("Cn", "Cs", "Co") and renderer.covers(char))
        else " "
        for char in every
    ]
    assert clean(every) == "".join(expected)
    assert clean(every) == "".join(expected)  # from the filled table


def test_cleaned_text_has_no_missing_glyphs(renderer: TextRenderer) -> None:
    rng = random.Random(0)
    chars = [chr(code) for code in range(32, 0x30000) if not 0xD800 <= code < 0xE000]
    marks = [char for char in chars if unicodedata.category(char)[0] == "M"]
    text = "".join(rng.choice(chars if rng.random() < 0.6 else marks) for _ in range(3000))
    clean = Cleaner(renderer.covers)
    with pytest.warns(MissingGlyphWarning):
        renderer.batch([text])
    with pytest.warns(MissingGlyphWarning):
        cleaned = clean(text)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MissingGlyphWarning)
        renderer.batch([cleaned])


def test_text_without_words_and_characters_wider_than_a_block(renderer: TextRenderer) -> None:
    with pytest.raises(ValueError, match="no text for en: the corpus is empty once it is cleaned"):
        packer(Documents([["\ue000"], [" "]]), renderer, repeat=True).next()
    assert packer(Documents([[" "]]), renderer).next() is None
    with pytest.raises(ValueError, match="wider than max_seq_length = 2 patches"):
        packer(Documents([["\ufdfd"]]), renderer, max_seq_length=2).next()


def test_published_packing_counts_spaces(renderer: TextRenderer) -> None:
    # "abcd" is drawn on two patches and counted as three: a block of 64 holds 21 of them.
    assert renderer.measure(["abcd"]) == [2]
    fill = published_fill(iter([["abcd " * 21] * 10]), renderer, 64, 23)
    assert fill == pytest.approx(21 * 2 / 64)


@pytest.mark.parametrize("language", ["en", "hi", "uk", "zh"])
def test_fill_rate_on_real_text(shared: Path, language: str) -> None:
    renderer = TextRenderer()
    packs = packer(local_sources(shared / "data" / "corpus")[language], renderer)
    patches = [block.num_patches for _ in range(200) if (block := packs.next())]
    assert np.mean(patches) / 529 >= 0.97


def test_characters_that_no_font_has_become_spaces_and_are_counted(renderer: TextRenderer) -> None:
    clean, lines = Cleaner(renderer.covers), list[str]()
    with told_at_end(lines.append):
        assert clean("a∑b ∞∑ c\ue000") == "a b    c "
        assert clean("∑") == " "
    (line,) = lines
    assert line.startswith(
        "left out: no font has 2 characters of the text, which became spaces 4 times: U+2211 ∑ (3 ×), U+221E"
    )
    with pytest.warns(MissingGlyphWarning, match="become spaces"):
        clean("∑")
