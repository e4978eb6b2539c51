"""Where the runs of a sweep are computed: here, side by side; on a cluster, see ``cluster.py``."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pixel_m4.console.threads import THREADS, share

CHILD = ["-m", "pixel_m4.sweep.child"]
"""What Python runs for a fine-tuning; the tests put something faster here."""


class Lost(Exception):
    """What computed a run is gone, such as a machine that was switched off; the message says what."""


class Engine(Protocol):
    """Computes runs, a process each.

    Attributes:
        slots: runs at the same time.
    """

    slots: int

    def run(self, words: Sequence[str], log: Path) -> int:
        """Fine-tune and wait for the end; called by as many threads as there are slots.

        Args:
            words: arguments of :data:`CHILD`.
            log: file that gets what is printed.

        Returns:
            The exit code.

        Raises:
            Lost: what computed it is gone.
        """
        ...

    def stop(self) -> None:
        """Ask all runs to stop with a checkpoint; those that are begun later do nothing."""
        ...


class Local:
    """Runs in processes on this machine, which end with this one.

    Args:
        jobs: runs at the same time; default: one for each GPU, or one.
    """

    def __init__(self, jobs: int | None = None) -> None:
        self._gpus = devices()
        self.slots = jobs or max(1, len(self._gpus))
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for slot in range(self.slots):
            self._free.put(slot)
        self._children: set[Child] = set()
        self._stopped = False

    def run(self, words: Sequence[str], log: Path) -> int:
        """Fine-tune in one of the slots; the exit code."""
        slot = self._free.get()
        child = Child()
        self._children.add(child)
        try:
            if self._stopped:  # also if it is set from here on: the child has been added
                child.stop()
            return child.run([*CHILD, *words], log, environment(slot, self.slots, self._gpus))
        finally:
            self._children.discard(child)
            self._free.put(slot)

    def stop(self) -> None:
        """Ask all runs to stop."""
        self._stopped = True
        for child in list(self._children):
            child.stop()


class Child:
    """A process that ends with this one, and may be asked to stop before it has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(
        self, words: Sequence[str], log: Path, environ: dict[str, str], folder: Path | None = None
    ) -> int:
        """Let Python run ``words``; the exit code, -1 if it was stopped before it began.

        Args:
            words: arguments of Python.
            log: file that what is printed is added to.
            environ: environment.
            folder: that it is started in; default: the present one.
        """
        with log.open("ab") as stream:
            with self._lock:
                if self._stopped:
                    return -1
                self._process = subprocess.Popen(
                    [sys.executable, *words],
                    stdin=subprocess.PIPE,  # closed when this process ends: see child.py
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    env=environ,
                    cwd=folder,
                )
            with self._process as process:
                return process.wait()

    def stop(self) -> None:
        """Ask it to stop; it writes a checkpoint first."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.terminate()


def devices() -> list[str]:
    """The GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` calls them."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    return [name for name in visible.split(",") if name][:count] if visible else list(map(str, range(count)))


def environment(slot: int, jobs: int, gpus: Sequence[str]) -> dict[str, str]:
    """Environment of the runs in one of ``jobs`` slots: a GPU if there are any, and a share of the cores."""
    environ = own_environment()
    threads = share(jobs)
    if threads is not None:
        environ[THREADS] = threads
    if gpus:
        environ["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    return environ


def own_environment() -> dict[str, str]:
    """The environment of this process, without what would make runs share a folder."""
    environ = dict(os.environ)
    environ.pop("TENSORBOARD_LOGGING_DIR", None)
    return environ
