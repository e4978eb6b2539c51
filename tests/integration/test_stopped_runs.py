"""Runs that are stopped, at any moment and in any way, and go on."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from test_finetune import make_treebank

from pixel_m4.cli import main
from pixel_m4.train import saving

SMALL = shlex.split(
    """
    --config_name nano --max_seq_length 64 --disable_tqdm true --report_to none --dropout_prob 0.1
    --per_device_train_batch_size 4 --warmup_steps 2 --learning_rate 1e-3 --seed 3
    --num_train_epochs 3 --max_steps -1 --logging_steps 3
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
