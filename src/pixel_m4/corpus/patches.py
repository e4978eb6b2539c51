"""Known patches and their numbers: what the second objective of pretraining asks for.

Dimensions: K known patches, C values of a patch (256 grey).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixel_m4.console.errors import UserError

UNKNOWN = -100  # what losses skip


class PatchVocabulary:
    """Numbers of patches by their pixels.

    Args:
        patches: uint8 [K, C], all different.

    Raises:
        ValueError: two are the same, or C is no multiple of 8.
    """

    def __init__(self, patches: NDArray[np.uint8]) -> None:
        if patches.ndim != 2 or patches.shape[1] % 8:
            raise UserError(f"patches must be [K, C] with C a multiple of 8, got {list(patches.shape)}")
        self.patches = np.ascontiguousarray(patches)
        # Odd factors, fixed: a patch is told by 64 bits of its pixels first, and then by all of them.
        factors = np.random.default_rng(0).integers(2**63, size=patches.shape[1] // 8, dtype=np.uint64)
        self._factors = factors | np.uint64(1)
        keys = self._keys(self.patches)
        self._order = keys.argsort()
        self._sorted = keys[self._order]
        if (self._sorted[1:] == self._sorted[:-1]).any():
            raise UserError("patches must all be different")

    def __len__(self) -> int:
        return len(self.patches)

    def numbers(self, patches: NDArray[np.uint8]) -> NDArray[np.int64]:
        """uint8 [..., C] → int64 [...], -100 for patches that are not known."""
        flat = np.ascontiguousarray(patches).reshape(-1, patches.shape[-1])
        if not len(self):
            return np.full(patches.shape[:-1], UNKNOWN)
        place = self._sorted.searchsorted(self._keys(flat)).clip(max=len(self) - 1)
        found = self._order[place]
        same = (self.patches[found] == flat).all(1)
        return np.where(same, found, UNKNOWN).reshape(patches.shape[:-1])

    def _keys(self, patches: NDArray[np.uint8]) -> NDArray[np.uint64]:
        words = patches.view(np.uint64)  # [n, C / 8]
        return (words * self._factors).sum(1, dtype=np.uint64)
