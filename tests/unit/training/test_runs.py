from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixel_m4.training.runs import (
    checkpoint_to_go_on_from,
    clear,
    differences,
    place_beside,
    refuse_others,
    refuse_others_than_pretraining,
)
from pixel_m4.training.saving import STAGING, publish, seal

RECORD: dict[str, Any] = {
    "finished": None,
    "task": "parsing",
    "task_options": {"language": None},
    "arguments": {
        "data_dir": "/a",
        "model_name_or_path": "m",
        "dropout_prob": 0.1,
        "overwrite_output_dir": False,
    },
    "training": {
        "do_train": True,
        "output_dir": "/o",
        "learning_rate": 0.001,
        "seed": 1,
        "logging_steps": 5,
        "dataloader_num_workers": 0,
        "save_total_limit": 1,
    },
    "data": {"/a/x-train.conllu": "1", "/a/x-dev.conllu": "2"},
    "font": {"f.ttf": "3"},
    "weights": {"model.safetensors": "4"},
    "processes": 1,
    "versions": {"torch": "2"},
}


def changed(**changes: Any) -> dict[str, Any]:
    """The record with changes to its sections."""
    return {
        name: {**value, **changes[name]}
        if isinstance(value, dict) and name in changes
        else changes.get(name, value)
        for name, value in RECORD.items()
    }


def folder_of(
    tmp_path: Path, record: dict[str, Any], steps: tuple[int, ...] = (), best: int | None = None
) -> Path:
    """A run's folder with checkpoints."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "run.json").write_text(json.dumps(record), encoding="utf-8")
    for step in steps:
        staged = tmp_path / STAGING / f"checkpoint-{step}"
        staged.mkdir(parents=True)
        (staged / "optimizer.pt").write_bytes(b"x")
        state = {"best_model_checkpoint": best and f"/elsewhere/checkpoint-{best}"}
        (staged / "trainer_state.json").write_text(json.dumps(state), encoding="utf-8")
        seal(staged)
        publish(staged, tmp_path / staged.name)
    return tmp_path


def test_what_decides_the_weights_is_compared() -> None:
    free = changed(
        arguments={"data_dir": "/b", "overwrite_output_dir": True, "of_another_version": 3},
        training={"output_dir": "/p", "logging_steps": 1, "dataloader_num_workers": 2, "save_total_limit": 3},
        data={},
    )
    free["data"] = {"/b/x-train.conllu": "1", "/b/x-dev.conllu": "2"}
    assert differences(RECORD, free) == []
    assert differences(RECORD, changed(training={"learning_rate": 0.002})) == [
        "learning_rate 0.001, not 0.002"
    ]
    assert differences(RECORD, changed(data={"/a/x-dev.conllu": "9"})) == ["x-dev.conllu has changed"]
    assert differences(RECORD, changed(data={"/a/y.conllu": "9"})) == ["y.conllu is not in both"]
    assert differences(RECORD, changed(task="pos")) == ["task parsing, not pos"]
    assert differences(RECORD, changed(processes=2)) == ["processes 1, not 2"]
    assert differences(RECORD, changed(arguments={"model_name_or_path": "./m"})) == []  # the same weights
    twins = {"data": {"/en/data.csv": "1", "/hi/data.csv": "2"}}
    moved = {"data": {"/x/en/data.csv": "1", "/x/hi/data.csv": "2"}}
    assert differences(twins, moved) == []
    assert differences(twins, {"data": {**twins["data"], "/en/data.csv": "3"}}) == ["data.csv has changed"]
    other = changed(arguments={"model_name_or_path": "n"}, weights={"model.safetensors": "5"})
    assert differences(RECORD, other) == ["model_name_or_path m, not n", "model.safetensors has changed"]
    assert differences(RECORD, changed(weights={"model.safetensors": "5"})) == [
        "model.safetensors has changed"
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, r"is not empty, and holds no run to go on with .notes.txt.*--overwrite_output_dir"),
        (changed(finished="yesterday"), "holds a run that is finished .yesterday.*--overwrite_output_dir"),
        (changed(training={"do_train": False}), "predictions of a run without training"),
    ],
)
def test_what_would_be_lost_is_refused(tmp_path: Path, record: dict[str, Any] | None, expected: str) -> None:
    if record is None:
        (tmp_path / "notes.txt").touch()
    else:
        folder_of(tmp_path, record)
    with pytest.raises(ValueError, match=expected):
        refuse_others(tmp_path, overwrite=False)
    refuse_others(tmp_path, overwrite=True)


@pytest.mark.parametrize("refuse", [refuse_others, refuse_others_than_pretraining])
def test_only_runs_are_written_over(tmp_path: Path, refuse: Callable[[Path, bool], None]) -> None:
    """Somebody's pictures, weights and README were deleted."""
    for folder in ("pictures", "checkpoint-7", "data"):
        (tmp_path / folder).mkdir()
    for file in ("README.md", "notes.txt", "checkpoint-7/weights.bin"):
        (tmp_path / file).touch()
    with pytest.raises(
        ValueError, match=r"holds no run of pixel-m4, and README.md, checkpoint-7, pictures would"
    ):
        refuse(tmp_path, True)
    (tmp_path / "settings.json").write_text('{"attacks": []}', encoding="utf-8")  # of an analysis
    with pytest.raises(ValueError, match=r"holds no run of pixel-m4"):
        refuse(tmp_path, True)
    (tmp_path / "settings.json").write_text('{"training": {}}', encoding="utf-8")  # of a pretraining
    refuse(tmp_path, True)
    (tmp_path / "settings.json").unlink()
    refuse(folder_of(tmp_path, RECORD), True)


def test_fine_tuning_leaves_pictures(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, RECORD, (2,))
    for name in ("pictures", "tensorboard"):
        (folder / name).mkdir()
    clear(folder, None)
    assert sorted(path.name for path in folder.iterdir()) == ["pictures"]


def test_what_is_not_refused(tmp_path: Path) -> None:
    refuse_others(tmp_path / "new", overwrite=False)
    for name in ("slurm-12.out", "log.txt", "sweep_run.json", ".run.77.json", ".gitignore"):
        (tmp_path / name).touch()
    refuse_others(tmp_path, overwrite=False)
    refuse_others(folder_of(tmp_path, RECORD), overwrite=False)  # it goes on
    with pytest.raises(ValueError, match="is a file"):
        refuse_others(tmp_path / "log.txt", overwrite=False)


def test_the_last_usable_checkpoint_is_gone_on_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = folder_of(tmp_path / "run", RECORD, (2, 4, 6), best=2)
    last = folder / "checkpoint-6"
    for given in (None, "true", "True", True, str(last)):
        assert checkpoint_to_go_on_from(folder, RECORD, given, False) == last
    assert checkpoint_to_go_on_from(folder, RECORD, None, True) is None
    assert checkpoint_to_go_on_from(tmp_path / "new", RECORD, "true", False) is None
    with pytest.raises(ValueError, match=r"up to checkpoint-6.*--overwrite_output_dir"):
        checkpoint_to_go_on_from(folder, RECORD, "false", False)
    (last / "optimizer.pt").write_bytes(b"")  # damaged
    assert checkpoint_to_go_on_from(folder, RECORD, None, False) == folder / "checkpoint-4"
    with pytest.raises(ValueError, match="no whole checkpoint"):
        checkpoint_to_go_on_from(folder, RECORD, str(last), False)
    (folder / "checkpoint-2" / "optimizer.pt").unlink()  # the best so far
    assert checkpoint_to_go_on_from(folder, RECORD, None, False) is None
    assert "checkpoint-2, is not whole" in caplog.text
    with pytest.raises(ValueError, match="best checkpoint so far"):
        checkpoint_to_go_on_from(folder, RECORD, str(folder / "checkpoint-4"), False)


def test_another_command_is_refused_unless_a_checkpoint_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = folder_of(tmp_path, RECORD, (2,))
    other = changed(training={"seed": 2})
    for given in (None, "true", "false"):
        with pytest.raises(ValueError, match=r"another command .seed 1, not 2.*--overwrite_output_dir"):
            checkpoint_to_go_on_from(folder, other, given, False)
    assert (
        checkpoint_to_go_on_from(folder, other, str(folder / "checkpoint-2"), False)
        == folder / "checkpoint-2"
    )
    assert "seed 1, not 2" in caplog.text
    begun = folder_of(tmp_path / "begun", RECORD)
    assert checkpoint_to_go_on_from(begun, other, None, False) is None  # nothing would be lost
    (begun / "model.safetensors").touch()
    with pytest.raises(ValueError, match="another command"):
        checkpoint_to_go_on_from(begun, other, None, False)


def test_clearing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, RECORD, (2, 4))
    for name in (
        "notes.txt",
        "all_results.json",
        "test_predictions.conllu",
        "model.safetensors",
        ".run.12.json",
    ):
        (folder / name).touch()
    (folder / STAGING / "checkpoint-6").mkdir(parents=True)
    clear(folder, folder / "checkpoint-4")
    names = ["checkpoint-2", "checkpoint-4", "notes.txt"]
    assert sorted(path.name for path in folder.iterdir()) == names
    folder_of(folder, RECORD)
    clear(folder, None)
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt"]
    (folder / "README.md").touch()
    clear(folder, None)  # no run of ours
    assert (folder / "README.md").exists()


def test_predictions_replace_no_training(tmp_path: Path) -> None:
    assert place_beside(tmp_path / "new", False) == tmp_path / "new"
    folder = folder_of(tmp_path, changed(finished="yesterday"))
    assert place_beside(folder, True) == folder / "predict-1"
    (folder / "predict-1").mkdir()
    assert place_beside(folder, False) == folder / "predict-2"
    only = folder_of(tmp_path / "only", changed(training={"do_train": False}))
    assert place_beside(only, False) == only / "predict-1"
    assert place_beside(only, True) == only
