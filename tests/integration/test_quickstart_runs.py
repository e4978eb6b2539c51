"""The quickstart, with a few steps instead of hundreds."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from pixel_m4.cli.main import main
from pixel_m4.console.screen import plain_console
from pixel_m4.quickstart import run as quickstart

# What the quickstart promises to add to LAS, by language; processors round differently.
GAINS = {"Azerbaijani": 5.0, "Galician": 4.0, "Tatar": 5.0, "Ukrainian": 5.0}


def test_quickstart_shows_scores_a_tree_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(["quickstart", "--output_dir", str(output), "--max_steps", "2"]) == 0
    out = capsys.readouterr().out
    for row in ("Azerbaijani", "Galician", "Tatar", "Ukrainian", "all"):
        assert re.search(rf"{row}.* → .* → .* → ", out)
    assert "root" in out
    assert json.loads((output / "all_results.json").read_text())["train_steps"] == 2
    report = (output / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/png;base64,") == 4
    assert report.count("<svg") == 4
    assert re.search(r"<td>all</td><td>180</td>", report)


@pytest.mark.slow
def test_the_whole_quickstart_learns_what_is_promised(tmp_path: Path) -> None:
    scores = quickstart.run(None, tmp_path / "out")
    for language, least in GAINS.items():
        assert scores[language].after["las_mst"] - scores[language].before["las_mst"] > least


def test_progress_in_a_pipe_is_lines_with_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 1000, 4))  # seconds; a step takes four
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    out = io.StringIO()
    with quickstart._shown_on(plain_console(file=out)) as shown:
        state = SimpleNamespace(global_step=0, max_steps=20)
        shown.on_train_begin(None, state, None)
        for step in range(1, 21):
            state.global_step = step
            shown.on_step_end(None, state, None)
            if step == 4:
                shown.on_log(None, state, None, logs={"loss": 1.234})
        shown.on_log(None, state, None, logs={"eval_uas": 50.0, "eval_las": 40.04})
    lines = out.getvalue().splitlines()
    assert lines[:3] == [
        "training: 20 steps",
        "step 3 of 20, about 68 s left",
        "step 6 of 20, loss 1.23, about 56 s left",
    ]
    assert lines[-1] == "step 20: dev UAS 50.0, LAS 40.0"
    assert len(lines) == 1 + 6 + 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", out.getvalue())


def test_progress_in_a_terminal_is_a_bar() -> None:
    out = io.StringIO()
    with quickstart._shown_on(plain_console(file=out, force_terminal=True, width=80)) as shown:
        state = SimpleNamespace(global_step=0, max_steps=20)
        shown.on_train_begin(None, state, None)
        state.global_step = 20
        shown.on_log(None, state, None, logs={"loss": 1.234})
        shown.on_step_end(None, state, None)
    assert "20/20" in out.getvalue()
    assert "training, loss 1.23" in out.getvalue()


@pytest.mark.slow
def test_quickstart_takes_a_real_treebank(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "data" / "ud" / "UD_Marathi-UFAL"
    command = ["quickstart", "--data_dir", str(folder), "--output_dir", str(tmp_path / "out")]
    assert main([*command, "--max_steps", "2"]) == 0
    out = capsys.readouterr().out
    assert "UD_Marathi-UFAL" in out.replace("\n", "")
    assert "Tatar" not in out
