"""Tables of a sweep as papers have them: mean ± standard deviation over seeds, the rate chosen on dev."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from statistics import fmean, stdev

from pixel_m4.console.errors import UserError
from pixel_m4.files import replacing
from pixel_m4.sweep.grid import Run, Sweep
from pixel_m4.tasks.metrics import lower_is_better

Scores = Mapping[str, float]
Key = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """The scores of one setting.

    Attributes:
        by_seed: test scores by the labels of the axes that are averaged over.
        chosen: by axis, the label that was chosen on dev; empty for what is computed from other cells.
        dev: mean dev score of that choice.
    """

    by_seed: Mapping[Key, float]
    chosen: Mapping[str, str]
    dev: float | None = None

    @property
    def mean(self) -> float:
        """Mean over seeds."""
        return fmean(self.by_seed.values())

    @property
    def std(self) -> float | None:
        """Sample standard deviation over seeds (divided by n − 1); None of one seed."""
        return stdev(self.by_seed.values()) if len(self.by_seed) > 1 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A line of a table: a data set, or the mean over several."""

    labels: Key
    group: str
    cells: Mapping[str, Cell]
    baseline: float | None = None
    mean_of: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One task: rows by data set, then means over groups and over all rows that have every column."""

    task: str
    metric: str
    axes: Sequence[str]
    columns: Sequence[str]
    rows: Sequence[Row]
    means: Sequence[Row]
    average: Sequence[str] = ("seed",)

    @staticmethod
    def make(plan: Sweep, scores: Sequence[Scores | None]) -> list[Table]:
        """Tables of the finished runs, one for each task and metric."""
        finished = [(run, score) for run, score in zip(plan.runs, scores, strict=True) if score is not None]
        kinds = dict.fromkeys((run.task, run.metric) for run, _ in finished)
        return [
            _table(plan, [pair for pair in finished if (pair[0].task, pair[0].metric) == kind])
            for kind in kinds
        ]


def _labels(run: Run, axes: Sequence[str]) -> Key:
    return tuple(run.axes.get(axis, "") for axis in axes)


def _table(plan: Sweep, finished: Sequence[tuple[Run, Scores]]) -> Table:
    options, first = plan.table, finished[0][0]
    axes = [axis for axis in options.rows if any(axis in run.axes for run, _ in finished)]
    rows: dict[Key, dict[str, list[tuple[Run, Scores]]]] = {}
    for run, score in finished:
        column = " ".join(filter(None, _labels(run, options.columns))) or run.metric
        rows.setdefault(_labels(run, axes), {}).setdefault(column, []).append((run, score))
    used = {column for cells in rows.values() for column in cells}
    # In the order of the file, whatever is finished.
    columns = list(
        dict.fromkeys(
            column
            for run in plan.runs
            if (column := " ".join(filter(None, _labels(run, options.columns))) or run.metric) in used
        )
    )
    lines = []
    for labels, cells in rows.items():
        pairs = [pair for members in cells.values() for pair in members]
        key = f"test_baseline_{first.metric}"
        baselines = [score[key] for _, score in pairs if key in score]
        made = {name: _choose(plan, cells[name]) for name in columns if name in cells}
        baseline = fmean(baselines) if baselines else None
        lines.append(Row(labels=labels, group=pairs[0][0].group, cells=made, baseline=baseline))
    means = []
    groups = sorted({line.group for line in lines})
    if len(groups) > 1:
        for group in groups:
            means += _mean([line for line in lines if line.group == group], columns, group or "other", axes)
    if len(lines) > 1:
        means += _mean(lines, columns, "all", axes)
    if set(options.difference) <= set(columns) and options.difference:
        name = " − ".join(options.difference)
        lines, means = (
            [_with_difference(row, name, options.difference) for row in part] for part in (lines, means)
        )
        columns = [*columns, name]
    return Table(
        task=first.task,
        metric=first.metric,
        axes=axes,
        columns=columns,
        rows=lines,
        means=means,
        average=[axis for axis in options.average if any(axis in run.axes for run, _ in finished)],
    )


def _choose(plan: Sweep, members: Sequence[tuple[Run, Scores]]) -> Cell:
    """The setting with the best mean on dev, over the seeds that all settings have; of like ones the first in
    the file.

    Where they share no seed, those with the most seeds are compared.
    """
    axes, metric = plan.table.choose, members[0][0].metric
    settings: dict[Key, dict[Key, Scores]] = {}
    for run, score in members:
        settings.setdefault(_labels(run, axes), {})[_labels(run, plan.table.average)] = score
    name = f"eval_{metric}"
    if len(settings) > 1 and any(name not in score for _, score in members):
        raise UserError(
            f"a choice of {', '.join(axes)} needs dev scores: runs of {members[0][0].task} lack {name}"
        )
    shared = set.intersection(*(set(by_seed) for by_seed in settings.values()))
    most = max(map(len, settings.values()))
    sign = -1 if lower_is_better(metric) else 1

    def on_dev(labels: Key) -> float:
        seeds = shared or settings[labels]
        worth = sign * fmean([settings[labels][seed][name] for seed in seeds])
        return float("-inf") if isnan(worth) else worth  # what diverged is never the best

    compared = [labels for labels, by_seed in settings.items() if shared or len(by_seed) == most]
    best = max(compared, key=on_dev) if len(settings) > 1 else next(iter(settings))
    return Cell(
        by_seed={seed: score[f"test_{metric}"] for seed, score in settings[best].items()},
        chosen={axis: label for axis, label in zip(axes, best, strict=True) if label},
        dev=fmean([score.get(name, float("nan")) for score in settings[best].values()]),
    )


def _mean(rows: Sequence[Row], columns: Sequence[str], label: str, axes: Sequence[str]) -> list[Row]:
    """The mean over rows that have every column, seed by seed; none if it is one, or they share no seed."""
    whole = [row for row in rows if all(column in row.cells for column in columns)]
    if len(whole) < 2:
        return []
    cells = {}
    for column in columns:
        seeds = [row.cells[column].by_seed for row in whole]
        shared = [seed for seed in seeds[0] if all(seed in other for other in seeds)]
        if not shared:
            return []
        by_seed = {seed: fmean([scores[seed] for scores in seeds]) for seed in shared}
        cells[column] = Cell(by_seed=by_seed, chosen={})
    baselines = [row.baseline for row in whole if row.baseline is not None]
    return [
        Row(
            labels=(f"mean of {len(whole)}, {label}", *[""] * (len(axes) - 1)),
            group=label,
            cells=cells,
            baseline=fmean(baselines) if len(baselines) == len(whole) else None,
            mean_of=len(whole),
        )
    ]


def _with_difference(row: Row, name: str, columns: Sequence[str]) -> Row:
    """Add the difference of two columns, seed by seed."""
    first, second = (row.cells.get(column) for column in columns)
    shared = [] if not first or not second else [seed for seed in first.by_seed if seed in second.by_seed]
    if not (first and second and shared):
        return row
    cell = Cell(by_seed={seed: first.by_seed[seed] - second.by_seed[seed] for seed in shared}, chosen={})
    return Row(
        labels=row.labels,
        group=row.group,
        cells={**row.cells, name: cell},
        baseline=row.baseline,
        mean_of=row.mean_of,
    )


def write_runs(plan: Sweep, scores: Sequence[Scores | None], path: Path) -> None:
    """Every single run as CSV, also those that are not finished."""
    head = ["task", *plan.axes, "group", "metric", "dev", "test", "baseline", "train_runtime", "folder"]
    with replacing(path) as scratch, scratch.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(head)
        for run, score in zip(plan.runs, scores, strict=True):
            found = score or {}
            keys = [f"{split}_{run.metric}" for split in ("eval", "test", "test_baseline")]
            values = [found.get(key, "") for key in [*keys, "train_runtime"]]
            writer.writerow(
                [run.task, *_labels(run, plan.axes), run.group, run.metric, *values, run.folder.as_posix()]
            )


def write_tables(tables: Sequence[Table], output_dir: Path) -> str:
    """Write ``table.md``, ``table.tex`` and ``table.csv``; return the Markdown."""
    markdown = "\n".join(_markdown(table) for table in tables)
    texts = {"table.md": markdown, "table.tex": "\n".join(_latex(table) for table in tables)}
    for name, text in texts.items():
        with replacing(output_dir / name) as scratch:
            scratch.write_text(text, encoding="utf-8")
    with (
        replacing(output_dir / "table.csv") as scratch,
        scratch.open("w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out)
        axes = list(dict.fromkeys(axis for table in tables for axis in table.axes))
        names = ["column", "mean", "std", "seeds", "dev", "chosen", "baseline"]
        writer.writerow(["task", "metric", *axes, "group", "mean_of", *names])
        for table in tables:
            for row in [*table.rows, *table.means]:
                places = dict(zip(table.axes, row.labels, strict=False))
                for column, cell in row.cells.items():
                    chosen = " ".join(f"{axis}={label}" for axis, label in cell.chosen.items())
                    values = [column, cell.mean, cell.std, len(cell.by_seed), cell.dev, chosen, row.baseline]
                    where = [places.get(axis, "") for axis in axes]
                    writer.writerow([table.task, table.metric, *where, row.group, row.mean_of or "", *values])
    return markdown


def _seeds(row: Row) -> str:
    counts = sorted({len(cell.by_seed) for cell in row.cells.values() if cell.chosen or cell.dev is not None})
    counts = counts or sorted({len(cell.by_seed) for cell in row.cells.values()})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


def _grid(table: Table, show: Callable[[float, float | None, bool], str], dash: str) -> list[list[str]]:
    """All lines of a table as text: labels, baseline, columns, seeds; the best of a row is marked."""
    lines = []
    better = min if lower_is_better(table.metric) else max
    for row in [*table.rows, *table.means]:
        plain = [cell.mean for name, cell in row.cells.items() if " − " not in name]
        best = better(plain) if len(plain) > 1 else None
        texts = [
            show(
                row.cells[name].mean, row.cells[name].std, row.cells[name].mean == best and " − " not in name
            )
            if name in row.cells
            else dash
            for name in table.columns
        ]
        baseline = dash if row.baseline is None else f"{row.baseline:.1f}"
        lines.append([*(row.labels if table.axes else row.labels[:0]), baseline, *texts, _seeds(row)])
    return lines


def _caption(table: Table) -> str:
    what = f"{table.task}: {table.metric} on test"
    if not table.average:
        return f"{what}, of one run each"
    over = " and ".join("seeds" if axis == "seed" else axis for axis in table.average)
    return f"{what}, mean ± standard deviation over {over}"


def _markdown(table: Table) -> str:
    def show(mean: float, std: float | None, best: bool) -> str:
        text = f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"
        return f"**{text}**" if best else text

    head = [*table.axes, "baseline", *table.columns, "seeds"]
    rule = ["---"] * len(table.axes) + ["---:"] * (len(head) - len(table.axes))
    lines = [head, rule, *_grid(table, show, "–")]
    rows = [
        "| " + " | ".join(" ".join(text.replace("|", "\\|").split()) for text in line) + " |"
        for line in lines
    ]
    chosen = sorted({axis for row in table.rows for cell in row.cells.values() for axis in cell.chosen})
    note = f" Chosen on dev: {', '.join(chosen)} (see table.csv)." if chosen else ""
    return "\n".join([f"{_caption(table)}.{note}", "", *rows, ""])


def _latex(table: Table) -> str:
    """A table with booktabs rules."""

    def show(mean: float, std: float | None, best: bool) -> str:
        number = f"\\mathbf{{{mean:.1f}}}" if best else f"{mean:.1f}"
        return f"${number}$" if std is None else f"${number} \\pm {std:.1f}$"

    lines = _grid(table, show, "--")
    labels = len(table.axes)
    escaped = [[*map(_escape, line[:labels]), *line[labels:-1], _escape(line[-1])] for line in lines]
    head = [_escape(text) for text in [*table.axes, "baseline", *table.columns, "seeds"]]
    body = [" & ".join(line) + r" \\" for line in escaped]
    if table.means:
        body.insert(len(table.rows), r"\midrule")
    return "\n".join(
        [
            f"% {_caption(table)}; needs the package booktabs",
            rf"\begin{{tabular}}{{{'l' * labels}{'r' * (len(head) - labels)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _escape(text: str) -> str:
    special = {character: f"\\{character}" for character in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    special |= {"−": "$-$", "–": "--"}
    return "".join(special.get(character, character) for character in text)
