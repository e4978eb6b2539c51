"""Maps: vectors of sentences laid out in two dimensions by t-SNE (van der Maaten and Hinton 2008).

Dimensions: N texts, D width.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pixel_m4.analysis.attacks import check_seed
from pixel_m4.analysis.figures import COLOURS, FORMS, save
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.retrieval import read_parallel
from pixel_m4.analysis.states import Pooling, Running
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console

_SIDE = 640
_NEIGHBOURS = 10
_LEAST_ITERATIONS = 250  # of scikit-learn's t-SNE


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """Of t-SNE, as published; see scikit-learn's ``TSNE``."""

    perplexity: float = 50.0
    learning_rate: float = 500.0
    iterations: int = 1000
    seed: int = 42

    def check(self, texts: int) -> None:
        """Refuse, before work is done, what t-SNE cannot do.

        Args:
            texts: How many there are to lay out.

        Raises:
            UserError: Names the value, and what to write instead.
        """
        if not 0 < self.perplexity < texts:
            raise UserError(
                f"a map of {texts} texts needs a perplexity below {texts} and above 0, got "
                f"{self.perplexity:g}; write another --perplexity, or take more texts"
            )
        if self.learning_rate <= 0:
            raise UserError(f"--learning_rate must be above 0, got {self.learning_rate:g}")
        if self.iterations < _LEAST_ITERATIONS:
            raise UserError(f"--iterations must be at least {_LEAST_ITERATIONS}, got {self.iterations}")
        check_seed(self.seed)


def lay_out(vectors: np.ndarray, settings: MapSettings | None = None) -> np.ndarray:
    """Places of vectors on a map; they get length 1 first.

    Args:
        vectors: float [N, D].
        settings: Of t-SNE.

    Returns:
        float32 [N, 2]

    Raises:
        UserError: There are not more texts than the perplexity.
    """
    from sklearn.manifold import TSNE

    settings = settings or MapSettings()
    settings.check(len(vectors))
    tsne = TSNE(
        perplexity=settings.perplexity,
        learning_rate=settings.learning_rate,
        max_iter=settings.iterations,
        random_state=settings.seed,
    )
    places: np.ndarray = tsne.fit_transform(unit(vectors))
    return places


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1; those of length 0 stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def same_neighbours(vectors: np.ndarray, groups: Sequence[str]) -> float:
    """The share of the ten nearest vectors, by cosine, that are of the same group: what a map hints at.

    Args:
        vectors: float [N, D].
        groups: N of them.

    Returns:
        From 0 to 1; by chance the share of a group in all
    """
    from sklearn.neighbors import NearestNeighbors

    names = np.asarray(groups)
    count = min(_NEIGHBOURS, len(names) - 1)
    near = NearestNeighbors(n_neighbors=count).fit(unit(vectors)).kneighbors(return_distance=False)
    return float((names[near] == names[:, None]).mean())


def draw(places: Mapping[int, np.ndarray], groups: Sequence[str], path: Path) -> list[Path]:
    """Write the maps of layers side by side as ``path`` with .png and .svg.

    Raises:
        ImportError: matplotlib, of the extra ``plots``, is not there.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.5 + 3.6 * len(places), 4.0), layout="constrained")
    names = np.asarray(groups)
    panels = figure.subplots(1, len(places), squeeze=False)[0]
    for axes, (layer, points) in zip(panels, places.items(), strict=True):
        for number, group in enumerate(dict.fromkeys(groups)):
            chosen = points[names == group]
            form = FORMS[number // len(COLOURS) % len(FORMS)]
            colour = COLOURS[number % len(COLOURS)]
            axes.scatter(
                chosen[:, 0], chosen[:, 1], s=6, c=colour, marker=form, linewidths=0, alpha=0.7, label=group
            )
        axes.set_title(f"layer {layer}")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_aspect("equal", "datalim")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside right", markerscale=2, fontsize="small"
    )
    return save(figure, path)


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem; }}
svg {{ border: 1px solid #ccc; max-width: 100%; }}
circle:hover {{ stroke: #000; stroke-width: 2; }} li {{ display: inline; margin-right: 1.5rem; }}
</style></head><body>
<h1>{title}</h1>
<p>A point is a text; rest on it to read it.</p>
<ul>{legend}</ul>
{maps}
</body></html>
"""


def page(places: Mapping[int, np.ndarray], groups: Sequence[str], texts: Sequence[str], title: str) -> str:
    """One HTML page that needs nothing else, in which a point tells its text."""
    colours = {group: COLOURS[number % len(COLOURS)] for number, group in enumerate(dict.fromkeys(groups))}
    legend = "".join(
        f'<li><span style="color:{colour}">●</span> {html.escape(group)}</li>'
        for group, colour in colours.items()
    )
    maps = []
    for layer, points in places.items():
        low, size = points.min(0), np.ptp(points, axis=0).max() or 1.0
        scaled = 10 + (_SIDE - 20) * (points - low) / size
        circles = "\n".join(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colours[group]}" fill-opacity=".7">'
            f"<title>{html.escape(group)}: {html.escape(text)}</title></circle>"
            for (x, y), group, text in zip(scaled, groups, texts, strict=True)
        )
        box = f'viewBox="0 0 {_SIDE} {_SIDE}" width="{_SIDE}"'
        maps.append(
            f'<h2>Layer {layer}</h2>\n<svg xmlns="http://www.w3.org/2000/svg" {box}>\n{circles}\n</svg>'
        )
    return _PAGE.format(title=html.escape(title), legend=legend, maps="\n".join(maps))


def analyze_map(
    model: str,
    data_dir: Path,
    languages: Sequence[str],
    output_dir: Path,
    *,
    split: str = "train",
    layers: Sequence[int] | None = None,
    pooling: Pooling = "mean",
    tsne: MapSettings | None = None,
    running: Running = Running(),
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Lay sentences of several languages out on maps, and write ``map.csv``, .html, .png and .svg.

    Args:
        model: A checkpoint of any kind.
        data_dir: Parallel text, a folder a language, see :func:`read_parallel`.
        languages: Their folders.
        output_dir: Gets the maps and the settings.
        split: Of the data.
        layers: Numbers; None: all.
        pooling: How a text becomes one vector.
        tsne: Its settings; None: as published.
        running: Where and how the model runs.
        overwrite: Replace the results of an earlier analysis.

    Returns:
        The rows of the table: a text and layer each

    Raises:
        ValueError: The data, the model or a setting is no good, or there are results already.
        OSError: A file cannot be read or written.
    """
    results = Results(output_dir, "map", overwrite)
    parallel = read_parallel(data_dir, languages, split)
    groups = [language for language, lines in parallel.items() for _ in lines]
    texts = [line for lines in parallel.values() for line in lines]
    tsne = tsne or MapSettings()
    tsne.check(len(texts))
    states = running.states(model)
    numbers = states.numbers(layers)
    vectors = states.embed(texts, numbers, pooling)
    console = plain_console()
    places: dict[int, np.ndarray] = {}
    for layer, rows in zip(numbers, vectors, strict=True):
        places[layer] = lay_out(rows, tsne)
        share = same_neighbours(rows, groups)
        console.print(
            f"layer {layer}: of a text's ten nearest, {100 * share:.0f} % are of its language "
            f"(chance {100 / len(parallel):.0f} %)"
        )
    found = [
        {"layer": layer, "language": group, "x": round(float(x), 3), "y": round(float(y), 3), "text": text}
        for layer, points in places.items()
        for group, text, (x, y) in zip(groups, texts, points, strict=True)
    ]
    results.write_page(page(places, groups, texts, f"{model}: map of sentences"))
    results.draw(draw, places, groups)
    settings = {
        "model": model,
        "data": str(data_dir),
        "languages": list(languages),
        "split": split,
        "layers": layers,
        "pooling": pooling,
        "tsne": asdict(tsne),
    }
    results.write(found, settings)
    return found
