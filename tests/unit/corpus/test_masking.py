from __future__ import annotations

import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import groupby

import numpy as np
import pytest

from pixel_m4.corpus.masking import (
    CUMULATIVE_WEIGHTS,
    Mask,
    random_mask,
    random_masks,
    span_mask,
    span_masks,
)

PATCHES = 529


def oracle(
    num_text_patches: int,
    num_patches: int,
    rng: np.random.Generator,
    ratio: float = 0.25,
    cumulative_weights: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 0.9, 1.0),
) -> Mask:
    """The sentences of the specification, one after the other, on a list."""
    mask = [False] * num_patches
    goal = math.ceil(ratio * num_patches)
    chances = np.diff([0.0, *cumulative_weights])
    while sum(mask) < goal:
        for _attempt in range(100):
            length = int(rng.choice(np.arange(1, len(chances) + 1), p=chances))
            on_text = not any(mask)
            last_start = (num_text_patches if on_text else num_patches) - length
            start = int(rng.integers(0, max(last_start, 0) + 1))
            left = mask[max(start - length, 0) : start]
            right = mask[start + length : start + 2 * length]
            trial = list(mask)
            trial[start : start + length] = [True] * length
            if any(left) or any(right) or trial == mask or sum(trial) > goal:
                continue
            mask = trial
            break
        else:
            break
    unmasked = [patch for patch, masked in enumerate(mask) if not masked]
    for patch in rng.permutation(unmasked)[: goal - sum(mask)]:
        mask[patch] = True
    return np.array(mask)


def runs(mask: Mask) -> list[tuple[bool, int]]:
    """Whether masked, and how many patches, from left to right."""
    return [(masked, len(list(group))) for masked, group in groupby(mask.tolist())]


def shares(values: Iterable[int], of: Iterable[int]) -> np.ndarray:
    """How often each of `of` is among the values, as a share of them all."""
    counts = Counter(values)
    return np.array([counts[value] for value in of]) / counts.total()


def span_lengths(masks: Mask) -> list[int]:
    return [length for mask in masks for masked, length in runs(mask) if masked]


def gaps(masks: Mask) -> list[int]:
    return [length for mask in masks for masked, length in runs(mask)[1:-1] if not masked]


def gaps_beside(masks: Mask, span: int) -> list[int]:
    """The gaps on both sides of spans of one length."""
    found = []
    for mask in masks:
        lengths = [length for _, length in runs(mask)]
        first = 0 if mask[0] else 1
        for place in range(first, len(lengths), 2):
            if lengths[place] == span:
                found += [lengths[side] for side in (place - 1, place + 1) if 0 < side < len(lengths) - 1]
    return found


@pytest.fixture(scope="module")
def ours() -> Mask:
    return span_masks([400] * 1500, PATCHES, np.random.default_rng(1))


@pytest.fixture(scope="module")
def theirs() -> Mask:
    rng = np.random.default_rng(2)
    return np.stack([oracle(400, PATCHES, rng) for _ in range(150)])


# Statistics: 6,000 spans of the oracle give shares with a standard deviation of about 0.005.


def test_span_lengths_are_those_of_the_specification(ours: Mask, theirs: Mask) -> None:
    lengths = range(1, 9)
    expected = shares(span_lengths(theirs), lengths)
    np.testing.assert_allclose(shares(span_lengths(ours), lengths), expected, atol=0.02)


def test_gaps_are_those_of_the_specification(ours: Mask, theirs: Mask) -> None:
    lengths = range(1, 25)
    expected = shares(gaps(theirs), lengths)
    np.testing.assert_allclose(shares(gaps(ours), lengths), expected, atol=0.015)
    assert np.mean(gaps(ours)) == pytest.approx(np.mean(gaps(theirs)), rel=0.02)
    for span in (1, 4, 6):
        assert np.mean(gaps_beside(ours, span)) == pytest.approx(np.mean(gaps_beside(theirs, span)), rel=0.06)


def test_every_place_is_as_likely_as_in_the_specification(ours: Mask, theirs: Mask) -> None:
    blocks = [mask[:, : 23 * 23].reshape(len(mask), 23, 23).mean((0, 2)) for mask in (ours, theirs)]
    np.testing.assert_allclose(*blocks, atol=0.035)
    # The edges, where spans of 2 and more are rare, are masked less often than the middle.
    assert ours[:, 0].mean() < 0.75 * ours[:, 20:-20].mean()


def test_lengths_follow_the_weights_where_there_is_room() -> None:
    """With 1 % masked nearly nothing is rejected: the lengths are those that were drawn."""
    rng = np.random.default_rng(3)
    weights = np.diff([0, *CUMULATIVE_WEIGHTS])
    drawn = shares(span_lengths(span_masks([10_000] * 200, 10_000, rng, ratio=0.01)), range(1, 7))
    np.testing.assert_allclose(drawn, weights, atol=0.02)
    other = span_masks([10_000] * 200, 10_000, rng, ratio=0.01, max_span=3, cumulative_weights=(0.1, 0.3, 1))
    np.testing.assert_allclose(shares(span_lengths(other), range(1, 5)), [0.1, 0.2, 0.7, 0], atol=0.03)


def test_a_wrong_weight_would_be_found(theirs: Mask) -> None:
    """The tolerance of the first test is finer than a shift of 0.05 from one length to the next."""
    wrong = (0.2, 0.4, 0.55, 0.8, 0.9, 1.0)
    rng = np.random.default_rng(4)
    masks = span_masks([400] * 1500, PATCHES, rng, cumulative_weights=wrong)
    expected = shares(span_lengths(theirs), range(1, 9))
    assert np.abs(shares(span_lengths(masks), range(1, 9)) - expected).max() > 0.02


# What holds for every mask


@pytest.mark.parametrize("make", [span_masks, random_masks])
@pytest.mark.parametrize(("patches", "ratio"), [(529, 0.25), (100, 0.07), (64, 0.5), (37, 0.15), (2, 0.25)])
def test_the_count_is_exact(make: Callable[..., Mask], patches: int, ratio: float) -> None:
    masks = make([patches, 1] * 50, patches, np.random.default_rng(5), ratio=ratio)
    assert masks.shape == (100, patches)
    assert masks.dtype == bool
    expected = {529: 133, 100: 7, 64: 32, 37: 6, 2: 1}[patches]
    assert set(masks.sum(1).tolist()) == {expected}


@pytest.mark.parametrize("make", [span_masks, random_masks])
@pytest.mark.parametrize("text", [1, 2, 7])
def test_text_is_masked_however_short(make: Callable[..., Mask], text: int) -> None:
    masks = make([text] * 300, PATCHES, np.random.default_rng(6))
    assert masks[:, :text].any(1).all()


def test_the_first_span_is_anywhere_on_text() -> None:
    """A goal of one patch leaves only the first span, of one patch."""
    masks = span_masks([10] * 4000, 100, np.random.default_rng(7), ratio=0.01)
    assert not masks[:, 10:].any()
    np.testing.assert_allclose(masks[:, :10].mean(0), 0.1, atol=0.02)


def test_spans_keep_their_distance() -> None:
    """The longer of two neighbours may have come first, so a gap is at least the shorter one's length."""
    masks = span_masks([PATCHES] * 300, PATCHES, np.random.default_rng(8), ratio=0.15)
    for mask in masks:
        found = runs(mask)
        for (_, left), (gap_masked, gap), (_, right) in zip(found, found[1:], found[2:], strict=False):
            assert gap_masked or gap >= min(left, right)


def test_no_span_fits() -> None:
    """Spans of 2 cannot make one patch; what is missing is drawn at random, on text."""
    masks = span_masks([3] * 50, 20, np.random.default_rng(9), 0.05, 2, (0.0, 1.0))
    assert masks.sum(1).tolist() == [1] * 50
    assert masks[:, :3].any(1).all()


def test_a_crowded_mask_is_topped_up() -> None:
    mask = span_mask(PATCHES, PATCHES, np.random.default_rng(10), ratio=0.8)
    assert mask.sum() == math.ceil(0.8 * PATCHES)


def test_random_masks_are_uniform_and_lift_one_text_patch() -> None:
    masks = random_masks([8] * 20_000, 16, np.random.default_rng(11))
    # Without the rule all places have 1/4. Four patches of padding were drawn in a share `none` of the masks.
    none = math.comb(8, 4) / math.comb(16, 4)
    np.testing.assert_allclose(masks[:, :8].mean(0), 0.25 + none / 8, atol=0.015)
    np.testing.assert_allclose(masks[:, 8:].mean(0), 0.25 - none / 8, atol=0.015)


# Determinism


@pytest.mark.parametrize("make", [span_masks, random_masks])
def test_a_seed_gives_the_masks(make: Callable[..., Mask]) -> None:
    texts = [529, 3, 80]
    first, second, other = (make(texts, PATCHES, np.random.default_rng(seed)) for seed in (12, 12, 13))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert (first[0] != first[1]).any()


@pytest.mark.parametrize(("one", "many"), [(span_mask, span_masks), (random_mask, random_masks)])
def test_a_batch_is_its_texts_in_order(one: Callable[..., Mask], many: Callable[..., Mask]) -> None:
    texts, rng = np.array([529, 3, 80]), np.random.default_rng(14)
    batch = many(texts, PATCHES, np.random.default_rng(14))
    np.testing.assert_array_equal(batch, [one(text, PATCHES, rng) for text in texts])
    assert many([], PATCHES, rng).shape == (0, PATCHES)


def test_the_stream_is_frozen() -> None:
    """A resumed run draws what the first one would have drawn: changes of the algorithm show here."""
    mask = span_mask(30, 36, np.random.default_rng(15))
    assert np.flatnonzero(mask).tolist() == [11, 12, 13, 14, 22, 26, 28, 29, 32]


# Bad input


@pytest.mark.parametrize("make", [span_mask, random_mask])
@pytest.mark.parametrize(
    ("text", "patches", "ratio", "message"),
    [
        (10, 16, 0.0, "ratio must lie between 0 and 1.*got 0.0"),
        (10, 16, 1.0, "ratio must lie between 0 and 1.*got 1.0"),
        (10, 16, math.nan, "ratio must lie between 0 and 1.*got nan"),
        (0, 16, 0.25, "at least 1.*got 0"),
        (17, 16, 0.25, "at most num_patches 16; got 17"),
        (1, 1, 0.25, "num_patches 1 is too small for a ratio of 0.25"),
        (3, 3, 0.9, "num_patches 3 is too small for a ratio of 0.9"),
    ],
)
def test_bad_input(make: Callable[..., Mask], text: int, patches: int, ratio: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(text, patches, np.random.default_rng(0), ratio)


@pytest.mark.parametrize(
    ("max_span", "weights"),
    [(6, (0.5, 1.0)), (0, ()), (2, (0.6, 0.9)), (2, (-0.1, 1.0)), (3, (0.5, 0.4, 1.0)), (1, (math.nan,))],
)
def test_bad_weights(max_span: int, weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="cumulative_weights"):
        span_mask(10, 16, np.random.default_rng(0), 0.25, max_span, weights)


# Speed


def test_masks_keep_up_with_training() -> None:
    """At least 20,000 sequences a minute; on a quiet core it is ten times that."""
    rng = np.random.default_rng(16)
    span_masks([PATCHES] * 20, PATCHES, rng)
    before = time.process_time()
    span_masks([PATCHES] * 200, PATCHES, rng)
    assert (time.process_time() - before) / 200 < 60 / 20_000


def test_workers_need_no_torch() -> None:
    code = "import sys, pixel_m4.corpus.masking; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
