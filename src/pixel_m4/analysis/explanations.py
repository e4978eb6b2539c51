"""The analysis `saliency`: explanations of decisions as tables, a page and a figure."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pixel_m4.analysis.attacks import check_seed
from pixel_m4.analysis.figures import COLOURS, save
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.saliency import (
    METHODS,
    Strip,
    deletion,
    explain,
    random_deletion,
    word_relevance,
)
from pixel_m4.analysis.states import Running
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.render.images import data_url, picture
from pixel_m4.tasks.base import Task

_FOR, _AGAINST = (0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)  # Okabe and Ito's vermilion and blue
_RANDOM = "random order"
_COLUMNS = 40  # patches of a row of a strip


class Explained(NamedTuple):
    """A decision, explained in several ways.

    Attributes:
        name: What the model says.
        relevance: By method, float64 [P].
        areas: By method, and of random order, what is lost on average when patches are deleted.
    """

    name: str
    relevance: dict[str, np.ndarray]
    areas: dict[str, float]


def analyze_saliency(
    model: str,
    texts: Sequence[str],
    file: Path | None,
    output_dir: Path,
    *,
    methods: Sequence[str] | None = None,
    words: Sequence[int] | None = None,
    limit: int = 50,
    seed: int = 0,
    running: Running = Running(),
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Explain what a fine-tuned model says about texts, and write ``saliency.csv``, .html, .png and .svg.

    Args:
        model: A fine-tuned model of any task.
        texts: Raw texts; none: those of ``file``.
        file: Raw text, or a file of the model's task.
        output_dir: Gets the results.
        methods: Of `METHODS`; None: all.
        words: Numbers of words, from 1, whose labels or heads are explained; None: all.
        limit: So many texts at most.
        seed: Of the random order, the control.
        running: Where and how the model runs.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table: the relevance of a patch for a decision by a method

    Raises:
        ValueError: The text, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    results = Results(output_dir, "saliency", overwrite, also=("deletion",))
    chosen = _check(methods, words, limit)
    check_seed(seed)
    if bool(texts) == (file is not None):
        raise UserError("give texts, or a file of texts with --file")
    task, network = running.task(model)
    network.requires_grad_(False)
    found: list[tuple[Strip, list[Explained]]] = []
    for example in islice(_examples(task, texts, file), limit):
        strip = Strip.open(task, network, example, running.batch_size)
        found.append((strip, _explain(strip, chosen, words, seed)))
        _show(*found[-1])
    rows = [row for number, each in enumerate(found, 1) for row in _rows(number, *each)]
    areas = [
        {"text": number, "decision": each.name, "method": method, "area": round(area, 4)}
        for number, (_, explained) in enumerate(found, 1)
        for each in explained
        for method, area in each.areas.items()
    ]
    _show_areas(areas)
    results.write_page(_page(found, f"{model}: what its decisions rest on"))
    results.draw(_draw_areas, areas)
    settings = {"model": model, "texts": len(found), "methods": list(chosen), "words": words, "seed": seed}
    results.write(rows, settings, deletion=areas)
    return rows


def _check(methods: Sequence[str] | None, words: Sequence[int] | None, limit: int) -> Sequence[str]:
    for method in methods or ():
        if method not in METHODS:
            raise UserError(f"there is no method {method!r}; there are {', '.join(METHODS)}")
    if words is not None and min(words, default=0) < 1:
        raise UserError(f"--words are numbers from 1, got {', '.join(map(str, words)) or 'none'}")
    if limit < 1:
        raise UserError(f"--limit must be at least 1, got {limit}")
    return methods or METHODS


def _examples(task: Task, texts: Sequence[str], file: Path | None) -> Iterator[Any]:
    if file is not None:
        return iter(task.read_unlabelled(file))
    return iter(task.read_raw([f"{text}\n" for text in texts], "the command line"))


def _explain(strip: Strip, methods: Sequence[str], words: Sequence[int] | None, seed: int) -> list[Explained]:
    """All decisions about a text that are asked for."""
    about = strip.decisions.words
    count = len(strip.words())
    for word in words or ():
        if word > count:
            raise UserError(
                f"--words {word}: the text has {count} words: {' '.join(w for w, _ in strip.words())}"
            )
    chosen = [
        number for number, word in enumerate(about) if words is None or word is None or word + 1 in words
    ]
    relevance = explain(strip, methods, chosen)
    by_chance = random_deletion(strip, seed)
    found = []
    for place, number in enumerate(chosen):
        own = {method: values[place] for method, values in relevance.items()}
        areas = {method: deletion(strip, number, values) for method, values in own.items()}
        areas[_RANDOM] = float(by_chance[number])
        found.append(Explained(strip.decisions.names[number], own, areas))
    return found


def _rows(number: int, strip: Strip, explained: Sequence[Explained]) -> Iterator[dict[str, Any]]:
    word_of = {int(patch): word for word, patches in strip.words() for patch in patches}
    for each in explained:
        for method, values in each.relevance.items():
            for patch in strip.shown.tolist():
                yield {
                    "text": number,
                    "decision": each.name,
                    "method": method,
                    "patch": patch,
                    "word": word_of.get(patch, ""),
                    "relevance": round(float(values[patch]), 6),
                }


def _show(strip: Strip, explained: Sequence[Explained]) -> None:
    """A line a decision: the words that matter most, by the first method."""
    console = plain_console()
    for each in explained:
        method, values = next(iter(each.relevance.items()))
        ranked = sorted(word_relevance(strip, values), key=lambda pair: -pair[1])[:3]
        console.print(f"{each.name}   rests on ({method}): {', '.join(word for word, _ in ranked)}")


def _show_areas(areas: Sequence[dict[str, Any]]) -> None:
    console = plain_console()
    console.print("Mean loss of score while the most relevant patches are deleted, a fifth at a time:")
    for method, values in _by_method(areas).items():
        console.print(f"  {method:22}{np.mean(values):8.3f}")


def _by_method(areas: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in areas:
        found.setdefault(row["method"], []).append(row["area"])
    return found


def _draw_areas(areas: Sequence[dict[str, Any]], path: Path) -> list[Path]:
    """A box a method: the areas over the deletion curves of all decisions."""
    from matplotlib.figure import Figure

    by_method = _by_method(areas)
    figure = Figure(figsize=(7, 0.6 + 0.5 * len(by_method)), layout="constrained")
    axes = figure.subplots()
    boxes = axes.boxplot(list(by_method.values()), orientation="horizontal", patch_artist=True, widths=0.6)
    for box, method in zip(boxes["boxes"], by_method, strict=True):
        box.set_facecolor("#BBBBBB" if method == _RANDOM else COLOURS[4])
    axes.set_yticks(range(1, len(by_method) + 1), list(by_method))
    axes.invert_yaxis()
    axes.set_xlabel("mean loss of score while patches are deleted (more is better)")
    return save(figure, path)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.6 system-ui, sans-serif; margin: 2rem; color: #111; background: #fff; }}
img {{ image-rendering: pixelated; max-width: 100%; display: block; margin: .3rem 0; }}
.text {{ font-size: 1.2rem; }} .text span {{ padding: 0 .15em; border-radius: .2em; }}
th {{ text-align: left; font-weight: normal; padding-right: 1rem; vertical-align: top; }}
h3 {{ margin: 1.5rem 0 .2rem; }}
</style></head><body>
<h1>{title}</h1>
<p><span style="background:rgba(213,94,0,.6)">Orange</span>: it speaks for the decision.
<span style="background:rgba(0,114,178,.6)">Blue</span>: it speaks against it. The strongest patch of each row
has the full colour.
The number is the area over the deletion curve: how much the score of the decision loses on average while
the most relevant patches are deleted. A method that is not above random order explains nothing.</p>
{body}
</body></html>
"""


def _page(found: Sequence[tuple[Strip, Sequence[Explained]]], title: str) -> str:
    """One page that needs nothing else: every decision over its strip and over its text."""
    parts = []
    for number, (strip, explained) in enumerate(found, 1):
        parts.append(f"<h2>Text {number}</h2>")
        for each in explained:
            parts.append(f'<h3 dir="auto">{html.escape(each.name)}</h3><table>')
            for method, values in each.relevance.items():
                image = f'<img alt="{method}, over the strip" src="{data_url(over_strip(strip, values))}">'
                named = f"{method}<br>{each.areas[method]:.2f}"
                parts.append(f"<tr><th>{named}</th><td>{_coloured_text(strip, values)}{image}</td></tr>")
            parts.append(f"<tr><th>{_RANDOM}<br>{each.areas[_RANDOM]:.2f}</th><td></td></tr></table>")
    return _PAGE.format(title=html.escape(title), body="\n".join(parts))


def _coloured_text(strip: Strip, values: np.ndarray) -> str:
    words = list(word_relevance(strip, values))
    most = max((abs(value) for _, value in words), default=0) or 1.0
    spans = []
    for word, value in words:
        red, green, blue = _FOR if value > 0 else _AGAINST
        colour = f"rgba({red},{green},{blue},{abs(value) / most * 0.8:.2f})"
        spans.append(f'<span style="background:{colour}">{html.escape(word)}</span>')
    return f'<div class="text" dir="auto">{" ".join(spans)}</div>'


def over_strip(strip: Strip, values: np.ndarray, scale: int = 2) -> Image.Image:
    """The strip with its patches coloured by their relevance [P]: orange for, blue against."""
    image = picture(strip.encoding, columns=_COLUMNS, scale=scale, borders=False, word_starts=False)
    side = strip.renderer.pixels_per_patch * scale
    columns = image.width // side
    most = max(float(np.abs(values[strip.shown]).max(initial=0)), 1e-12)
    pixels = np.asarray(image).astype(np.float32)
    for patch in strip.shown.tolist():
        row, column = divmod(patch, columns)
        cell = (slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side))
        weight = 0.7 * abs(float(values[patch])) / most
        colour = np.array(_FOR if values[patch] > 0 else _AGAINST, np.float32)
        # Ink stays dark: the colour takes the place of the white.
        pixels[cell] *= 1 - weight * (1 - colour / 255)
    return Image.fromarray(pixels.round().astype(np.uint8))
