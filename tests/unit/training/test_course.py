"""The course of a run: bars in a terminal, lines in a pipe, scores in a table."""

from __future__ import annotations

import io
import re
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pixel_m4.console.screen import plain_console
from pixel_m4.training.progress import Course


def state(step: int, steps: int = 20) -> Any:
    return SimpleNamespace(global_step=step, max_steps=steps, is_world_process_zero=True)


def run(course: Course) -> None:
    """Twenty steps, with two evaluations."""
    course.on_train_begin(None, state(0), None)
    for step in range(1, 21):
        course.on_step_end(None, state(step), None)
        if step == 4:
            course.on_log(None, state(step), None, logs={"loss": 1.234})
        if step in (10, 20):
            for _ in range(3):
                course.on_prediction_step(None, state(step), None, eval_dataloader=range(3))
            scores = {"eval_uas": 5.0 * step, "eval_las_mst": 40.04, "eval_loss": 0.5, "eval_runtime": 3.0}
            course.on_log(None, state(step), None, logs=scores)
            course.on_evaluate(None, state(step), None)
    course.on_train_end(None, state(20), None)


def test_in_a_pipe_it_is_lines_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 4))  # seconds; a step takes four
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with Course(plain_console(file=out)) as course:
        run(course)
    lines = out.getvalue().splitlines()
    assert lines[:3] == [
        "training: 20 steps",
        "step 3 of 20, about 68 s left",
        "step 6 of 20, loss 1.23, about 56 s left",
    ]
    assert [line for line in lines if not line.startswith(("step", "training"))] == [
        " dev, step       uas   las_mst      loss",
        "        10     50.00     40.04      0.50",
        "        20    100.00     40.04      0.50",
    ]
    assert len(lines) == 1 + 6 + 3
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out.getvalue())


def test_in_a_terminal_it_is_a_bar_a_phase() -> None:
    out = io.StringIO()
    console = plain_console(file=out, force_terminal=True, width=100)
    with Course(console) as course:
        run(course)
        course.phase = "test"
        course.on_prediction_step(None, state(20), None, eval_dataloader=range(3))
        course.on_predict(None, state(20), None, {})
    text = out.getvalue()
    assert "training, loss 1.23" in text
    assert "dev" in text
    assert "test" in text
    assert " dev, step       uas" in text
    out.truncate(0)
    with Course(console, bar=False) as course:
        run(course)
    assert "training: 20 steps" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_many_scores_are_one_line_and_other_processes_are_silent() -> None:
    out = io.StringIO()
    course = Course(plain_console(file=out))
    course.on_log(None, state(7), None, logs={f"eval_{number}": number / 3 for number in range(9)})
    assert out.getvalue().startswith("step 7: 0 0, 1 0.3333, 2 0.6667")
    other = state(1)
    other.is_world_process_zero = False
    out.truncate(0)
    for event in (course.on_train_begin, course.on_step_end, course.on_prediction_step):
        event(None, other, None)
    course.on_log(None, other, None, logs={"eval_x": 1.0})
    assert not out.getvalue().strip("\0")
