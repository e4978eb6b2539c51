"""Runs that their launcher begins again: torchrun after a lost worker, Slurm after a requeue.

The command is then the one of the first start, whatever has come of it since.  Such a run goes on from the
last checkpoint that it has written itself, even if its options say to start anew or to go on from another.
What it has written itself is younger than :data:`MARKER`, which the first start leaves in the output folder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from accelerate.utils import gather_object
from transformers import TrainingArguments

from pixel_m4.training.runs import by_main
from pixel_m4.training.saving import MANIFEST, whole_checkpoints

MARKER = ".begun"
_LAUNCHERS = {
    "torchrun": ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"),
    "Slurm": ("SLURM_JOB_ID", "SLURM_RESTART_COUNT"),
}

Arguments = TypeVar("Arguments", bound=Any)

logger = logging.getLogger(__name__)


def restarts(environ: Mapping[str, str] | None = None) -> dict[str, int]:
    """How often each launcher says that it has begun this process again; without those that have not.

    Args:
        environ: default ``os.environ``.
    """
    environ = os.environ if environ is None else environ
    counts = {name: environ.get(count, "") for name, (_, count) in _LAUNCHERS.items()}
    return {name: int(count) for name, count in counts.items() if count.isdigit() and int(count)}


def settle_restart(
    arguments: Arguments, training: TrainingArguments, fit: Callable[[Path], bool] = lambda _: True
) -> Arguments:
    """Let a run that was begun again go on from what it has written; all processes call this at once.

    Args:
        arguments: a dataclass with ``overwrite_output_dir``.
        training: ``resume_from_checkpoint`` is set if the run goes on.
        fit: whether a whole checkpoint can be gone on from.

    Returns:
        The arguments; they overwrite nothing if the run goes on.
    """
    # torchrun counts on each machine by itself: only the one that has lost a worker knows of the restart.
    counts = [restarts()] if training.world_size == 1 else gather_object([restarts()])
    launcher = next((name for found in counts for name in found), None)
    last = by_main(training, lambda: _own_checkpoint(Path(training.output_dir), launcher is not None, fit))
    if last is None:
        return arguments
    if training.process_index == 0:
        logger.warning("%s has started this run again: it goes on from %s", launcher, last)
    training.resume_from_checkpoint = str(last)
    return replace(arguments, overwrite_output_dir=False)


def mark_begin(output_dir: Path) -> None:
    """Leave the marker, under a launcher that may begin the run again; what there was before is older."""
    marker = output_dir / MARKER
    if any(job in os.environ for job, _ in _LAUNCHERS.values()) and not marker.exists():
        marker.touch()


def _own_checkpoint(output_dir: Path, again: bool, fit: Callable[[Path], bool]) -> Path | None:
    """The last checkpoint that this run has written; at its first start there is none."""
    marker = output_dir / MARKER
    if not again and output_dir.is_dir():
        marker.unlink(missing_ok=True)  # of an earlier run
    if not marker.exists():
        return None
    begun = marker.stat().st_mtime_ns
    for checkpoint in reversed(whole_checkpoints(output_dir)):
        if (checkpoint / MANIFEST).stat().st_mtime_ns > begun and fit(checkpoint):
            return checkpoint
    return None
