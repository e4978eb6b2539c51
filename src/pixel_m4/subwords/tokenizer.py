"""SubwordTokenizer: text in, sub-words out, with the methods of a renderer that tasks use.

A word is cut by itself, as it is cut in running text, so that the sub-words of a text are those of its words
one after the other: what `measure` counts is what `batch` holds.

Dimensions: B batch, P places beside CLS (sub-words, and what the tokenizer adds after them), W words.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from pixel_m4.console.errors import UserError
from pixel_m4.model.text_config import TextConfig, check_length
from pixel_m4.render.encoding import BatchEncoding
from pixel_m4.render.offsets import Offsets, word_bounds
from pixel_m4.render.texts import Text, as_strings, as_text, as_texts
from pixel_m4.shipped import find_model

_REMEMBERED = 2**17  # words whose sub-words are kept
_PROBE = "a"


class Word(NamedTuple):
    """The sub-words of a word: their numbers, and characters [start, end) that each stands for."""

    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around a text, or around and between the texts of a pair.

    Attributes:
        first: number of the token before everything, such as [CLS].
        between: numbers of those between two texts.
        last: number of the token after everything, such as [SEP].
        types: of the first text with what is before and between, and of the second with what follows.
    """

    first: int
    between: tuple[int, ...]
    last: int
    types: tuple[int, int]


class SubwordTokenizer:
    """Cut text into the sub-words of a model's own tokenizer.

    A text is a string (split on white space), a list of words, or a pair of strings (a tuple).  A word that
    the tokenizer makes nothing of, such as a control character, is one unknown sub-word.  Text that looks
    like a special token, such as "[SEP]", is text.

    Args:
        tokenizer: a fast tokenizer of transformers.
        max_seq_length: the longest sequence in sub-words, those counted that the tokenizer adds.

    Raises:
        ValueError: the tokenizer is not fast, or puts no token before and after a text.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_seq_length: int = 512) -> None:
        if not getattr(tokenizer, "is_fast", False):
            raise UserError(
                f"{type(tokenizer).__name__} is a slow tokenizer, which does not tell where its sub-words "
                "stand in a text; save it as a fast one (tokenizer.json)"
            )
        self.tokenizer = tokenizer
        self.max_seq_length = int(max_seq_length)
        self._start()
        if self.capacity < 1 or self.max_seq_length - 2 - self.between < 2:
            raise UserError(f"max_seq_length must be at least {4 + self.between}, got {max_seq_length}")

    def _start(self) -> None:
        backend = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        backend.no_truncation()
        backend.no_padding()
        backend.encode_special_tokens = True
        self._backend = backend
        self._frame = _frame_of(backend, type(self.tokenizer).__name__)
        self._prefix = _prefix_of(backend)
        unknown = self.tokenizer.unk_token_id
        self._unknown = self._frame.last if unknown is None else unknown
        self._known: dict[str, Word] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {"tokenizer": self.tokenizer, "max_seq_length": self.max_seq_length}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._start()

    @property
    def capacity(self) -> int:
        """Sub-words that a text may take."""
        return self.max_seq_length - 2

    @property
    def between(self) -> int:
        """Tokens between the texts of a pair."""
        return len(self._frame.between)

    @property
    def size(self) -> int:
        """Sub-words that the tokenizer knows: their numbers are below this."""
        return max(self._backend.get_vocab(with_added_tokens=True).values(), default=-1) + 1

    @property
    def digest(self) -> str:
        """SHA-256 of the tokenizer, as `tokenizer.json` holds it."""
        return sha256(self._backend.to_str().encode()).hexdigest()

    def measure(self, words: Iterable[str]) -> list[int]:
        """How many sub-words each word of a list takes, at least one."""
        return [len(self._word(word).ids) for word in as_strings(words, "words")]

    def measure_texts(self, texts: Iterable[str]) -> list[np.ndarray]:
        """How many sub-words each word of each text takes: for each text int64 [W]."""
        return [np.array(self.measure(text.split()), np.int64) for text in as_strings(texts)]

    def batch(self, texts: Iterable[Text], *, rtl: bool = False, return_tensors: str = "np") -> BatchEncoding:
        """Cut many texts at once; what is longer than `max_seq_length` is cut off at the end.

        Args:
            texts: strings, lists of words or pairs.
            rtl: has no meaning, as sub-words stand in the order of the text.
            return_tensors: ``np`` or ``pt``.

        Returns:
            ``input_ids`` int64 [B, 1 + P], ``attention_mask`` int64 [B, P] (without the first token, as of
            patches) and, if the tokenizer tells the texts of a pair apart, ``token_type_ids`` int64
            [B, 1 + P]; ``word_starts`` are places counted after the first token.

        Raises:
            ValueError: ``return_tensors`` has an unknown value.
            TypeError: ``texts`` is no list, or one of them is no text; names it.
        """
        if return_tensors not in ("np", "pt"):
            raise UserError(f"return_tensors must be 'np' or 'pt', not {return_tensors!r}")
        lines = [self._line(text) for text in as_texts(texts)]
        longest = max((len(line.ids) for line in lines), default=0)
        padding = self.tokenizer.pad_token_id or 0
        ids = np.full((len(lines), longest), padding, np.int64)
        types = np.zeros_like(ids)
        counts = np.array([len(line.ids) - 2 for line in lines], np.int64)
        starts = np.full((len(lines), max((len(line.starts) for line in lines), default=0)), -100, np.int64)
        for row, line in enumerate(lines):
            ids[row, : len(line.ids)] = line.ids
            types[row, line.second : len(line.ids)] = self._frame.types[1]
            starts[row, : len(line.starts)] = line.starts
        mask = (np.arange(max(longest - 1, 0)) <= counts[:, None]).astype(np.int64)
        data = {"input_ids": ids, "attention_mask": mask}
        if self._frame.types[0] != self._frame.types[1] and any(line.pair for line in lines):
            data["token_type_ids"] = types
        batch = BatchEncoding(data, starts, counts)
        return batch.to_torch() if return_tensors == "pt" else batch

    def offsets(self, text: Text, *, rtl: bool = False) -> Offsets:
        """Map sub-words to characters of a text, and back; places are counted after the first token.

        Every character of a word that was not cut off belongs to a sub-word: what the tokenizer leaves out,
        such as an accent, to the one before it.
        """
        text = as_text(text)
        texts = text if isinstance(text, tuple) else (text,)
        line = self._line(text)
        places = len(line.ids) - 1
        spans = np.full((places, 2), -1, np.int32)
        text_of_patch = np.full(places, -1, np.int32)
        word_of_patch = np.full(places, -1, np.int32)
        patches = []
        for number, (part, begin, kept) in enumerate(zip(texts, line.begins, line.kept, strict=True)):
            length, bounds = word_bounds(part)
            found = np.full((length, 2), -1, np.int32)
            place = begin
            for count, (start, end) in enumerate(bounds):
                word = self._word(_between(part, count, start, end))
                shown = word.spans[: begin + kept - place]
                if not shown:
                    break
                last = place + len(shown)
                spans[place:last] = np.array(shown) + start
                text_of_patch[place:last], word_of_patch[place:last] = number, count
                for step, (first, stop) in enumerate(shown):
                    own = found[start + first : start + stop]
                    own[own[:, 0] < 0, 0] = place + step
                    own[:, 1] = place + step + 1
                place = last
            patches.append(found)
        return Offsets(spans, text_of_patch, word_of_patch, tuple(patches))

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the tokenizer's files into a folder."""
        self.tokenizer.save_pretrained(os.fspath(folder))

    def _word(self, word: str) -> Word:
        found = self._known.get(word)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            found = self._known[word] = self._cut(word)
        return found

    def _cut(self, word: str) -> Word:
        encoding = self._backend.encode(self._prefix + word, add_special_tokens=False)
        if not encoding.ids or not word:
            return Word((self._unknown,), ((0, len(word)),))
        shift = len(self._prefix)
        spans = [(start - shift, end - shift) for start, end in encoding.offsets]
        return Word(tuple(encoding.ids), _tiled(spans, len(word)))

    def _line(self, text: Text) -> _Line:
        """Lay out one text, or a pair."""
        texts = text if isinstance(text, tuple) else (text,)
        frame = self._frame
        ids: list[int] = []
        starts: list[int] = []
        begins: list[int] = []
        kept: list[int] = []
        room = self.capacity - (self.between if len(texts) == 2 else 0)
        for number, part in enumerate(texts):
            if number:
                ids += frame.between
            begin = len(ids)
            for word in part.split() if isinstance(part, str) else part:
                starts.append(len(ids))
                ids += self._word(word).ids
            del ids[begin + room :]
            starts = [min(start, len(ids)) for start in starts]
            begins.append(begin)
            kept.append(len(ids) - begin)
            room -= kept[-1]
        second = 1 + begins[1] if len(texts) == 2 else len(ids) + 2
        return _Line(
            [frame.first, *ids, frame.last], [*starts, len(ids)], second, begins, kept, len(texts) == 2
        )


class _Line(NamedTuple):
    """One text laid out.

    Attributes:
        ids: numbers of all tokens.
        starts: places of the words, counted after the first token, and the place after the last one.
        second: where in `ids` the second text of a pair begins; the end for one text.
        begins: places of each text.
        kept: sub-words of each text.
        pair: whether there are two.
    """

    ids: list[int]
    starts: list[int]
    second: int
    begins: list[int]
    kept: list[int]
    pair: bool


def open_tokenizer(
    name: str | os.PathLike[str], config: TextConfig, *, max_seq_length: int | None = None, **drawing: Any
) -> SubwordTokenizer:
    """The tokenizer of a text model; no code of its checkpoint is run.

    Args:
        name: a folder, or a name on the hub.
        config: of the model.
        max_seq_length: the longest sequence in sub-words; default the model's.
        drawing: options of renderers, which must be None.

    Raises:
        FileNotFoundError: there is no such checkpoint, or it has no tokenizer.
        ValueError: the tokenizer cannot be read, is slow, or does not fit the model; or an option is for
            pixel models.
    """
    for option, value in drawing.items():
        if value is not None:
            raise UserError(
                f"--{option} {value} is for pixel models: {name} is a text model, whose tokenizer reads text"
            )
    length = config.max_seq_length if max_seq_length is None else max_seq_length
    check_length(length, config.positions)
    place = find_model(name)
    if Path(place).is_dir() and not any(next(Path(place).glob(pattern), None) for pattern in _FILES):
        raise FileNotFoundError(f"{name} has no tokenizer (tokenizer.json, vocab.txt …)")
    try:
        loaded = AutoTokenizer.from_pretrained(place, config=config.encoder_config, trust_remote_code=False)
    except Exception as error:  # of any kind: damaged files, unknown classes, missing packages
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"the tokenizer of {name} cannot be read: {reason}") from error
    try:
        tokenizer = SubwordTokenizer(loaded, length)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    if tokenizer.size > config.vocab_size:
        raise UserError(
            f"{name}: its tokenizer knows {tokenizer.size} sub-words and its model {config.vocab_size}; one "
            "of the two is another model's"
        )
    return tokenizer


_FILES = ("tokenizer.json", "vocab.*", "*.model", "tokenizer.model.*")


def _frame_of(backend: Tokenizer, kind: str) -> Frame:
    """What a tokenizer puts around texts.

    Raises:
        ValueError: it is not one token before and one after them.
    """
    pair = backend.encode(_PROBE, _PROBE)
    alone = backend.encode(_PROBE)
    texts, ids, types = pair.sequence_ids, pair.ids, pair.type_ids
    shape = [i for i, text in enumerate(texts) if text == 0], [i for i, text in enumerate(texts) if text == 1]
    single = [i for i, text in enumerate(alone.sequence_ids) if text == 0]
    if (
        not all((*shape, single))
        or (shape[0][0], single[0]) != (1, 1)
        or (shape[1][-1], single[-1]) != (len(ids) - 2, len(alone.ids) - 2)
        or (alone.ids[0], alone.ids[-1]) != (ids[0], ids[-1])
    ):
        raise UserError(
            f"the {kind} puts no single token such as [CLS] before a text and one such as [SEP] after it, as "
            "an encoder's does"
        )
    between = range(shape[0][-1] + 1, shape[1][0])
    return Frame(ids[0], tuple(ids[i] for i in between), ids[-1], (types[shape[0][0]], types[shape[1][0]]))


def _prefix_of(backend: Tokenizer) -> str:
    """What must stand before a word so that it is cut as in running text: a space, or nothing."""
    running = backend.encode(f"{_PROBE} {_PROBE}", add_special_tokens=False).ids
    alone = backend.encode(_PROBE, add_special_tokens=False).ids
    spaced = backend.encode(f" {_PROBE}", add_special_tokens=False).ids
    return " " if running != alone + alone and running[len(alone) :] == spaced else ""


def _tiled(spans: Sequence[tuple[int, int]], length: int) -> tuple[tuple[int, int], ...]:
    """Spans of a word's sub-words, none empty, that cover all its characters.

    A character that is in none belongs to the sub-word before it, at the beginning to the first one.
    """
    tiled: list[tuple[int, int]] = []
    covered = 0
    for start, end in spans:
        start = min(max(start, 0), length - 1) if tiled else 0
        if start > covered:
            tiled[-1] = (tiled[-1][0], start)
        end = min(max(end, start + 1), length)
        covered = max(covered, end)
        tiled.append((start, end))
    if covered < length:
        tiled[-1] = (tiled[-1][0], length)
    return tuple(tiled)


def _between(text: str | Sequence[str], number: int, start: int, end: int) -> str:
    """A word of a text by its number, or by where it stands."""
    return text[start:end] if isinstance(text, str) else text[number]
