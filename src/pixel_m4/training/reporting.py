"""What both Trainers of ours write otherwise than that of transformers: rates by their names, no pickles.

The course of a run is shown by :class:`~pixel_m4.training.progress.Course`, not by the Trainer.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import PrinterCallback, ProgressCallback, TrainerCallback, TrainingArguments
from transformers.trainer import TRAINING_ARGS_NAME

from pixel_m4.console.redact import remember
from pixel_m4.training.busy import BusyNote
from pixel_m4.training.defaults import settle_tf32
from pixel_m4.training.publishing import PublishingTrainer


def learning_rates(groups: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The rates of an optimizer's groups: ``learning_rate``, and ``muon_learning_rate`` if Muon works too.

    Muon's groups are those without the betas that AdamW's have.
    """
    groups = list(groups)
    adamw = [group for group in groups if "betas" in group]
    muon = [group for group in groups if "betas" not in group]
    rates = {"learning_rate": float((adamw or muon)[0]["lr"])}
    return {**rates, "muon_learning_rate": float(muon[0]["lr"])} if adamw and muon else rates


class ReportingTrainer(PublishingTrainer):
    """The Trainer, with a log that says which rate is whose, and without pickles of its arguments.

    A ``hub_token`` goes to where the hub's client looks for it, the environment of this process, so that
    nothing can write it down.
    """

    optimizer: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        hide_token(kwargs["args"])
        super().__init__(*args, **kwargs)
        settle_tf32(self.args)
        self.remove_callback(PrinterCallback)
        self.remove_callback(ProgressCallback)
        self._muon_rate: float | None = None
        self._begun_epoch = 0.0
        self.add_callback(_Begun(self))
        self.add_callback(BusyNote())

    def _get_learning_rate(self) -> float:
        """AdamW's; Muon's is kept for the log, as the next step's rates are set before that is written."""
        rates = learning_rates(self.optimizer.param_groups)
        self._muon_rate = rates.get("muon_learning_rate")
        return super()._get_learning_rate() if self._muon_rate is None else rates["learning_rate"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add Muon's rate where AdamW's is."""
        if "learning_rate" in logs and self._muon_rate is not None:
            logs["muon_learning_rate"] = self._muon_rate
        super().log(logs, start_time)

    def _prepare_input(self, data: Any) -> Any:
        """As the Trainer; the host does not wait for the copy of what lies in pinned memory."""
        if isinstance(data, Tensor) and data.is_pinned():
            return data.to(self.args.device, non_blocking=True)
        return super()._prepare_input(data)

    @property
    def trained_samples(self) -> float:
        """Samples that were trained on since this process began, by the share of the epochs that is done."""
        dataset: Any = self.train_dataset
        return len(dataset) * (float(self.state.epoch or 0.0) - self._begun_epoch)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Without ``training_args.bin``: nothing reads it, it is a pickle, and ``run.json`` says the same."""
        super()._save(output_dir, state_dict)
        if self.args.should_save:
            (Path(output_dir or self.args.output_dir) / TRAINING_ARGS_NAME).unlink(missing_ok=True)


def hide_token(training: TrainingArguments) -> None:
    """Move ``--hub_token`` from the arguments to the environment, where the hub's client looks for it."""
    if training.hub_token:
        remember(training.hub_token)
        os.environ["HF_TOKEN"] = training.hub_token
        training.hub_token = None


class _Begun(TrainerCallback):
    """Notes where this process begins in the course of training."""

    def __init__(self, trainer: ReportingTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer._begun_epoch = float(state.epoch or 0.0)
