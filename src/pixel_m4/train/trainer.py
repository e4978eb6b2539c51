"""The HF Trainer for tasks: length-grouped training, evaluation by the task's own decoding and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput

from pixel_m4.tasks.base import Encoded, Task

from .optim import muon_for
from .reporting import ReportingTrainer


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


class TaskTrainer(ReportingTrainer):
    """Trainer whose evaluation decodes and scores through a :class:`Task`.

    Args:
        task: knows how to collate, decode and score.
        muon_learning_rate: of Muon for the matrices of the layers; None: the Trainer's optimizer for all.
        **kwargs: the Trainer's own arguments.
    """

    def __init__(self, *, task: Task, muon_learning_rate: float | None = None, **kwargs: Any) -> None:
        super().__init__(data_collator=task.collate, **kwargs)
        self._task = task
        self._muon_learning_rate = muon_learning_rate
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
        if self.args.train_sampling_strategy != "group_by_length":
            return super()._get_train_sampler(dataset)
        lengths = [item.length for item in dataset.items]
        batch_size = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroupedSampler(batch_size, lengths=lengths)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader:
        """Batches in the order of the split, each with the items it was made from."""

        def collate(batch: list[Encoded]) -> dict[str, Any]:
            return {**self._task.collate(batch), "items": batch}

        loader: DataLoader = DataLoader(
            eval_dataset if eval_dataset is not None else self.eval_dataset,
            batch_size=self.args.eval_batch_size,
            collate_fn=collate,
            num_workers=self.args.dataloader_num_workers,
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
        """Run over a split and score it; the predictions are the task's."""
        self._results = {}
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
