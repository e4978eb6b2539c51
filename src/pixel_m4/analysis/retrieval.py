"""Cross-lingual retrieval: whether a sentence's vector is near that of its translation (Kesen et al. 2025).

Dimensions: N sentences, which all languages have in the same order, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.table import Table
from rich.text import Text

from pixel_m4.analysis.figures import COLOURS, draw_layers, grid_of, save
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.states import Pooling, Running
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.files import DataError
from pixel_m4.formats.folders import find_split
from pixel_m4.formats.tables import find_language, read_table

RANKS = (1, 5, 10)
_BOUNDS = np.linspace(-1, 1, 41)  # of the histogram of similarities


class Found(NamedTuple):
    """How well the sentences of one language find those of another.

    Attributes:
        source: The language that asks.
        target: The language that is searched.
        recall: By k, the share of sentences whose translation is among the k nearest.
        reciprocal_rank: Mean of 1 / rank of the translation.
        similar: Cosines of translations, int [40]: how many are in each fortieth of −1 … 1.
        others: The same of all other pairs of sentences.
    """

    source: str
    target: str
    recall: Mapping[int, float]
    reciprocal_rank: float
    similar: np.ndarray
    others: np.ndarray


def read_parallel(folder: Path, languages: Sequence[str], split: str) -> dict[str, list[str]]:
    """The sentences of languages, aligned by ``index_id``, as SIB-200 has them.

    Args:
        folder: With a folder a language.
        languages: At least two.
        split: train, dev or test.

    Returns:
        As many sentences of each language, in the same order

    Raises:
        DataError: A language or split is missing, a file has no ``index_id`` and ``text``, or the languages
            have nothing in common.
    """
    if len(set(languages)) < 2:
        raise UserError(f"give at least two languages, got {', '.join(languages) or 'none'}")
    found: dict[str, dict[str, str]] = {}
    for language in languages:
        file = find_split(
            find_language(folder, language), split, ["{split}.tsv", "{split}.csv", "{split}.jsonl"]
        )
        table = read_table(file)
        numbers, texts = table.column("index_id"), table.column("text")
        found[language] = {str(row[numbers]): str(row[texts]) for row in table.rows}
    first = found[languages[0]]
    common = [number for number in first if all(number in texts for texts in found.values())]
    if not common:
        raise DataError(f"{folder}: {', '.join(languages)} have no index_id in common")
    return {language: [texts[number] for number in common] for language, texts in found.items()}


def retrieve(vectors: Mapping[str, np.ndarray]) -> list[Found]:
    """Search in both directions between all pairs of languages.

    The mean of all vectors is taken away first, and they get length 1; the nearest is that of the largest
    product.  Of several that are equally near, the translation counts as the last.

    Args:
        vectors: float [N, D] of each language.
    """
    mean = np.concatenate(list(vectors.values())).astype(np.float64).mean(0)
    near = {language: centred(rows, mean) for language, rows in vectors.items()}
    return [_search(source, target, near[source], near[target]) for source, target in permutations(near, 2)]


def centred(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Vectors [N, D] without the mean [D] of all vectors, and of length 1: float64 [N, D]."""
    return unit(rows.astype(np.float64) - mean)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; those of length 0 stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _search(source: str, target: str, asking: np.ndarray, searched: np.ndarray) -> Found:
    similar = asking @ searched.T  # [N, N]
    true = similar.diagonal()[:, None]
    ranks = (similar >= true).sum(1)  # itself included, so from 1
    recall = {k: float((ranks <= k).mean()) for k in RANKS}
    # Rounding may carry a product beyond 1.
    similar = similar.clip(-1, 1)
    everything, _ = np.histogram(similar, _BOUNDS)
    translations, _ = np.histogram(similar.diagonal(), _BOUNDS)
    mean = float((1 / ranks).mean())
    return Found(source, target, recall, mean, translations, everything - translations)


def rows_of(found: Sequence[Found], **more: Any) -> list[dict[str, Any]]:
    """A row a pair, for a table."""
    return [
        {
            **more,
            "source": each.source,
            "target": each.target,
            **{f"recall@{k}": round(value, 4) for k, value in each.recall.items()},
            "mrr": round(each.reciprocal_rank, 4),
        }
        for each in found
    ]


def similarities_of(found: Sequence[Found], **more: Any) -> list[dict[str, Any]]:
    """A row a fortieth of −1 … 1: the share of translations, and of other pairs, whose cosine lies there."""
    similar, others = (sum(getattr(each, name) for each in found) for name in ("similar", "others"))
    return [
        {
            **more,
            "from": round(float(low), 2),
            "to": round(float(high), 2),
            "translations": round(float(true), 5),
            "others": round(float(false), 5),
        }
        for low, high, true, false in zip(
            _BOUNDS, _BOUNDS[1:], similar / similar.sum(), others / max(others.sum(), 1), strict=False
        )
    ]


def analyze_retrieval(
    model: str,
    data_dir: Path,
    languages: Sequence[str],
    output_dir: Path,
    *,
    split: str = "train",
    layers: Sequence[int] | None = None,
    pooling: Pooling = "mean",
    controls: bool = True,
    seed: int = 0,
    running: Running = Running(),
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Search translations by the vectors of a model, layer by layer, and write ``retrieval.csv``.

    ``retrieval.similarity.csv`` has histograms of the cosines of translations and of other pairs; figures
    show the curves over layers, these histograms, and who finds whom in the best layer.

    Args:
        model: A checkpoint of any kind.
        data_dir: Parallel text, a folder a language, see :func:`read_parallel`.
        languages: Their folders.
        output_dir: Gets the table and the settings.
        split: Of the data.
        layers: Numbers; None: all.
        pooling: How a text becomes one vector.
        controls: Whether random weights of the same architecture are searched, too.
        seed: Of these weights.
        running: Where and how the model runs.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    results = Results(output_dir, "retrieval", overwrite, also=("similarity", "matrix"))
    texts = read_parallel(data_dir, languages, split)
    rows: list[dict[str, Any]] = []
    similarity: list[dict[str, Any]] = []
    for weights in ("trained", *(("random",) if controls else ())):
        torch.manual_seed(seed)
        states = running.states(model, random_weights=weights == "random")
        numbers = states.numbers(layers)
        # A language at a time: a layer of all languages is what the search needs together.
        vectors = {language: states.embed(lines, numbers, pooling) for language, lines in texts.items()}
        for place, layer in enumerate(numbers):
            found = retrieve({language: every[place] for language, every in vectors.items()})
            rows += rows_of(found, weights=weights, layer=layer)
            similarity += similarities_of(found, weights=weights, layer=layer)
    settings = {
        "model": model,
        "data": str(data_dir),
        "languages": list(languages),
        "split": split,
        "sentences": len(next(iter(texts.values()))),
        "layers": layers,
        "pooling": pooling,
        "seed": seed,
    }
    results.draw(_draw, rows, len(next(iter(texts.values()))))
    results.draw(_draw_similarity, similarity, also="similarity")
    results.draw(_draw_matrix, rows, languages, also="matrix")
    results.write(rows, settings, similarity=similarity)
    _show(rows, len(next(iter(texts.values()))))
    return rows


def _draw(rows: Sequence[Mapping[str, Any]], count: int, path: Path) -> list[Path]:
    """The mean over all directions, layer by layer, beside chance."""
    values: dict[tuple[str, str, int], list[float]] = {}
    measures = (*(f"recall@{k}" for k in RANKS), "mrr")
    for row in rows:
        for measure in measures:
            values.setdefault((measure, f"{row['weights']} weights", row["layer"]), []).append(row[measure])
    panels: dict[str, dict[str, dict[int | None, float]]] = {}
    for (measure, weights, layer), found in values.items():
        panels.setdefault(measure, {}).setdefault(weights, {})[layer] = float(np.mean(found))
    for k in RANKS:
        panels[f"recall@{k}"]["chance"] = {None: k / count}
    return draw_layers(panels, "mean over directions", path)


def _draw_similarity(rows: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """A panel a layer of the trained weights: how alike translations are, and other pairs."""
    trained = [row for row in rows if row["weights"] == "trained"]
    layers = list(dict.fromkeys(row["layer"] for row in trained))
    figure, grid = grid_of(len(layers))
    for axes, layer in zip(grid, layers, strict=True):
        chosen = [row for row in trained if row["layer"] == layer]
        for name, colour in zip(("others", "translations"), COLOURS, strict=False):
            axes.stairs(
                [row[name] for row in chosen], _BOUNDS, color=colour, fill=True, alpha=0.5, label=name
            )
        axes.set_title(f"layer {layer}", fontsize="medium")
        axes.set_xlabel("cosine")
    grid[0].set_ylabel("share of pairs")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    return save(figure, path)


def _draw_matrix(rows: Sequence[Mapping[str, Any]], languages: Sequence[str], path: Path) -> list[Path]:
    """Recall of each language from each other, in the trained layer where the mean is best."""
    from matplotlib.figure import Figure

    measure = f"recall@{RANKS[1]}"
    trained = [row for row in rows if row["weights"] == "trained"]
    layers = dict.fromkeys(row["layer"] for row in trained)
    layer = max(layers, key=lambda each: sum(row[measure] for row in trained if row["layer"] == each))
    values = np.full((len(languages), len(languages)), np.nan)
    for row in trained:
        if row["layer"] == layer:
            values[languages.index(row["source"]), languages.index(row["target"])] = row[measure]
    side = 2.5 + 0.5 * len(languages)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shown = axes.imshow(values, cmap="cividis")
    axes.set_xticks(range(len(languages)), languages, rotation=90)
    axes.set_yticks(range(len(languages)), languages)
    axes.set_xlabel("found in")
    axes.set_ylabel("sentence of")
    figure.colorbar(shown, label=f"{measure}, layer {layer}")
    return save(figure, path)


def _show(rows: Sequence[Mapping[str, Any]], count: int) -> None:
    """Means over all directions, a line a layer."""
    measures = [name for name in rows[0] if name.startswith(("recall", "mrr"))]
    kinds = list(dict.fromkeys(row["weights"] for row in rows))
    table = Table(box=None, pad_edge=False)
    table.add_column("layer", justify="right")
    for kind in kinds:
        for measure in measures:
            table.add_column(Text(f"{measure.removeprefix('recall')} {kind}"), justify="right")
    for layer in dict.fromkeys(row["layer"] for row in rows):
        cells = []
        for kind in kinds:
            chosen = [row for row in rows if row["layer"] == layer and row["weights"] == kind]
            cells += [f"{np.mean([row[measure] for row in chosen]):.3f}" for measure in measures]
        table.add_row(str(layer), *cells)
    console = plain_console(soft_wrap=False)
    console.print(table)
    console.print(
        f"recall@k and mean reciprocal rank over all directions, {count} sentences a language; "
        f"chance is k / {count}"
    )
