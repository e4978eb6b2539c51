"""Run the grid of a sweep, each run in a process of its own, and repeat nothing that is finished."""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from rich.console import Console

from pixel_m4.console.errors import UserError
from pixel_m4.console.screen import plain_console
from pixel_m4.console.threads import THREADS, share
from pixel_m4.files import replacing
from pixel_m4.sweep.grid import Run, Sweep, check_runs, read_sweep
from pixel_m4.training.runs import last_usable

RUN_FILE = "sweep_run.json"
LOG_FILE = "log.txt"
CHILD = [sys.executable, "-m", "pixel_m4.sweep.child"]
"""What runs a fine-tuning; the tests put something faster here."""
_TAIL = 15
State = Literal["new", "interrupted", "changed", "done"]


def sweep(
    file: Path,
    output_dir: Path,
    *,
    jobs: int | None = None,
    dry_run: bool = False,
    report_only: bool = False,
    rerun_changed: bool = False,
    resume_runs: bool = False,
) -> None:
    """Run what is missing of a sweep, then write its tables and plots.

    Args:
        file: YAML file, see ``docs/sweeps.md``.
        output_dir: gets a folder for every run, tables and plots.
        jobs: runs at the same time; default: one for each GPU, or one.
        dry_run: only list the runs.
        report_only: only write tables and plots.
        rerun_changed: repeat finished runs whose arguments have changed since.
        resume_runs: go on with interrupted runs from their last checkpoint instead of anew.

    Raises:
        ValueError: the file is wrong, finished runs had other arguments, or runs failed (at the end).
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
            failed: list[Run] = []
            _refuse_changed(plan, output_dir, rerun_changed)
            if not report_only:
                failed = _Pool(plan, output_dir, console, jobs, resume_runs).run()
            _report(plan, output_dir, console)
    except Timeout as error:
        raise UserError(f"another sweep is at work in {output_dir}; wait for its end") from error
    if failed:
        names = ", ".join(str(run.folder) for run in failed)
        raise UserError(f"{len(failed)} of {len(plan.runs)} runs failed: {names}; start again to repeat them")


def state(run: Run, output_dir: Path) -> State:
    """How far a run is.

    Raises:
        ValueError: its folder holds files of something else.
    """
    folder = output_dir / run.folder
    if not folder.is_dir() or not any(folder.iterdir()):
        return "new"
    if not (folder / RUN_FILE).is_file():
        raise UserError(f"{folder} holds files that are not of a sweep; choose another --output_dir")
    if results(run, output_dir) is None:
        return "interrupted"
    return "done" if _stored(folder).get("sha256") == run.digest else "changed"


def results(run: Run, output_dir: Path) -> dict[str, float] | None:
    """What ``all_results.json`` of a finished run holds; None as long as the test scores are not in it."""
    try:
        scores = json.loads((output_dir / run.folder / "all_results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or cut off while it was written
        return None
    return scores if f"test_{run.metric}" in scores else None


def devices() -> list[str]:
    """The GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` calls them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [name for name in visible.split(",") if name][:count] if visible else list(map(str, range(count)))


def environment(slot: int, jobs: int, gpus: Sequence[str]) -> dict[str, str]:
    """Environment of the runs in one of ``jobs`` slots: a GPU if there are any, and a share of the cores."""
    environ = dict(os.environ)
    environ.pop("TENSORBOARD_LOGGING_DIR", None)  # a folder for each run
    threads = share(jobs)
    if threads is not None:
        environ[THREADS] = threads
    if gpus:
        environ["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    return environ


def _stored(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _refuse_changed(plan: Sweep, output_dir: Path, rerun_changed: bool) -> None:
    for run in plan.runs:
        if state(run, output_dir) == "changed" and not rerun_changed:
            folder = output_dir / run.folder
            before = _stored(folder).get("arguments", {})
            names = [
                name for name in {**before, **run.arguments} if before.get(name) != run.arguments.get(name)
            ]
            changes = ", ".join(f"{name} {before.get(name)} → {run.arguments.get(name)}" for name in names)
            raise UserError(
                f"{folder} is finished, with other arguments ({changes or 'another recipe file'}): "
                "--rerun_changed repeats such runs, another --output_dir keeps them"
            )


class _Pool:
    """Runs what is not done in ``jobs`` slots."""

    def __init__(
        self, plan: Sweep, output_dir: Path, console: Console, jobs: int | None, resume_runs: bool
    ) -> None:
        self.gpus = devices()
        self.jobs = jobs or max(1, len(self.gpus))
        self.output_dir = output_dir
        self.console = console
        self.resume_runs = resume_runs
        self.states = {run.folder: state(run, output_dir) for run in plan.runs}
        self.todo = [run for run in plan.runs if self.states[run.folder] != "done"]
        self.slots: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(self.jobs):
            self.slots.put(slot)
        self.children: set[subprocess.Popen[bytes]] = set()
        self.stop = threading.Event()
        done = len(plan.runs) - len(self.todo)
        console.print(f"{len(plan.runs)} runs, {done} finished before, {self.jobs} at a time")

    def run(self) -> list[Run]:
        """Run all; return those that failed."""
        failed = []
        with ThreadPoolExecutor(self.jobs) as pool:
            futures = {pool.submit(self._one, run): run for run in self.todo}
            try:
                for number, future in enumerate(as_completed(futures), start=1):
                    run = futures[future]
                    code, seconds = future.result()
                    scores = results(run, self.output_dir)
                    where = f"[{number}/{len(self.todo)}] {run.folder}, {seconds:.0f} s:"
                    if code == 0 and scores is not None:
                        line = f"{run.metric} {scores[f'test_{run.metric}']:.2f}"
                    else:
                        failed.append(run)
                        why = f"exit code {code}" if code else f"no test_{run.metric} in all_results.json"
                        line = f"FAILED ({why})\n{self._tail(run)}"
                    self.console.print(f"{where} {line}")
            except BaseException:  # such as Ctrl-C: the runs keep their last checkpoints
                self.stop.set()
                for child in list(self.children):
                    child.terminate()
                raise
        return failed

    def _one(self, run: Run) -> tuple[int, float]:
        slot = self.slots.get()
        started = time.monotonic()
        try:
            if self.stop.is_set():
                return -1, 0.0
            folder = self.output_dir / run.folder
            checkpoint = _last_checkpoint(run, folder) if self.resume_runs else None
            if checkpoint is None:
                shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            stored = {"task": run.task, "arguments": run.arguments, "sha256": run.digest}
            with replacing(folder / RUN_FILE) as scratch:
                scratch.write_text(json.dumps(stored, indent=2, ensure_ascii=False), encoding="utf-8")
            resume = ["--resume_from_checkpoint", str(checkpoint)] if checkpoint is not None else []
            words = [*run.command(), "--output_dir", str(folder), *resume]
            with (folder / LOG_FILE).open("ab") as log:
                child = subprocess.Popen(
                    [*CHILD, *words],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment(slot, self.jobs, self.gpus),
                )
            self.children.add(child)
            if self.stop.is_set():  # it was set while the child started
                child.terminate()
            code = child.wait()
            self.children.discard(child)
            if child.stdin is not None:
                child.stdin.close()
            return code, time.monotonic() - started
        finally:
            self.slots.put(slot)

    def _tail(self, run: Run) -> str:
        text = (self.output_dir / run.folder / LOG_FILE).read_text(encoding="utf-8", errors="replace")
        return "\n".join(f"    {line}" for line in text.splitlines()[-_TAIL:])


def _last_checkpoint(run: Run, folder: Path) -> Path | None:
    """The newest whole checkpoint that was made with the same arguments."""
    if _stored(folder).get("sha256") != run.digest:
        return None
    return last_usable(folder)


def _report(plan: Sweep, output_dir: Path, console: Console) -> None:
    from pixel_m4.sweep.figures import plot
    from pixel_m4.sweep.tables import Table, write_runs, write_tables

    scores = [results(run, output_dir) if state(run, output_dir) == "done" else None for run in plan.runs]
    write_runs(plan, scores, output_dir / "runs.csv")
    tables = Table.make(plan, scores)
    if not tables:
        console.print("no run is finished: no tables yet")
        return
    console.print(write_tables(tables, output_dir))
    try:
        plot(tables, output_dir)
    except ImportError:
        console.print("plots need matplotlib: pip install 'pixel-m4[plots]'")
