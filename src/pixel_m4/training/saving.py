"""Checkpoint folders that appear only when they are whole, and the last of them.

A checkpoint is written to a folder of another name, its files are forced to the disk, a manifest with
their sizes is written last, and only then the folder gets its name. So a run that is killed, or a disk that
fills up, leaves older checkpoints as they were; and a folder that was copied in part is found out by its
manifest.

:class:`WholeCheckpoints` makes a Trainer save so; fine-tuning and pretraining share it.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

from pixel_m4.console.errors import UserError
from pixel_m4.console.stopping import Stopped, Stopping

MANIFEST = "manifest.json"
STAGING = ".saving"
_ASK_EVERY = 10  # steps; processes that train together stop at the same one

logger = logging.getLogger(__name__)


def seal(folder: Path) -> None:
    """Force the files of a folder to the disk and write its manifest."""
    sizes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            sizes[str(path.relative_to(folder))] = path.stat().st_size
            _sync(path)
    manifest = folder / MANIFEST
    manifest.write_text(json.dumps({"files": sizes}, indent=1) + "\n", encoding="utf-8")
    _sync(manifest)


def publish(folder: Path, target: Path) -> None:
    """Give a sealed folder its name; an earlier folder of that name goes.

    At no moment is there neither: a run that is killed in between finds the new one in the staging folder.
    """
    earlier = folder.with_name(f"earlier-{folder.name}")
    if target.exists():
        shutil.rmtree(earlier, ignore_errors=True)
        os.replace(target, earlier)
    os.replace(folder, target)
    _sync(target.parent)
    shutil.rmtree(earlier, ignore_errors=True)


def publish_files(staged: Path, output_dir: Path) -> None:
    """Move the files of a staged folder to the output folder, one by one, and remove the staging folder."""
    for path in sorted(staged.iterdir()):
        _sync(path)
        path.replace(output_dir / path.name)
    shutil.rmtree(output_dir / STAGING)


def is_whole(folder: Path) -> bool:
    """Whether a folder has a manifest and all files that it names, in their sizes."""
    try:
        sizes = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def whole_checkpoints(output_dir: Path) -> list[Path]:
    """The whole ``checkpoint-N`` folders, by their steps."""
    numbered = []
    for folder in output_dir.glob("checkpoint-*"):
        found = re.fullmatch(r"checkpoint-(\d+)", folder.name)
        if found and folder.is_dir():
            if is_whole(folder):
                numbered.append((int(found[1]), folder))
            else:
                logger.warning("%s is not whole and is passed over", folder)
    return [folder for _, folder in sorted(numbered)]


def last_whole(output_dir: Path) -> Path | None:
    """The whole checkpoint with the most steps."""
    return next(reversed(whole_checkpoints(output_dir)), None)


def keep_newest(output_dir: Path, limit: int | None, best: int | None = None) -> None:
    """Delete all whole checkpoints but the newest ``limit``; None or 0 keeps all.

    Args:
        output_dir: folder of the checkpoints.
        limit: how many stay; the best is one of them, but the newest stays always.
        best: step of the best one, which stays.
    """
    if not limit:
        return
    whole = whole_checkpoints(output_dir)
    kept = whole[-limit:]
    if any(step_of(folder) == best for folder in whole[:-limit]):
        kept = kept[-max(1, limit - 1) :]
    for folder in whole:
        if folder not in kept and step_of(folder) != best:
            doomed = output_dir / STAGING / f"earlier-{folder.name}"
            doomed.parent.mkdir(exist_ok=True)
            shutil.rmtree(doomed, ignore_errors=True)
            os.replace(folder, doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def step_of(checkpoint: Path) -> int:
    """The step in the name of a checkpoint folder."""
    return int(checkpoint.name.rpartition("-")[2])


def start_anew(output_dir: Path, *, checkpoints: bool, folders: Sequence[str] = ("tensorboard",)) -> None:
    """Delete what a killed run left half-written, or all that an earlier run wrote, and nothing else.

    Args:
        output_dir: the output folder.
        checkpoints: delete also what is whole: checkpoints, results, and these folders.
        folders: what a run writes beside its checkpoints.
    """
    for sealed in (output_dir / STAGING).glob("checkpoint-*"):
        if is_whole(sealed) and not (output_dir / sealed.name).exists():
            publish(sealed, output_dir / sealed.name)
    shutil.rmtree(output_dir / STAGING, ignore_errors=True)
    if checkpoints:
        for folder in output_dir.glob("checkpoint-*"):
            if folder.is_dir() and re.fullmatch(r"checkpoint-\d+", folder.name):
                shutil.rmtree(folder)
        for name in folders:
            shutil.rmtree(output_dir / name, ignore_errors=True)
        (output_dir / "all_results.json").unlink(missing_ok=True)


class WholeCheckpoints(Trainer):
    """A Trainer whose checkpoints appear only when they are whole, and that ends with one when it is stopped.

    Args:
        stopping: hears when the user wants to stop.
        **kwargs: the Trainer's own arguments.
    """

    _staging = False

    def __init__(self, *, stopping: Stopping | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_callback(_StopsCleanly(self, stopping or Stopping()))

    def complete(self, staged: Path) -> None:
        """Add to a checkpoint what the Trainer does not know of; every process is asked."""

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Around the writing of a checkpoint."""
        yield

    @property
    def save_total_limit(self) -> int | None:
        """How many checkpoints stay."""
        return self.args.save_total_limit

    @property
    def best_step(self) -> int | None:
        """Step of the best checkpoint, if there is one to be kept."""
        best = self.state.best_model_checkpoint
        return step_of(Path(best)) if best else None

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """Write a checkpoint; it gets its name when it is whole.

        Raises:
            OSError: it cannot be written; earlier checkpoints are as they were.
        """
        output_dir = Path(self.args.output_dir)
        name = f"checkpoint-{self.state.global_step}"
        staged = output_dir / STAGING / name
        with self.saving(), self.reported(name):
            self._staging = True
            try:
                super()._save_checkpoint(model, trial)
            finally:
                self._staging = False
            if self.state.best_model_checkpoint == str(staged):  # it will have another name
                self.state.best_model_checkpoint = str(output_dir / name)
                if self.args.should_save:
                    self.state.save_to_json(str(staged / TRAINER_STATE_NAME))
            self.complete(staged)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                seal(staged)
                publish(staged, output_dir / name)
                keep_newest(output_dir, self.save_total_limit, self.best_step)
            self.accelerator.wait_for_everyone()

    def save_final(self) -> None:
        """Write the model and its renderer to the output folder, whole files only.

        Raises:
            OSError: they cannot be written.
        """
        output_dir = Path(self.args.output_dir)
        staged = output_dir / STAGING / "model"
        with self.reported("the model"):
            self.save_model(str(staged))
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                publish_files(staged, output_dir)

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)
        return str(Path(folder) / STAGING) if self._staging else folder

    @contextmanager
    def reported(self, name: str) -> Iterator[None]:
        """Say what to do about something that cannot be written, in one line; remove its parts."""
        output_dir = Path(self.args.output_dir)
        try:
            yield
        except (OSError, RuntimeError, SafetensorError) as error:
            shutil.rmtree(output_dir / STAGING, ignore_errors=True)
            last = last_whole(output_dir)
            kept = f"the last whole checkpoint, {last}, is kept" if last else "no earlier checkpoint is kept"
            number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
            raise OSError(
                number,
                f"cannot write {output_dir / name} ({error}); {kept}. Make room, or mend what is wrong, and "
                "start the same command again: it goes on from there",
            ) from error


class _StopsCleanly(TrainerCallback):
    """When the user wants to stop, a checkpoint is written after the step, and training ends."""

    def __init__(self, trainer: Trainer, stopping: Stopping) -> None:
        self._trainer = trainer
        self._stopping = stopping
        self._signal: int | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self._agreed(state.global_step, always=state.global_step >= state.max_steps):
            control.should_save = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._signal is not None:
            raise Stopped(self._signal)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        last = last_whole(Path(args.output_dir))
        if last is not None and step_of(last) == state.global_step and self._agreed(state.global_step):
            raise Stopped(self._signal or signal.SIGINT)

    def _agreed(self, step: int, always: bool = True) -> bool:
        """Whether all processes know that the user wants to stop."""
        asked = self._stopping.asked or 0
        if self._trainer.args.world_size > 1:
            if step % _ASK_EVERY and not always:
                return False
            heard = torch.tensor([asked], device=self._trainer.args.device)
            asked = int(self._trainer.accelerator.gather(heard).max())
        self._signal = asked or None
        return bool(asked)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def best_of(checkpoint: Path) -> Path | None:
    """The best checkpoint of a run when one of its checkpoints was written: that one or one beside it.

    Raises:
        ValueError: the checkpoint does not say it.
    """
    try:
        state = json.loads((checkpoint / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
        best = state["best_model_checkpoint"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{checkpoint} is no checkpoint to go on from: {error}") from error
    return None if best is None else checkpoint.with_name(Path(best).name)
