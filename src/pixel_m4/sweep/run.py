"""Run the grid of a sweep, each run in a process of its own, and repeat nothing that is finished."""

from __future__ import annotations

import shlex
from contextlib import AbstractContextManager, nullcontext
from math import isnan
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.sweep.cluster import ClusterOptions, on_ray
from pixel_m4.sweep.engines import Engine, Local
from pixel_m4.sweep.grid import Sweep, check_runs, read_sweep
from pixel_m4.sweep.pool import Pool, other_scores, results, state, stored
from pixel_m4.training.runs import read_record


def sweep(
    file: Path,
    output_dir: Path,
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    report_only: bool = False,
    rerun_changed: bool = False,
    resume_runs: bool = False,
    cluster: ClusterOptions | None = None,
) -> None:
    """Run what is missing of a sweep, then write its tables and plots.

    Args:
        file: YAML file, see ``docs/sweeps.md``.
        output_dir: gets a folder for every run, tables and plots.
        jobs: runs at the same time; default: one for each GPU, or one; on a cluster as many as fit.
        dry_run: only list the runs.
        report_only: only write tables and plots.
        rerun_changed: repeat finished runs whose arguments have changed since.
        resume_runs: go on with interrupted runs from their last checkpoint instead of anew.
        cluster: compute on a Ray cluster; default: on this machine.

    Raises:
        ValueError: the file is wrong, finished runs had other arguments, a machine of the cluster does not
            see what it needs, or runs failed (at the end).
        ModuleNotFoundError: Ray is not installed.
    """
    plan = read_sweep(file)
    check_runs(plan)
    console = plain_console()
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs must be at least 1, got {jobs}")
    if dry_run:
        for run in plan.runs:
            words = [*run.command(), "--output_dir", str(output_dir / run.folder)]
            console.print(f"{state(run, output_dir):12}pixel-m4 finetune {shlex.join(words)}")
        return
    output_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(output_dir / ".sweep.lock", timeout=0):
            _refuse_changed(plan, output_dir, rerun_changed)
            _refuse_other_scores(plan, output_dir)
            todo = [run for run in plan.runs if not report_only and state(run, output_dir) != "done"]
            failed = []
            if todo:
                with _engine(plan, output_dir, jobs, cluster) as engine:
                    before = len(plan.runs) - len(todo)
                    console.print(
                        f"{len(plan.runs)} runs, {before} finished before, {engine.slots} at a time"
                    )
                    failed = Pool(todo, output_dir, console, engine, resume_runs).run()
            _report(plan, output_dir, console)
    except Timeout as error:
        raise UserError(f"another sweep is at work in {output_dir}; wait for its end") from error
    if failed:
        names = ", ".join(str(run.folder) for run in failed)
        raise UserError(f"{len(failed)} of {len(plan.runs)} runs failed: {names}; start again to repeat them")


def _engine(
    plan: Sweep, output_dir: Path, jobs: int | None, cluster: ClusterOptions | None
) -> AbstractContextManager[Engine]:
    if cluster is None:
        return nullcontext(Local(jobs))
    return on_ray(cluster, jobs, output_dir, plan.files)


def _refuse_changed(plan: Sweep, output_dir: Path, rerun_changed: bool) -> None:
    for run in plan.runs:
        if state(run, output_dir) == "changed" and not rerun_changed:
            folder = output_dir / run.folder
            before = stored(folder).get("arguments", {})
            names = [
                name for name in {**before, **run.arguments} if before.get(name) != run.arguments.get(name)
            ]
            changes = ", ".join(f"{name} {before.get(name)} → {run.arguments.get(name)}" for name in names)
            raise UserError(
                f"{folder} is finished, with other arguments ({changes or 'another recipe file'}): "
                "--rerun_changed repeats such runs, another --output_dir keeps them"
            )


def _refuse_other_scores(plan: Sweep, output_dir: Path) -> None:
    """Refuse to repeat a finished run only because it has not the score of the tables."""
    for run in plan.runs:
        folder = output_dir / run.folder
        same = state(run, output_dir) == "interrupted" and stored(folder).get("sha256") == run.digest
        others = same and (read_record(folder) or {}).get("finished") and other_scores(run, output_dir)
        if others:
            raise UserError(f"{folder} is finished, but {others}")


def _report(plan: Sweep, output_dir: Path, console: Console) -> None:
    from pixel_m4.sweep.figures import plot
    from pixel_m4.sweep.tables import Table, write_runs, write_tables

    scores = [results(run, output_dir) if state(run, output_dir) == "done" else None for run in plan.runs]
    write_runs(plan, scores, output_dir / "runs.csv")
    for at, (run, found) in enumerate(zip(plan.runs, scores, strict=True)):
        if found is not None and isnan(found[f"test_{run.metric}"]):
            console.print(f"{run.folder}: test_{run.metric} is no number, so it is not in the tables")
            scores[at] = None
    if missing := scores.count(None):
        console.print(f"the tables lack {missing} of {len(scores)} runs")
    tables = Table.make(plan, scores)
    if not tables:
        console.print("no run is finished: no tables yet")
        return
    console.print(write_tables(tables, output_dir))
    try:
        plot(tables, output_dir)
    except ImportError:
        console.print("plots need matplotlib: pip install 'pixel-m4[plots]'")
