"""The sweep with a stand-in for training, which leaves a line in a file each time it runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import pixel_m4.sweep.engines as module
from pixel_m4.cli.main import main
from pixel_m4.console import threads
from pixel_m4.training.saving import seal

CHILD = """
import json, os, signal, sys, threading, time
from pathlib import Path
def watch():
    while os.read(0, 1024): pass
    os._exit(1)
threading.Thread(target=watch, daemon=True).start()
def stop(*_):
    print("asked to stop", flush=True)
    os._exit(143)
signal.signal(signal.SIGTERM, stop)
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
words = sys.argv[1:]
given = dict(zip(words[1::2], words[2::2]))
output, data = Path(given["--output_dir"]), Path(given["--data_dir"])
with (data / "starts").open("a") as stream:
    stream.write(f"{output} {os.environ.get('OMP_NUM_THREADS')} {given.get('--resume_from_checkpoint')}\\n")
print("about to train")
if (data / "fail").exists() and given["--seed"] == "1":
    sys.exit("out of luck")
while (data / "hold").exists() and given["--seed"] == "1":
    time.sleep(0.02)
score = 50 + int(given["--seed"])
if (data / "diverge").exists() and given["--seed"] == "1":
    score = float("nan")
(output / "run.json").write_text(json.dumps({"finished": "today"}))
(output / "all_results.json").write_text(json.dumps({"eval_las": score, "test_las": score}))
"""
SWEEP = """
task: parsing
data_dir: {data}
config_name: nano
learning_rate: [1.0e-5, 5.0e-5]
seed: [0, 1]
max_steps: {steps}
"""


class Place:
    """A sweep of four runs."""

    def __init__(self, folder: Path) -> None:
        self.data, self.file, self.output = folder / "data", folder / "sweep.yaml", folder / "runs"
        self.data.mkdir()
        self.child = folder / "child.py"
        self.child.write_text(CHILD)
        self.write()

    def write(self, steps: int = 300) -> None:
        self.file.write_text(SWEEP.format(data=self.data, steps=steps))

    def run(self, *options: str) -> int:
        return main(["sweep", str(self.file), "--output_dir", str(self.output), *options])

    @property
    def starts(self) -> list[str]:
        file = self.data / "starts"
        return file.read_text().splitlines() if file.exists() else []

    @property
    def finished(self) -> dict[Path, int]:
        return {file: file.stat().st_mtime_ns for file in self.output.rglob("all_results.json")}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.setattr(module, "CHILD", [str(place.child)])
    monkeypatch.setattr(module, "devices", list)
    return place


def test_finished_runs_are_not_repeated(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run() == 0
    assert len(place.starts) == 4
    assert "| 50.5 ± 0.7 | 2 |" in capsys.readouterr().out
    before = place.finished
    assert place.run() == 0
    assert (len(place.starts), place.finished) == (4, before)
    for name in ("table.md", "table.csv", "table.tex", "runs.csv"):
        (place.output / name).unlink()
    assert place.run("--report_only") == 0
    assert (place.output / "table.tex").is_file()
    assert len(place.starts) == 4


def test_dry_run_lists_and_writes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("--dry_run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("new         pixel-m4 finetune parsing --data_dir ")
    assert not place.output.exists()
    place.run()
    capsys.readouterr()
    place.run("--dry_run")
    assert all(line.startswith("done ") for line in capsys.readouterr().out.splitlines())


def test_failures_are_reported_and_the_others_go_on(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.data / "fail").touch()
    assert place.run() == 1
    shown = capsys.readouterr()
    assert "    about to train\n    out of luck" in shown.out
    assert "2 of 4 runs failed: parsing/learning_rate=1e-05,seed=1" in shown.err
    assert len(place.finished) == 2
    assert (place.output / "table.md").is_file()
    (place.data / "fail").unlink()
    before = place.finished
    assert place.run() == 0
    assert len(place.starts) == 6
    assert before.items() <= place.finished.items()


def test_a_run_that_diverged_is_not_in_the_tables(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """One such score cost all tables."""
    (place.data / "diverge").touch()
    assert place.run() == 0
    shown = capsys.readouterr().out
    assert "parsing/learning_rate=1e-05,seed=1: test_las is no number, so it is not in the tables" in shown
    assert "the tables lack 2 of 4 runs" in shown
    assert "| 50.0 | 1 |" in shown
    assert place.run() == 0
    assert len(place.starts) == 4


def test_a_finished_run_without_the_score_is_kept(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """It was deleted and trained again by every start."""
    plain = place.file.read_text()
    place.file.write_text(f"{plain}metric: uas\n")
    assert place.run() == 1
    assert "FAILED (there is no test_uas in all_results.json; of the scores that it has (las)" in (
        capsys.readouterr().out
    )
    before = place.finished
    assert place.run() == 1
    assert "is finished, but there is no test_uas in all_results.json" in capsys.readouterr().err
    place.file.write_text(plain)
    assert place.run() == 0
    assert (len(place.starts), place.finished) == (4, before)


def test_changed_arguments(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.run()
    place.write(steps=400)
    assert place.run() == 1
    error = capsys.readouterr().err
    assert "max_steps 300 → 400" in error
    assert "--rerun_changed" in error
    assert len(place.starts) == 4
    assert place.run("--rerun_changed") == 0
    assert len(place.starts) == 8
    assert place.run() == 0
    assert len(place.starts) == 8


def test_folders_of_something_else_are_left_alone(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    folder = place.output / "parsing" / "learning_rate=1e-05,seed=0"
    folder.mkdir(parents=True)
    (folder / "thesis.tex").touch()
    assert place.run() == 1
    assert "not of a sweep" in capsys.readouterr().err
    assert (folder / "thesis.tex").exists()


def test_threads_are_shared_out(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert place.run("--jobs", "3") == 0
    assert {line.split()[1] for line in place.starts} == {"2"}


def test_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    gpus = module.devices()
    seen = [module.environment(slot, 3, gpus)["CUDA_VISIBLE_DEVICES"] for slot in range(3)]
    assert seen == ["4", "6", "4"]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert module.devices() == ["0", "1"]


def test_runs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "processors", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for gpus in ([], ["0", "1"]):
        assert module.environment(0, 3, gpus)["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert module.environment(0, 3, [])["OMP_NUM_THREADS"] == "5"


def test_bad_number_of_jobs(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert place.run("--jobs", "0") == 1
    assert "at least 1, got 0" in capsys.readouterr().err


def test_interrupted_runs_go_on_from_whole_checkpoints(place: Place) -> None:
    place.run()
    folder = place.output / "parsing" / "learning_rate=1e-05,seed=0"
    (folder / "all_results.json").write_text('{"eval_las": 50')  # cut off
    for step, whole in ((5, True), (10, True), (15, False)):
        checkpoint = folder / f"checkpoint-{step}"
        checkpoint.mkdir()
        (checkpoint / "trainer_state.json").write_text('{"best_model_checkpoint": null}', encoding="utf-8")
        (checkpoint / "optimizer.pt").touch()
        if whole:
            seal(checkpoint)
    assert place.run("--resume_runs") == 0
    assert len(place.starts) == 5
    assert place.starts[-1].endswith("checkpoint-10")
    (folder / "all_results.json").unlink()
    assert place.run() == 0
    assert place.starts[-1].endswith("None")
    assert not (folder / "checkpoint-10").exists()


@pytest.mark.slow
def test_a_killed_sweep_repeats_no_finished_run(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.data / "hold").touch()
    script = (
        "from pixel_m4.sweep import engines, run; from pathlib import Path; "
        f"engines.CHILD = [{str(place.child)!r}]; "
        f"run.sweep(Path({str(place.file)!r}), Path({str(place.output)!r}), jobs=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    _wait(lambda: len(place.starts) == 2, process)
    assert place.run() == 1
    assert "another sweep is at work" in capsys.readouterr().err
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = place.finished
    assert len(before) == 1
    (place.data / "hold").unlink()
    assert place.run() == 0
    assert len(place.starts) == 2 + 3
    assert before.items() <= place.finished.items()
    assert len(place.finished) == 4


@pytest.mark.slow
def test_sigterm_ends_the_runs_and_says_how_to_go_on(place: Place) -> None:
    (place.data / "hold").touch()
    script = (
        "import sys; from pixel_m4.sweep import engines; from pixel_m4.cli.main import main; "
        f"engines.CHILD = [{str(place.child)!r}]; "
        "sys.exit(main())"
    )
    words = ["sweep", str(place.file), "--output_dir", str(place.output), "--jobs", "1"]
    command = [sys.executable, "-c", script, *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _wait(lambda: len(place.starts) == 2, process)
    process.send_signal(signal.SIGTERM)
    error = process.communicate()[1].decode()
    assert process.returncode == 143
    assert "Traceback" not in error
    assert f"pixel-m4 sweep {place.file} --output_dir {place.output} --jobs 1 --resume_runs" in error


def test_runs_end_with_the_sweep(place: Place) -> None:
    """The real child leaves when its standard input is closed, however busy it is."""
    child = subprocess.Popen(
        [sys.executable, "-m", "pixel_m4.sweep.child", "parsing", "--help"], stdin=subprocess.PIPE
    )
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(timeout=600) == 1


def _wait(ready, process: subprocess.Popen[bytes]) -> None:  # type: ignore[no-untyped-def]
    """On a busy machine a process takes minutes to begin; it is only lost when it has ended."""
    while not ready():
        assert process.poll() is None, "the process has ended too early"
        time.sleep(0.05)
