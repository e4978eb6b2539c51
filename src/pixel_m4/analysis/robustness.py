"""Robustness: a fine-tuned model, trained on clean text, reads attacked words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixel_m4.analysis.attacks import attack
from pixel_m4.analysis.maps import COLOURS, FORMS, save
from pixel_m4.model import PixelPreTrainedModel
from pixel_m4.model.inputs import split_patches
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import Task

STRENGTHS = (0.0, 0.2, 0.5, 0.8)


def attacked(examples: Sequence[Any], name: str, strength: float, seed: int = 0) -> list[Any]:
    """Sentences with attacked words; what they are annotated with stays.

    Args:
        examples: Frozen dataclasses with ``words``.
        name: See :func:`~pixel_m4.analysis.attacks.attack`, as of the rest.
        strength: From 0 to 1.
        seed: Of the choice.
    """
    words = iter(attack([word for example in examples for word in example.words], name, strength, seed))
    return [replace(example, words=tuple(next(words) for _ in example.words)) for example in examples]


def moved(renderer: TextRenderer, before: Sequence[str], after: Sequence[str]) -> tuple[float, float]:
    """How far an attack goes: the share of words that it changed, and of patches of all words that differ."""
    pairs = list(zip(before, after, strict=True))
    different = total = 0
    known: dict[tuple[str, str], tuple[int, int]] = {}
    for pair in pairs:
        if pair not in known:
            old, new = (_patches(renderer, word) for word in pair)
            most, common = max(len(old), len(new)), min(len(old), len(new))
            same = int((old[:common] == new[:common]).all(axis=1).sum())
            known[pair] = most - same, most
        different, total = different + known[pair][0], total + known[pair][1]
    return sum(old != new for old, new in pairs) / max(len(pairs), 1), different / max(total, 1)


def _patches(renderer: TextRenderer, word: str) -> np.ndarray:
    """uint8 [P, 256], or [P, 768] in colour: the patches of a word that stands alone."""
    encoding = renderer(word)
    strip = encoding.pixel_values[:, : renderer.pixels_per_patch * encoding.num_text_patches]
    return split_patches(torch.from_numpy(strip.copy())[None], renderer.pixels_per_patch)[0].numpy()


def score_attacked(
    task: Task,
    model: PixelPreTrainedModel,
    gold: Sequence[Any],
    attacks: Sequence[str],
    strengths: Sequence[float] = STRENGTHS,
    *,
    batch_size: int = 32,
    seed: int = 0,
) -> Iterator[dict[str, Any]]:
    """Scores under attacks, a row an attack and strength; clean text is read once.

    Args:
        task: Of the model; its examples have words.
        model: In evaluation mode.
        gold: Annotated examples.
        attacks: Names.
        strengths: From 0 to 1.
        batch_size: Parts of sentences of a batch.
        seed: Of the attacks.
    """

    def score(examples: Sequence[Any]) -> dict[str, float]:
        return task.score(examples, task.annotate(model, examples, batch_size=batch_size))

    before = [word for example in gold for word in example.words]
    clean = score(gold)
    for name in attacks:
        for strength in strengths:
            examples = attacked(gold, name, strength, seed)
            after = [word for example in examples for word in example.words]
            scores = clean if after == before else score(examples)
            words, patches = moved(task.renderer, before, after)
            yield {
                "attack": name,
                "strength": strength,
                "words_changed": round(words, 4),
                "patches_changed": round(patches, 4),
                **{key: round(value, 2) for key, value in scores.items()},
            }


def draw_curves(rows: Sequence[Mapping[str, Any]], metric: str, path: Path) -> list[Path]:
    """Write a curve an attack as ``path`` with .png and .svg.

    Raises:
        ImportError: matplotlib, of the extra ``plots``, is not there.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(dict.fromkeys(row["attack"] for row in rows)):
        chosen = sorted((row["strength"], row[metric]) for row in rows if row["attack"] == name)
        form, colour = FORMS[number % len(FORMS)], COLOURS[number % len(COLOURS)]
        axes.plot(*zip(*chosen, strict=True), marker=form, color=colour, label=name)
    axes.set_xlabel("strength")
    axes.set_ylabel(metric)
    axes.legend(fontsize="small")
    return save(figure, path)
