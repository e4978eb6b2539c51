"""Mixture, shares, exact state, and drawing of blocks."""

from __future__ import annotations

import json
import pickle
import warnings
from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pixel_m4 import TextRenderer
from pixel_m4.corpus.corpora import Block, TextStream, hub_sources, local_sources, mixture, render_blocks

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchdata makes a call that torch is going to drop
    from torchdata.stateful_dataloader import StatefulDataLoader

LANGUAGES = {"en": "word", "hi": "शब्द", "uk": "слово", "zh": "词语"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four languages, 60 documents each, with a name of its own in every document."""
    folder = tmp_path_factory.mktemp("data")
    for language, word in LANGUAGES.items():
        lines = [f"{language}{i} " + f"{word} " * (i * 7 % 40) for i in range(60)]
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


def stream(data: Path, renderer: TextRenderer, **options: Any) -> TextStream:
    return TextStream(local_sources(data), renderer, **options)


def names(blocks: list[Block]) -> list[str]:
    """Names of documents, which begin with the language."""
    return [
        word
        for block in blocks
        for text in block.texts
        for word in text.split()
        if word[:2] in LANGUAGES and word[2:].isdigit()
    ]


def test_languages_come_with_their_probabilities(data: Path, renderer: TextRenderer) -> None:
    probabilities = {"en": 0.5, "hi": 0.3, "uk": 0.15, "zh": 0.05}
    blocks = list(islice(stream(data, renderer, probabilities=probabilities), 2000))
    counts = Counter(block.language for block in blocks)
    for language, probability in probabilities.items():
        assert counts[language] / 2000 == pytest.approx(probability, abs=0.03)
    assert [block.number for block in blocks] == list(range(2000))
    assert all(name.startswith(block.language) for block in blocks for name in names([block]))
    assert list(islice(stream(data, renderer, probabilities=probabilities), 2000)) == blocks
    assert list(islice(stream(data, renderer, probabilities=probabilities, seed=1), 2000)) != blocks


def test_equal_probabilities_and_temperature(data: Path) -> None:
    sources = local_sources(data)
    assert set(mixture(sources).values()) == {0.25}
    sizes = {language: source.size or 0 for language, source in sources.items()}
    by_size = mixture(sources, temperature=1)
    assert by_size == pytest.approx(
        {language: size / sum(sizes.values()) for language, size in sizes.items()}
    )
    flat = mixture(sources, temperature=1e9)
    assert flat == pytest.approx(dict.fromkeys(sources, 0.25))
    half = mixture(sources, temperature=2)
    assert half["hi"] / half["en"] == pytest.approx((sizes["hi"] / sizes["en"]) ** 0.5)


class _Unsized:
    size = None

    def open(self, *_: Any) -> Any:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probabilities": {"en": 1.0, "hi": 0.0}}, "probability of hi must be greater than 0, not 0.0"),
        ({"probabilities": {"en": 1.5, "hi": -0.5}}, "probability of hi must be greater than 0, not -0.5"),
        ({"probabilities": {"en": float("nan"), "hi": 0.5}}, "probability of en must be greater than 0"),
        ({"probabilities": {"en": 0.5, "hi": 0.4}}, "must sum to one, not 0.9"),
        ({"probabilities": {"en": 0.5, "uk": 0.5}}, "probabilities name uk; there are: en, hi"),
        ({"probabilities": {"en": 1.0}}, "no probability for hi"),
        ({"temperature": 0}, "temperature must be greater than 0, not 0"),
        ({"temperature": 2, "probabilities": {"en": 1}}, "not both"),
        ({"temperature": 2}, "the size of en, hi is not known; give probabilities"),
        ({"exhausted": "never"}, "exhausted must be one of repeat, stop, drop, not 'never'"),
        ({"max_seq_length": 65}, "max_seq_length must be 2 to 64"),
        ({"rank": 2, "world_size": 2}, "rank must be 0 to 1"),
    ],
)
def test_options_that_cannot_be(renderer: TextRenderer, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TextStream({"en": _Unsized(), "hi": _Unsized()}, renderer, **options)


def test_no_language_and_a_strategy_without_words(data: Path, renderer: TextRenderer) -> None:
    with pytest.raises(ValueError, match="no languages"):
        TextStream({}, renderer)
    with pytest.raises(ValueError, match="'continuous' has none"):
        stream(data, TextRenderer(strategy="continuous"))


def test_what_happens_at_the_end_of_a_language(data: Path, renderer: TextRenderer) -> None:
    stopped, dropped = (
        list(stream(data, renderer, exhausted=exhausted, min_patches=0)) for exhausted in ("stop", "drop")
    )
    assert stopped == dropped[: len(stopped)]
    assert sorted(names(dropped)) == sorted(f"{language}{i}" for language in LANGUAGES for i in range(60))
    # One language has ended, and no other.
    assert [f"{language}59" in names(stopped) for language in LANGUAGES].count(True) == 1
    assert len(stopped) < len(dropped)
    repeated = names(list(islice(stream(data, renderer, exhausted="repeat"), 2 * len(dropped))))
    assert max(Counter(repeated).values()) > 1


def test_ranks_read_disjoint_shares_that_are_the_whole(data: Path, renderer: TextRenderer) -> None:
    one = names(list(stream(data, renderer, exhausted="drop", min_patches=0)))
    two = [
        names(list(stream(data, renderer, exhausted="drop", min_patches=0, rank=rank, world_size=2)))
        for rank in range(2)
    ]
    assert not set(two[0]) & set(two[1])
    assert sorted(two[0] + two[1]) == sorted(one)
    assert len(set(one)) == len(one) == 240


def loader(data: Path, renderer: TextRenderer, workers: int, **options: Any) -> StatefulDataLoader:
    return StatefulDataLoader(
        stream(data, renderer, **options),
        batch_size=3,
        num_workers=workers,
        collate_fn=list,
        prefetch_factor=4 if workers else None,
    )


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("exhausted", ["repeat", "drop"])
def test_exact_state_through_a_loader(
    data: Path, renderer: TextRenderer, workers: int, exhausted: str
) -> None:
    first = loader(data, renderer, workers, exhausted=exhausted)
    batches = iter(first)
    for _ in range(7):
        next(batches)
    state = json.loads(json.dumps(first.state_dict()))
    assert len(json.dumps(state)) < 8000
    rest = list(islice(batches, 30))
    second = loader(data, renderer, workers, exhausted=exhausted)
    second.load_state_dict(state)
    assert list(islice(second, 30)) == rest
    assert len(rest) > 5


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_workers_read_every_document_once(data: Path, renderer: TextRenderer) -> None:
    found: list[str] = []
    for rank in range(2):
        options = {"exhausted": "drop", "min_patches": 0, "rank": rank, "world_size": 2}
        found += names([block for batch in loader(data, renderer, 2, **options) for block in batch])
    assert sorted(found) == sorted(f"{language}{i}" for language in LANGUAGES for i in range(60))


def test_state_at_every_block(data: Path, renderer: TextRenderer) -> None:
    for exhausted in ("stop", "drop", "repeat"):
        whole = stream(data, renderer, exhausted=exhausted)
        blocks, states = [], [whole.state_dict()]
        for block in islice(whole, 150):
            blocks.append(block)
            states.append(json.loads(json.dumps(whole.state_dict())))
        for done in range(0, len(states), 11):
            again = stream(data, renderer, exhausted=exhausted)
            again.load_state_dict(states[done])
            assert again.state_dict() == states[done]
            again = pickle.loads(pickle.dumps(again))
            assert list(islice(again, 150 - done)) == blocks[done:]
    # Without a state an iterator begins anew.
    assert next(iter(whole)) == blocks[0]


def test_a_state_of_another_stream_is_not_taken(data: Path, renderer: TextRenderer) -> None:
    first = stream(data, renderer)
    next(iter(first))
    state = first.state_dict()
    for options in (
        {"seed": 1},
        {"max_seq_length": 60},
        {"probabilities": {"en": 0.4, "hi": 0.2, "uk": 0.2, "zh": 0.2}},
    ):
        with pytest.raises(ValueError, match="of a stream with other settings"):
            stream(data, renderer, **options).load_state_dict(state)
    other = stream(data, renderer, rank=1, world_size=2)
    other.load_state_dict(state)
    with pytest.raises(ValueError, match=r"share 1 of 1 .*this is share 2 of 2; resume with the same number"):
        next(iter(other))


def test_a_share_without_documents(tmp_path: Path, renderer: TextRenderer) -> None:
    (tmp_path / "en.txt").write_text("only one document\n")
    with pytest.raises(
        ValueError, match=r"no text for en: share 2 of 2 is empty .*use fewer ranks or workers"
    ):
        next(iter(stream(tmp_path, renderer, rank=1, world_size=2)))


@pytest.mark.parametrize("padding", ["longest", "max_length"])
def test_blocks_are_their_texts_side_by_side(renderer: TextRenderer, padding: str) -> None:
    texts = [("one two", "שלום עולם", "x"), ("नमस्ते दुनिया",), ("中文" * 4, "end")]
    blocks = [
        Block("en", part, sum(renderer(text).num_text_patches + 1 for text in part), i)
        for i, part in enumerate(texts)
    ]
    batch = render_blocks(renderer, blocks, padding=padding)
    patches = 64 if padding == "max_length" else max(block.num_patches for block in blocks)
    assert batch["pixel_values"].shape == (3, 16, 16 * patches)
    assert (batch["pixel_values"].dtype, batch["attention_mask"].dtype) == (torch.uint8, torch.int64)
    for row, block in enumerate(blocks):
        strips = []
        for text in block.texts:
            encoding = renderer(text)
            strips.append(encoding.pixel_values[:, : 16 * (encoding.num_text_patches + 1)])
        strip = np.concatenate(strips, axis=1)
        pixels = batch["pixel_values"][row].numpy()
        np.testing.assert_array_equal(pixels[:, : strip.shape[1]], strip)
        assert (pixels[:, strip.shape[1] :] == 255).all()
        assert batch["attention_mask"][row].tolist() == [1] * block.num_patches + [0] * (
            patches - block.num_patches
        )
    with pytest.raises(ValueError, match="padding must be"):
        render_blocks(renderer, blocks, padding="none")


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_rendering_happens_in_the_loader(data: Path, renderer: TextRenderer) -> None:
    batches = StatefulDataLoader(
        stream(data, renderer),
        batch_size=4,
        num_workers=2,
        collate_fn=partial(render_blocks, renderer, padding="max_length"),
    )
    batch = next(iter(batches))
    assert batch["pixel_values"].shape == (4, 16, 16 * 64)
    assert (batch["attention_mask"].sum(1) > 40).all()


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
def test_hub_datasets_in_workers_are_read_once_and_resumed(tmp_path: Path, renderer: TextRenderer) -> None:
    for part in range(3):
        rows = [
            json.dumps({"text": f"en{i} " + "word " * (i % 30)}) for i in range(20 * part, 20 * part + 20)
        ]
        (tmp_path / f"{part}.jsonl").write_text("\n".join(rows))
    (tmp_path / "README.md").write_text("---\nconfigs:\n- config_name: en\n  data_files: '*.jsonl'\n---\n")

    def make() -> StatefulDataLoader:
        sources = hub_sources(str(tmp_path), ["en"])
        texts = TextStream(sources, renderer, exhausted="drop", min_patches=0)
        return StatefulDataLoader(texts, batch_size=2, num_workers=2, collate_fn=list)

    first = make()
    batches = iter(first)
    begun = [next(batches) for _ in range(3)]
    state = json.loads(json.dumps(first.state_dict()))
    rest = list(batches)
    found = names([block for batch in begun + rest for block in batch])
    assert sorted(found) == sorted(f"en{i}" for i in range(60))
    second = make()
    second.load_state_dict(state)
    assert list(second) == rest


def test_blocks_count_the_patches_that_they_are_drawn_on(data: Path, renderer: TextRenderer) -> None:
    """Each document's end takes a patch: the black one after it."""
    blocks = list(islice(stream(data, renderer), 60))
    assert max(len(block.texts) for block in blocks) > 2
    for block in blocks:
        assert block.num_patches == sum(renderer(text).num_text_patches + 1 for text in block.texts)
        assert block.num_patches <= 64
