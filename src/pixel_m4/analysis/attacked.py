"""Examples under attack: with other words, or drawn in another way; what they are annotated with stays."""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch

from pixel_m4.analysis.attacks import (
    NO_MEANS,
    SEGMENTATION,
    Means,
    attack,
    check_seed,
    check_strength,
    join_words,
)
from pixel_m4.analysis.respellings import Spellings
from pixel_m4.console.errors import UserError
from pixel_m4.formats.conllu import Sentence, with_words
from pixel_m4.model import AnyModel
from pixel_m4.model.inputs import split_patches
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.classification import LabelledText
from pixel_m4.tasks.text_input import TextInput

_WORD = re.compile(r"\S+")
FONT_SWAP, FONT_SIZE = "font_swap", "font_size"
LookAlikes = Literal["all", "drawable", "identical"]


class Shown(NamedTuple):
    """What a model gets to read.

    Attributes:
        examples: N of them.
        renderers: What draws each.
    """

    examples: list[Any]
    renderers: list[TextInput]


class ExampleAttack(Protocol):
    """One kind of attack on examples."""

    @property
    def name(self) -> str:
        """What tables call it."""

    def __call__(self, gold: Sequence[Any], strength: float, seed: int) -> Shown:
        """The examples as a model gets them; strength 0 changes nothing."""


@dataclass(frozen=True, kw_only=True)
class TextAttack:
    """An attack on words, or on the spaces of texts.

    Attributes:
        name: See :func:`attacked`.
        renderer: Of the model, or its tokenizer.
        means: What the attack needs beside the words.
    """

    name: str
    renderer: TextInput
    means: Means = NO_MEANS

    def __call__(self, gold: Sequence[Any], strength: float, seed: int) -> Shown:
        """Change the text."""
        examples = attacked(gold, self.name, strength, seed, self.means)
        return Shown(examples, [self.renderer] * len(examples))


@dataclass(frozen=True, kw_only=True)
class RendererAttack:
    """An attack that changes pixels and no character: some examples are drawn by another renderer.

    Attributes:
        name: What tables call it.
        renderer: Of the model.
        others: One is drawn for each example that is hit; the strength is how likely that is.
    """

    name: str
    renderer: TextRenderer
    others: Sequence[TextRenderer]

    def __call__(self, gold: Sequence[Any], strength: float, seed: int) -> Shown:
        """Change the renderers."""
        check_strength(strength)
        check_seed(seed)
        drawn = np.random.default_rng(seed)
        hits = drawn.random(len(gold)) < strength
        choices = drawn.integers(len(self.others), size=len(gold))
        chosen: list[TextInput] = [
            self.others[choice] if hit else self.renderer for hit, choice in zip(hits, choices, strict=True)
        ]
        return Shown(list(gold), chosen)


def means_of(renderer: TextInput, look_alikes: LookAlikes, typos: Spellings | None = None) -> Means:
    """What attacks on words need beside the words.

    Args:
        renderer: Tells how characters look.
        look_alikes: Which of them confusables take: "all"; "drawable": those that a font has; "identical":
            those that are drawn with the same pixels.
        typos: Misspellings by word.

    Raises:
        UserError: A text model is asked how characters look.
    """
    if look_alikes == "all":
        return Means(typos=typos)
    if not isinstance(renderer, TextRenderer):
        raise UserError(
            f"--look_alikes {look_alikes} asks how characters look, which a text model does not see; leave "
            "it out, or attack the data first, with `pixel-m4 data attack`"
        )
    covers = renderer.covers
    if look_alikes == "drawable":
        return Means(takes=lambda letter, other: all(map(covers, other)), typos=typos)
    return Means(takes=partial(is_identical, renderer), typos=typos)


def is_identical(renderer: TextRenderer, letter: str, other: str) -> bool:
    """Whether two letters have the same pixels, and the same width: so have three in a row, then."""
    if not all(map(renderer.covers, other)):
        return False
    return np.array_equal(_patches(renderer, letter * 3), _patches(renderer, other * 3))


def other_fonts(renderer: TextRenderer, fonts: Sequence[str | Path]) -> list[TextRenderer]:
    """The renderer with other fonts; characters that one of them lacks are drawn in the renderer's own.

    Raises:
        ValueError: A font does not exist, or is damaged.
    """
    own = [font.path for font in renderer.fonts]
    return [
        renderer.with_changes(font_file=font, fallback_fonts_dir=None, fallback_fonts=own) for font in fonts
    ]


def other_sizes(renderer: TextRenderer, sizes: Sequence[float]) -> list[TextRenderer]:
    """The renderer with other font sizes, in points.

    Raises:
        ValueError: A size is out of range.
    """
    return [renderer.with_changes(font_size=size) for size in sizes]


def words_of(example: Any) -> list[str]:
    """The words of a sentence, or those between the white space of a text or a pair of texts.

    Raises:
        UserError: The example has neither.
    """
    if hasattr(example, "words"):
        return list(example.words)
    if isinstance(example, LabelledText):
        return [word for text in _texts(example) for word in _WORD.findall(text)]
    raise UserError(
        "attacks are on words: of sentences (parsing, pos, ner) or of texts (classification), and these "
        f"examples are a {type(example).__name__}"
    )


def attacked(
    examples: Sequence[Any], name: str, strength: float, seed: int = 0, means: Means = NO_MEANS
) -> list[Any]:
    """Sentences or texts with attacked words; what they are annotated with stays.

    Args:
        examples: Frozen dataclasses with ``words``, or texts to classify.
        name: Of an attack on words, see :func:`~pixel_m4.analysis.attacks.attack`, as of the rest; or
            "segmentation", which deletes spaces of texts.
        strength: From 0 to 1.
        seed: Of the choice.
        means: What the attack needs beside the words.

    Raises:
        UserError: The attack is none, cannot be done, or is not for these examples.
    """
    if name == SEGMENTATION:
        check_joinable(examples)
        joined = iter(join_words([text for each in examples for text in _texts(each)], strength, seed))
        return [_with_texts(example, joined) for example in examples]
    words = iter(attack([word for each in examples for word in words_of(each)], name, strength, seed, means))
    return [_with_words(example, words) for example in examples]


def check_joinable(examples: Sequence[Any]) -> None:
    """Refuse to delete spaces between words that are annotated one by one."""
    if not all(isinstance(example, LabelledText) for example in examples):
        raise UserError(
            f"{SEGMENTATION} makes one word of two, and here every word has its own annotation; leave it "
            "out, or take a model and data for classification"
        )


def _texts(example: LabelledText) -> list[str]:
    return [text for text in (example.text, example.pair) if text is not None]


def _with_texts(example: LabelledText, texts: Iterator[str]) -> LabelledText:
    return replace(example, text=next(texts), pair=None if example.pair is None else next(texts))


def _with_words(example: Any, words: Iterator[str]) -> Any:
    if hasattr(example, "words"):
        own = tuple(next(words) for _ in example.words)
        return with_words(example, own) if isinstance(example, Sentence) else replace(example, words=own)
    texts = [_WORD.sub(lambda _: next(words), text) for text in _texts(example)]
    return _with_texts(example, iter(texts))


def annotate(task: Task, model: AnyModel, shown: Shown, batch_size: int = 32) -> list[Any]:
    """A prediction an example, each drawn by its own renderer; see :meth:`Task.annotate`."""
    found: list[Any] = [None] * len(shown.examples)
    for renderer in dict.fromkeys(shown.renderers):
        drawing = copy.copy(task)
        drawing.renderer = renderer
        places = [place for place, other in enumerate(shown.renderers) if other is renderer]
        predicted = drawing.annotate(
            model, [shown.examples[place] for place in places], batch_size=batch_size
        )
        for place, prediction in zip(places, predicted, strict=True):
            found[place] = prediction
    return found


class Moved(NamedTuple):
    """How far an attack goes.

    Attributes:
        words: The share of words that it changed.
        patches: The share of the patches of all words that differ; of a text model, of its sub-words.
        missing: The share of characters, after the attack, that are drawn as missing glyphs.
    """

    words: float
    patches: float
    missing: float


def moved(before: Shown, after: Shown) -> Moved:
    """Compare examples as they are and as an attack leaves them; each word is drawn by itself.

    Words that were joined are compared with what was made of them, and are all changed.
    """
    changed = words = different = patches = 0
    known: dict[tuple[Any, ...], tuple[int, int]] = {}
    characters: dict[TextInput, Counter[str]] = {}
    for old, new, old_renderer, new_renderer in zip(
        before.examples, after.examples, before.renderers, after.renderers, strict=True
    ):
        for parts, word in aligned(words_of(old), words_of(new)):
            key = (old_renderer, parts, new_renderer, word)
            if key not in known:
                pair = _patches(old_renderer, " ".join(parts)), _patches(new_renderer, word)
                known[key] = _differing(*pair)
            different, patches = different + known[key][0], patches + known[key][1]
            words += len(parts)
            changed += len(parts) if parts != (word,) else 0
            characters.setdefault(new_renderer, Counter()).update(word)
    total = sum(count.total() for count in characters.values())
    missing = sum(
        number
        for renderer, count in characters.items()
        for char, number in count.items()
        if isinstance(renderer, TextRenderer) and not renderer.covers(char)
    )
    return Moved(changed / max(words, 1), different / max(patches, 1), missing / max(total, 1))


def aligned(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The word, or the joined words, that each word was before an attack, and what it is after it."""
    if len(before) == len(after):
        yield from (((old,), new) for old, new in zip(before, after, strict=True))
        return
    waiting = iter(before)
    for word in after:
        parts = [next(waiting)]
        while len("".join(parts)) < len(word):
            parts.append(next(waiting))
        yield tuple(parts), word


def _differing(old: np.ndarray, new: np.ndarray) -> tuple[int, int]:
    """How many patches [P, 256] differ, place by place, of how many."""
    most, common = max(len(old), len(new)), min(len(old), len(new))
    return most - int((old[:common] == new[:common]).all(axis=1).sum()), most


def _patches(renderer: TextInput, text: str) -> np.ndarray:
    """The patches of words that stand alone: uint8 [P, 256], or [P, 768] in colour.

    Of a text model its sub-words, int64 [P, 1].
    """
    if not isinstance(renderer, TextRenderer):
        return renderer.batch([[text]])["input_ids"][0, 1:-1, None]
    encoding = renderer(text)
    strip = encoding.pixel_values[:, : renderer.pixels_per_patch * encoding.num_text_patches]
    return split_patches(torch.from_numpy(strip.copy())[None], renderer.pixels_per_patch)[0].numpy()
