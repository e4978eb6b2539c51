"""Two processes train, predict and evaluate together, over gloo."""

from __future__ import annotations

import hashlib
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from test_finetuning_runs import make_treebank

from pixel_m4.cli.main import main
from pixel_m4.training.saving import whole_checkpoints

pytestmark = pytest.mark.slow

OPTIONS = shlex.split(
    """
    --config_name nano --max_seq_length 64 --disable_tqdm true --report_to none --dropout_prob 0.1
    --per_device_train_batch_size 2 --warmup_steps 2 --learning_rate 1e-3 --seed 3 --num_train_epochs 4
    --eval_strategy steps --save_strategy steps --eval_steps 4 --save_steps 4
    --train_sampling_strategy group_by_length --muon_learning_rate 0.02 --use_cpu true
    """
)


@pytest.fixture(scope="module")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_treebank(tmp_path_factory.mktemp("data") / "ud", {"train": 40, "dev": 7, "test": 9})


def begin(words: list[str], launch: str = "--standalone --nproc_per_node 2") -> subprocess.Popen[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", *launch.split()]
    command = [*torchrun, "-m", "pixel_m4.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def wait_for(process: subprocess.Popen[str], file: Path) -> None:
    while not file.exists():
        assert process.poll() is None
        time.sleep(0.01)


def kill_all(process: subprocess.Popen[str]) -> None:
    for each in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
        each.kill()
    process.communicate()


def results(folder: Path) -> dict[str, float]:
    found = json.loads((folder / "all_results.json").read_text(encoding="utf-8"))
    return {name: value for name, value in found.items() if not name.endswith(("runtime", "second", "time"))}


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def test_two_processes_do_what_one_does(treebank: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    words = ["finetune", "parsing", "--data_dir", str(treebank), *OPTIONS]
    finish(begin([*words, "--output_dir", str(whole)]))
    assert sorted(path.name for path in whole.iterdir() if path.is_file()) == [
        *("README.md", "all_results.json", "config.json", "dev_predictions.conllu", "eval_results.json"),
        *("model.safetensors", "run.json", "test_predictions.conllu", "test_results.json"),
        *("text_renderer_config.json", "train_results.json", "trainer_state.json"),
    ]
    record = json.loads((whole / "run.json").read_text(encoding="utf-8"))
    assert (record["processes"], bool(record["finished"])) == (2, True)
    assert record["results"] == json.loads((whole / "all_results.json").read_text(encoding="utf-8"))

    process = begin([*words, "--output_dir", str(stopped)])
    wait_for(process, stopped / "checkpoint-4")
    kill_all(process)
    process = begin([*words, "--output_dir", str(stopped)])
    wait_for(process, stopped / "checkpoint-8")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate()
    assert process.returncode != 0
    assert "to go on: pixel-m4 finetune parsing" in output
    assert whole_checkpoints(stopped)
    assert main([*words, "--output_dir", str(stopped)]) == 1  # alone, it would be another run
    finish(begin([*words, "--output_dir", str(stopped)]))
    assert weights(stopped) == weights(whole)
    assert results(stopped) == pytest.approx(results(whole))

    start = ["--model_name_or_path", str(whole), "--max_seq_length", "64", "--disable_tqdm", "true"]
    words = ["finetune", "parsing", "--data_dir", str(treebank), *start, "--do_predict", "--do_eval"]
    finish(begin([*words, "--use_cpu", "true", "--output_dir", str(tmp_path / "two")]))
    assert main([*words, "--output_dir", str(tmp_path / "one")]) == 0
    for name in ("dev_predictions.conllu", "test_predictions.conllu"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    one, two = results(tmp_path / "one"), results(tmp_path / "two")
    losses = ("eval_loss", "test_loss")  # means of means of batches, which are others
    assert {k: v for k, v in one.items() if k not in losses} == {
        k: v for k, v in two.items() if k not in losses
    }
    for name in losses:
        assert one[name] == pytest.approx(two[name], rel=0.2)
