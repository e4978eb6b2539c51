"""Maps: vectors of sentences laid out in two dimensions.

By t-SNE (van der Maaten and Hinton 2008), UMAP (McInnes et al. 2018) or PaCMAP (Wang et al. 2021).

Dimensions: N texts, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pixel_m4.analysis.attacks import check_seed
from pixel_m4.analysis.extras import needed
from pixel_m4.analysis.map_page import draw, page, strip_urls
from pixel_m4.analysis.results import Results
from pixel_m4.analysis.retrieval import read_parallel, unit
from pixel_m4.analysis.states import Pooling, Running
from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.render import TextRenderer

METHODS = ("tsne", "umap", "pacmap")
_EXTRA = "maps"  # brings the libraries umap and pacmap
_NEIGHBOURS = 10
_LEAST_ITERATIONS = 250  # of scikit-learn's t-SNE
_LEAST_TEXTS = 16  # UMAP fails on a handful, PaCMAP says nothing of use about them


@dataclass(frozen=True, kw_only=True)
class MapSettings:
    """How vectors are laid out.

    Attributes:
        method: "tsne", "umap" or "pacmap".
        perplexity: Of t-SNE, as published; as are its learning rate and iterations.
        learning_rate: Of t-SNE.
        iterations: Of t-SNE.
        neighbours: Of UMAP and PaCMAP; None: what the library takes.
        seed: Of the places.
    """

    method: str = "tsne"
    perplexity: float = 50.0
    learning_rate: float = 500.0
    iterations: int = 1000
    neighbours: int | None = None
    seed: int = 42

    def check(self, texts: int) -> None:
        """Refuse, before work is done, what the method cannot do.

        Args:
            texts: How many there are to lay out.

        Raises:
            UserError: Names the value, and what to write instead; or the library that is not there.
        """
        check_seed(self.seed)
        if self.method not in METHODS:
            raise UserError(f"there is no method {self.method!r} of maps; there are {', '.join(METHODS)}")
        if self.method != "tsne":
            needed(self.method, _EXTRA)
            if self.neighbours is not None and not 2 <= self.neighbours < texts:
                raise UserError(
                    f"--neighbours must be at least 2 and below the number of texts, {texts}, got "
                    f"{self.neighbours}"
                )
            if texts < _LEAST_TEXTS:
                raise UserError(f"a map by {self.method} needs at least {_LEAST_TEXTS} texts, got {texts}")
            return
        if self.neighbours is not None:
            raise UserError("--neighbours is for umap and pacmap; t-SNE has --perplexity")
        if not 0 < self.perplexity < texts:
            raise UserError(
                f"a map of {texts} texts needs a perplexity below {texts} and above 0, got "
                f"{self.perplexity:g}; write another --perplexity, or take more texts"
            )
        if self.learning_rate <= 0:
            raise UserError(f"--learning_rate must be above 0, got {self.learning_rate:g}")
        if self.iterations < _LEAST_ITERATIONS:
            raise UserError(f"--iterations must be at least {_LEAST_ITERATIONS}, got {self.iterations}")


def lay_out(vectors: np.ndarray, settings: MapSettings | None = None) -> np.ndarray:
    """Places of vectors on a map; they get length 1 first.

    Args:
        vectors: float [N, D].
        settings: Of the method.

    Returns:
        float32 [N, 2]

    Raises:
        UserError: There are too few texts for the settings, or the library of the method is not there.
    """
    settings = settings or MapSettings()
    settings.check(len(vectors))
    lay = _tsne if settings.method == "tsne" else _by_neighbours
    return lay(unit(vectors), settings)


def _tsne(vectors: np.ndarray, settings: MapSettings) -> np.ndarray:
    from sklearn.manifold import TSNE

    tsne = TSNE(
        perplexity=settings.perplexity,
        learning_rate=settings.learning_rate,
        max_iter=settings.iterations,
        random_state=settings.seed,
    )
    places: np.ndarray = tsne.fit_transform(vectors)
    return places


def _by_neighbours(vectors: np.ndarray, settings: MapSettings) -> np.ndarray:
    """By UMAP or PaCMAP, whose classes are used alike."""
    library = needed(settings.method, _EXTRA)
    # One job, as UMAP says itself where a seed is given.
    make = partial(library.UMAP, n_jobs=1) if settings.method == "umap" else library.PaCMAP
    more = {} if settings.neighbours is None else {"n_neighbors": settings.neighbours}
    places: np.ndarray = make(random_state=settings.seed, **more).fit_transform(vectors)
    return places


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


def analyze_map(
    model: str,
    data_dir: Path,
    languages: Sequence[str],
    output_dir: Path,
    *,
    split: str = "train",
    layers: Sequence[int] | None = None,
    pooling: Pooling = "mean",
    layout: MapSettings | None = None,
    strips: bool = True,
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
        layout: The method and its settings; None: t-SNE as published.
        strips: Whether the page shows what the model sees of a text; about 2 kB a text.
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
    layout = layout or MapSettings()
    layout.check(len(texts))
    states = running.states(model)
    numbers = states.numbers(layers)
    vectors = states.embed(texts, numbers, pooling)
    console = plain_console()
    places: dict[int, np.ndarray] = {}
    for layer, rows in zip(numbers, vectors, strict=True):
        places[layer] = lay_out(rows, layout)
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
    renderer = states.renderer
    seen = strip_urls(renderer, texts) if strips and isinstance(renderer, TextRenderer) else None
    results.write_page(page(places, groups, texts, f"{model}: map of sentences", seen))
    results.draw(draw, places, groups)
    settings = {
        "model": model,
        "data": str(data_dir),
        "languages": list(languages),
        "split": split,
        "layers": layers,
        "pooling": pooling,
        "layout": asdict(layout),
    }
    results.write(found, settings)
    return found
