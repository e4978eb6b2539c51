"""Curves over layers."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from pixel_m4.analysis.figures import draw_layers


def test_every_panel_and_line_is_named(tmp_path: Path) -> None:
    panels = {
        f"task {number}": {"trained": {0: 0.1, 1: 0.5, 2: 0.4}, "majority": {None: 0.3}}
        for number in range(5)
    }
    files = draw_layers(panels, "accuracy", tmp_path / "curves")
    assert [file.suffix for file in files] == [".png", ".svg"]
    assert all(file.stat().st_size > 1000 for file in files)
    drawing = ElementTree.parse(tmp_path / "curves.svg").getroot()
    groups = [group.get("id", "") for group in drawing.iter("{http://www.w3.org/2000/svg}g")]
    assert sum(name.startswith("axes_") for name in groups) == 5  # the empty places of the grid are gone
