"""Processes that may be stopped at any time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from pixel_m4.sweep import engines
from pixel_m4.sweep.engines import Child, Local


def test_a_process_and_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("before\n")
    words = ["-c", "import os, sys; print(os.getcwd(), os.environ['ONE']); sys.exit(7)"]
    assert Child().run(words, log, {**os.environ, "ONE": "1"}, tmp_path) == 7
    assert log.read_text() == f"before\n{tmp_path} 1\n"


def test_what_is_stopped_before_it_begins(tmp_path: Path) -> None:
    child = Child()
    child.stop()
    assert child.run(["-c", "print(1)"], tmp_path / "log.txt", dict(os.environ)) == -1
    assert not (tmp_path / "log.txt").read_text()


def test_runs_that_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "devices", list)
    monkeypatch.setattr(engines, "CHILD", ["-c", "import time; print(1, flush=True); time.sleep(600)"])
    engine, log, codes = Local(), tmp_path / "log.txt", []
    assert engine.slots == 1
    thread = threading.Thread(target=lambda: codes.append(engine.run([], log)))
    thread.start()
    while not log.exists() or not log.read_text():
        time.sleep(0.01)
    engine.stop()
    thread.join(60)
    assert codes == [-15]
    assert engine.run([], tmp_path / "later.txt") == -1  # it began after the wish to stop
