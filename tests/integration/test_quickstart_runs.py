"""The quickstart, with a few steps instead of hundreds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pixel_m4.cli.main import main
from pixel_m4.quickstart import run as quickstart

# What the quickstart promises to add to LAS, by language; processors round differently.
GAINS = {"Azerbaijani": 5.0, "Galician": 4.0, "Tatar": 5.0, "Ukrainian": 5.0}


def test_quickstart_shows_scores_a_tree_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert main(["quickstart", "--output_dir", str(output), "--max_steps", "2"]) == 0
    out = capsys.readouterr().out
    for row in ("Azerbaijani", "Galician", "Tatar", "Ukrainian", "all"):
        assert re.search(rf"{row}.* → .* → .* → ", out)
    assert "root" in out
    assert json.loads((output / "all_results.json").read_text())["train_steps"] == 2
    report = (output / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/png;base64,") == 4
    assert report.count("<svg") == 4
    assert re.search(r"<td>all</td><td>180</td>", report)


@pytest.mark.slow
def test_the_whole_quickstart_learns_what_is_promised(tmp_path: Path) -> None:
    scores = quickstart.run(None, tmp_path / "out")
    for language, least in GAINS.items():
        assert scores[language].after["las_mst"] - scores[language].before["las_mst"] > least


@pytest.mark.slow
def test_quickstart_takes_a_real_treebank(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "data" / "ud" / "UD_Marathi-UFAL"
    command = ["quickstart", "--data_dir", str(folder), "--output_dir", str(tmp_path / "out")]
    assert main([*command, "--max_steps", "2"]) == 0
    out = capsys.readouterr().out
    assert "UD_Marathi-UFAL" in out.replace("\n", "")
    assert "Tatar" not in out
