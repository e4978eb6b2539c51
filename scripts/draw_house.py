"""Print the rooms of the house: files, lines, and which other rooms each imports.

python scripts/draw_house.py
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1] / "src" / "pixel_m4"
# From the top down, as the import contract in pyproject.toml has them.
ROOMS = (
    *("published", "cli", "demo", "quickstart", "sweep", "pretrain", "finetune", "predict", "analysis"),
    *("fill", "fetch", "info"),
    *("training", "checkpoint", "tasks", "subwords", "processor", "corpus", "formats", "model", "render"),
    *("files", "shipped", "console"),
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    graph = grimp.build_graph("pixel_m4")
    imported: defaultdict[str, set[str]] = defaultdict(set)
    for module in graph.modules:
        room = module.partition(".")[2].partition(".")[0]
        for other in graph.find_modules_directly_imported_by(module):
            imported[room].add(other.partition(".")[2].partition(".")[0])
    print("| room | files | lines | imports |\n|---|---|---|---|")
    total = [0, 0]
    for room in ROOMS:
        place = ROOT / room
        files = [*place.rglob("*.py")] if place.is_dir() else [place.with_suffix(".py")]
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        others = ", ".join(f"`{other}`" for other in ROOMS if other in imported[room] and other != room)
        print(f"| `{room}` | {len(files)} | {lines:,} | {others or '–'} |")
        total = [total[0] + len(files), total[1] + lines]
    print(f"| **all** | {total[0]} | {total[1]:,} | |")


if __name__ == "__main__":
    main()
