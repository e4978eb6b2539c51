from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixel_m4.render.windows import windows


def test_one_window_when_all_fits() -> None:
    assert windows([2, 3, 4], 9) == [range(3)]
    assert windows([], 9) == [range(0)]


def test_overlap_where_borders_allow() -> None:
    assert windows([1] * 10, 4, 2) == [range(4), range(2, 6), range(4, 8), range(6, 10)]
    assert windows([3, 3, 3, 3], 6, 2) == [range(2), range(1, 3), range(2, 4)]


def test_a_word_longer_than_a_window_stands_alone() -> None:
    assert windows([1, 20, 1], 4, 2) == [range(1), range(1, 2), range(2, 3)]


@pytest.mark.parametrize(("capacity", "stride"), [(0, 0), (4, 4), (4, -1)])
def test_bad_sizes(capacity: int, stride: int) -> None:
    with pytest.raises(ValueError, match="must"):
        windows([1, 2], capacity, stride)


@given(st.lists(st.integers(0, 30), max_size=60), st.integers(1, 25), st.data())
def test_every_word_is_covered_and_fits(counts: list[int], capacity: int, data: st.DataObject) -> None:
    stride = data.draw(st.integers(0, capacity - 1))
    found = windows(counts, capacity, stride)
    assert sorted({word for window in found for word in window}) == list(range(len(counts)))
    for window in found:
        assert sum(counts[word] for word in window) <= capacity or len(window) == 1
    for before, after in pairwise(found):
        assert before.start < after.start <= before.stop < after.stop
        shared = sum(counts[word] for word in range(after.start, before.stop))
        # More sharing would have pushed the first new word out, or repeated the whole window.
        wider = after.start - 1
        assert (
            shared >= stride
            or wider <= before.start
            or shared + counts[wider] + counts[before.stop] > capacity
        )
