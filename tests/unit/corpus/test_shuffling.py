from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.corpus.corpora import TextStream, local_sources
from pixel_m4.corpus.packing import Packed
from pixel_m4.corpus.shuffling import InterleavedSource, ShuffledBlocks
from pixel_m4.corpus.sources import FileSource, Part
from pixel_m4.render import TextRenderer

SIZES = {"a": 60, "b": 30, "c": 10}


@pytest.fixture
def source(tmp_path: Path) -> InterleavedSource:
    """Files whose documents have two lines that name them; one file's are ten times as long."""
    folder = tmp_path / "xx"
    folder.mkdir()
    for name, count in SIZES.items():
        more = " more" * 20 * (name == "b")
        documents = [f"{name}{i} first{more}\n{name}{i} second{more}\n" for i in range(count)]
        (folder / f"{name}.txt").write_text("\n".join(documents), encoding="utf-8")
    return InterleavedSource(source=FileSource(files=tuple(sorted(folder.iterdir()))))


def names(parts: list[Part]) -> list[str]:
    return [part.text.split()[0] for part in parts]


def test_every_document_comes_once_and_whole(source: InterleavedSource) -> None:
    parts = list(source.open(0, 1))
    found = names(parts)
    assert found[::2] == found[1::2]  # its two lines, one after the other
    assert [part.text.split()[1] for part in parts] == ["first", "second"] * 100
    assert sorted(found[::2]) == sorted(f"{name}{i}" for name, count in SIZES.items() for i in range(count))
    documents = [part.document for part in parts]
    assert documents[::2] == documents[1::2]
    assert len(set(documents)) == 100


def test_files_are_read_side_by_side_in_proportion(source: InterleavedSource) -> None:
    """By text, however long the documents of a file are; and in the order of each file."""
    found = names(list(source.open(0, 1)))[::2]
    for part in (1, 2, 3):
        early = found[: part * len(found) // 4]
        for name, count in SIZES.items():
            of_file = [document for document in early if document.startswith(name)]
            assert of_file == [f"{name}{i}" for i in range(len(of_file))]
            assert abs(len(of_file) - part * count / 4) <= 1.5


def test_reading_goes_on_from_any_position(source: InterleavedSource) -> None:
    whole = [part.text for part in source.open(0, 1)]
    for taken in (0, 1, 2, 7, 100, 199, 200):
        reader = source.open(0, 1)
        assert [part.text for part in islice(reader, taken)] == whole[:taken]
        position = json.loads(json.dumps(reader.position()))
        assert [part.text for part in source.open(0, 1, position)] == whole[taken:]


def test_shares_are_disjoint_and_complete(source: InterleavedSource) -> None:
    parts = [set(names(list(source.open(share, 3)))) for share in range(3)]
    assert sum(map(len, parts)) == 100
    assert len(set.union(*parts)) == 100


class Numbers:
    """Blocks that are numbers."""

    def __init__(self, count: int, start: int = 0) -> None:
        self.count, self.at = count, start

    @property
    def done(self) -> bool:
        return self.at == self.count

    def next(self) -> Packed | None:
        if self.done:
            return None
        self.at += 1
        return Packed((str(self.at - 1),), 1)

    def state(self) -> dict[str, Any]:
        return {"at": self.at}


def rest(blocks: ShuffledBlocks) -> list[int]:
    found = []
    while (block := blocks.next()) is not None:
        found.append(int(block.texts[0]))
    return found


def test_windows_are_shuffled_and_resumed() -> None:
    whole = rest(ShuffledBlocks(Numbers(25), 10, [1]))
    assert [sorted(whole[i : i + 10]) for i in (0, 10, 20)] == [
        [*range(10)],
        [*range(10, 20)],
        [*range(20, 25)],
    ]
    assert whole[:10] != sorted(whole[:10])
    assert [number % 10 for number in whole[:10]] != [number % 10 for number in whole[10:20]]
    assert whole != rest(ShuffledBlocks(Numbers(25), 10, [2]))
    for taken in range(26):
        blocks = ShuffledBlocks(Numbers(25), 10, [1])
        for _ in range(taken):
            blocks.next()
        state = json.loads(json.dumps(blocks.state()))
        again = ShuffledBlocks(Numbers(25, state["blocks"]["at"]), 10, [1], state)
        assert rest(again) == whole[taken:]
    assert ShuffledBlocks(Numbers(0), 10, [1]).done


def test_a_shuffled_stream_gives_the_same_blocks_and_resumes(
    source: InterleavedSource, tmp_path: Path
) -> None:
    renderer = TextRenderer(max_seq_length=25)
    sources = local_sources(tmp_path, interleaved=True)
    options: dict[str, Any] = {"exhausted": "stop", "min_patches": 1, "seed": 3}

    def stream(shuffle: int = 8) -> TextStream:
        return TextStream(sources, renderer, shuffle=shuffle, **options)

    whole = list(stream())
    assert sorted(block.texts for block in whole) == sorted(block.texts for block in stream(0))
    assert [block.texts for block in whole] != [block.texts for block in stream(0)]
    for taken in (0, 1, 8, 13, len(whole)):
        first = stream()
        assert list(islice(first, taken)) == whole[:taken]
        second = stream()
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert list(second) == whole[taken:]


def test_a_negative_window_is_refused(source: InterleavedSource, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="shuffle must be a number of blocks"):
        TextStream(local_sources(tmp_path), TextRenderer(), shuffle=-1)
