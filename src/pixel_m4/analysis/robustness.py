"""Robustness: a fine-tuned model, trained on clean text, reads attacked words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pixel_m4.analysis.attacks import ATTACKS, attack
from pixel_m4.analysis.figures import COLOURS, FORMS, save
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.states import Running
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.model import AnyModel
from pixel_m4.model.inputs import split_patches
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.base import Task
from pixel_m4.tasks.splits import evenly
from pixel_m4.tasks.text_input import TextInput

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


def moved(reader: TextInput, before: Sequence[str], after: Sequence[str]) -> tuple[float, float]:
    """How far an attack goes: the share of words that it changed, and of patches of all words that differ.

    Of a text model it is the share of sub-words.
    """
    pairs = list(zip(before, after, strict=True))
    different = total = 0
    known: dict[tuple[str, str], tuple[int, int]] = {}
    for pair in pairs:
        if pair not in known:
            old, new = (_patches(reader, word) for word in pair)
            most, common = max(len(old), len(new)), min(len(old), len(new))
            same = int((old[:common] == new[:common]).all(axis=1).sum())
            known[pair] = most - same, most
        different, total = different + known[pair][0], total + known[pair][1]
    return sum(old != new for old, new in pairs) / max(len(pairs), 1), different / max(total, 1)


def _patches(reader: TextInput, word: str) -> np.ndarray:
    """The patches of a word that stands alone: uint8 [P, 256], or [P, 768] in colour.

    Of a text model its sub-words, int64 [P, 1].
    """
    if not isinstance(reader, TextRenderer):
        return reader.batch([[word]])["input_ids"][0, 1:-1, None]
    encoding = reader(word)
    strip = encoding.pixel_values[:, : reader.pixels_per_patch * encoding.num_text_patches]
    return split_patches(torch.from_numpy(strip.copy())[None], reader.pixels_per_patch)[0].numpy()


def score_attacked(
    task: Task,
    model: AnyModel,
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


def analyze_robustness(
    model: str,
    data: Path,
    output_dir: Path,
    *,
    split: str = "test",
    attacks: Sequence[str] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    sentences: int | None = None,
    seed: int = 0,
    running: Running = Running(),
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Score a fine-tuned model on attacked words, and write ``robustness.csv``, .png and .svg.

    Args:
        model: A model fine-tuned for a task of words: a parser, a tagger, or of named entities.
        data: A file with annotation, or the folder of a data set.
        output_dir: Gets the table and the settings.
        split: Of a folder.
        attacks: Names; None: all.
        strengths: From 0, which changes nothing, to 1.
        sentences: Evenly taken, so many at most; None: all.
        seed: Of the attacks.
        running: Where and how the model runs.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table: an attack and strength each

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    results = Results(output_dir, "robustness", overwrite)
    names = list(attacks or ATTACKS)
    for name in names:
        for strength in strengths:
            attack([], name, strength, seed)  # a wrong one is told before anything is opened
    if sentences is not None and sentences < 1:
        raise UserError(f"--sentences must be at least 1, got {sentences}")
    task, network = running.task(model)
    gold = task.read(data, split) if data.is_dir() else task.read_file(data)
    if not hasattr(gold[0], "words"):
        raise UserError(f"attacks are on words, and {model} is for {task.name}, which has none")
    gold = evenly(gold, sentences)
    metric = task.best_metric
    console = plain_console()
    places = "patches" if isinstance(task.renderer, TextRenderer) else "sub-words"
    rows: list[dict[str, Any]] = []
    for row in score_attacked(
        task, network, gold, names, strengths, batch_size=running.batch_size, seed=seed
    ):
        rows.append(row)
        words, patches = (f"{100 * row[what]:.0f} %" for what in ("words_changed", "patches_changed"))
        console.print(
            f"{row['attack']:12} {row['strength']:4g}: {metric} {row[metric]:5.1f}, "
            f"{words} of words and {patches} of {places} changed"
        )
    results.draw(draw_curves, rows, metric)
    settings = {
        "model": model,
        "data": str(data),
        "split": split if data.is_dir() else None,
        "sentences": len(gold),
        "attacks": names,
        "strengths": list(strengths),
        "seed": seed,
    }
    results.write(rows, settings)
    return rows
