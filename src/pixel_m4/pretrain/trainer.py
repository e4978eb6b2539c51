"""The HF Trainer for pretraining: streamed blocks, masks, a loss for each language, exact resumption.

Dimensions: B batch, P patches, L languages.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import TrainerCallback
from transformers.integrations import TensorBoardCallback

from pixel_m4.corpus.pretraining import MaskedBlocks
from pixel_m4.corpus.progress import progress
from pixel_m4.pretrain.checks import layout_of, read_position
from pixel_m4.pretrain.patch_classes import (
    PatchClasses,
    PixelWithPatchClasses,
    objective_flops,
    objective_loss,
    widened,
)
from pixel_m4.pretrain.pictures import Pictures
from pixel_m4.pretrain.validation import Validation
from pixel_m4.training.optim import muon_for
from pixel_m4.training.reporting import ReportingTrainer
from pixel_m4.training.saving import WholeCheckpoints
from pixel_m4.training.throughput import Throughput, matmul_peak

logger = logging.getLogger(__name__)

Batch = dict[str, Any]


class PretrainTrainer(WholeCheckpoints, ReportingTrainer):
    """Trainer on a stream of blocks.

    Args:
        languages: their names.
        collate: blocks to batches.
        validation: held-out blocks, or None.
        pictures: draws reconstructions, or None.
        endless: whether the stream never ends; if it may, processes ask each other in each step.
        **kwargs: those of :class:`WholeCheckpoints`; ``train_dataset`` is the share of the stream of this
            process.
    """

    def __init__(
        self,
        *,
        languages: Sequence[str],
        collate: MaskedBlocks,
        validation: Validation | None,
        pictures: Pictures | None,
        endless: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_collator=collate, **kwargs)
        self.add_callback(_AfterSteps(self))
        self._languages = languages
        self._masking = collate.masking
        self._validation = validation
        self._pictures = pictures
        self._endless = endless
        self.control: Any
        self.optimizer: Any
        self._loader: StatefulDataLoader | None = None
        self._resume_from: Path | None = None
        dtype = torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else torch.float32
        objective = getattr(self.model, "objective", None)
        self._objective: PatchClasses | None = objective
        config = self.model.config
        more = (lambda patches: 0) if objective is None else partial(objective_flops, config, objective)
        self._throughput = Throughput(config, matmul_peak(self.args.device, dtype), more)
        # Losses of pixels, losses of names, masked patches.
        self._by_language = torch.zeros(3, len(languages), device=self.args.device)
        self.loss_is_scaled_for_ga = True

    def train(self, resume_from_checkpoint: Any = None, **kwargs: Any) -> Any:
        """Train; with a checkpoint, go on where it was written."""
        self._resume_from = None if resume_from_checkpoint is None else Path(resume_from_checkpoint)
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    # Data

    def get_train_dataloader(self) -> DataLoader:
        """Batches of this process's own share of the corpus; accelerate must not divide it again."""
        workers = self.args.dataloader_num_workers
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "'set_vital' is deprecated")  # torchdata 0.11 with torch 2.13
            loader = StatefulDataLoader(
                self.train_dataset,
                batch_size=self.args.per_device_train_batch_size,
                collate_fn=self.data_collator,
                num_workers=workers,
                pin_memory=self.args.dataloader_pin_memory,
                drop_last=self.args.dataloader_drop_last,
                persistent_workers=self.args.dataloader_persistent_workers and workers > 0,
                prefetch_factor=self.args.dataloader_prefetch_factor if workers else None,
                multiprocessing_context=self.args.dataloader_multiprocessing_context if workers else None,
                # Its own source of chance: the common one would give another dropout after a resumption.
                generator=torch.Generator().manual_seed(self.args.seed),
            )
        if self._resume_from is not None:
            loader.load_state_dict(self._read_stream(self._resume_from))
        self._loader = loader
        return loader

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Tensor | None]:
        """The batches of a step, and how many masked patches they and those of other processes hold."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        masked = sum(int((batch["patch_mask"] & (batch["attention_mask"] != 0)).sum()) for batch in batches)
        facts = torch.tensor([[masked, len(batches)]])
        if device.type == "cuda":  # only from pinned memory is a copy not waited for
            facts = facts.pin_memory()
        facts = facts.to(device, non_blocking=True)
        facts = self.accelerator.gather(facts) if self.args.world_size > 1 else facts
        if not self._endless and int(facts[:, 1].min()) < num_batches:
            logger.warning("the text has come to its end after %d steps", self.state.global_step)
            self.control.should_training_stop = True
            return [], None
        return batches, facts[:, 0].sum()

    def _stream_file(self, checkpoint: Path) -> Path:
        return checkpoint / f"stream_{self.args.process_index}.json"

    def _read_stream(self, checkpoint: Path) -> dict[str, Any]:
        state = read_position(checkpoint, self.args)
        self._throughput.load(state["throughput"])
        return state["loader"]

    # Steps

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """As the Trainer, and Muon."""
        if not self.args.muon or self.optimizer is not None:
            return super().create_optimizer(model)
        model = self.model if model is None else model
        decaying = self.get_decay_parameter_names(model)
        self.optimizer = muon_for(model, self.args, decaying, self.args.muon_learning_rate)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Any:
        """Mean over the masked patches of the whole step, in all its parts and processes.

        So a step has the same gradient however it is divided.
        """
        languages = inputs.pop("language")
        outputs = widened(model(**inputs))
        self._count_losses(languages, outputs, inputs["attention_mask"])
        loss = outputs.loss
        if num_items_in_batch is not None:  # gradients are averaged over processes
            loss = outputs.patch_losses.sum()
            if self._objective is not None and outputs.class_losses is not None:
                loss = loss + objective_loss(outputs, self._objective)
            loss = loss * self.args.world_size / num_items_in_batch.clamp(min=1)
        return (loss, outputs) if return_outputs else loss

    @torch.no_grad()
    def _count_losses(self, languages: Tensor, outputs: Any, attention_mask: Tensor) -> None:
        counted = (outputs.mask * (attention_mask != 0)).sum(1)
        pixels = outputs.patch_losses.sum(1)
        names = (
            torch.zeros_like(pixels)
            if self._objective is None or outputs.class_losses is None
            else (outputs.class_losses * outputs.mask).sum(1)
        )
        self._by_language.index_add_(1, languages, torch.stack([pixels, names, counted]))

    def floating_point_ops(self, inputs: Batch) -> float:
        """Operations of a step with a batch that is still on the CPU, by formula; counts its patches, too."""
        return self._throughput.add(inputs["attention_mask"])

    # Reports

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the loss of each language, how fast it went, and how far the text of this process was read."""
        self.state.epoch = self.state.global_step / self.args.max_steps
        if "loss" in logs:
            totals = torch.tensor(self._throughput.totals(), dtype=torch.float64)
            losses = self._by_language.cpu().double()
            if self.args.world_size > 1:
                both = torch.cat([totals, losses.flatten()]).to(self.args.device)
                both = self.accelerator.reduce(both, "sum").cpu()
                totals, losses = both[: len(totals)], both[len(totals) :].view_as(losses)
            for language, loss, _, count in zip(self._languages, *losses.tolist(), strict=True):
                if count:
                    logs[f"loss_{language}"] = loss / count
            if self._objective is not None:
                _, names, counts = losses.sum(1).tolist()
                logs["class_loss"] = names / max(counts, 1)
            if self._loader is not None:
                logs |= progress(self._loader.state_dict())
            logs |= self._throughput.report(totals.tolist(), self.args.world_size)
            self._by_language.zero_()
        super().log(logs, start_time)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Held-out loss of each language, with masks that stay the same, and their mean."""
        if self._validation is None:
            return {}
        with self._aside():
            metrics = self._validation.losses(self.model, self.accelerator, self.compute_loss_context_manager)
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def draw_pictures(self) -> None:
        """Draw reconstructions, if it is time for them."""
        if self._pictures is not None and self._pictures.due(self.state.global_step):
            with self._aside(), self.compute_loss_context_manager():
                self._pictures.draw(self.model, self.state.global_step, self._writer())

    def _writer(self) -> Any:
        callbacks = self.callback_handler.callbacks
        return next((each.tb_writer for each in callbacks if isinstance(each, TensorBoardCallback)), None)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Do something that takes no part in training: neither its time nor its chance, nor its mode."""
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with self._throughput.paused(), torch.random.fork_rng(devices), torch.no_grad():
            self.model.eval()
            yield
            self.model.train()

    # Checkpoints

    @contextmanager
    def saving(self) -> Iterator[None]:
        """The time that it takes is not that of training."""
        with self._throughput.paused():
            yield

    def complete(self, staged: Path) -> None:
        """Add the position in the text."""
        state = {
            "layout": layout_of(self.args),
            "masking": asdict(self._masking),
            "throughput": self._throughput.state(),
            "loader": self._loader.state_dict() if self._loader is not None else None,
        }
        self._stream_file(staged).write_text(json.dumps(state), encoding="utf-8")

    @property
    def best_step(self) -> int | None:
        """No checkpoint is better than the last."""
        return None

    def save_final(self) -> None:
        """As every model, and without the heads that name patches."""
        model = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)
        if isinstance(model, PixelWithPatchClasses):
            model.drop_classes()
        super().save_final()


class _AfterSteps(TrainerCallback):
    """Pictures are drawn, and the last step is reported and evaluated, whatever its number."""

    def __init__(self, trainer: PretrainTrainer) -> None:
        self._trainer = trainer

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        self._trainer.draw_pictures()
        if state.global_step >= state.max_steps:
            control.should_log = True
            control.should_evaluate = args.eval_strategy != "no"
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        # The text has ended before the last step: keep what was learnt.
        if control.should_training_stop and 0 < state.global_step < state.max_steps:
            control.should_log = control.should_save = True
            control.should_evaluate = args.eval_strategy != "no"
        return control


def last_losses(history: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The last value of every number in the Trainer's history."""
    return {name: value for entry in history for name, value in entry.items()}
