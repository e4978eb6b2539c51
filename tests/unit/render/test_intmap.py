from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixel_m4.render.intmap import IntMap


@given(st.lists(st.sets(st.integers(0, 2**62), max_size=300), max_size=6), st.lists(st.integers(0, 2**62)))
def test_behaves_like_a_dictionary(groups: list[set[int]], others: list[int]) -> None:
    made, oracle = IntMap(), {}
    for group in groups:
        keys = sorted(group - oracle.keys())
        values = list(range(len(oracle), len(oracle) + len(keys)))
        made.put(np.array(keys, np.int64), np.array(values, np.int64))
        oracle.update(zip(keys, values, strict=True))
    asked = [*oracle, *others]
    assert made.get(np.array(asked, np.int64)).tolist() == [oracle.get(key, -1) for key in asked]
    assert len(made) == len(oracle)


def test_many_keys_and_alike_ones() -> None:
    made = IntMap()
    keys = np.arange(0, 1 << 30, 1 << 13, dtype=np.int64)  # far more than the first slots, evenly spaced
    for part in np.split(keys, 8):
        made.put(part, part // 7)
    np.testing.assert_array_equal(made.get(keys), keys // 7)
    assert (made.get(keys + 1) == -1).all()
