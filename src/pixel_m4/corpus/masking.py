"""Which patches pretraining hides: spans, or single patches at random.

Pure functions of their arguments and an explicit NumPy generator, without torch: they run in loader workers.
Source: Rust et al. 2023 (PIXEL), algorithm 1.

Dimensions: B batch, P patches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

RATIO = 0.25
MAX_SPAN = 6
CUMULATIVE_WEIGHTS = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
ATTEMPTS = 100  # to place a span; then what is missing is drawn at random
DRAWS = 256  # candidates drawn at once; about 160 make a mask of 529 patches


def span_mask(
    num_text_patches: int,
    num_patches: int,
    rng: np.random.Generator,
    ratio: float = RATIO,
    max_span: int = MAX_SPAN,
    cumulative_weights: Sequence[float] = CUMULATIVE_WEIGHTS,
) -> Mask:
    """Hide spans with room between them.

    A candidate has a random length and a random place. It is rejected if a masked patch lies within a
    distance of its own length on either side, if all of it is masked, or if it holds more patches than are
    still to be masked; then another one is drawn, length and place. The first span lies on text (and over its
    end only if the text is shorter). After 100 rejections in a row, the rest is drawn patch by patch.

    Args:
        num_text_patches: Patches with text; the others are padding, which may be masked too.
        num_patches: P
        rng: The only source of chance.
        ratio: Share of the patches to mask; ceil(ratio * P) are.
        max_span: The longest span.
        cumulative_weights: How often spans of 1 to `max_span` patches are drawn, summed up; the last is 1.

    Returns:
        [P], True where a patch is masked

    Raises:
        ValueError: An argument is out of its range.
    """
    goal = goal_of(num_text_patches, num_patches, ratio)
    check_weights(max_span, cumulative_weights)
    # The mask is an integer, patch p is bit p + max_span: a shift and an "and" look at a span and its sides.
    bits, missing, rejected = 0, goal, 0
    for length, place in candidates(rng, cumulative_weights):
        within = num_text_patches if missing == goal else num_patches
        start = int(place * (max(within - length, 0) + 1))
        span = (1 << length) - 1
        window = bits >> (start + max_span - length)  # `length` bits each: left side, span, right side
        # kept: masked patches inside the span are no obstacle, they become part of it; so it was published.
        new = length - (window >> length & span).bit_count() if bits else length
        if 0 < new <= missing and not window & (span | span << 2 * length):
            bits |= span << (start + max_span)
            missing -= new
            rejected = 0
        else:
            rejected += 1
        if not missing or rejected == ATTEMPTS:
            break
    if missing == goal:  # no span fits, as in a very short text without spans of 1
        return random_mask(num_text_patches, num_patches, rng, ratio)
    mask = as_array(bits >> max_span, num_patches)
    if missing:
        mask[rng.choice(np.flatnonzero(~mask), missing, replace=False)] = True
    return mask


def span_masks(
    num_text_patches: Sequence[int] | NDArray[np.integer],
    num_patches: int,
    rng: np.random.Generator,
    ratio: float = RATIO,
    max_span: int = MAX_SPAN,
    cumulative_weights: Sequence[float] = CUMULATIVE_WEIGHTS,
) -> Mask:
    """`span_mask` for each text of a batch, in its order: [B] → [B, P]."""
    rows = [
        span_mask(int(text), num_patches, rng, ratio, max_span, cumulative_weights)
        for text in num_text_patches
    ]
    return np.stack(rows) if rows else np.zeros((0, num_patches), bool)


def random_mask(
    num_text_patches: int, num_patches: int, rng: np.random.Generator, ratio: float = RATIO
) -> Mask:
    """Hide patches at random, at least one of them on text; see `span_mask` for the arguments.

    Returns:
        [P], True where a patch is masked
    """
    return random_masks([num_text_patches], num_patches, rng, ratio)[0]


def random_masks(
    num_text_patches: Sequence[int] | NDArray[np.integer],
    num_patches: int,
    rng: np.random.Generator,
    ratio: float = RATIO,
) -> Mask:
    """`random_mask` for each text of a batch: [B] → [B, P]."""
    goals = [goal_of(int(text), num_patches, ratio) for text in num_text_patches]
    mask = np.zeros((len(goals), num_patches), bool)
    if not goals:
        return mask
    score = rng.random(mask.shape)
    # The text patch with the highest score goes to the top. If any text patch was to be masked, so was this
    # one, and nothing changes; otherwise it takes the place of one patch of padding.
    text = np.arange(num_patches) < np.asarray(num_text_patches)[:, None]
    np.put_along_axis(score, np.where(text, score, -1.0).argmax(1)[:, None], 2.0, axis=1)
    np.put_along_axis(mask, np.argpartition(score, -goals[0], axis=1)[:, -goals[0] :], True, axis=1)
    return mask


def goal_of(num_text_patches: int, num_patches: int, ratio: float) -> int:
    """How many patches to mask: ceil(ratio * P).

    Raises:
        ValueError: The ratio is not between 0 and 1, there is no text, or no patch would stay visible.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"ratio must lie between 0 and 1 (neither of them), got {ratio}")
    if not 1 <= num_text_patches <= num_patches:
        raise ValueError(
            f"num_text_patches must be at least 1, as a text patch is masked, and at most num_patches "
            f"{num_patches}; got {num_text_patches}"
        )
    goal = math.ceil(round(ratio * num_patches, 6))  # 0.07 * 100 is 7.000000000000001
    if goal >= num_patches:
        raise ValueError(
            f"num_patches {num_patches} is too small for a ratio of {ratio}: {goal} patches would be masked "
            "and none stay visible"
        )
    return goal


def check_weights(max_span: int, cumulative_weights: Sequence[float]) -> None:
    """Refuse weights that no distribution has.

    Raises:
        ValueError: Their number is not `max_span`, they fall, or they do not lie between 0 and end at 1.
    """
    if max_span < 1 or len(cumulative_weights) != max_span:
        raise ValueError(
            f"cumulative_weights must be max_span numbers, at least one; got {len(cumulative_weights)} "
            f"for max_span {max_span}"
        )
    steps = pairwise((0.0, *cumulative_weights))
    if not all(low <= high for low, high in steps) or abs(cumulative_weights[-1] - 1) > 1e-6:
        raise ValueError(
            "cumulative_weights must start at 0 or more, never fall, and end at 1; "
            f"got {tuple(cumulative_weights)}"
        )


def candidates(rng: np.random.Generator, cumulative_weights: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Draw lengths by their weights, and places in [0, 1), without end."""
    bounds = np.asarray(cumulative_weights[:-1], dtype=float)
    while True:
        length, place = rng.random((2, DRAWS))
        yield from zip((1 + bounds.searchsorted(length, side="right")).tolist(), place.tolist(), strict=True)


def as_array(bits: int, size: int) -> Mask:
    """The lowest bits of an integer, the first one first: [size]."""
    packed = np.frombuffer(bits.to_bytes(-(-size // 8), "little"), np.uint8)
    return np.unpackbits(packed, count=size, bitorder="little").astype(bool)
