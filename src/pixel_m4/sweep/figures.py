"""Plots of a sweep: bars with error bars for each data set, and for each group of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pixel_m4.files import replacing
from pixel_m4.sweep.tables import Row, Table


def plot(tables: Sequence[Table], output_dir: Path) -> list[Path]:
    """Write ``plot.png`` and ``.svg``, and ``groups.png`` and ``.svg`` where data sets are grouped.

    Raises:
        ImportError: matplotlib, of the extra ``plots``, is not there.
    """
    written = _figure([(table, table.rows) for table in tables], output_dir / "plot", by_group=False)
    grouped = [(table, _groups(table)) for table in tables if len({row.group for row in table.rows}) > 1]
    if grouped:
        written += _figure(grouped, output_dir / "groups", by_group=True)
    return written


def _figure(parts: Sequence[tuple[Table, Sequence[Row]]], path: Path, *, by_group: bool) -> list[Path]:
    from matplotlib.figure import Figure

    widest = max(len(rows) * (len(table.columns) + 1) for table, rows in parts)
    figure = Figure(figsize=(max(5.0, 1.5 + 0.28 * widest), 3.4 * len(parts)), layout="constrained")
    for (table, rows), axes in zip(parts, figure.subplots(len(parts), 1, squeeze=False)[:, 0], strict=True):
        columns = [name for name in table.columns if " − " not in name]
        width = 0.8 / len(columns)
        for number, column in enumerate(columns):
            places = [place for place, row in enumerate(rows) if column in row.cells]
            cells = [rows[place].cells[column] for place in places]
            axes.bar(
                [place - 0.4 + width * (number + 0.5) for place in places],
                [cell.mean for cell in cells],
                width,
                yerr=[cell.std or 0.0 for cell in cells],
                capsize=2,
                label=_plain(column),
            )
        for place, row in enumerate(rows):
            if row.baseline is not None:
                label = "baseline" if row is next(r for r in rows if r.baseline is not None) else None
                axes.hlines(row.baseline, place - 0.45, place + 0.45, "black", "dashed", label=label)
        names = [
            _plain((row.group or "other") if by_group else " ".join(filter(None, row.labels))) for row in rows
        ]
        axes.set_xticks(range(len(rows)), names, rotation=30, ha="right")
        axes.set_ylabel(_plain(table.metric))
        axes.set_title(_plain(table.task))
        axes.legend(fontsize="small")
    files = [path.with_suffix(suffix) for suffix in (".png", ".svg")]
    for file in files:
        with replacing(file) as scratch:
            figure.savefig(scratch, dpi=150)
    return files


def _groups(table: Table) -> list[Row]:
    """The mean of each group, or its only row."""
    alone = [row for row in table.rows if sum(other.group == row.group for other in table.rows) == 1]
    return [*alone, *(row for row in table.means if row.group != "all")]


def _plain(text: str) -> str:
    """A label that matplotlib shows as it is: ``$`` begins a formula, and ``_`` a label without a legend."""
    shown = text.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
