from __future__ import annotations

import numpy as np
import pytest

from pixel_m4.corpus.patches import PatchVocabulary


def test_every_patch_has_its_number_and_others_none() -> None:
    rng = np.random.default_rng(1)
    patches = rng.integers(256, size=(500, 256), dtype=np.uint8)
    patches[1] = patches[0]
    patches[1, 255] ^= 1  # one pixel differs, by one
    vocabulary = PatchVocabulary(patches[:400])
    found = vocabulary.numbers(patches.reshape(5, 100, 256))
    assert found.shape == (5, 100)
    assert found.reshape(-1)[:400].tolist() == list(range(400))
    assert set(found.reshape(-1)[400:].tolist()) == {-100}


def test_patches_that_are_no_vocabulary() -> None:
    with pytest.raises(ValueError, match="different"):
        PatchVocabulary(np.zeros((2, 256), np.uint8))
    with pytest.raises(ValueError, match=r"\[K, C\]"):
        PatchVocabulary(np.zeros((2, 12), np.uint8))
