"""Cut a row of words that is too long into windows that fit, without losing a word."""

from __future__ import annotations

from collections.abc import Sequence


def windows(counts: Sequence[int], capacity: int, stride: int = 0, first: range | None = None) -> list[range]:
    """Cover words by windows of at most ``capacity`` patches.

    Neighbouring windows share at least ``stride`` patches where word borders allow it, and every word is in
    at least one window.  A word longer than a window stands alone in one, to be cut by whoever draws it.

    Args:
        counts: patches of each word.
        capacity: patches of a window.
        stride: patches that neighbours are to share.
        first: words of the first window, where these are already chosen.

    Raises:
        ValueError: there is no room, or the stride leaves none for progress.
    """
    if capacity < 1:
        raise ValueError(f"a window must hold at least one patch, not {capacity}")
    if not 0 <= stride < capacity:
        raise ValueError(
            f"stride must be at least 0 and smaller than the {capacity} patches of a window, not {stride}"
        )
    covered = [first] if first else [_fill(counts, 0, capacity)]
    while covered[-1].stop < len(counts):
        last = covered[-1]
        start, shared = last.stop, 0
        # Step back over words to share, as long as the next new word still fits.
        room = capacity - counts[last.stop]
        while shared < stride and start - 1 > last.start and shared + counts[start - 1] <= room:
            start -= 1
            shared += counts[start]
        covered.append(_fill(counts, start, capacity))
    return covered


def _fill(counts: Sequence[int], start: int, capacity: int) -> range:
    """The words from ``start`` that fit, at least one."""
    stop, used = start, 0
    while stop < len(counts) and (used + counts[stop] <= capacity or stop == start):
        used += counts[stop]
        stop += 1
    return range(start, stop)
