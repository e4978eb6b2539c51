"""An output folder belongs to one run: a new one, or the same that was stopped, which goes on.

Two commands are the same if they lead to the same weights: the task and its options, the arguments of the
model, of the data and of training, the contents of the data, of the starting weights and of the font, and the
number of processes.  Names of folders, logs, loader workers and how many checkpoints stay do not matter.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from accelerate.utils import broadcast_object_list
from filelock import FileLock, Timeout
from transformers import TrainingArguments

from pixel_m4.console.errors import UserError
from pixel_m4.console.stopping import Stopped
from pixel_m4.training.records import METRICS, RUN, SETTINGS
from pixel_m4.training.saving import best_of, is_whole, last_whole, start_anew, step_of, whole_checkpoints

Result = TypeVar("Result")

# Files that may lie in the output folder of a run that has not begun: of a sweep, of a scheduler, of systems.
_NOT_OURS = ("sweep_run.json", "log.txt", "*.log", "*.out", "*.err", ".*")
_WRITTEN = (
    *(RUN, METRICS, "README.md", "config.json", "model*.safetensors*", "text_renderer_config.json"),
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt"),
    *("trainer_state.json", "*_results.json", "*_predictions.*", "training_args.bin", ".*.[0-9]*.*"),
)
_SECTIONS = (
    *("task", "task_options", "arguments", "training", "data", "font", "tokenizer", "weights", "processes"),
)
_WITHOUT_EFFECT = (
    *("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "data_dir", "data_file"),
    *("train_file", "dev_file", "test_file"),
    *("logging_.*", "log_.*", "report_to", "run_name", "project", "trackio_.*", "disable_tqdm"),
    *("save_total_limit", "push_to_hub", "hub_.*", "local_rank", "skip_memory_metrics"),
    *("dataloader_(?!drop_last).*", "per_device_eval_batch_size", "eval_accumulation_steps"),
    *("include_.*", "restore_callback_states_from_checkpoint", "ddp_timeout", "use_cpu"),
)

_FULL = (errno.ENOSPC, errno.EDQUOT)

logger = logging.getLogger(__name__)


def by_main(training: TrainingArguments, work: Callable[[], Result]) -> Result:
    """What the main process finds out, in all processes; its error is everybody's.

    Raises:
        ValueError: as the work does.
        OSError: as the work does.
    """
    if training.world_size == 1:
        return work()
    found: list[Any] = [None, None]
    if training.process_index == 0:
        try:
            found[0] = work()
        except (ValueError, OSError) as error:
            found[1] = error
    broadcast_object_list(found)
    if found[1] is not None:
        raise found[1]
    return found[0]


@contextmanager
def held(folder: Path, timeout: float = 0) -> Iterator[Path]:
    """Hold the lock of an output folder, so that no other run fine-tunes into it; gives the lock's file.

    Args:
        folder: the output folder; it exists.
        timeout: seconds to wait for another run's end.

    Raises:
        UserError: another run has not ended by then.
    """
    file = folder / ".run.lock"
    try:
        with FileLock(file, timeout=timeout):
            yield file
    except Timeout as error:
        raise UserError(f"another run is at work in {folder}; wait for its end") from error


def contents(folder: Path) -> list[str]:
    """Names in a folder, without logs and hidden files; none if it does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if not any(map(path.match, _NOT_OURS)))


def refuse_others(folder: Path, overwrite: bool) -> None:
    """Refuse an output folder of something else, or of a run that has come to its end.

    Args:
        folder: the output folder; it need not exist.
        overwrite: whether a run in it may be deleted; something else may not.

    Raises:
        ValueError: there is something that would be lost; the message says what, and what to do.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output_dir {folder} is a file; give a folder")
    names = contents(folder)
    if not names:
        return
    if overwrite:
        _refuse_strangers(folder, names)
        return
    record = read_record(folder)
    ways = "give another --output_dir, or start anew with --overwrite_output_dir"
    if record is None:
        some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
        raise UserError(
            f"--output_dir {folder} is not empty, and holds no run to go on with ({some}): {ways}"
        )
    if not record.get("training", {}).get("do_train"):
        raise UserError(f"--output_dir {folder} holds predictions of a run without training: {ways}")
    if record.get("finished"):
        raise UserError(f"--output_dir {folder} holds a run that is finished ({record['finished']}): {ways}")


def _refuse_strangers(folder: Path, names: Sequence[str]) -> None:
    """Refuse to write over what no run of ours has left; files that a run does not write stay anyway."""
    pretraining = read_record(folder, SETTINGS) or {}  # analyses have a file of that name, too
    if read_record(folder) or "training" in pretraining or whole_checkpoints(folder):
        return
    patterns = (*_WRITTEN, "tensorboard", "pictures", "checkpoint-[0-9]*")
    lost = [name for name in names if any(Path(name).match(pattern) for pattern in patterns)]
    if lost:
        some = ", ".join(lost[:3]) + (", …" if len(lost) > 3 else "")
        raise UserError(
            f"--output_dir {folder} holds no run of pixel-m4, and {some} would be lost: give another "
            "--output_dir, or move these away; --overwrite_output_dir deletes runs only"
        )


def refuse_others_than_pretraining(folder: Path, overwrite: bool) -> None:
    """Refuse an output folder of something else than a pretraining; one that is finished may go on.

    Args:
        folder: the output folder; it need not exist.
        overwrite: whether what is in it may be replaced.

    Raises:
        ValueError: there is something that would be lost; the message says what, and what to do.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output_dir {folder} is a file; give a folder")
    if overwrite:
        _refuse_strangers(folder, contents(folder))
        return
    whole = whole_checkpoints(folder)
    own = bool(whole) and all((checkpoint / "stream_0.json").is_file() for checkpoint in whole)
    begun = re.compile(rf"tensorboard|pictures|{re.escape(SETTINGS)}|checkpoint-\d+")
    others = [name for name in contents(folder) if not begun.fullmatch(name)]
    if own or not (whole or others):
        return
    some = ", ".join((others or [whole[-1].name])[:3])
    raise UserError(
        f"--output_dir {folder} holds something else than checkpoints of a pretraining ({some}): give "
        "another --output_dir, or start anew with --overwrite_output_dir"
    )


def read_record(folder: Path, name: str = RUN) -> dict[str, Any] | None:
    """What ``run.json`` (or another record) of a folder holds; None if there is none that can be read."""
    try:
        record = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What two records of runs differ in, of what decides the weights.

    What only one of them knows, such as an argument of another version, is not compared.

    Args:
        before: what a ``run.json`` holds.
        now: the same of the run that is to begin.
    """
    now = json.loads(json.dumps(now, default=str))
    found = []
    for section in _SECTIONS:
        old, new = before.get(section), now.get(section)
        if isinstance(old, dict) and isinstance(new, dict):
            if section in ("data", "font", "weights"):  # where a file lies does not matter
                before_by_name, now_by_name = _by_name(old), _by_name(new)
                both = before_by_name.keys() & now_by_name.keys()
                found += [
                    f"{name} {'has changed' if name in both else 'is not in both'}"
                    for name in sorted({**before_by_name, **now_by_name})
                    if before_by_name.get(name) != now_by_name.get(name)
                ]
                continue
            same = before.get("weights") and before.get("weights") == now.get("weights")
            for name in sorted(old.keys() & new.keys()):
                free = any(re.fullmatch(pattern, name) for pattern in _WITHOUT_EFFECT)
                if old[name] != new[name] and not free and not (name == "model_name_or_path" and same):
                    found.append(f"{name} {old[name]}, not {new[name]}")
        elif section in before and old != new:
            found.append(f"{section} {old}, not {new}")
    return found


def _by_name(digests: Mapping[str, str]) -> dict[str, list[str]]:
    """The digests of the files of each name, wherever they lie; several folders may have one."""
    found: dict[str, list[str]] = {}
    for path, digest in digests.items():
        found.setdefault(Path(path).name, []).append(digest)
    return {name: sorted(own) for name, own in found.items()}


def checkpoint_to_go_on_from(
    folder: Path, record: Mapping[str, Any], given: str | None, overwrite: bool
) -> Path | None:
    """The checkpoint that a run goes on from; None if it begins.

    Args:
        folder: the output folder, which :func:`refuse_others` has let pass.
        record: of the run that is to begin.
        given: ``--resume_from_checkpoint``: a checkpoint, true, false or None.
        overwrite: ``--overwrite_output_dir``.

    Raises:
        ValueError: the folder holds an unfinished run of another command, or one that is not to be gone on
            with; or what is given is no whole checkpoint.
    """
    wish = str(given).lower() if given is not None else "true"
    before = None if overwrite else read_record(folder)
    if wish not in ("true", "false"):
        chosen = Path(str(given)).expanduser()
        if not is_whole(chosen):
            raise UserError(f"--resume_from_checkpoint {given} is no whole checkpoint of pixel-m4 finetune")
        if usable(chosen) is not None:
            raise UserError(f"--resume_from_checkpoint {given}: {usable(chosen)}")
        earlier = read_record(chosen.parent)
        if earlier is not None and (changes := differences(earlier, record)):
            logger.warning("%s was written with %s", chosen, "; ".join(changes))
        return chosen
    if before is None:
        return None
    changes = differences(before, record)
    if changes and set(contents(folder)) <= {RUN, "tensorboard"}:
        return None  # nothing was trained yet
    if changes:
        raise UserError(
            f"--output_dir {folder} holds an unfinished run of another command ({'; '.join(changes)}): go on "
            "with the same, give another --output_dir, or start anew with --overwrite_output_dir"
        )
    whole = whole_checkpoints(folder)
    if wish == "false" and whole:
        raise UserError(not_gone_on_from(whole[-1]))
    last = last_usable(folder)
    if last is not None and before.get("versions") != record["versions"]:
        logger.warning("other versions of packages began this run: its bits may differ from theirs")
    return last


def not_gone_on_from(last: Path) -> str:
    """What to say if a run is not to go on from the checkpoints that there are."""
    return (
        f"--output_dir {last.parent} holds checkpoints of this run, up to {last.name}: "
        "--resume_from_checkpoint true goes on from the last, --overwrite_output_dir deletes them"
    )


@contextmanager
def kept_checkpoint(folder: Path) -> Iterator[None]:
    """Around a training: if it is stopped, or the disk is full, say which checkpoint is kept.

    Raises:
        Stopped: it was stopped.
        OSError: the disk is full.
    """
    before = threading.excepthook

    def quiet(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, OSError):  # a log's thread; the main thread hears of it, too
            before(args)

    threading.excepthook = quiet
    try:
        yield
    except KeyboardInterrupt as stop:
        message = f"stopped; {last_whole(folder) or 'no checkpoint'} is kept"
        raise Stopped(getattr(stop, "signum", signal.SIGINT), message) from None
    except OSError as error:
        if error.errno not in _FULL or "is kept" in str(error):
            raise
        raise OSError(
            error.errno,
            f"cannot write into {error.filename or folder} ({error.strerror}); "
            f"{last_whole(folder) or 'no checkpoint'} is kept. Make room, and start the same command again: "
            "it goes on from there",
        ) from error
    finally:
        threading.excepthook = before


def last_usable(folder: Path) -> Path | None:
    """The last checkpoint of a run that can be gone on from."""
    for checkpoint in reversed(whole_checkpoints(folder)):
        problem = usable(checkpoint)
        if problem is None:
            return checkpoint
        logger.warning("%s is passed over: %s", checkpoint, problem)
    return None


def usable(checkpoint: Path) -> str | None:
    """Why a whole checkpoint cannot be gone on from; None if it can."""
    try:
        best = best_of(checkpoint)
    except ValueError as error:
        return str(error)
    if not (checkpoint / "optimizer.pt").is_file():
        return "it holds no state of the optimizer (--save_only_model)"
    if best is not None and not is_whole(best):
        return f"the best checkpoint so far, {best.name}, is not whole"
    return None


def clear(folder: Path, go_on_from: Path | None) -> None:
    """Make an output folder ready: delete what a killed run left half-written, or the whole run.

    Args:
        folder: the output folder; it is made.
        go_on_from: the checkpoint that the run goes on from; None: it begins, and all that an earlier run
            wrote goes. Files that are not a run's stay.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    anew = go_on_from is None or go_on_from.parent.resolve() != folder.resolve()
    start_anew(folder, checkpoints=anew and bool(contents(folder)))
    if read_record(folder) is not None:
        for pattern in _WRITTEN:
            for path in folder.glob(pattern):
                if path.is_file():
                    path.unlink()


def keep_the_best(folder: Path, best: str | None) -> None:
    """After training: of the checkpoints, only the best stays."""
    for checkpoint in whole_checkpoints(folder):
        if best is not None and step_of(checkpoint) != step_of(Path(best)):
            shutil.rmtree(checkpoint, ignore_errors=True)


def place_beside(folder: Path, overwrite: bool) -> Path:
    """Where a run without training writes to: its output folder, or one in that if it holds something.

    Args:
        folder: the output folder.
        overwrite: whether predictions of an earlier run without training may be replaced.
    """
    record = read_record(folder)
    only_predictions = record is not None and not record.get("training", {}).get("do_train")
    if not contents(folder) or (overwrite and only_predictions):
        return folder
    number = 1
    while (folder / f"predict-{number}").exists():
        number += 1
    return folder / f"predict-{number}"
