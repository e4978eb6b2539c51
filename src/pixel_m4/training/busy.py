"""A note for those whose machine does other work beside training."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

logger = logging.getLogger(__name__)

SLOW = 2.5
"""Steps that take so many times as long as they should are worth a note."""
_WINDOW = 10.0  # seconds of steps that are looked at together


def slowdown(wall: float, cpu: float, load: float, processors: int) -> float | None:
    """How many times as long steps take as on an idle machine; None if others are not to blame.

    Args:
        wall: seconds that steps took.
        cpu: seconds that their main thread was given a processor; with threads that wait passively, it is
            given none while it waits for one that other programs hold up.
        load: programs that want to run, the mean of a minute.
        processors: of the machine.
    """
    if load <= processors:  # it waits for something else, such as a disk
        return None
    found = wall / max(cpu, 1e-3)
    return found if found >= SLOW else None


class BusyNote(TrainerCallback):
    """Says once, by a warning in the log, that the machine is busy and steps take several times as long.

    Args:
        say: takes the note; default the log.
    """

    def __init__(self, say: Callable[[str], None] = logger.warning) -> None:
        self._say = say
        self._told = False
        self._wall = self._cpu = 0.0
        self._start: tuple[float, float] | None = None

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A step begins; its batch is there already."""
        self._start = (time.monotonic(), time.thread_time())

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Look at the steps of the last seconds."""
        if self._told or self._start is None or args.device.type != "cpu" or not hasattr(os, "getloadavg"):
            return
        self._wall += time.monotonic() - self._start[0]
        self._cpu += time.thread_time() - self._start[1]
        if self._wall < _WINDOW:
            return
        processors, load = os.cpu_count() or 1, os.getloadavg()[0]
        found = slowdown(self._wall, self._cpu, load, processors)
        self._wall = self._cpu = 0.0
        if found is not None and state.is_local_process_zero:
            self._told = True
            advice = "; OMP_NUM_THREADS=1 may be faster" if torch.get_num_threads() > 1 else ""
            self._say(
                f"this machine is busy (load {load:.1f} on {processors} processors): steps take about "
                f"{found:.1f} times as long as they should{advice}"
            )
