"""Runs that are stopped, at any moment and in any way, and go on."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import random
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError
from test_finetuning_runs import make_treebank
from test_text_tasks import make_questions, make_reviews

from pixel_m4.checkpoint import open_task
from pixel_m4.cli.main import main
from pixel_m4.finetune import run as finetune
from pixel_m4.finetune.records import RunRecord
from pixel_m4.model import PixelForBiaffineParsing
from pixel_m4.render import TextRenderer
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.training import saving

SMALL = shlex.split(
    """
    --config_name nano --max_seq_length 64 --disable_tqdm true --report_to none --dropout_prob 0.1
    --per_device_train_batch_size 4 --warmup_steps 2 --learning_rate 1e-3 --seed 3
    --num_train_epochs 3 --logging_steps 3
    """
)


class Killed(BaseException):
    """Nothing handles it, as nothing handles SIGKILL."""


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_treebank(tmp_path_factory.mktemp("data") / "ud", {"train": 27, "dev": 6, "test": 6})


def command(treebank: Path, output: Path, *options: str) -> list[str]:
    return ["finetune", "parsing", "--data_dir", str(treebank), "--output_dir", str(output), *SMALL, *options]


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def results(folder: Path) -> dict[str, float]:
    """What does not depend on time."""
    found = json.loads((folder / "all_results.json").read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if not name.endswith(("runtime", "second", "time"))}


EVERY = "--eval_strategy steps --save_strategy steps --eval_steps {0} --save_steps {0} "
WAYS = {
    "lengths": EVERY.format(4) + "--train_sampling_strategy group_by_length --early_stopping_patience 3",
    "random": EVERY.format(2) + "--train_sampling_strategy random --gradient_accumulation_steps 2",
    "muon": EVERY.format(5) + "--muon_learning_rate 0.02 --dataloader_num_workers 2",
    "early stopping": "--eval_strategy epoch --save_strategy epoch --early_stopping_patience 1",
    "late evaluation": "--eval_strategy epoch --save_strategy steps --save_steps 1 "
    "--load_best_model_at_end false",
}


@pytest.mark.parametrize(
    "way", [way if way == "lengths" else pytest.param(way, marks=pytest.mark.slow) for way in WAYS]
)
def test_a_run_that_was_killed_ends_as_if_it_was_not(
    treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    options = shlex.split(WAYS[way])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(command(treebank, whole, *options)) == 0
    real: dict[str, Any] = {name: getattr(saving, name) for name in ("seal", "publish")}
    kills = (("publish", 2), ("seal", 3), ("publish", 3))
    for name, times in kills[1:2] if way == "lengths" else kills:
        left = iter(range(times - 1))

        def kill(*args: Any, left: Any = left, name: str = name) -> Any:
            if next(left, None) is None:
                raise Killed
            return real[name](*args)

        monkeypatch.setattr(saving, name, kill)
        try:
            main(command(treebank, killed, *options))
        except Killed:
            assert not json.loads((killed / "run.json").read_text(encoding="utf-8"))["finished"]
        monkeypatch.setattr(saving, name, real[name])
    if not json.loads((killed / "run.json").read_text(encoding="utf-8"))["finished"]:
        assert main(command(treebank, killed, *options)) == 0
    assert weights(killed) == weights(whole)
    assert results(killed) == pytest.approx(results(whole), rel=1e-6)
    assert not (killed / saving.STAGING).exists()


@pytest.fixture(scope="module")
def finished(treebank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "words"
    options = [*FEW, "--renderer", "words"]
    assert main(command(treebank, output, *options)) == 0
    return output


FEW = shlex.split(
    "--num_train_epochs 1 --eval_strategy steps --save_strategy steps --eval_steps 2 --save_steps 2"
)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def evaluations(folder: Path) -> list[int]:
    """The steps at which a run was evaluated while it was trained."""
    history = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return [entry["step"] for entry in history if "eval_las" in entry]


@pytest.mark.parametrize(
    "save",
    ["epoch", pytest.param("steps --save_steps 1 --load_best_model_at_end false", marks=pytest.mark.slow)],
    ids=["epoch", "steps"],
)
def test_no_evaluation_is_lost_or_done_twice(
    treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save: str
) -> None:
    """Scores never get better here, so that patience ends after the third evaluation."""
    monkeypatch.setattr(Parsing, "score", lambda *_: {"las": 50.0, "uas": 50.0})
    options = shlex.split(f"--eval_strategy epoch --save_strategy {save} --early_stopping_patience 2")
    options += shlex.split("--per_device_train_batch_size 14 --num_train_epochs 6 --save_total_limit 9")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert main(command(treebank, whole, *options)) == 0
    assert evaluations(whole) == [2, 4, 6]

    def kill(*args: Any, **kwargs: Any) -> None:
        raise Killed

    def kill_at(step: int) -> Any:
        return lambda folder, *_: (folder / f"checkpoint-{step}").exists() and kill()

    for name, change in (("keep_newest", kill_at(2)), ("keep_newest", kill_at(4)), ("publish_files", kill)):
        with monkeypatch.context() as patched:
            patched.setattr(saving, name, change)
            with pytest.raises(Killed):
                main(command(treebank, killed, *options))
    assert main(command(treebank, killed, *options)) == 0
    assert evaluations(killed) == [2, 4, 6]
    assert results(killed) == pytest.approx(results(whole), rel=1e-6)
    chosen = 2 if save == "epoch" else 6  # the first of equals, or the last one
    for folder in (whole, killed):
        assert weights(folder) == weights(folder / f"checkpoint-{chosen}")
        assert set(saving.whole_checkpoints(folder)) == set(folder.glob("checkpoint-*"))


def is_finished(folder: Path) -> bool:
    file = folder / "run.json"
    return file.exists() and bool(json.loads(file.read_text(encoding="utf-8"))["finished"])


def test_a_checkpoint_is_opened_as_it_was_trained(
    finished: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkpoint,) = finished.glob("checkpoint-*")
    task, model = open_task(checkpoint)
    assert (task.renderer.strategy, task.name) == ("words", "parsing")
    assert task.labels == open_task(finished)[0].labels
    gold = task.read(treebank, "test")
    scores = task.score(gold, task.annotate(model, gold))
    assert scores["uas"] == pytest.approx(results(finished)["test_uas"])
    (checkpoint / "text_renderer_config.json").rename(tmp_path / "renderer.json")
    assert main(["evaluate", str(checkpoint), "--data_dir", str(treebank)]) == 1
    start = ["--model_name_or_path", str(checkpoint), "--max_seq_length", "64", "--do_predict"]
    again = [
        "finetune",
        "parsing",
        "--data_dir",
        str(treebank),
        "--output_dir",
        str(tmp_path / "again"),
        *start,
    ]
    assert main(again) == 1
    assert capsys.readouterr().err.count("--renderer") == 2
    assert main([*again, "--renderer", str(finished)]) == 0
    assert results(tmp_path / "again")["test_uas"] == results(finished)["test_uas"]
    (tmp_path / "renderer.json").rename(checkpoint / "text_renderer_config.json")


def test_a_finished_run_is_kept(
    finished: Path, treebank: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files(finished)
    for options in ([*FEW, "--renderer", "words"], [*FEW, "--seed", "9"]):
        assert main(command(treebank, finished, *options)) == 1
        assert "--overwrite_output_dir" in capsys.readouterr().err
    (tmp_path / "thesis.tex").write_text("all my work", encoding="utf-8")
    assert main(command(treebank, tmp_path, *FEW)) == 1
    assert "thesis.tex" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.tex"]
    for wish in ("--do_predict", "--do_eval"):
        words = ["--model_name_or_path", str(finished), "--max_seq_length", "64", wish]
        words += ["--data_dir", str(treebank), "--output_dir", str(finished)]
        assert main(["finetune", "parsing", *words]) == 0
    after = files(finished)
    assert {name: after[name] for name in before} == before
    beside = finished / "predict-1"
    assert (beside / "test_predictions.conllu").read_bytes() == before[
        str(finished / "test_predictions.conllu")
    ]
    assert json.loads((beside / "run.json").read_text(encoding="utf-8"))["finished"]
    assert (finished / "predict-2" / "dev_predictions.conllu").is_file()


@pytest.mark.slow
def test_starting_anew_on_purpose(treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill(*args: Any) -> None:
        raise Killed

    monkeypatch.setattr(saving, "keep_newest", kill)  # when the first checkpoint is there
    with pytest.raises(Killed):
        main(command(treebank, tmp_path, *FEW))
    monkeypatch.undo()
    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-2"]
    assert main(command(treebank, tmp_path, *FEW, "--seed", "9")) == 1  # another command
    assert main(command(treebank, tmp_path, *FEW, "--seed", "9", "--overwrite_output_dir")) == 0
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert (record["training"]["seed"], record["goes_on_from"]) == (9, None)
    assert main(command(treebank, tmp_path / "new", *FEW, "--resume_from_checkpoint", "true")) == 0
    assert main(command(treebank, tmp_path / "other", *FEW, "--resume_from_checkpoint", "false")) == 0
    assert weights(tmp_path / "new") == weights(tmp_path / "other")


def run_command(words: list[str], log: Path) -> None:
    """In a process of its own."""
    with log.open("ab") as stream:
        os.dup2(stream.fileno(), 2)
    sys.exit(main(words))


@pytest.fixture(scope="module")
def processes() -> Any:
    """Processes that begin at once, as the packages are loaded already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pixel_m4.finetune.run", "pixel_m4.pretrain.run", "test_stopped_runs"])
    return context


def start(processes: Any, words: list[str], log: Path) -> Any:
    process = processes.Process(target=run_command, args=(words, log))
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.parametrize("task", ["parsing", "pos", "classification", "qa"])
def test_runs_that_are_killed_at_any_moment(
    processes: Any, treebank: Path, tmp_path: Path, task: str
) -> None:
    data = ["--data_dir", str(treebank)]
    if task == "classification":
        data = ["--data_dir", str(make_reviews(tmp_path / "reviews", {"train": 27, "dev": 6, "test": 6}))]
    elif task == "qa":
        data = ["--data_file", str(make_questions(tmp_path / "squad.json", 20)), "--stride", "4"]
    base = ["finetune", task, *SMALL, *data, *shlex.split(EVERY.format(2) + "--muon_learning_rate 0.02")]
    log = tmp_path / "log.txt"
    whole = start(processes, [*base, "--output_dir", str(tmp_path / "whole")], log)
    began = time.monotonic()
    whole.join()
    duration = time.monotonic() - began
    assert whole.exitcode == 0, log.read_text(encoding="utf-8")
    rng = random.Random(task)
    killed = tmp_path / "killed"
    kills = 0
    for _ in range(40):
        process = start(processes, [*base, "--output_dir", str(killed)], log)
        process.join(rng.uniform(0.1, duration / 2) if kills < 6 else None)
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        kills += 1
        if is_finished(killed):
            break
    assert is_finished(killed), log.read_text(encoding="utf-8")
    assert kills
    assert weights(killed) == weights(tmp_path / "whole")
    assert results(killed) == pytest.approx(results(tmp_path / "whole"), rel=1e-6)
    names = [sorted(path.name for path in folder.iterdir()) for folder in (killed, tmp_path / "whole")]
    assert names[0] == names[1]


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(
    processes: Any, treebank: Path, tmp_path: Path, signum: int
) -> None:
    words = command(treebank, tmp_path / "stopped", "--dataloader_num_workers", "2", "--eval_strategy", "no")
    words += shlex.split("--save_strategy no --load_best_model_at_end false")
    log = tmp_path / "log.txt"
    process = start(processes, [*words, "--overwrite_output_dir"], log)
    while not (tmp_path / "stopped" / "run.json").exists():
        assert process.is_alive(), log.read_text(encoding="utf-8")
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(process.pid, signum)
    process.join()
    error = log.read_text(encoding="utf-8")
    assert process.exitcode == 128 + signum, error
    assert "Traceback" not in error
    assert f"to go on: pixel-m4 {shlex.join(words)}\n" in error
    assert main(words) == 0
    assert main(command(treebank, tmp_path / "whole", *words[len(command(treebank, tmp_path)) :])) == 0
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


def failing(real: Any, path: str, error: Exception) -> Any:
    """A function that fails when one of its arguments names a path."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        if any(path in str(argument) for argument in args):
            raise error
        return real(*args, **kwargs)

    return fail


@pytest.mark.slow
def test_a_full_disk_loses_nothing(
    treebank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At one place after the other; in between there is room again, and the run goes on."""
    whole, full = tmp_path / "whole", tmp_path / "full"
    assert main(command(treebank, whole, *FEW)) == 0
    places: list[tuple[Any, str, str, Exception | None]] = [
        (torch, "save", "checkpoint-2/optimizer.pt", None),
        (torch, "save", "checkpoint-4/scheduler.pt", RuntimeError("PytorchStreamWriter failed writing file")),
        (
            PixelForBiaffineParsing,
            "save_pretrained",
            "checkpoint-4",
            SafetensorError("IoError(Os { code: 28 })"),
        ),
        (TextRenderer, "save_pretrained", "checkpoint-6", None),
        (os, "fsync", "", None),
        (saving, "publish_files", "model", None),
        (finetune, "save_metrics", "", None),
        (Parsing, "write", "dev_predictions", None),
        (Parsing, "write", "test_predictions", None),
        (finetune, "write_card", "", None),
        (RunRecord, "finish", "", None),
    ]
    last = 0
    for where, name, path, error in places:
        error = error or OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")
        real = getattr(where, name)
        with monkeypatch.context() as patched:
            patched.setattr(where, name, failing(real, path, error))
            assert main(command(treebank, full, *FEW)) == 1, (name, path)
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("pixel-m4: ")]
        assert len(lines) == 1
        assert " kept" in lines[0]
        assert set(full.glob("checkpoint-*")) == set(saving.whole_checkpoints(full))
        kept = saving.last_whole(full)
        last, before = saving.step_of(kept) if kept else 0, last
        assert last >= before
        assert not is_finished(full)
    assert main(command(treebank, full, *FEW)) == 0
    assert weights(full) == weights(whole)
    assert results(full) == pytest.approx(results(whole))
