"""Maps: groups that are apart stay apart, and the command's files."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from pixel_m4.analysis.maps import MapSettings, draw, lay_out, page, same_neighbours
from pixel_m4.cli.main import main
from pixel_m4.console.errors import UserError

SMALL = MapSettings(perplexity=5, learning_rate=50, iterations=300)


def clusters(apart: float) -> tuple[np.ndarray, list[str]]:
    generator = np.random.default_rng(0)
    centres = apart * np.eye(3, 8)
    vectors = np.concatenate([centre + 0.1 * generator.normal(size=(30, 8)) for centre in centres])
    return vectors.astype(np.float32), [name for name in "abc" for _ in range(30)]


def test_what_is_apart_stays_apart() -> None:
    vectors, groups = clusters(apart=3)
    # Only directions count, not lengths.
    lengths = 10 ** np.random.default_rng(2).uniform(-2, 2, (90, 1)).astype(np.float32)
    places = lay_out(lengths * vectors, SMALL)
    assert places.shape == (90, 2)
    means = np.stack([places[30 * number : 30 * number + 30].mean(0) for number in range(3)])
    nearest = np.linalg.norm(places[:, None] - means[None], axis=-1).argmin(1)
    assert nearest.tolist() == [number for number in range(3) for _ in range(30)]
    assert same_neighbours(vectors, groups) == 1
    with pytest.raises(UserError, match="perplexity below 90"):
        lay_out(vectors, MapSettings(perplexity=90))


def test_neighbours_at_chance() -> None:
    vectors = np.random.default_rng(1).normal(size=(600, 8))
    share = same_neighbours(vectors, [name for name in "abc" for _ in range(200)])
    assert abs(share - 1 / 3) < 0.03


def test_the_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra `plots`: pip install 'pixel-m4[plots]'")
    vectors, groups = clusters(apart=1)
    for file in draw({0: vectors[:, :2], 4: vectors[:, 2:4]}, groups, tmp_path / "map"):
        assert file.stat().st_size > 1000


def test_the_page_is_whole_and_escaped() -> None:
    shown = page({2: np.array([[0.0, 1.0], [5.0, 3.0]])}, ["<a>", "b"], ["1 < 2", "two"], "a & b")
    assert "<title>&lt;a&gt;: 1 &lt; 2</title>" in shown
    assert 'cx="10.0" cy="10.0"' in shown
    assert 'cx="630.0" cy="258.0"' in shown
    assert "http" not in shown.replace("http://www.w3.org/2000/svg", "")


def write(folder: Path) -> Path:
    """Twelve made-up sentences of two languages."""
    for language, ending in (("aa", "um"), ("bb", "ix")):
        (folder / "d" / language).mkdir(parents=True)
        lines = [f"{n}\t{chr(97 + n)}kat{ending} les{ending}" for n in range(12)]
        text = "\n".join(["index_id\ttext", *lines, ""])
        (folder / "d" / language / "train.tsv").write_text(text, encoding="utf-8")
    return folder / "d"


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path)
    output = tmp_path / "out"
    command = [
        "analyze",
        "map",
        "pixel-m4-tiny",
        "--data_dir",
        str(tmp_path / "d"),
        "--languages",
        "aa",
        "bb",
    ]
    command += ["--output_dir", str(output), "--layers", "0", "-1", "--device", "cpu"]
    assert main(command) == 1
    assert "a map of 24 texts needs a perplexity below 24" in capsys.readouterr().err
    command += ["--perplexity", "4", "--iterations", "250"]
    assert main(command) == 0
    assert "layer 4: of a text's ten nearest," in capsys.readouterr().out
    with (output / "map.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 48
    assert {row["layer"] for row in rows} == {"0", "4"}
    assert rows[0]["text"] == "akatum lesum"
    assert (output / "map.html").read_text(encoding="utf-8").count("<circle") == 48
    assert json.loads((output / "settings.json").read_text())["tsne"]["perplexity"] == 4
    assert main(command) == 1
    assert "is there already; --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--iterations 10", "--iterations must be at least 250, got 10"),
        ("--perplexity 0", "above 0, got 0"),
        ("--learning_rate -1", "--learning_rate must be above 0, got -1"),
        ("--seed -1", "--seed must be from 0 to 4294967295, got -1"),
        ("--per_device_eval_batch_size 0", "batch_size must be at least 1, got 0"),
    ],
)
def test_bad_options_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: str, message: str
) -> None:
    command = [
        "analyze",
        "map",
        "pixel-m4-tiny",
        "--data_dir",
        str(write(tmp_path)),
        "--languages",
        "aa",
        "bb",
    ]
    command += ["--output_dir", str(tmp_path / "out"), "--perplexity", "4", "--iterations", "250"]
    assert main([*command, *options.split()]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", ["map.csv", "map.html", "map.png", "settings.json"])
def test_nothing_is_replaced_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / name).write_text("mine", encoding="utf-8")
    command = [
        "analyze",
        "map",
        "pixel-m4-tiny",
        "--data_dir",
        str(write(tmp_path)),
        "--languages",
        "aa",
        "bb",
    ]
    assert main([*command, "--output_dir", str(output)]) == 1
    assert f"{name} is there already; --overwrite replaces it" in capsys.readouterr().err
    assert (output / name).read_text(encoding="utf-8") == "mine"
