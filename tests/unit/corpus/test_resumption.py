"""A stream that is stopped at any moment, however often, gives the same blocks and the same masks.

A stop is simulated: the state goes through JSON, and a new stream, with nothing of the old one, takes it.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from pixel_m4 import TextRenderer
from pixel_m4.corpus import corpora, packing, pretraining
from pixel_m4.corpus.corpora import Block, TextStream, hub_sources, local_sources
from pixel_m4.corpus.heldout import without_held_out
from pixel_m4.corpus.prepared import prepare
from pixel_m4.corpus.pretraining import MaskedBlocks, Masking
from pixel_m4.corpus.sources import Source

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torchdata makes a call that torch is going to drop
    from torchdata.stateful_dataloader import StatefulDataLoader

WORDS = {"en": "word", "zh": "词语"}
RENDERER = TextRenderer(max_seq_length=36)
Make = Callable[[], Mapping[str, Source]]


class Worker(NamedTuple):
    """What ``get_worker_info`` tells in a worker of a loader."""

    id: int
    num_workers: int


def texts(language: str, part: int) -> list[str]:
    return [f"{language}{part}x{i} " + f"{WORDS[language]} " * (i * 7 % 23) for i in range(40)]


@pytest.fixture(scope="module")
def makers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Make]:
    """Every kind of source."""
    root = tmp_path_factory.mktemp("corpora")
    for language in WORDS:
        plain, folder, tables, hub = (root / name for name in ("plain", "folder", "tables", "hub"))
        for place in (plain, folder / language, tables / language, hub / language):
            place.mkdir(parents=True, exist_ok=True)
        (plain / f"{language}.txt").write_text("\n".join(texts(language, 0)), encoding="utf-8")
        for part in range(3):
            lines = texts(language, part)
            documents = "\n".join(line + ("\n" if i % 3 == 2 else "") for i, line in enumerate(lines))
            (folder / language / f"{part}.txt").write_text(documents, encoding="utf-8")
            rows: list[str | None] = [*lines, None, ""]
            jsonl = "\n".join(json.dumps({"text": row}) for row in rows)
            for place in (tables, hub):
                (place / language / f"{part}.jsonl").write_text(jsonl, encoding="utf-8")
        pq.write_table(pa.table({"text": rows}), tables / language / "table.parquet", row_group_size=7)
    configs = "".join(f"- config_name: {name}\n  data_files: {name}/*.jsonl\n" for name in WORDS)
    (hub / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    prepare(folder, root / "prepared", renderer=RENDERER, max_seq_length=36, shards=3)
    return {
        "plain": lambda: local_sources(plain),
        "side by side": lambda: local_sources(folder, interleaved=True),
        "tables": lambda: local_sources(tables),
        "held out": lambda: without_held_out(local_sources(folder, interleaved=True), 0.3)[1],
        "trained on": lambda: without_held_out(local_sources(plain), 0.3)[0],
        "prepared": lambda: local_sources(root / "prepared"),
        "hub": lambda: hub_sources(str(hub), list(WORDS)),
    }


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read little at a time, as if the corpora were large: positions lie in the middle of files."""
    monkeypatch.setattr(packing, "_CHUNK", 60)


KINDS = ("plain", "side by side", "tables", "held out", "trained on", "prepared", "hub")


@pytest.mark.parametrize("exhausted", ["repeat", "stop", "drop"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_blocks_and_masks_after_any_stops(
    makers: dict[str, Make], kind: str, exhausted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(f"{kind} {exhausted}")
    for shuffle in (0, rng.randrange(1, 10)):
        worker = rng.choice([None, Worker(0, 2), Worker(1, 2)])
        for module in (corpora, pretraining):
            monkeypatch.setattr(module, "get_worker_info", lambda worker=worker: worker)

        def make(shuffle: int = shuffle) -> TextStream:
            return TextStream(makers[kind](), RENDERER, exhausted=exhausted, shuffle=shuffle, seed=5)

        whole = list(islice(make(), 60))
        assert len(whole) > 10
        for stops in ([0, 1], [1, 0, 2], [3], [rng.randrange(60), 0, 2], [len(whole), 0]):
            stream, found = make(), []
            for stop in stops:
                blocks = iter(stream)
                found += list(islice(blocks, stop))
                state = json.loads(json.dumps(stream.state_dict()))
                stream = make()
                stream.load_state_dict(state)
                assert stream.state_dict() == state
                if rng.random() < 0.5:  # nor does it depend on whether an iterator was made and not used
                    stream = make()
                    stream.load_state_dict(state)
            found += list(islice(stream, 60 - len(found)))
            assert found == whole, stops
    collate = MaskedBlocks(RENDERER, list(WORDS), masking=Masking(), seed=3)
    assert torch.equal(collate(whole[-3:])["patch_mask"], collate(found[-3:])["patch_mask"])


@pytest.mark.parametrize("kind", ["plain", "prepared"])
@pytest.mark.parametrize("shuffle", [0, 1, 5])
def test_the_end_of_a_language(makers: dict[str, Make], kind: str, shuffle: int) -> None:
    """A language that was found to be at its end is so after a stop, too: the others are drawn alike."""

    def make() -> TextStream:
        sources = {**makers[kind](), "third": makers["side by side"]()["en"]}
        probabilities = {"en": 0.6, "zh": 0.2, "third": 0.2}
        options: dict[str, Any] = {"exhausted": "drop", "probabilities": probabilities, "min_patches": 36}
        return TextStream(sources, RENDERER, shuffle=shuffle, **options)

    stream, blocks, states = make(), [], []
    for block in stream:
        blocks.append(block)
        states.append(json.loads(json.dumps(stream.state_dict())))
    last = max(number for number, block in enumerate(blocks) if block.language == "en")
    for done in range(last - 3, min(last + 12, len(blocks))):
        again = make()
        again.load_state_dict(states[done])
        assert list(islice(again, 30)) == blocks[done + 1 : done + 31], done


class Collate:
    """Blocks beside their masks."""

    def __init__(self) -> None:
        self.collate = MaskedBlocks(RENDERER, list(WORDS), masking=Masking(), seed=3)

    def __call__(self, blocks: list[Block]) -> tuple[list[Block], Any]:
        return blocks, self.collate(blocks)["patch_mask"].tolist()


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_goes_on_from_early_stops(makers: dict[str, Make], workers: int) -> None:
    def make(state: Any = None) -> StatefulDataLoader:
        stream = TextStream(makers["side by side"](), RENDERER, shuffle=5)
        loader = StatefulDataLoader(stream, batch_size=2, num_workers=workers, collate_fn=Collate())
        if state is not None:
            loader.load_state_dict(state)
        return loader

    whole = list(islice(make(), 14))
    for stops in ([0, 1], [1, 1], [2, 0, 1]):
        found: list[Any] = []
        loader = make()
        for stop in stops:
            found += list(islice(iter(loader), stop)) if stop else []
            loader = make(json.loads(json.dumps(loader.state_dict())))
        assert [*found, *islice(loader, 14 - len(found))] == whole, stops


def test_a_state_of_something_else_is_refused(makers: dict[str, Make], tmp_path: Path) -> None:
    line = "one word and another " * 3
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "en.txt").write_text(f"{line}\n" * 30)

    def make(folder: str = "first", renderer: TextRenderer = RENDERER, **options: Any) -> TextStream:
        return TextStream(local_sources(tmp_path / folder), renderer, **options)

    stream = make()
    list(islice(stream, 3))
    state = json.loads(json.dumps(stream.state_dict()))
    (tmp_path / "first").rename(tmp_path / "moved")
    make("moved").load_state_dict(state)  # the same text elsewhere
    for other, message in (
        (make("moved", seed=1), r"other settings \(seed 0, not 1\)"),
        (make("moved", exhausted="stop"), "exhausted repeat, not stop"),
        (make("moved", shuffle=3), "shuffle 0, not 3"),
        (make("moved", TextRenderer(max_seq_length=36, font_size=7)), r"\(renderer\)"),
        (make("moved", TextRenderer(max_seq_length=36, strategy="words")), r"\(renderer\)"),
        (TextStream(without_held_out(local_sources(tmp_path / "moved"), 0.1)[0], RENDERER), "text of en"),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(state)
    file = tmp_path / "moved" / "en.txt"
    file.write_text(file.read_text().replace("another", "a other"))  # as long as it was
    with pytest.raises(ValueError, match=r"other settings \(text of en\)"):
        make("moved").load_state_dict(state)


def _go_on(stream: TextStream, state: dict[str, Any]) -> None:
    stream.load_state_dict(state)
    iter(stream)


@pytest.mark.parametrize(
    "damage",
    [
        {"number": None},
        {"number": -1},
        {"number": True},
        {"languages": {}},
        {"languages": {"en": {}, "zh": {}}},
        {"languages": {"en": None, "zh": 5}},
        {"settings": None},
        {"settings": "0123"},  # as versions before wrote it
        {"share": None},
    ],
)
def test_a_damaged_state_is_refused(makers: dict[str, Make], damage: dict[str, Any]) -> None:
    for shuffle in (0, 3):
        stream = TextStream(makers["side by side"](), RENDERER, shuffle=shuffle)
        next(iter(stream))
        state = {**stream.state_dict(), **damage}
        again = TextStream(makers["side by side"](), RENDERER, shuffle=shuffle)
        with pytest.raises(ValueError, match="the saved position is "):
            _go_on(again, state)
    with pytest.raises(ValueError, match="no number, share"):
        again.load_state_dict({"settings": {}, "languages": {}, "shares": 1})


def test_iterators_do_not_disturb_each_other(makers: dict[str, Make]) -> None:
    stream = TextStream(makers["plain"](), RENDERER)
    first, second = iter(stream), iter(stream)
    blocks = [next(second) for _ in range(3)]
    state = stream.state_dict()
    assert next(first) == blocks[0]
    assert stream.state_dict() == state
