"""Vectors of texts: pooling against a slow oracle, independence of the batch, the doors."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import torch

import pixel_m4
from pixel_m4 import PixelConfig, PixelModel, TextRenderer, embed
from pixel_m4.analysis.states import POOLINGS, PixelStates
from pixel_m4.cli.main import main
from pixel_m4.files import DataError

TEXTS = ["The cat sleeps.", "मेरी बिल्ली को दलिया पसंद है।", "a", "我的猫喜欢燕麦片。", "Їжак з’їв ґудзик!", ""]


@pytest.fixture(scope="module")
def states() -> PixelStates:
    torch.manual_seed(0)
    model = PixelModel(PixelConfig.named("nano", max_seq_length=64)).eval()
    return PixelStates(model, TextRenderer(max_seq_length=64), batch_size=2)


def slow(states: PixelStates, text: str, layer: int, pooling: str) -> torch.Tensor:
    """One text at a time, one patch at a time."""
    encoding = states.renderer(text)
    pixels = torch.from_numpy(encoding.pixel_values)[None, :, : 16 * (encoding.num_text_patches + 1)]
    with torch.no_grad():
        cls, *patches = states.model(pixels, output_hidden_states=True).hidden_states[layer][0]
    shown = patches[: encoding.num_text_patches]
    mean = sum(shown) / len(shown) if shown else torch.zeros_like(cls)
    if pooling == "published":
        return (cls + sum(patches)) / (encoding.num_text_patches + 1)
    if pooling == "first_last_mean":
        return torch.cat([patches[0], shown[-1] if shown else patches[0], mean])
    return {"cls": cls, "first": patches[0], "mean": mean}[pooling]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_against_one_text_at_a_time(states: PixelStates, pooling: str) -> None:
    found = states.embed(TEXTS, None, pooling)  # type: ignore[arg-type]
    assert found.dtype == np.float32
    assert found.shape[:2] == (4, len(TEXTS))
    for layer in range(4):
        for number, text in enumerate(TEXTS):
            expected = slow(states, text, layer, pooling)
            np.testing.assert_allclose(found[layer, number], expected.numpy(), atol=1e-5)


def test_layers_by_number(states: PixelStates) -> None:
    every = states.embed(TEXTS, None)
    np.testing.assert_array_equal(states.embed(TEXTS, [0, -1]), every[[0, 3]])
    with pytest.raises(ValueError, match="there is no layer 4; 0 are the embeddings, 3 is the last"):
        states.embed(TEXTS, [4])
    with pytest.raises(ValueError, match="there is no pooling 'max'; there are mean, published"):
        states.embed(TEXTS, pooling="max")  # type: ignore[arg-type]


def test_the_door_and_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pixel_m4.embed(TEXTS[:5], "pixel-m4-tiny", device="cpu")
    assert expected.shape == (5, 192)
    with pytest.raises(TypeError, match=r"write \[text\]"):
        pixel_m4.embed("text")
    output = tmp_path / "new" / "x.npy"
    command = ["embed", "pixel-m4-tiny", "--output", str(output), "--device", "cpu"]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(TEXTS[:5]).encode())))
    assert main(command) == 0
    np.testing.assert_array_equal(np.load(output), expected)
    assert main([*command[:2], *TEXTS[:5], *command[2:]]) == 1  # it is there
    table = tmp_path / "x.parquet"
    assert main(["embed", "pixel-m4-ud", *TEXTS[:2], "--output", str(table), "--layer", "1"]) == 0
    rows = pyarrow.parquet.read_table(table).to_pydict()
    assert rows["text"] == TEXTS[:2]
    vectors = PixelStates.open("pixel-m4-ud", device="cpu").embed(TEXTS[:2], [1])[0]
    np.testing.assert_allclose(np.array(rows["vector"]), vectors, atol=1e-5)
    assert main(["embed", "pixel-m4-tiny", "a", "--output", str(tmp_path / "x.txt")]) == 1


def test_random_weights_are_another_model_of_the_same_shape() -> None:
    vectors = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        vectors.append(PixelStates.open("pixel-m4-tiny", random_weights=True).embed(["a cat"])[0])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2])


def test_a_text_of_which_nothing_is_seen_has_no_vector() -> None:
    """It had one of zeros, whose cosine with anything is no number."""
    for texts in (["a", ""], ["a", " \t"]):
        with pytest.raises(DataError, match="text 2: the text is empty"):
            embed(texts, device="cpu")
