"""Text in many languages as an endless, resumable stream of blocks for pretraining.

Every rank and every loader worker reads a share of its own, so that no document is read twice in a pass.
The language of a block is drawn by a generator that is seeded by (seed, share, number of the block), and a
stream's whole state is the number of the next block and where each language's next word is.

Dimensions: B blocks, P patches.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.packing import Cleaner, Packer
from pixel_m4.corpus.prepared import (
    MANIFEST,
    PreparedBlocks,
    PreparedSource,
    packing_settings,
    prepared_sources,
)
from pixel_m4.corpus.shuffling import Blocks, InterleavedSource, ShuffledBlocks
from pixel_m4.corpus.sources import Source, hub_sources, identity_of
from pixel_m4.corpus.sources import local_sources as _text_sources
from pixel_m4.render import TextRenderer

__all__ = ["Block", "TextStream", "hub_sources", "local_sources", "mixture", "render_blocks"]

EXHAUSTED = ("repeat", "stop", "drop")
_DRAWS = 1024  # numbers that are drawn at once
_FORMAT = 3  # of states; another one for each change of the order in which text is read
_STATE = ("number", "share", "shares", "settings", "languages")
_SHOWN = ("exhausted", "max_seq_length", "min_patches", "shuffle", "seed")


class _Position:
    """Where an iterator is: the number of its next block, and where the text of each language goes on."""

    def __init__(self, number: int, share: int, shares: int, packers: Mapping[str, Blocks]) -> None:
        self.number, self.share, self.shares, self.packers = number, share, shares, packers


class Block(NamedTuple):
    """What goes on one canvas.

    Attributes:
        language: of all texts.
        texts: parts of documents; a black patch stands after each, as between the texts of a pair.
        num_patches: patches of the texts and one black patch for each of them.
        number: running number of the block in the stream of this rank and worker, for seeding masks.
    """

    language: str
    texts: tuple[str, ...]
    num_patches: int
    number: int


class TextStream(IterableDataset[Block]):
    """Blocks of a mixture of languages.

    A new iterator begins at the beginning, or where a loaded state says.  In a pass that is not repeated, the
    last block of a language is dropped if it holds less than ``min_patches``; nothing else is.

    Args:
        sources: text by language.
        renderer: measures words, and knows the characters of its fonts; not ``continuous``.
        probabilities: of each language; default all alike.
        temperature: draw language l with a probability proportional to size(l) ** (1 / temperature): 1 is
            by size, more is more even.
        exhausted: at the end of a language's text: ``repeat`` it; ``stop`` the stream; ``drop`` the language
            and go on with the others in proportion, until all have ended.
        max_seq_length: patches of a block; default the renderer's.
        min_patches: what the last block of a pass must hold.
        shuffle: blocks of a language that are shuffled at a time; 0: none.
        seed: of the mixture and the shuffle.
        rank: number of this process.
        world_size: how many processes there are.

    Raises:
        ValueError: an option has an unknown value, or a language has no text.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        renderer: TextRenderer,
        *,
        probabilities: Mapping[str, float] | None = None,
        temperature: float | None = None,
        exhausted: str = "repeat",
        max_seq_length: int | None = None,
        min_patches: int = 23,
        shuffle: int = 0,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__()
        if exhausted not in EXHAUSTED:
            raise UserError(f"exhausted must be one of {', '.join(EXHAUSTED)}, not {exhausted!r}")
        if renderer.strategy == "continuous":
            raise UserError("packing needs words that start patches; the strategy 'continuous' has none")
        length = renderer.max_seq_length if max_seq_length is None else max_seq_length
        if not 2 <= length <= renderer.max_seq_length:
            raise UserError(f"max_seq_length must be 2 to {renderer.max_seq_length} (renderer), not {length}")
        if not 0 <= rank < world_size:
            raise UserError(f"rank must be 0 to {world_size - 1} (world_size - 1), not {rank}")
        if shuffle < 0:
            raise UserError(f"shuffle must be a number of blocks, or 0, not {shuffle}")
        if not 0 <= min_patches <= length:
            raise UserError(f"min_patches must be 0 to {length} (max_seq_length), not {min_patches}")
        if seed < 0:
            raise UserError(f"seed must be 0 or more, not {seed}")
        self.sources = dict(sources)
        self.renderer = renderer
        self.probabilities = mixture(self.sources, probabilities, temperature)
        self.exhausted = exhausted
        self.max_seq_length = length
        self.min_patches = min_patches
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self._check_prepared()
        self._settings = self._find_settings()
        self._loaded: Mapping[str, Any] | None = None
        self._position: _Position | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Open files stay where they are; a copy in another process begins anew, or at the loaded state.
        return {**vars(self), "_position": None}

    def __iter__(self) -> Iterator[Block]:
        worker = get_worker_info()
        workers = worker.num_workers if worker else 1
        share = self.rank * workers + (worker.id if worker else 0)
        shares = self.world_size * workers
        state, self._loaded = self._loaded, None
        self._check(state, share, shares)
        clean = Cleaner(self.renderer.covers)
        try:
            packers = {
                language: self._shuffled(
                    language, clean, share, shares, state["languages"][language] if state else None
                )
                for language in self.sources
            }
            number = int(state["number"]) if state else 0
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            if state is None:
                raise
            raise UserError(f"the saved position is damaged ({error!r}); start a new run") from error
        # From now on, and not only from the first block, a state is of this iterator.
        self._position = _Position(number, share, shares, packers)
        return self._blocks(self._position)

    def _shuffled(
        self, language: str, clean: Cleaner, share: int, shares: int, state: Mapping[str, Any] | None
    ) -> Blocks:
        if not self.shuffle:
            return self._packer(language, clean, share, shares, state)
        blocks = self._packer(language, clean, share, shares, state["blocks"] if state else None)
        key = (self.seed, share, list(self.sources).index(language))
        return ShuffledBlocks(blocks, self.shuffle, key, state)

    def _packer(
        self, language: str, clean: Cleaner, share: int, shares: int, state: Mapping[str, Any] | None
    ) -> Packer | PreparedBlocks:
        source = self.sources[language]
        repeat = self.exhausted == "repeat"
        if isinstance(source, PreparedSource):
            return PreparedBlocks(
                source,
                share,
                shares,
                min_patches=self.min_patches,
                repeat=repeat,
                name=language,
                state=state,
            )
        return Packer(
            source,
            self.renderer,
            clean,
            share,
            shares,
            max_seq_length=self.max_seq_length,
            min_patches=self.min_patches,
            repeat=repeat,
            name=language,
            state=state,
        )

    def _blocks(self, position: _Position) -> Iterator[Block]:
        packers = position.packers
        draws = np.zeros(0)
        drawn = -1
        stop = self.exhausted == "stop"
        while True:
            chunk, place = divmod(position.number, _DRAWS)
            if chunk != drawn:
                key = [self.seed, position.share, chunk]
                draws, drawn = np.random.default_rng(key).random(_DRAWS), chunk
            block = None
            live = [language for language, packer in packers.items() if not packer.done]
            # A language ends with its last block, or when it is drawn and has no more.
            while live and block is None and not (stop and len(live) < len(packers)):
                language = _choose(live, self.probabilities, float(draws[place]))
                block = packers[language].next()
                if block is None:
                    live.remove(language)
            if block is None:
                return
            position.number += 1
            yield Block(language, block.texts, block.num_patches, position.number - 1)

    def state_dict(self) -> dict[str, Any]:
        """Where the stream of this rank and worker is, as JSON: after the last block that it gave.

        It is that of the newest iterator; without one, the loaded state, or an empty one (the beginning).
        To be called where the stream is iterated: in the worker, as ``StatefulDataLoader`` does.
        """
        position = self._position
        if position is None:
            return dict(self._loaded) if self._loaded else {}
        return {
            "number": position.number,
            "share": position.share,
            "shares": position.shares,
            "settings": dict(self._settings),
            "languages": {language: packer.state() for language, packer in position.packers.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iterator go on from a state.

        Raises:
            ValueError: the state is damaged, or of another text, mixture or packing.  That it is of another
                number of ranks or workers is found out, and raised, when the iterator is made.
        """
        self.check_state(state)
        self._loaded = dict(state) or None
        self._position = None

    def check_state(self, state: Mapping[str, Any]) -> None:
        """Whether this stream can go on from a state, as far as can be told without reading the text.

        Raises:
            ValueError: it cannot, as for :meth:`load_state_dict`.
        """
        if not isinstance(state, Mapping):
            raise UserError(f"the saved position is damaged: {state!r} is no mapping; start a new run")
        if not state:
            return
        if missing := [name for name in _STATE if name not in state]:
            raise UserError(f"the saved position is damaged: no {', '.join(missing)}; start a new run")
        theirs = state["settings"]
        if not isinstance(theirs, Mapping) or theirs.get("format") != self._settings["format"]:
            raise UserError(
                "the saved position is of a stream with other settings: another version of pixel-m4 wrote "
                "it, which read text in another order; go on with that version, or start a new run"
            )
        differing = [name for name, value in self._settings.items() if theirs.get(name) != value]
        if differing:
            found = ", ".join(
                f"{name} {theirs.get(name)}, not {self._settings[name]}" if name in _SHOWN else name
                for name in differing
            )
            raise UserError(
                f"the saved position is of a stream with other settings ({found}); restore them, or start a "
                "new run"
            )
        for name in ("number", "share", "shares"):
            if type(state[name]) is not int or state[name] < 0:
                raise UserError(f"the saved position is damaged: {name} {state[name]!r}; start a new run")
        languages = state["languages"]
        if not isinstance(languages, Mapping) or set(languages) != set(self.sources):
            raise UserError("the saved position is damaged: it has other languages; start a new run")
        for language, place in languages.items():
            if not isinstance(place, Mapping) or not place:
                raise UserError(f"the saved position is damaged: {language} {place!r}; start a new run")

    def _check_prepared(self) -> None:
        """Blocks that were measured with other fonts, or for a longer canvas, would not fit."""
        prepared = [source for source in self.sources.values() if isinstance(source, PreparedSource)]
        if not prepared:
            return
        ours = packing_settings(self.renderer, self.max_seq_length, self.min_patches)
        for theirs in (source.settings for source in prepared):
            for name in ("font_sha256", "font_size", "dpi", "pixels_per_patch", "strategy"):
                if theirs[name] != ours[name]:
                    raise UserError(
                        f"the corpus was prepared with {name} = {theirs[name]}, "
                        f"the renderer has {ours[name]}; prepare it again"
                    )
            if theirs["max_seq_length"] > self.max_seq_length:
                raise UserError(
                    f"the corpus was prepared with max_seq_length = {theirs['max_seq_length']}, more than "
                    f"{self.max_seq_length}; prepare it again"
                )

    def _check(self, state: Mapping[str, Any] | None, share: int, shares: int) -> None:
        if state and (state["share"], state["shares"]) != (share, shares):
            raise UserError(
                f"the saved position is of share {state['share'] + 1} of {state['shares']} "
                f"(ranks x workers), this is share {share + 1} of {shares}; "
                "resume with the same number of ranks and workers"
            )

    def _find_settings(self) -> dict[str, Any]:
        """All that the order of blocks depends on, by names for messages; digests of what is long."""
        packing = packing_settings(self.renderer, self.max_seq_length, self.min_patches)
        return {
            "format": _FORMAT,
            "languages": _digest(list(self.sources)),
            **{
                f"text of {language}": _digest(identity_of(source))
                for language, source in self.sources.items()
            },
            "probabilities": _digest(self.probabilities),
            "exhausted": self.exhausted,
            "max_seq_length": self.max_seq_length,
            "min_patches": self.min_patches,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "renderer": _digest(packing),
        }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def mixture(
    sources: Mapping[str, Source],
    probabilities: Mapping[str, float] | None = None,
    temperature: float | None = None,
) -> dict[str, float]:
    """The probability of each language.

    Raises:
        ValueError: both are given; one is zero or negative, or for a language without text; a language has
            none; they do not sum to one; a size that the temperature needs is not known.
    """
    if not sources:
        raise UserError("there are no languages to draw from")
    if probabilities is not None and temperature is not None:
        raise UserError("give probabilities or a temperature, not both")
    if temperature is not None:
        if not temperature > 0:
            raise UserError(f"temperature must be greater than 0, not {temperature}")
        unknown = [language for language, source in sources.items() if not source.size]
        if unknown:
            raise UserError(f"the size of {', '.join(unknown)} is not known; give probabilities instead")
        weights = [(source.size or 0) ** (1 / temperature) for source in sources.values()]
        return {language: weight / sum(weights) for language, weight in zip(sources, weights, strict=True)}
    if probabilities is None:
        return dict.fromkeys(sources, 1 / len(sources))
    if unknown := [language for language in probabilities if language not in sources]:
        raise UserError(f"probabilities name {', '.join(unknown)}; there are: {', '.join(sources)}")
    if missing := [language for language in sources if language not in probabilities]:
        raise UserError(f"no probability for {', '.join(missing)}; give one, or leave the language out")
    for language, probability in probabilities.items():
        if not probability > 0 or not math.isfinite(probability):
            raise UserError(
                f"the probability of {language} must be greater than 0, not {probability}; "
                "leave the language out instead"
            )
    total = math.fsum(probabilities.values())
    if abs(total - 1) > 1e-6:
        raise UserError(f"probabilities must sum to one, not {total:g}: {dict(probabilities)}")
    return {language: float(probabilities[language]) for language in sources}


def local_sources(
    data_dir: Path | str,
    languages: Sequence[str] | None = None,
    *,
    text_column: str = "text",
    interleaved: bool = False,
) -> dict[str, Source]:
    """Text of each language in a folder, or the blocks of each if ``pixel-m4 data prepare`` wrote it.

    Args:
        data_dir: where to look.
        languages: which to take; default all that there are.
        text_column: field or column of jsonl, parquet and Arrow files that holds the text.
        interleaved: read the files of a language side by side.

    Raises:
        FileNotFoundError: there is no such folder, or no text in it.
        ValueError: a language is missing, is there twice, or has no text; or the manifest is damaged.
    """
    if (Path(data_dir) / MANIFEST).is_file():
        return prepared_sources(data_dir, languages)
    sources = _text_sources(data_dir, languages, text_column=text_column)
    if not interleaved:
        return dict(sources)
    return {language: InterleavedSource(source=source) for language, source in sources.items()}


def _choose(languages: Sequence[str], probabilities: Mapping[str, float], draw: float) -> str:
    """The language that a number in [0, 1) stands for."""
    left = draw * sum(probabilities[language] for language in languages)
    for language in languages:
        left -= probabilities[language]
        if left < 0:
            return language
    return languages[-1]


def render_blocks(
    renderer: TextRenderer, blocks: Sequence[Block], *, padding: str = "longest"
) -> dict[str, torch.Tensor]:
    """Draw blocks: the strip of each text and its black patch, side by side.

    Args:
        renderer: as for the stream.
        blocks: B of them.
        padding: ``longest`` (block) or ``max_length`` (the renderer's canvas).

    Returns:
        ``pixel_values`` uint8 [B, 16, 16 * P] and ``attention_mask`` int64 [B, P].

    Raises:
        ValueError: ``padding`` has an unknown value.
    """
    if padding not in ("longest", "max_length"):
        raise UserError(f"padding must be 'longest' or 'max_length', not {padding!r}")
    size = renderer.pixels_per_patch
    strips = renderer.batch([text for block in blocks for text in block.texts])
    pixels, counts = strips["pixel_values"], strips.num_text_patches + 1
    totals = np.add.reduceat(counts, np.cumsum([0, *(len(block.texts) for block in blocks[:-1])]))
    patches = int(totals.max()) if padding == "longest" else renderer.max_seq_length
    canvas = np.full((len(blocks), *pixels.shape[1:2], size * patches, *pixels.shape[3:]), 255, np.uint8)
    text = 0
    for row, block in enumerate(blocks):
        start = 0
        for _ in block.texts:
            width = size * int(counts[text])
            canvas[row, :, start : start + width] = pixels[text, :, :width]
            start, text = start + width, text + 1
    mask = np.arange(patches) < totals[:, None]
    return {
        "pixel_values": torch.from_numpy(canvas),
        "attention_mask": torch.from_numpy(mask.astype(np.int64)),
    }
