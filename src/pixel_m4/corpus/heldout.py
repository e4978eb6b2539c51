"""Documents that are kept from training, chosen by a hash of their first part.

The choice depends on the text alone: it is the same for every process, order and epoch, and a document that
occurs twice is on one side only.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.corpora import Block, TextStream
from pixel_m4.corpus.sources import Part, Reader, Source, identity_of
from pixel_m4.render import TextRenderer


def is_held_out(first_part: str, share: float) -> bool:
    """Whether a document that begins so belongs to the held-out share of all documents."""
    return zlib.crc32(first_part.encode("utf-8", "surrogatepass")) < share * 2**32


@dataclass(frozen=True, kw_only=True)
class SplitSource:
    """The documents of a source that are held out, or the others; itself a ``Source``.

    Args:
        source: all documents.
        held_out: which side this is.
        validation_share: share of the documents that is held out.
    """

    source: Source
    held_out: bool
    validation_share: float

    @property
    def size(self) -> int | None:
        """Bytes, about: each side's share of the whole."""
        part = self.validation_share if self.held_out else 1 - self.validation_share
        return None if self.source.size is None else int(self.source.size * part)

    def identity(self) -> list[Any]:
        """What tells this text from another, as JSON."""
        return [identity_of(self.source), self.held_out, self.validation_share]

    def open(self, share: int, shares: int, position: Mapping[str, Any] | None = None) -> Reader:
        """Read a share, from the beginning or from a position."""
        return _SplitReader(self, share, shares, position)


class _SplitReader:
    def __init__(
        self, split: SplitSource, share: int, shares: int, position: Mapping[str, Any] | None
    ) -> None:
        position = {"source": None, "document": None, "taken": False} if position is None else position
        self._split = split
        self._reader = split.source.open(share, shares, position["source"])
        self._document, self._taken = position["document"], position["taken"]

    def __iter__(self) -> Iterator[Part]:
        for part in self._reader:
            if part.document != self._document:
                self._document = part.document
                held_out = is_held_out(part.text, self._split.validation_share)
                self._taken = held_out == self._split.held_out
            if self._taken:
                yield part

    def position(self) -> dict[str, Any]:
        """Where the next part is, and whether its document, if it is the same one, is taken."""
        return {"source": self._reader.position(), "document": self._document, "taken": self._taken}


def without_held_out(
    sources: Mapping[str, Source], share: float
) -> tuple[dict[str, Source], dict[str, Source]]:
    """Split the documents of every language: what to train on, and what is held out."""
    sides: list[dict[str, Source]] = [
        {
            language: SplitSource(source=source, held_out=held_out, validation_share=share)
            for language, source in sources.items()
        }
        for held_out in (False, True)
    ]
    return sides[0], sides[1]


def first_blocks(
    language: str,
    source: Source,
    renderer: TextRenderer,
    *,
    count: int,
    max_seq_length: int,
    min_patches: int,
) -> list[Block]:
    """The first ``count`` blocks of a language's text, or all of them if there are fewer.

    Raises:
        ValueError: there is none.
    """
    stream = TextStream(
        {language: source},
        renderer,
        exhausted="stop",
        max_seq_length=max_seq_length,
        min_patches=min_patches,
    )
    blocks = list(islice(stream, count))
    if not blocks:
        raise UserError(
            f"{language}: no text of at least {min_patches} patches; for held-out text, raise "
            "--validation_share, give a --validation_dir, or set --validation_blocks 0 to train on "
            "everything without evaluating"
        )
    return blocks
