"""Which checkpoint a run goes on from that its launcher has started again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from transformers import TrainingArguments

from pixel_m4.training.restarts import MARKER, mark_begin, restarts, settle_restart
from pixel_m4.training.saving import MANIFEST, seal


@dataclass(frozen=True)
class Arguments:
    overwrite_output_dir: bool = True


@pytest.fixture(autouse=True)
def torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")


def write(output: Path, step: int, age: float) -> Path:
    """A whole checkpoint, so many seconds older than the marker."""
    folder = output / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{}")
    seal(folder)
    marker = output / MARKER
    time = (marker.stat().st_mtime if marker.exists() else 1e9) - age
    os.utime(folder / MANIFEST, (time, time))
    return folder


def settle(output: Path, given: str | None = None, fit: tuple[str, ...] = ()) -> tuple[bool, str | None]:
    """Whether the output folder is overwritten, and the checkpoint to go on from."""
    training = TrainingArguments(output_dir=str(output), resume_from_checkpoint=given)
    after = settle_restart(Arguments(), training, lambda folder: not fit or folder.name in fit)
    return after.overwrite_output_dir, training.resume_from_checkpoint


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {}),
        ({"TORCHELASTIC_RESTART_COUNT": "0", "SLURM_RESTART_COUNT": "0"}, {}),
        ({"TORCHELASTIC_RESTART_COUNT": "2"}, {"torchrun": 2}),
        ({"SLURM_RESTART_COUNT": "1", "TORCHELASTIC_RESTART_COUNT": ""}, {"Slurm": 1}),
    ],
)
def test_what_launchers_say(environ: dict[str, str], expected: dict[str, int]) -> None:
    assert restarts(environ) == expected


def test_a_first_start_does_as_it_is_told(tmp_path: Path) -> None:
    (tmp_path / MARKER).touch()
    write(tmp_path, 5, age=-9)
    assert settle(tmp_path, "elsewhere/checkpoint-3") == (True, "elsewhere/checkpoint-3")
    assert not (tmp_path / MARKER).exists()  # it was an earlier run's
    assert settle(tmp_path / "new") == (True, None)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("count", ["TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT"])
def test_a_restart_goes_on_from_what_it_has_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: str
) -> None:
    mark_begin(tmp_path)
    write(tmp_path, 90, age=9)  # of an earlier run
    monkeypatch.setenv(count, "1")
    assert settle(tmp_path, "elsewhere/checkpoint-3") == (True, "elsewhere/checkpoint-3")
    write(tmp_path, 5, age=-9)
    last = write(tmp_path, 10, age=-9)
    assert settle(tmp_path, "elsewhere/checkpoint-3") == (False, str(last))
    assert settle(tmp_path, fit=("checkpoint-5",)) == (False, str(tmp_path / "checkpoint-5"))
    before = (tmp_path / MARKER).stat().st_mtime_ns
    mark_begin(tmp_path)  # a restart leaves it as it is, for the next one
    assert (tmp_path / MARKER).stat().st_mtime_ns == before
    (last / "trainer_state.json").unlink()
    assert settle(tmp_path) == (False, str(tmp_path / "checkpoint-5"))


def test_a_restart_before_the_run_had_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 90, age=0)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert settle(tmp_path) == (True, None)


def test_no_marker_without_a_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    mark_begin(tmp_path)
    assert not list(tmp_path.iterdir())
