"""How figures look: colours, forms, files."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from pathlib import Path
from typing import Any

from pixel_m4.files import replacing

# Okabe and Ito's colours, which people with any colour vision tell apart; a form for each round of them.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
FORMS = ("o", "s", "^", "D", "v", "P", "X", "*")
PICTURES = (".png", ".svg")


def save(figure: Any, path: Path) -> list[Path]:
    """Write a figure as ``path`` with .png and .svg."""
    files = [path.with_name(path.name + suffix) for suffix in PICTURES]
    for file in files:
        with replacing(file) as scratch:
            figure.savefig(scratch, dpi=150)
    return files


def grid_of(count: int) -> tuple[Any, list[Any]]:
    """A figure with so many panels, four in a row, and their axes.

    Raises:
        ImportError: matplotlib, of the extra ``plots``, is not there.
    """
    from matplotlib.figure import Figure

    columns = min(4, count)
    rows = ceil(count / columns)
    figure = Figure(figsize=(1.5 + 3.2 * columns, 0.6 + 2.6 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axes in grid[count:]:
        axes.remove()
    for axes in grid[:count]:
        axes.tick_params(labelbottom=True)  # also of a panel above an empty place
    return figure, list(grid[:count])


def draw_layers(
    panels: Mapping[str, Mapping[str, Mapping[int | None, float]]], label: str, path: Path
) -> list[Path]:
    """Write curves over layers as ``path`` with .png and .svg.

    Args:
        panels: By title and name of the line, values by layer; one at layer None is the same everywhere.
        label: Of the values.
        path: The file without its suffix.

    Raises:
        ImportError: matplotlib, of the extra ``plots``, is not there.
    """
    from matplotlib.ticker import MaxNLocator

    figure, grid = grid_of(len(panels))
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        for name, values in lines.items():
            number = names.index(name)
            colour, form = COLOURS[number % len(COLOURS)], FORMS[number % len(FORMS)]
            if None in values:
                axes.axhline(values[None], color=colour, linestyle="--", label=name)
            else:
                axes.plot(list(values), list(values.values()), marker=form, color=colour, label=name)
        axes.set_title(title, fontsize="medium")
        axes.set_ylabel(label)
        axes.set_xlabel("layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    return save(figure, path)
