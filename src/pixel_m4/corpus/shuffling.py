"""Order for training: documents of all files side by side, and blocks shuffled; both resumable.

Text comes in files of one kind each, and in long documents.  Read as it lies there, a model sees one kind
for a long while and then another, and a batch holds neighbours.  So files are read in parallel, each document
from the file that has given least of its text, and blocks are shuffled within windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.packing import Packed
from pixel_m4.corpus.sources import FileSource, Part, Reader

_LANES = 64  # files that are open at once


@dataclass(frozen=True, kw_only=True)
class InterleavedSource:
    """The files of a source read side by side; itself a ``Source`` with the same shares.

    Args:
        source: of one language.
    """

    source: FileSource

    @property
    def size(self) -> int:
        """Bytes, as they are stored."""
        return self.source.size

    def identity(self) -> list[Any]:
        """What tells this text, in this order, from another, as JSON."""
        return ["side by side", *self.source.identity()]

    def open(self, share: int, shares: int, position: Mapping[str, Any] | None = None) -> InterleavedReader:
        """Read a share, from the beginning or from a position."""
        files, modulus = self.source.share_of(share, shares)
        lanes = [files[lane::_LANES] for lane in range(min(len(files), _LANES))]
        starts = position["readers"] if position else [None] * len(lanes)
        if len(starts) != len(lanes):
            raise UserError(f"the saved position is of {len(starts)} files side by side, not {len(lanes)}")
        readers = [
            self.source.reader(lane, modulus, start) for lane, start in zip(lanes, starts, strict=True)
        ]
        sizes = [sum(file.stat().st_size for file in lane) for lane in lanes]
        return InterleavedReader(readers, sizes, position)


class InterleavedReader:
    """Parts of several readers, a whole document at a time, from the reader that is furthest behind.

    However long its documents are, each reader has given about the same share of its text at any time.

    Args:
        readers: of different files, at the positions where they are to begin.
        sizes: how much text each has, in any unit.
        position: what :meth:`position` gave; the readers' own positions are in it, under ``readers``.
    """

    def __init__(
        self,
        readers: Sequence[Reader],
        sizes: Sequence[int],
        position: Mapping[str, Any] | None = None,
    ) -> None:
        position = position or {"given": [0] * len(readers), "documents": 0, "current": None}
        self._readers = readers
        self._sizes = [max(size, 1) for size in sizes]
        self._given = list(position["given"])  # characters
        self._documents = int(position["documents"])
        self._current: int | None = position["current"]  # whose document is being read
        self._parts = [iter(reader) for reader in readers]
        # The next part of each reader that was looked at, and the reader's position before it.
        self._ahead: dict[int, tuple[Part, dict[str, Any]]] = {}
        self._document: int | None = position.get("document")  # its number there

    def position(self) -> dict[str, Any]:
        """Where the next part is."""
        readers = [
            self._ahead[i][1] if i in self._ahead else reader.position()
            for i, reader in enumerate(self._readers)
        ]
        return {
            "given": self._given.copy(),
            "documents": self._documents,
            "current": self._current,
            "document": self._document,
            "readers": readers,
        }

    def __iter__(self) -> Iterator[Part]:
        live = set(range(len(self._readers)))
        while True:
            while self._current is not None:
                part = self._look(self._current)
                if part is None or part.document != self._document:
                    self._current = None
                else:
                    del self._ahead[self._current]
                    self._given[self._current] += len(part.text)
                    yield Part(part.text, self._documents)
            if not live:
                return
            behind = min(live, key=lambda reader: (self._given[reader] / self._sizes[reader], reader))
            first = self._look(behind)
            if first is None:
                live.remove(behind)
                continue
            self._documents += 1
            self._current, self._document = behind, first.document

    def _look(self, number: int) -> Part | None:
        if number not in self._ahead:
            before = self._readers[number].position()
            part = next(self._parts[number], None)
            if part is None:
                return None
            self._ahead[number] = (part, before)
        return self._ahead[number][0]


class Blocks(Protocol):
    """What gives blocks one by one: a packer, or the shards of a prepared corpus."""

    @property
    def done(self) -> bool:
        """Whether there is none any more."""
        ...

    def next(self) -> Packed | None:
        """The next block, or None at the end."""
        ...

    def state(self) -> dict[str, Any]:
        """Where the next block is, as JSON."""
        ...


class ShuffledBlocks:
    """Blocks in random order within windows; what is kept is only where a window began.

    Args:
        blocks: at the beginning, or at the ``blocks`` of the state.
        window: how many are shuffled.
        key: of the shuffle, without the number of the window.
        state: what :meth:`state` gave.
    """

    def __init__(
        self, blocks: Blocks, window: int, key: Sequence[int], state: Mapping[str, Any] | None = None
    ) -> None:
        self._blocks = blocks
        self._size = window
        self._key = list(key)
        self._number = int(state["window"]) if state else 0
        self._window: list[Packed] = []
        self._begun = blocks.state()
        self._given = 0
        if state and state["given"]:
            self._fill()
            self._given = int(state["given"])

    @property
    def done(self) -> bool:
        """Whether there is none any more."""
        return self._blocks.done and self._given == len(self._window)

    def next(self) -> Packed | None:
        """The next block, or None at the end."""
        if self._given == len(self._window):
            self._number += bool(self._window)
            self._fill()
            if not self._window:
                return None
        self._given += 1
        return self._window[self._given - 1]

    def state(self) -> dict[str, Any]:
        """Where the next block is, as JSON."""
        return {"blocks": self._begun, "window": self._number, "given": self._given}

    def _fill(self) -> None:
        self._begun = self._blocks.state()
        found: list[Packed] = []
        while len(found) < self._size and (block := self._blocks.next()) is not None:
            found.append(block)
        if not found:
            self._begun = self._blocks.state()  # which has only now found out that it is at its end
        order = np.random.default_rng([*self._key, self._number]).permutation(len(found))
        self._window = [found[i] for i in order]
        self._given = 0
