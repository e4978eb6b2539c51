"""Maps: groups that are apart stay apart, and the command's files."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixel_m4 import TextRenderer
from pixel_m4.analysis.map_page import draw, page, strip_urls
from pixel_m4.analysis.maps import MapSettings, lay_out, same_neighbours
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
    shown = page({2: np.array([[0.0, 1.0], [5.0, 3.0]])}, ["<a>", "b"], ["1 < 2", "</script>"], "a & b")
    assert "</span> &lt;a&gt;</li>" in shown
    texts = re.search(r'<script type="application/json" id="texts">(.*?)</script>', shown)
    assert texts is not None
    assert json.loads(texts[1]) == [["1 < 2", "</script>"], ["<a>", "b"], None]
    assert 'cx="10.0" cy="10.0"' in shown
    assert 'cx="630.0" cy="258.0"' in shown
    assert "http" not in shown.replace("http://www.w3.org/2000/svg", "")


def test_the_page_shows_what_the_model_sees() -> None:
    renderer = TextRenderer()
    strips = strip_urls(renderer, ["cat", "a long text " * 40])
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("L") for url in strips
    ]
    seen = renderer("cat")
    assert pictures[0].size == (16 * seen.num_text_patches, 16)
    assert pictures[1].size == (16 * 40, 16)  # its beginning
    wanted = seen.pixel_values[:, : 16 * seen.num_text_patches].astype(int)
    assert np.abs(np.asarray(pictures[0]).astype(int) - wanted).max() <= 9  # half a level of sixteen
    shown = page({0: np.eye(2)}, ["a", "b"], ["cat", "long"], "title", strips)
    assert strips[1] in shown


@pytest.mark.slow
@pytest.mark.parametrize("method", ["umap", "pacmap"])
def test_other_methods(method: str) -> None:
    pytest.importorskip(method, reason="needs the extra `maps`: pip install 'pixel-m4[maps]'")
    vectors, groups = clusters(apart=3)
    settings = MapSettings(method=method, neighbours=5)
    places = lay_out(vectors, settings)
    assert same_neighbours(places - places.mean(0), groups) > 0.9
    assert np.array_equal(lay_out(vectors, settings), places)
    with pytest.raises(UserError, match="at least 2 and below the number of texts, 90, got 90"):
        lay_out(vectors, MapSettings(method=method, neighbours=90))


def test_a_library_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(UserError, match=re.escape("umap is not there: pip install 'pixel-m4[maps]'")):
        MapSettings(method="umap").check(100)
    with pytest.raises(UserError, match="no method 'som' of maps; there are tsne, umap, pacmap"):
        MapSettings(method="som").check(100)
    with pytest.raises(UserError, match="--neighbours is for umap and pacmap"):
        MapSettings(neighbours=5).check(100)


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
    assert json.loads((output / "settings.json").read_text())["layout"]["perplexity"] == 4
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
