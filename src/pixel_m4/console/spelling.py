"""The name that somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

RENAMED = {
    "num_pieces": "patch_classes",
    "piece_loss_weight": "class_loss_weight",
    "visible_pieces": "visible_classes",
    "blank_pieces": "blank_classes",
}
"""Options of training by their names in earlier versions, which still work."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message: ``; did you mean …?``, or nothing."""
    close = get_close_matches(name.replace("-", "_"), list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
