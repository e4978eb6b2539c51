"""The quickstart, with a few steps instead of a thousand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pixel_m4.cli import main


def test_quickstart_shows_scores_a_tree_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quickstart", "--output_dir", str(tmp_path / "out"), "--max_steps", "6"]) == 0
    out = capsys.readouterr().out
    assert "synthetic" in out
    for row in ("English", "Hindi", "Ukrainian", "Simplified Chinese", "all", "baseline: left neighbour"):
        assert row in out
    assert "root" in out
    results = json.loads((tmp_path / "out" / "all_results.json").read_text())
    assert results["train_steps"] == 6
    assert f"{results['test_las']:.1f}" in out
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert report.count("data:image/png;base64,") == 4
    assert report.count("<svg") == 4
    assert "synthetic" in report
    assert re.search(r"<td>all</td><td>200</td>", report)


def test_quickstart_takes_a_real_treebank(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shared / "data" / "ud" / "UD_Marathi-UFAL"
    command = ["quickstart", "--data_dir", str(folder), "--output_dir", str(tmp_path / "out")]
    assert main([*command, "--max_steps", "2"]) == 0
    out = capsys.readouterr().out
    assert "synthetic" not in out
    assert "UD_Marathi-UFAL" in out.replace("\n", "")
