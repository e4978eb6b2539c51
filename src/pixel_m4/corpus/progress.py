"""How far a loader has read each language, from its saved state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pixel_m4.corpus.sources import nulls_of


def progress(state: Any) -> dict[str, float]:
    """Read the state of a loader of ``TextStream`` of any number of workers.

    Returns:
        For each language ``passes_<language>``, passes over its text that are done in all of the loader's
        shares; and, where there are any, ``dropped_patches_<language>``, of last blocks that were too short,
        and ``rows_without_text_<language>``, passed over in a pass (so far, or in the one before)
    """
    passes: dict[str, int] = {}
    dropped: dict[str, int] = {}
    empty: dict[str, int] = {}
    for stream in _streams(state):
        for language, state_of in stream["languages"].items():
            share = state_of.get("blocks", state_of)  # of blocks that are shuffled: where the window began
            done = int(share["epoch"]) + bool(share["done"])
            passes[language] = min(passes.get(language, done), done)
            dropped[language] = dropped.get(language, 0) + int(share.get("dropped", 0))
            nulls = max(int(share.get("nulls", 0)), nulls_of(share.get("position")))
            empty[language] = empty.get(language, 0) + nulls
    found: dict[str, float] = {f"passes_{language}": count for language, count in passes.items()}
    for name, counts in (("dropped_patches", dropped), ("rows_without_text", empty)):
        found |= {f"{name}_{language}": count for language, count in counts.items() if count}
    return found


def _streams(state: Any) -> Iterator[Mapping[str, Any]]:
    """The states of streams, wherever they are: their place depends on the number of workers."""
    if not isinstance(state, Mapping):
        return
    if "languages" in state and "shares" in state:
        yield state
    else:
        for part in state.values():
            yield from _streams(part)
