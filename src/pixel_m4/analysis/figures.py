"""How figures look: colours, forms, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixel_m4.files import replacing

# Okabe and Ito's colours, which people with any colour vision tell apart; a form for each round of them.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
FORMS = ("o", "s", "^", "D", "v", "P", "X", "*")
PICTURES = (".png", ".svg")


def save(figure: Any, path: Path) -> list[Path]:
    """Write a figure as ``path`` with .png and .svg."""
    files = [path.with_suffix(suffix) for suffix in PICTURES]
    for file in files:
        with replacing(file) as scratch:
            figure.savefig(scratch, dpi=150)
    return files
