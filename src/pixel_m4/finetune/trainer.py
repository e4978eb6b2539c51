"""The HF Trainer for tasks: a reproducible order of examples, evaluation by a task's decoding and scores."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_callback import ExportableState
from transformers.trainer_pt_utils import get_length_grouped_indices
from transformers.trainer_utils import EvalLoopOutput

from pixel_m4.console.errors import UserError
from pixel_m4.model import AnyConfig
from pixel_m4.model.answering import as_tensors
from pixel_m4.model.checks import check_batch
from pixel_m4.tasks.base import Encoded, Task
from pixel_m4.training.optim import muon_for
from pixel_m4.training.reporting import ReportingTrainer
from pixel_m4.training.saving import WholeCheckpoints, best_of, is_whole

PROGRESS = "progress.json"


class EncodedSplit(Dataset[Encoded]):
    """The encoded parts of one split, with the examples that they come from.

    Args:
        task: cuts the examples.
        examples: the split.
        labels: whether there are targets: for training, and for the loss in evaluation.
        sort: longest first, so that a batch holds parts of like lengths (evaluation).
    """

    def __init__(
        self, task: Task, examples: Sequence[Any], *, labels: bool = True, sort: bool = False
    ) -> None:
        self.examples = examples
        self.items: list[Any] = task.encode(examples, labels=labels)
        if sort:
            self.items.sort(key=lambda item: -item.length)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Encoded:
        return self.items[number]


class SeededOrder(Sampler[int]):
    """An order of the examples that the seed and the epoch decide, and nothing that happened before.

    So a run that goes on in the middle of an epoch sees what it has not seen there, and processes that train
    together agree.

    Args:
        count: examples.
        seed: of the order.
        lengths: of the examples, to put those of like lengths into one step; None: without regard to them.
        batch_size: examples of a step.
        groups: what each example belongs to, such as a treebank; needed for a power other than 1.
        power: an epoch has as many draws as there are examples, and a group's share of them is proportional
            to its size to this power.  Over the epochs all examples of a group come equally often.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        lengths: Sequence[int] | None = None,
        batch_size: int = 1,
        groups: Sequence[str] | None = None,
        power: float = 1.0,
    ) -> None:
        self._count = count
        self._seed = seed
        self._lengths = lengths
        self._batch_size = batch_size
        self._epoch = 0
        self._members: list[np.ndarray] = []
        if groups is not None and power != 1:
            numbers = np.unique(np.asarray(groups), return_inverse=True)[1]
            self._members = [np.flatnonzero(numbers == group) for group in range(numbers.max() + 1)]
            self._draws = shares(count, [len(members) ** power for members in self._members])

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[int]:
        generator = self._generator(self._epoch)
        chosen = torch.tensor(self._drawn()) if self._members else torch.arange(self._count)
        order = chosen[torch.randperm(self._count, generator=generator)]
        if self._lengths is None:
            return iter(order.tolist())
        lengths = [self._lengths[number] for number in order.tolist()]
        grouped = torch.tensor(get_length_grouped_indices(lengths, self._batch_size, generator=generator))
        steps = grouped.split(self._batch_size)  # from long to short, again and again: only the last is short
        mixed = torch.randperm(self._count // self._batch_size, generator=generator).tolist()
        steps = [*(steps[number] for number in mixed), *steps[len(mixed) :]]
        return iter(order[torch.cat(steps)].tolist())

    def _drawn(self) -> list[int]:
        """The examples of the epoch: each group's go round and round, in a new order at each turn."""
        drawn: list[int] = []
        for group, (members, draws) in enumerate(zip(self._members, self._draws, strict=True)):
            first = self._epoch * draws
            for turn in range(first // len(members), -(-(first + draws) // len(members))):
                order = torch.randperm(len(members), generator=self._generator(turn, group)).numpy()
                start = turn * len(members)
                part = slice(max(first - start, 0), first + draws - start)
                drawn += members[order[part]].tolist()
        return drawn

    def _generator(self, *numbers: int) -> torch.Generator:
        mixed = np.random.SeedSequence([self._seed, *numbers]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))


def shares(count: int, weights: Sequence[float]) -> list[int]:
    """Divide a count by weights into whole numbers, by the largest remainders."""
    exact = count * np.asarray(weights) / np.sum(weights)
    whole = np.floor(exact).astype(int)
    largest = np.argsort(whole - exact, kind="stable")[: count - whole.sum()]
    whole[largest] += 1
    return whole.tolist()


def collate(task: Task, config: AnyConfig | None, items: Sequence[Any]) -> dict[str, torch.Tensor]:
    """The arguments of a model, as tensors.

    Args:
        task: collates.
        config: of a model on a device that does not look at values: they are checked before they are copied.
        items: parts of examples.

    Raises:
        ValueError: The model that `config` is of cannot be given this batch.
    """
    batch = as_tensors(task.collate(items))
    if config is not None:
        check_batch(config, batch)
    return batch


class TaskTrainer(WholeCheckpoints, ReportingTrainer):
    """Trainer whose evaluation decodes and scores through a :class:`Task`.

    It goes on from a checkpoint to the same bits as without the stop.

    Args:
        task: knows how to collate, decode and score; its renderer is saved with every checkpoint.
        muon_learning_rate: of Muon for the matrices of the layers; None: the Trainer's optimizer for all.
        sampling_power: see :class:`SeededOrder`; the groups are the task's.
        **kwargs: those of :class:`WholeCheckpoints`.
    """

    control: Any

    def __init__(
        self,
        *,
        task: Task,
        muon_learning_rate: float | None = None,
        sampling_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        # The Trainer counts checkpoints otherwise, and would delete the newest when training ends.
        self._limit = kwargs["args"].save_total_limit
        kwargs["args"] = copy.copy(kwargs["args"])
        kwargs["args"].save_total_limit = None
        # On the CPU the model looks at values itself.
        on_cpu = kwargs["args"].device.type == "cpu"
        config = kwargs["model"].config
        self._collate = partial(collate, task, None if on_cpu else config)
        super().__init__(data_collator=self._collate, processing_class=task.renderer, **kwargs)
        self.add_callback(_Course(self))
        self._order: SeededOrder | None = None
        self._goes_on_from: Path | None = None
        self._at_the_end = False
        self._task = task
        self._muon_learning_rate = muon_learning_rate
        self._sampling_power = sampling_power
        self._results: dict[tuple[int, int], Any] = {}

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        """As the Trainer, or Muon."""
        if self._muon_learning_rate is None or self.optimizer is not None:
            return super().create_optimizer(model)
        model = self.model if model is None else model
        decaying = self.get_decay_parameter_names(model)
        self.optimizer: torch.optim.Optimizer | None = muon_for(
            model, self.args, decaying, self._muon_learning_rate
        )
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler | None:
        dataset = train_dataset or self.train_dataset
        args = self.args
        if args.train_sampling_strategy not in ("group_by_length", "random"):
            return super()._get_train_sampler(dataset)
        by_length = args.train_sampling_strategy == "group_by_length"
        groups = None
        if self._sampling_power != 1:
            groups = [self._task.group_of(dataset.examples[item.example]) for item in dataset.items]
        self._order = SeededOrder(
            len(dataset),
            args.seed if args.data_seed is None else args.data_seed,
            [item.length for item in dataset.items] if by_length else None,
            args.train_batch_size * args.gradient_accumulation_steps,
            groups,
            self._sampling_power,
        )
        return self._order

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Batches in the order of the split, each with the items it was made from."""

        def with_items(batch: list[Encoded]) -> dict[str, Any]:
            return {**self._collate(batch), "items": batch}

        loader: DataLoader = DataLoader(
            eval_dataset if eval_dataset is not None else self.eval_dataset,
            batch_size=self.args.eval_batch_size,
            collate_fn=with_items,
            num_workers=self.args.dataloader_num_workers,
            pin_memory=self.args.dataloader_pin_memory,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            multiprocessing_context=self.args.dataloader_multiprocessing_context,
        )
        return self.accelerator.prepare(loader)

    get_test_dataloader = get_eval_dataloader

    def prediction_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor | None, None, None]:
        """Run the model on one batch and keep what the task decodes from it."""
        batch = inputs.pop("items")
        with torch.inference_mode(), self.compute_loss_context_manager():
            outputs = model(**self._prepare_inputs(inputs))
        for item, result in zip(batch, self._task.decode(outputs, batch), strict=True):
            self._results[item.example, item.start] = result
        return (None if outputs.loss is None else outputs.loss.detach().mean()), None, None

    def evaluation_loop(self, dataloader: DataLoader, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Run over a split and score it; the predictions are the task's.  Training's chance is left alone."""
        self._results = {}
        devices = [self.args.device] if self.args.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            output = super().evaluation_loop(dataloader, *args, **kwargs)
        results = dict(gather_object(list(self._results.items())))  # a split is padded by repeating items
        split: EncodedSplit = dataloader.dataset  # type: ignore[assignment]
        ordered = [results[item.example, item.start] for item in split.items]
        predicted = self._task.predict(split.examples, split.items, ordered)
        prefix = kwargs.get("metric_key_prefix", "eval")
        scores = {
            f"{prefix}_{name}": value for name, value in self._task.score(split.examples, predicted).items()
        }
        return output._replace(predictions=predicted, metrics={**output.metrics, **scores})

    # Checkpoints

    @property
    def save_total_limit(self) -> int | None:
        """How many checkpoints stay, as the user said it."""
        return self._limit

    def train(self, resume_from_checkpoint: Any = None, **kwargs: Any) -> Any:
        """Train; with a checkpoint, go on where it was written."""
        self._goes_on_from = None if resume_from_checkpoint is None else Path(resume_from_checkpoint)
        if self._goes_on_from is not None:
            self.args.eval_on_start = False  # it was done at the start
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def complete(self, staged: Path) -> None:
        """Add what the Trainer's mean loss is counted from."""
        if self.args.should_save:
            progress = {
                "loss": self._total_loss_scalar,
                "loss_since_last_log": float(self._tr_loss),
                "last_log": self._globalstep_last_logged,
            }
            (staged / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """The mean loss is that of all steps, those before a stop too."""
        if "train_loss" in logs:
            logs["train_loss"] = self._total_loss_scalar / max(1, self.state.global_step)
        super().log(logs, start_time)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The batches of a step; none if the checkpoint that the run goes on from was its last."""
        waiting = [
            each for each in self.callback_handler.callbacks if isinstance(each, EarlyStoppingCallback)
        ]
        if self.state.global_step >= self.state.max_steps or any(
            each.early_stopping_patience_counter >= each.early_stopping_patience for each in waiting
        ):
            self.control.should_training_stop = self._at_the_end = True
            return [], None
        return super().get_batch_samples(*args, **kwargs)

    def _go_on(self, checkpoint: Path) -> None:
        """Restore what the Trainer itself does not: counts of losses and of early stopping, the best one.

        Raises:
            ValueError: the best checkpoint so far is not there.
        """
        for callback in (
            each for each in self.callback_handler.callbacks if isinstance(each, ExportableState)
        ):
            name = type(callback).__name__
            saved = self.state.stateful_callbacks.setdefault(name, callback.state())
            saved = saved[-1] if isinstance(saved, list) else saved
            if isinstance(callback, EarlyStoppingCallback):
                counter = saved["attributes"]["early_stopping_patience_counter"]
                callback.early_stopping_patience_counter = counter
        if (checkpoint / PROGRESS).is_file():
            progress = json.loads((checkpoint / PROGRESS).read_text(encoding="utf-8"))
            self._total_loss_scalar = progress["loss"]
            self._tr_loss += progress["loss_since_last_log"]
            self._globalstep_last_logged = progress["last_log"]
        best = best_of(checkpoint)
        if best is not None and self.args.load_best_model_at_end and not is_whole(best):
            raise UserError(f"the best checkpoint so far, {best}, is not there any more, or not whole")
        self.state.best_model_checkpoint = None if best is None else str(best)


class _Course(TrainerCallback):
    """Sees to it that a checkpoint holds all that happened before it."""

    def __init__(self, trainer: TaskTrainer) -> None:
        self._trainer = trainer
        self._late = False

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._trainer._goes_on_from is not None:
            self._trainer._go_on(self._trainer._goes_on_from)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self._trainer._order is not None:
            self._trainer._order.set_epoch(int(state.epoch or 0))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        last = state.global_step >= state.max_steps or control.should_training_stop
        if (
            control.should_save
            and args.eval_strategy == "epoch"
            and (last or state.epoch == int(state.epoch))
        ):
            control.should_save, self._late = False, True  # after the evaluation that is to come
        return control

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        if self._trainer._at_the_end:  # all this was done before the checkpoint was written
            control.should_log = control.should_evaluate = control.should_save = False
        elif self._late:
            control.should_save, self._late = True, False
        return control
