"""The folders of a sweep's runs, and the runs side by side, each of them once."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console

from pixel_m4.console.errors import UserError
from pixel_m4.files import replacing
from pixel_m4.sweep.engines import Engine, Lost
from pixel_m4.sweep.grid import Run
from pixel_m4.training.runs import held, last_usable

RUN_FILE = "sweep_run.json"
LOG_FILE = "log.txt"
_TAIL = 15
_ATTEMPTS = 2  # of a run whose machine is lost
_LET_GO = 60.0  # seconds for a run that lost its sweep to end
State = Literal["new", "interrupted", "changed", "done"]


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
    return "done" if stored(folder).get("sha256") == run.digest else "changed"


def results(run: Run, output_dir: Path) -> dict[str, float] | None:
    """What ``all_results.json`` of a finished run holds; None as long as the test scores are not in it."""
    scores = _scores(run, output_dir)
    return scores if f"test_{run.metric}" in scores else None


def other_scores(run: Run, output_dir: Path) -> str:
    """That a run lacks the score of the tables, and which ones it has; empty if it has none at all."""
    names = [name for name in _scores(run, output_dir) if re.fullmatch(r"test_(?!baseline_)\w+", name)]
    there = ", ".join(name.removeprefix("test_") for name in names)
    return there and (
        f"there is no test_{run.metric} in all_results.json; of the scores that it has ({there}), name one "
        "by `metric:` in the sweep's file"
    )


def _scores(run: Run, output_dir: Path) -> dict[str, float]:
    try:
        return json.loads((output_dir / run.folder / "all_results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there, or cut off while it was written
        return {}


def stored(folder: Path) -> dict[str, Any]:
    """The arguments that a run was begun with; empty if there are none that can be read."""
    try:
        return json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


class _Ended(NamedTuple):
    """How a run ended: its exit code, or why there is none, and the seconds that it took."""

    code: int | str
    seconds: float


class Pool:
    """Runs side by side on an engine.

    Args:
        runs: what is to be done.
        output_dir: gets a folder for every run.
        console: where what comes of each is shown.
        engine: what computes them.
        resume_runs: whether runs go on from their last checkpoint.
    """

    def __init__(
        self, runs: Sequence[Run], output_dir: Path, console: Console, engine: Engine, resume_runs: bool
    ) -> None:
        self._runs = runs
        self._output_dir = output_dir
        self._console = console
        self._engine = engine
        self._resume_runs = resume_runs
        self._stop = threading.Event()

    def run(self) -> list[Run]:
        """Run all; return those that failed."""
        failed = []
        with ThreadPoolExecutor(self._engine.slots) as threads:
            futures = {threads.submit(self._one, run): run for run in self._runs}
            try:
                for number, future in enumerate(as_completed(futures), start=1):
                    run = futures[future]
                    code, seconds = future.result()
                    scores = results(run, self._output_dir)
                    where = f"[{number}/{len(self._runs)}] {run.folder}, {seconds:.0f} s:"
                    if code == 0 and scores is not None:
                        line = f"{run.metric} {scores[f'test_{run.metric}']:.2f}"
                    else:
                        failed.append(run)
                        why = f"exit code {code}" if code else other_scores(run, self._output_dir)
                        why = why or "it left no test scores"
                        why = code if isinstance(code, str) else why
                        line = f"FAILED ({why})\n{self._tail(run)}"
                    self._console.print(f"{where} {line}")
            except BaseException:  # such as Ctrl-C: the runs keep their last checkpoints
                self._stop.set()
                self._engine.stop()
                raise
        return failed

    def _one(self, run: Run) -> _Ended:
        """Do a run; once more if its machine is lost."""
        started, lost = time.monotonic(), ""
        for left in reversed(range(_ATTEMPTS)):
            if self._stop.is_set():
                return _Ended(-1, time.monotonic() - started)
            words = self._prepare(run)
            try:
                code = self._engine.run(words, self._output_dir / run.folder / LOG_FILE)
            except Lost as error:
                lost = str(error)
                if left:
                    self._console.print(f"{run.folder}: {lost}; once more")
            else:
                return _Ended(code, time.monotonic() - started)
        return _Ended(f"{lost}; {_ATTEMPTS} times", time.monotonic() - started)

    def _prepare(self, run: Run) -> list[str]:
        """Make the folder of a run; the arguments of its fine-tuning."""
        folder = self._output_dir / run.folder
        if folder.is_dir():  # a training may work there whose sweep was killed just now
            with held(folder, _LET_GO):
                pass
        checkpoint = _last_checkpoint(run, folder) if self._resume_runs else None
        if checkpoint is None:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        content = {"task": run.task, "arguments": run.arguments, "sha256": run.digest}
        with replacing(folder / RUN_FILE) as scratch:
            scratch.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
        resume = ["--resume_from_checkpoint", str(checkpoint)] if checkpoint is not None else []
        return [*run.command(), "--output_dir", str(folder), *resume]

    def _tail(self, run: Run) -> str:
        log = self._output_dir / run.folder / LOG_FILE
        text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-_TAIL:])


def _last_checkpoint(run: Run, folder: Path) -> Path | None:
    """The newest whole checkpoint that was made with the same arguments."""
    if stored(folder).get("sha256") != run.digest:
        return None
    return last_usable(folder)
