"""What can be known of a pretraining before its weights are made: its text, and the position in it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from pixel_m4.console.errors import UserError
from pixel_m4.corpus.corpora import TextStream
from pixel_m4.corpus.prepared import PreparedSource
from pixel_m4.corpus.pretraining import Masking
from pixel_m4.corpus.sources import HubSource, Source, nulls_of
from pixel_m4.pretrain.arguments import PretrainTrainingArguments
from pixel_m4.training.checks import (
    check_output,
    check_precision,
    check_reports,
    check_schedule,
    check_workers,
)
from pixel_m4.training.records import SETTINGS
from pixel_m4.training.runs import differences

SECONDS = 3.0  # that looking at the text may take
# What a run that goes on has from its checkpoint, whatever is asked; --max_steps may be raised.
_DECIDING: Mapping[str, Sequence[str]] = {
    "arguments": ("dropout_prob", "class_loss_weight"),
    "training": (
        *("optim", "learning_rate", "muon_learning_rate", "min_learning_rate", "warmup_steps"),
        *("lr_scheduler_type", "lr_scheduler_kwargs", "weight_decay", "adam_beta1", "adam_beta2"),
        *("adam_epsilon", "max_grad_norm", "gradient_accumulation_steps", "seed"),
    ),
}

logger = logging.getLogger(__name__)


def layout_of(training: PretrainTrainingArguments) -> dict[str, int]:
    """What divides the text; with other numbers a position in it has no meaning."""
    return {
        "processes": training.world_size,
        "dataloader_num_workers": training.dataloader_num_workers,
        "per_device_train_batch_size": training.per_device_train_batch_size,
    }


def read_position(checkpoint: Path, training: PretrainTrainingArguments) -> dict[str, Any]:
    """What the checkpoint says of this process's position in the text.

    Raises:
        ValueError: the file is damaged, or is of a run whose text was divided in another way.
    """
    file = checkpoint / f"stream_{training.process_index}.json"
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        layout = state["layout"]
        wanted = state["throughput"], state["loader"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        # A run of fewer processes has no file for this one; its first one has.
        first = checkpoint / "stream_0.json"
        if file == first or not first.is_file():
            raise UserError(f"{file} does not hold a position in the text: {error!r}") from error
        layout, wanted = json.loads(first.read_text(encoding="utf-8"))["layout"], None
    if layout != layout_of(training) or wanted is None:
        raise UserError(
            f"{checkpoint} was written with {layout}, and this run has {layout_of(training)}: the text is "
            "divided in another way, so its position has no meaning here. Use the same numbers, or start "
            f"anew from its weights: --model_name_or_path {checkpoint} with another --output_dir"
        )
    return state


def check_position(
    checkpoint: Path, training: PretrainTrainingArguments, stream: TextStream, masking: Masking
) -> None:
    """Refuse to go on in another text, or with other masks.

    Raises:
        ValueError: says what differs.
    """
    state = read_position(checkpoint, training)
    try:
        for found in stream_states(state["loader"]):
            stream.check_state(found)
    except ValueError as error:
        raise UserError(f"{checkpoint}: {error}") from error
    saved = state.get("masking")
    if saved is not None and saved != asdict(masking):
        raise UserError(
            f"{checkpoint} was written with {saved}, and this run has {asdict(masking)}: go on with the same "
            "--masking, --mask_ratio and --max_span, or start anew from its weights"
        )


def check_settings(checkpoint: Path, now: Mapping[str, Any]) -> None:
    """Refuse to go on with other rates and the like, which the optimizer's saved state would win over.

    Args:
        checkpoint: to go on from.
        now: what ``settings.json`` would hold of this run.

    Raises:
        UserError: says what differs.
    """
    try:
        before = _deciding(json.loads((checkpoint.parent / SETTINGS).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):  # of an earlier version
        return
    if changes := differences(before, _deciding(now)):
        raise UserError(
            f"{checkpoint} is of a run with {'; '.join(changes)}: go on with the same, or start anew from "
            f"its weights: --model_name_or_path {checkpoint} with another --output_dir"
        )


def _deciding(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        section: {name: settings[section][name] for name in names if name in settings[section]}
        for section, names in _DECIDING.items()
    }


def stream_states(state: Any) -> Iterator[Mapping[str, Any]]:
    """The states of streams in that of a loader, wherever they are."""
    if isinstance(state, Mapping):
        if "settings" in state and "shares" in state:
            yield state
        else:
            for part in state.values():
                yield from stream_states(part)


def check_text(stream: TextStream, workers: int, held_out: Mapping[str, Source]) -> None:
    """Look at the beginning of every share of this process, and then read on for a few seconds.

    So damage, wrong columns and wrong types are told now, as far as the time goes, and not after days; and
    rows without text are counted.

    Args:
        stream: of this process.
        workers: how many share the text of a process.
        held_out: the other side of the text.

    Raises:
        ValueError: a file is damaged or holds no text where it should, or a share is empty.
    """
    end = time.monotonic() + SECONDS
    shares = stream.world_size * workers
    for language, source in stream.sources.items():
        if isinstance(source, PreparedSource | HubSource):
            continue
        for worker in range(workers):
            number = stream.rank * workers + worker
            if next(iter(source.open(number, shares)), None) is None and stream.exhausted == "repeat":
                where = f"share {number + 1} of {shares}" if shares > 1 else "the corpus"
                raise UserError(
                    f"no text for {language}: {where} is empty; give more documents"
                    + (", or fewer ranks or workers" if shares > 1 else "")
                    + (", or a smaller --validation_share" if held_out else "")
                )
    files = [
        source for source in stream.sources.values() if not isinstance(source, PreparedSource | HubSource)
    ]
    for number, (language, source) in enumerate(stream.sources.items()):
        if isinstance(source, PreparedSource | HubSource):
            continue
        reader = source.open(0, 1)
        until = time.monotonic() + (end - time.monotonic()) / max(len(files) - number, 1)
        for _ in reader:
            if time.monotonic() > until:
                break
        if stream.rank == 0 and (nulls := nulls_of(reader.position())):
            logger.warning(
                "%s: %s rows without text (null or empty) are passed over, in the part looked at so far",
                language,
                f"{nulls:,}",
            )


def check_pretraining(training: TrainingArguments) -> None:
    """Refuse settings of a pretraining that are impossible here, before text is read.

    Raises:
        ValueError: names the setting, and says what to write.
    """
    check_output(training.output_dir or ".")
    check_precision(training)
    check_reports(training)
    check_workers(training)
    check_schedule(training)
