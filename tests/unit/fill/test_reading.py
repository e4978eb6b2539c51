from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from pixel_m4.fill.reading import ReadingAccuracy, UnitReader, most_frequent_patch, reading_accuracy
from pixel_m4.fill.units import possible_units
from pixel_m4.model.inputs import split_patches
from pixel_m4.model.objectives import as_targets, standardise
from pixel_m4.render import TextRenderer


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=64)


def patches_of(renderer: TextRenderer, text: str | list[str], rtl: bool = False) -> Tensor:
    """Text patches uint8 [P, 256 or 768]."""
    encoding = renderer(text, rtl=rtl)
    pixels = torch.from_numpy(encoding.pixel_values)[None]
    return split_patches(pixels)[0, : encoding.num_text_patches]


def seen(renderer: TextRenderer, text: str | list[str], noise: float = 0.0, **options: bool) -> Tensor:
    """What a perfect model predicts, and noise [P, 768]."""
    targets = standardise(as_targets(patches_of(renderer, text, **options), 16, 3))
    return targets + noise * torch.randn(targets.shape, generator=torch.Generator().manual_seed(0))


TEXTS = ["cat", "oatmeal.", "Кішка", "我的猫喜欢燕麦片。", "मेरी", "Việt", "শহর", "ไทย"]
QUICK = [*((text, "bigrams") for text in TEXTS), ("cat", "graphemes"), ("শহর", "adaptive")]


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        pytest.param(text, strategy, marks=[] if (text, strategy) in QUICK else pytest.mark.slow)
        for strategy in ("bigrams", "graphemes", "adaptive")
        for text in TEXTS
    ],
)
def test_what_was_written_is_read(text: str, strategy: str) -> None:
    renderer = TextRenderer(strategy=strategy, max_seq_length=64)
    reader = UnitReader(renderer, possible_units(renderer, [text]))
    readings = reader.read(seen(renderer, text, noise=0.3))
    assert readings[0].text.replace(" ", "") == text
    assert readings[0].distance < 0.1
    assert [reading.probability for reading in readings] == sorted(
        (reading.probability for reading in readings), reverse=True
    )
    assert len({reading.units for reading in readings}) == len(readings) == 5
    # Ink that reaches into neighbours is not the unit's own, so not all pixels need to be equal.
    equal = (readings[0].pixels == patches_of(renderer, text)).float().mean()
    assert equal > 0.97


@pytest.mark.parametrize("text", ["שלום", "قرأت", "12", "ab"])
@pytest.mark.parametrize("rtl", [False, True])
def test_directions(renderer: TextRenderer, text: str, rtl: bool) -> None:
    """Patches are read from the left, text is given back in logical order."""
    reader = UnitReader(renderer, possible_units(renderer, [text]))
    # With Latin letters around, the text counts as left-to-right.
    line = [text] if rtl else [text, "abcdefgh"]
    patches = seen(renderer, line, rtl=rtl)[: renderer.measure([text])[0]]
    assert reader.read(patches, rtl=rtl)[0].text == text
    if rtl or text.isascii():
        alone = seen(renderer, [text])
        assert reader.read(alone)[0].text == text


def test_several_words_in_a_stretch(renderer: TextRenderer) -> None:
    reader = UnitReader(renderer, ["a", "ca", "t", "猫", "猫喜"])
    assert reader.read(seen(renderer, "a cat"))[0].text == "a cat"
    assert reader.read(seen(renderer, "猫喜 a"))[0].units == ("猫喜", "a")


@pytest.mark.parametrize("normalised", [True, False])
def test_the_best_sequences_and_their_probabilities_are_exact(
    renderer: TextRenderer, normalised: bool
) -> None:
    units = ["ca", "t", "猫", "猫喜", "喜猫", "WW", "W", "oa"]
    reader = UnitReader(renderer, units, normalised, temperature=30)
    patches = seen(renderer, "猫喜 ca WW", noise=1.0)
    widths = renderer.measure(units)
    targets = []
    for unit, width in zip(units, widths, strict=True):
        target = as_targets(patches_of(renderer, [unit]), 16, 3)[:width]
        targets.append(standardise(target) if normalised else target)
    variance = (
        1.0 if normalised else torch.cat([part[:, ::3] for part in targets]).unique(dim=0).var(1).mean()
    )
    # Grey predictions: the mean of the channels.
    grey = patches.unflatten(1, (256, 3)).mean(2)
    scored = []
    for length in range(1, len(patches) + 1):
        for path in product(range(len(units)), repeat=length):
            if sum(widths[i] for i in path) == len(patches):
                target = torch.cat([targets[i] for i in path])[:, ::3]
                distance = float((grey - target).square().mean())
                logit = -distance * len(patches) * 256 / (2 * 30 * float(variance))
                scored.append((logit, distance, tuple(units[i] for i in path)))
    scored.sort(reverse=True)
    total = math.log(sum(math.exp(logit - scored[0][0]) for logit, *_ in scored)) + scored[0][0]
    readings = reader.read(patches, top=7)
    assert [reading.units for reading in readings] == [path for *_, path in scored[:7]]
    for reading, (logit, distance, _) in zip(readings, scored, strict=False):
        assert reading.distance == pytest.approx(distance, rel=1e-4)
        assert reading.probability == pytest.approx(math.exp(logit - total), rel=1e-3)
    everything = reader.read(patches, top=len(scored) + 1)
    assert len(everything) == len(scored)
    assert sum(reading.probability for reading in everything) == pytest.approx(1)


def test_a_lower_temperature_is_surer(renderer: TextRenderer) -> None:
    patches = seen(renderer, "cat", noise=0.5)
    units = possible_units(renderer, ["cat"])
    sure, unsure = (
        UnitReader(renderer, units, temperature=temperature).read(patches)[0] for temperature in (1, 20)
    )
    assert sure.text == unsure.text == "cat"
    assert sure.probability > unsure.probability


def test_units_that_look_the_same_are_one_named_after_the_most_frequent(renderer: TextRenderer) -> None:
    latin, cyrillic = "oo", "оо"
    np.testing.assert_array_equal(patches_of(renderer, latin), patches_of(renderer, cyrillic))
    patches = seen(renderer, latin)
    for counts in ({latin: 1, cyrillic: 2}, {cyrillic: 2, latin: 1}):
        (reading,) = UnitReader(renderer, counts).read(patches)
        assert reading.text == cyrillic
        assert reading.probability == pytest.approx(1)


def test_colour() -> None:
    renderer = TextRenderer(rgb=True, max_seq_length=64)
    reader = UnitReader(renderer, ["ca", "t", "do"])
    assert reader.read(seen(renderer, "cat"))[0].text == "cat"
    assert reader.read(seen(renderer, "cat")[:, ::3])[0].text == "cat"
    assert reader.read(seen(renderer, "cat"))[0].pixels.shape == (2, 768)


def test_no_unit_fits(renderer: TextRenderer) -> None:
    assert UnitReader(renderer, ["猫喜"]).read(seen(renderer, "cat oa")[:3]) == []
    assert UnitReader(renderer, ["ca"]).read(torch.zeros(0, 256)) == []


def test_errors(renderer: TextRenderer) -> None:
    with pytest.raises(ValueError, match="no known units"):
        UnitReader(renderer, [])
    with pytest.raises(ValueError, match="none of them can be drawn"):
        UnitReader(renderer, ["\u0378", "\u200b"]).read(torch.zeros(1, 256))
    with pytest.raises(ValueError, match="temperature must be positive, got 0"):
        UnitReader(renderer, ["a"], temperature=0)
    with pytest.raises(ValueError, match="continuous lines are not made of units"):
        UnitReader(TextRenderer(strategy="continuous"), ["a"])
    with pytest.raises(ValueError, match=r"patches must be \[M, 256 or 768\], got \[3, 100\]"):
        UnitReader(renderer, ["a"]).read(torch.zeros(3, 100))


def test_accuracy(renderer: TextRenderer) -> None:
    texts = ["ca do ca", "zz ca"]
    batch = renderer.batch(texts, return_tensors="pt")
    patches = split_patches(batch["pixel_values"])  # ca do ca # / zz ca # padding
    logits = standardise(as_targets(patches, 16, 3))
    logits[0, 1] = logits[0, 0]  # "do" is taken for "ca"
    reader = UnitReader(renderer, {"do": 1, "ca": 2})
    ones = torch.ones(2, 4)
    found = reading_accuracy(logits, batch["pixel_values"], ones, reader, batch["attention_mask"])
    assert found == ReadingAccuracy(patches=5, correct=3, baseline=3, known=4)
    assert found.shares() == {"reading_accuracy": 0.6, "reading_baseline": 0.6, "reading_known": 0.8}
    mask = torch.tensor([[0, 1, 0, 1], [0, 1, 1, 0]])
    part = reading_accuracy(logits, batch["pixel_values"], mask, reader, batch["attention_mask"])
    assert part == ReadingAccuracy(patches=2, correct=1, baseline=1, known=2)
    assert found + part == ReadingAccuracy(7, 4, 4, 6)
    colour = batch["pixel_values"][..., None].repeat(1, 1, 1, 3)
    assert reading_accuracy(logits, colour, mask, reader, batch["attention_mask"]) == part
    guess = reader.table(None).pixels[1]  # "do"
    other = reading_accuracy(logits, batch["pixel_values"], ones, reader, batch["attention_mask"], guess)
    assert (other.baseline, other.correct) == (1, 3)
    common = most_frequent_patch(batch["pixel_values"], batch["attention_mask"], reader)
    assert common is not None
    assert torch.equal(common, reader.table(None).pixels[0])
    assert most_frequent_patch(batch["pixel_values"], 0 * batch["attention_mask"], reader) is None
    nothing = reading_accuracy(logits, batch["pixel_values"], 0 * mask, reader)
    assert nothing.patches == 0
    assert math.isnan(nothing.shares()["reading_accuracy"])
    with pytest.raises(ValueError, match="must be uint8"):
        reading_accuracy(logits, batch["pixel_values"] / 255, mask, reader)


def test_nearest_is_the_smallest_of_all_distances(renderer: TextRenderer) -> None:
    reader = UnitReader(renderer, possible_units(renderer, ["cat"]))
    patches = torch.randn(50, 768, generator=torch.Generator().manual_seed(1))
    targets = reader.table(None).targets
    slow = torch.stack([(patch.view(256, 3).mean(1) - targets).square().mean(1) for patch in patches])
    torch.testing.assert_close(reader.distances(patches), slow, rtol=1e-4, atol=1e-4)
    assert reader.nearest(patches).tolist() == slow.argmin(1).tolist()
