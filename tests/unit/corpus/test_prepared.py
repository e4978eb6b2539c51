"""Shards packed ahead of training: the same blocks, whoever packs them."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pytest

from pixel_m4 import TextRenderer
from pixel_m4.cli.main import main
from pixel_m4.corpus import prepared
from pixel_m4.corpus.corpora import TextStream, local_sources
from pixel_m4.corpus.prepared import MANIFEST, prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for language, word in {"en": "word", "zh": "词语"}.items():
        lines = [f"{language}{i} " + f"{word} " * (i * 7 % 40) for i in range(200)]
        (folder / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


@pytest.fixture(scope="module")
def shards(data: Path, renderer: TextRenderer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    prepare(data, folder, renderer=renderer, max_seq_length=64, shards=3)
    return folder


def files(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def blocks(folder: Path, renderer: TextRenderer, **options: Any) -> list[tuple[str, tuple[str, ...], int]]:
    stream = TextStream(local_sources(folder), renderer, exhausted="drop", **options)
    return [(block.language, block.texts, block.num_patches) for block in stream]


def test_shards_hold_the_blocks_of_their_shares(data: Path, renderer: TextRenderer, shards: Path) -> None:
    direct = [block for rank in range(3) for block in blocks(data, renderer, rank=rank, world_size=3)]
    assert sorted(blocks(shards, renderer)) == sorted(direct)
    assert not list(shards.rglob(".*"))


def test_the_manifest_counts_and_checks(shards: Path, renderer: TextRenderer) -> None:
    manifest = json.loads((shards / MANIFEST).read_text())
    there = files(shards)
    found = blocks(shards, renderer)
    for language, summary in manifest["languages"].items():
        mine = [patches for name, _, patches in found if name == language]
        assert (summary["blocks"], summary["patches"]) == (len(mine), sum(mine))
        assert summary["fill_rate"] == sum(mine) / len(mine) / 64
        assert len(summary["shards"]) == 3
        for shard in summary["shards"]:
            assert there[shard["file"]] == shard["sha256"]
    digest = hashlib.sha256(renderer.font_file.read_bytes()).hexdigest()
    assert manifest["settings"]["font_sha256"] == [digest]


def test_an_interrupted_run_goes_on(
    data: Path, renderer: TextRenderer, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    write = prepared.write_shard

    def interrupted(task: prepared.ShardTask) -> dict[str, Any]:
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(task.output)
        return write(task)

    monkeypatch.setattr(prepared, "write_shard", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(data, tmp_path, renderer=renderer, max_seq_length=64, shards=3)
    assert not (tmp_path / MANIFEST).exists()
    monkeypatch.setattr(prepared, "write_shard", write)
    times = {path: Path(path).stat().st_mtime_ns for path in written}
    prepare(data, tmp_path, renderer=renderer, max_seq_length=64, shards=3)
    assert files(tmp_path) == files(shards)
    assert {path: Path(path).stat().st_mtime_ns for path in written} == times
    # Other settings give other shards.
    prepare(data, tmp_path, renderer=renderer, max_seq_length=60, shards=3)
    assert files(tmp_path).keys() == files(shards).keys()
    assert not set(files(tmp_path).values()) & set(files(shards).values())


def test_ranks_share_blocks_and_resume(renderer: TextRenderer, shards: Path) -> None:
    whole = sorted(blocks(shards, renderer))
    for world_size in (2, 3):
        parts = [blocks(shards, renderer, rank=rank, world_size=world_size) for rank in range(world_size)]
        assert sorted(chain.from_iterable(parts)) == whole
        assert all(parts)
    stream = TextStream(local_sources(shards), renderer)
    read = iter(stream)
    list(islice(read, 333))  # more than a pass
    state = json.loads(json.dumps(stream.state_dict()))
    rest = list(islice(read, 50))
    again = TextStream(local_sources(shards), renderer)
    again.load_state_dict(state)
    assert list(islice(again, 50)) == rest


def test_what_does_not_fit_the_renderer(shards: Path) -> None:
    sources = local_sources(shards)
    with pytest.raises(ValueError, match="prepared with max_seq_length = 64, more than 32"):
        TextStream(sources, TextRenderer(max_seq_length=32))
    with pytest.raises(ValueError, match=r"prepared with font_size = 8, the renderer has 7"):
        TextStream(sources, TextRenderer(font_size=7))


def test_the_renderer_is_obeyed(data: Path, tmp_path: Path) -> None:
    for number, options in enumerate(({"font_size": 12}, {"dpi": 180}, {"pixels_per_patch": 24})):
        renderer = TextRenderer(max_seq_length=64, **options)  # type: ignore[arg-type]
        folder = tmp_path / str(number)
        prepare(data, folder, renderer=renderer, shards=2)
        direct = [block for rank in range(2) for block in blocks(data, renderer, rank=rank, world_size=2)]
        assert sorted(blocks(folder, renderer)) == sorted(direct)
    for options, message in (
        ({"max_seq_length": 65}, r"max_seq_length must be 2 to 64 \(renderer\), not 65"),
        ({"min_patches": 65}, r"min_patches must be 0 to 64"),
        ({"min_patches": -1}, r"min_patches must be 0 to 64"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(data, tmp_path / "x", renderer=renderer, **options)  # type: ignore[arg-type]


def test_short_last_blocks_are_left_out_as_asked(data: Path, renderer: TextRenderer, tmp_path: Path) -> None:
    prepare(data, tmp_path, renderer=renderer, min_patches=0, shards=5)
    for least in (0, 30, 50):
        options = {"min_patches": least}
        direct = [
            block for rank in range(5) for block in blocks(data, renderer, rank=rank, world_size=5, **options)
        ]
        assert sorted(blocks(tmp_path, renderer, **options)) == sorted(direct)


def test_text_that_has_changed_is_packed_again(data: Path, renderer: TextRenderer, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    prepare(tmp_path / "data", tmp_path / "shards", renderer=renderer, shards=1)
    before = blocks(tmp_path / "shards", renderer)
    file = tmp_path / "data" / "en.txt"
    file.write_text(file.read_text().replace("word", "ward"))  # as long as it was
    prepare(tmp_path / "data", tmp_path / "shards", renderer=renderer, shards=1)
    assert blocks(tmp_path / "shards", renderer) != before


def test_damaged_folders_and_options(
    data: Path, renderer: TextRenderer, shards: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"no text of uk in .*; languages there: en, zh"):
        local_sources(shards, ["uk"])
    with pytest.raises(ValueError, match="is a prepared corpus already"):
        prepare(shards, tmp_path / "again", renderer=renderer)
    with pytest.raises(ValueError, match="engine must be one of"):
        prepare(data, tmp_path / "out", engine="spark")
    with pytest.raises(ValueError, match="workers and shards must be 1 or more"):
        prepare(data, tmp_path / "out", workers=0)
    prepare(data, tmp_path, languages=["en"], renderer=renderer, max_seq_length=64, shards=1)
    (shard,) = (tmp_path / "en").iterdir()
    data_of = shard.read_bytes()
    shard.write_bytes(data_of[:-1])
    with pytest.raises(ValueError, match=r"missing or not as .* says; prepare the corpus again"):
        local_sources(tmp_path)
    shard.write_bytes(b"x" * len(data_of))
    with pytest.raises(ValueError, match="not a whole shard"):
        blocks(tmp_path, renderer)
    (tmp_path / MANIFEST).write_text("{}")
    with pytest.raises(ValueError, match="not a manifest"):
        local_sources(tmp_path)


def test_the_command(data: Path, shards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--max_seq_length", "64", "--shards", "3", "--output_dir", str(tmp_path)]
    assert main(["data", "prepare", "--data_dir", str(data), *options]) == 0
    assert "fill rate" in capsys.readouterr().out
    assert files(tmp_path) == files(shards)
    assert main(["data", "prepare", "--data_dir", str(tmp_path / "none"), *options]) == 1
    assert "no folder" in capsys.readouterr().err


@pytest.mark.slow
def test_processes_write_the_same(data: Path, renderer: TextRenderer, shards: Path, tmp_path: Path) -> None:
    prepare(data, tmp_path, renderer=renderer, max_seq_length=64, shards=3, workers=2)
    assert files(tmp_path) == files(shards)


@pytest.mark.slow
def test_ray_writes_the_same(data: Path, renderer: TextRenderer, shards: Path, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray", reason="needs Ray: install pixel-m4[ray]")
    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        prepare(data, tmp_path, renderer=renderer, max_seq_length=64, shards=3, workers=2, engine="ray")
    finally:
        ray.shutdown()
    assert files(tmp_path) == files(shards)
