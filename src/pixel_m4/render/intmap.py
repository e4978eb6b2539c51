"""A map from integers to integers that is looked up by the array."""

from __future__ import annotations

import numpy as np

_EMPTY = MISSING = -1
# 2⁶⁴ by the golden ratio: products spread keys evenly over the highest bits (Knuth, volume 3, 6.4).
_FIBONACCI = np.uint64(0x9E3779B97F4A7C15)


class IntMap:
    """Non-negative int64 keys to int64 values (open addressing with linear probing, in NumPy)."""

    def __init__(self) -> None:
        self._size = 0
        self._allocate(1 << 12)

    def __len__(self) -> int:
        return self._size

    def get(self, keys: np.ndarray) -> np.ndarray:
        """Values of keys, −1 for those that are not there; int64 in and out, one dimension."""
        slots = self._slots(keys)
        found = self._keys.take(slots)
        values = self._values.take(slots)
        other = found != keys
        values[other] = MISSING
        probing = np.flatnonzero(other & (found != _EMPTY))
        while len(probing):
            slots[probing] = (slots[probing] + 1) & self._mask
            at = slots[probing]
            found = self._keys[at]
            hit = found == keys[probing]
            values[probing[hit]] = self._values[at[hit]]
            probing = probing[~hit & (found != _EMPTY)]
        return values

    def put(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Add different keys that are not there yet."""
        self._size += len(keys)
        slots = self._mask + 1
        if 3 * self._size > slots:
            while 2 * self._size > slots:  # so that it is not done again soon
                slots *= 2
            kept = self._keys != _EMPTY
            keys = np.concatenate([self._keys[kept], keys])
            values = np.concatenate([self._values[kept], values])
            self._allocate(2 * slots)
        at = self._slots(keys)
        while len(keys):
            free = self._keys[at] == _EMPTY
            # Of keys that want the same slot the last one gets it.
            self._keys[at[free]] = keys[free]
            self._values[at[free]] = values[free]
            waiting = self._keys[at] != keys
            keys, values, at = keys[waiting], values[waiting], (at[waiting] + 1) & self._mask

    def _allocate(self, slots: int) -> None:
        self._keys = np.full(slots, _EMPTY, np.int64)
        self._values = np.full(slots, -1, np.int64)
        self._mask = slots - 1
        self._shift = np.uint64(65 - slots.bit_length())

    def _slots(self, keys: np.ndarray) -> np.ndarray:
        return ((keys.view(np.uint64) * _FIBONACCI) >> self._shift).view(np.int64)
