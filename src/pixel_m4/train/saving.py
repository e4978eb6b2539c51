"""Checkpoint folders that appear only when they are whole, and the last of them.

A checkpoint is written to a folder of another name, its files are forced to the disk, a manifest with
their sizes is written last, and only then the folder gets its name. So a run that is killed, or a disk that
fills up, leaves older checkpoints as they were; and a folder that was copied in part is found out by its
manifest.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from pathlib import Path

MANIFEST = "manifest.json"
STAGING = ".saving"

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
    """Give a sealed folder its name; a damaged folder of that name goes."""
    if target.exists():
        shutil.rmtree(target)
    os.replace(folder, target)
    _sync(target.parent)


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


def keep_newest(output_dir: Path, limit: int | None) -> None:
    """Delete all whole checkpoints but the newest ``limit``; None or 0 keeps all."""
    if limit:
        for folder in whole_checkpoints(output_dir)[:-limit]:
            doomed = output_dir / STAGING / folder.name
            doomed.parent.mkdir(exist_ok=True)
            os.replace(folder, doomed)
            shutil.rmtree(doomed, ignore_errors=True)


def step_of(checkpoint: Path) -> int:
    """The step in the name of a checkpoint folder."""
    return int(checkpoint.name.rpartition("-")[2])


def start_anew(output_dir: Path, *, checkpoints: bool) -> None:
    """Delete what a killed run left half-written, or all that an earlier run wrote, and nothing else."""
    shutil.rmtree(output_dir / STAGING, ignore_errors=True)
    if checkpoints:
        for folder in output_dir.glob("checkpoint-*"):
            if folder.is_dir() and re.fullmatch(r"checkpoint-\d+", folder.name):
                shutil.rmtree(folder)
        for name in ("tensorboard", "pictures"):
            shutil.rmtree(output_dir / name, ignore_errors=True)
        (output_dir / "all_results.json").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
