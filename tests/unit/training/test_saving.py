from __future__ import annotations

from pathlib import Path

from pixel_m4.training.saving import (
    STAGING,
    is_whole,
    keep_newest,
    last_whole,
    publish,
    seal,
    start_anew,
    step_of,
)


def checkpoint(folder: Path, step: int) -> Path:
    staged = folder / STAGING / f"checkpoint-{step}"
    (staged / "shards").mkdir(parents=True)
    (staged / "weights").write_bytes(b"x" * step)
    (staged / "shards" / "0").write_bytes(b"y")
    seal(staged)
    publish(staged, folder / staged.name)
    return folder / staged.name


def test_the_last_whole_one_by_number(tmp_path: Path) -> None:
    for step in (9, 10, 100):
        checkpoint(tmp_path, step)
    assert last_whole(tmp_path) == tmp_path / "checkpoint-100"
    assert step_of(tmp_path / "checkpoint-100") == 100
    (tmp_path / "checkpoint-100" / "shards" / "0").unlink()
    assert last_whole(tmp_path) == tmp_path / "checkpoint-10"
    (tmp_path / "checkpoint-10" / "weights").write_bytes(b"x")
    assert last_whole(tmp_path) == tmp_path / "checkpoint-9"
    (tmp_path / "checkpoint-9" / "manifest.json").write_text('{"fil')
    assert last_whole(tmp_path) is None


def test_folders_without_a_manifest_or_with_another_one(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-5").mkdir()
    assert not is_whole(tmp_path / "checkpoint-5")
    for content in ("[]", '{"files": 3}', '{"files": {"a": 1}}'):
        (tmp_path / "checkpoint-5" / "manifest.json").write_text(content)
        assert not is_whole(tmp_path / "checkpoint-5")


def test_a_damaged_one_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-5" / "rest").mkdir(parents=True)
    assert is_whole(checkpoint(tmp_path, 5))
    assert not (tmp_path / "checkpoint-5" / "rest").exists()


def test_damaged_ones_do_not_count_among_the_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-4" / "weights").unlink()
    keep_newest(tmp_path, None)
    keep_newest(tmp_path, 2)
    assert sorted(folder.name for folder in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-2",
        "checkpoint-3",
        "checkpoint-4",
    ]


def test_starting_anew_deletes_only_what_runs_write(tmp_path: Path) -> None:
    checkpoint(tmp_path, 3)
    for name in ("checkpoint-best", "notes", STAGING, "pictures"):
        (tmp_path / name).mkdir(exist_ok=True)
    start_anew(tmp_path, checkpoints=False)
    assert (tmp_path / "checkpoint-3").is_dir()
    assert not (tmp_path / STAGING).exists()
    start_anew(tmp_path, checkpoints=True, folders=("tensorboard", "pictures"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-best", "notes"]


def test_the_best_checkpoint_stays_beside_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        checkpoint(tmp_path, step)
    keep_newest(tmp_path, 3, best=1)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [
        "checkpoint-1", "checkpoint-4", "checkpoint-5",
    ]  # fmt: skip
    keep_newest(tmp_path, 1, best=1)  # the newest stays always
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-1", "checkpoint-5"]
