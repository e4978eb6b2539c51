"""The course of a run on the screen: a bar a phase with rate and time left, scores in a table as they come.

Into a pipe or a file it is a line now and then, without control characters.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from transformers import TrainerCallback
from transformers.trainer_utils import has_length
from transformers.utils import logging as transformers_logging

from pixel_m4.console.screen import plain_console

_SECONDS = 10.0  # between two lines in a pipe
_MOST = 8  # scores that fit in a row
_NOT_SCORES = ("runtime", "per_second", "model_preparation_time", "epoch")


class _Rate(ProgressColumn):
    """Steps a second, or seconds a step."""

    def render(self, task: Task) -> Text:
        """Nothing before it is known."""
        if not task.speed:
            return Text("")
        return Text(f"{task.speed:.1f}/s" if task.speed >= 1 else f"{1 / task.speed:.1f} s each", "dim")


class Course(TrainerCallback):
    """Shows training and evaluation; leave its context, and the bars are gone.

    Args:
        console: where; default the standard error.
        bar: whether a terminal gets bars; without, it gets lines too.

    Attributes:
        phase: what is evaluated: dev, unless somebody says otherwise.
    """

    def __init__(self, console: Console | None = None, *, bar: bool = True) -> None:
        self.console = plain_console(stderr=True, soft_wrap=False) if console is None else console
        self.phase = "dev"
        self._loss = ""
        self._columns: tuple[str, ...] = ()
        self._bars: Progress | None = None
        if bar and self.console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
            self._bars = Progress(*columns, TimeRemainingColumn(), console=self.console, transient=True)
        self._training: TaskID | None = None
        self._evaluating: TaskID | None = None
        self._begun = self._shown = 0.0
        self._first = 0

    def __enter__(self) -> Course:
        transformers_logging.disable_progress_bar()  # those of loading and saving would run into ours
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bars away."""
        if self._bars is not None:
            self._bars.stop()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The first line, or the bar of training."""
        if not state.is_world_process_zero:
            return
        self._first = state.global_step
        self._begun = self._shown = time.monotonic()
        if self._bars is None:
            self.console.print(f"training: {state.max_steps} steps")
            return
        self._bars.start()
        self._training = self._bars.add_task("training", total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Move the bar, or write a line now and then."""
        if not state.is_world_process_zero:
            return
        if self._bars is not None and self._training is not None:
            text = f"training{self._loss}"
            self._bars.update(self._training, completed=state.global_step, description=text)
            return
        now = time.monotonic()
        if now - self._shown < _SECONDS or state.global_step >= state.max_steps:
            return
        self._shown = now
        seconds = (now - self._begun) / (state.global_step - self._first)
        left = seconds * (state.max_steps - state.global_step)
        how_long = f"{left:.0f} s" if left < 100 else f"{left / 60:.0f} min"
        self.console.print(
            f"step {state.global_step} of {state.max_steps}{self._loss}, about {how_long} left"
        )

    def on_prediction_step(
        self, args: Any, state: Any, control: Any, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """Move the bar of an evaluation, which comes with its first batch."""
        if self._bars is None or not state.is_world_process_zero or not has_length(eval_dataloader):
            return
        if self._evaluating is None:
            self._bars.start()
            self._evaluating = self._bars.add_task(self.phase, total=len(eval_dataloader))
        self._bars.advance(self._evaluating)

    def _evaluated(self) -> None:
        if self._bars is not None and self._evaluating is not None:
            self._bars.remove_task(self._evaluating)
        self._evaluating = None

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The bar of an evaluation goes."""
        self._evaluated()

    def on_predict(self, args: Any, state: Any, control: Any, *_: Any, **kwargs: Any) -> None:
        """The bar of an evaluation goes."""
        self._evaluated()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The bar of training goes."""
        if self._bars is not None and self._training is not None:
            self._bars.remove_task(self._training)
            self._training = None

    def on_log(
        self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Remember the loss; show scores."""
        if not logs or not state.is_world_process_zero:
            return
        if "loss" in logs:
            self._loss = f", loss {float(logs['loss']):.2f}"
        scores = {
            name.removeprefix("eval_"): float(value)
            for name, value in logs.items()
            if name.startswith("eval_") and not name.endswith(_NOT_SCORES)
        }
        if not scores:
            return
        if len(scores) > _MOST:
            said = ", ".join(f"{name} {value:.4g}" for name, value in scores.items())
            self.console.print(f"step {state.global_step}: {said}", soft_wrap=True)
            return
        widths = [max(len(name), 8) + 2 for name in scores]
        if self._columns != tuple(scores):
            self._columns = tuple(scores)
            names = "".join(f"{name:>{width}}" for name, width in zip(scores, widths, strict=True))
            self.console.print(f"{'dev, step':>10}{names}", soft_wrap=True)
        row = "".join(f"{value:>{width}.2f}" for value, width in zip(scores.values(), widths, strict=True))
        self.console.print(f"{state.global_step:>10}{row}", soft_wrap=True)
