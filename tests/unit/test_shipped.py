"""Names of shipped checkpoints stand for folders of the package."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pixel_m4.model import PixelForPreTraining
from pixel_m4.model.checkpoint import open_checkpoint
from pixel_m4.render import TextRenderer
from pixel_m4.shipped import SHIPPED, find_shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_name_is_a_folder(name: str) -> None:
    assert (Path(find_shipped(name)) / "config.json").is_file()
    assert find_shipped(Path(name)) == find_shipped(name)


def test_other_names_stay(tmp_path: Path) -> None:
    for name in ("base", "team/pixel-m4", tmp_path, None):
        assert find_shipped(name) is name


def test_a_folder_of_the_user_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(SHIPPED[0]).mkdir()
    assert find_shipped(SHIPPED[0]) == SHIPPED[0]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_checkpoint_loads_by_its_name(name: str) -> None:
    model, info = PixelForPreTraining.from_pretrained(name, output_loading_info=True)
    assert not any(info.values()), info
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}  # can be trained
    assert open_checkpoint(name).dtypes == ("float16",)
    assert open_checkpoint(name).size <= 16_000_000
    assert (Path(find_shipped(name)) / "README.md").is_file()


@pytest.mark.parametrize(
    "text", ["My cat loves oatmeal, and so do I.", "Моя кішка любить вівсянку.", "我的猫喜欢燕麦片。"]
)
def test_the_shipped_model_knows_text_from_noise(text: str) -> None:
    """It predicts hidden patches of text better than those of the same patches in another order."""
    model = PixelForPreTraining.from_pretrained(SHIPPED[0]).eval()
    renderer = TextRenderer.from_pretrained(SHIPPED[0])
    assert renderer.max_seq_length == model.config.max_seq_length
    pixels = torch.from_numpy(renderer(text).pixel_values)[None]
    patches = renderer(text).num_text_patches
    pixels = pixels[..., : 16 * patches]
    order = torch.randperm(patches, generator=torch.Generator().manual_seed(0))
    shuffled = pixels.unflatten(2, (patches, 16))[:, :, order].flatten(2)
    losses = []
    for strip, places in ((pixels, torch.arange(patches)), (shuffled, order.argsort())):
        total = 0.0
        for place in places.tolist():
            mask = torch.zeros(1, patches)
            mask[0, place] = 1
            with torch.no_grad():
                total += model(strip, patch_mask=mask, mask_ratio=0.5 / patches).loss.item()
        losses.append(total)
    assert losses[0] < losses[1]
