from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixel_m4.model import PixelConfig, PixelForPreTraining, PixelForTokenClassification, PixelModel
from pixel_m4.model.inputs import split_patches
from pixel_m4.model.layers import key_padding
from pixel_m4.model.positions import resized_positions, sincos_positions
from pixel_m4.model.vit import PatchEmbeddings


@pytest.fixture
def config() -> PixelConfig:
    return PixelConfig.named("nano", max_seq_length=64)


@pytest.fixture
def model(config: PixelConfig) -> PixelModel:
    torch.manual_seed(0)
    return PixelModel(config).eval()


def pixels(batch: int = 2, patches: int = 20, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, 16, 16 * patches), dtype=torch.uint8, generator=generator)


def padded_mask(*lengths: int, patches: int = 20) -> Tensor:
    return (torch.arange(patches) < torch.tensor(lengths)[:, None]).long()


def test_shapes(model: PixelModel) -> None:
    outputs = model(pixels(), padded_mask(20, 10), output_hidden_states=True, output_attentions=True)
    assert outputs.last_hidden_state.shape == (2, 21, 48)
    assert [state.shape for state in outputs.hidden_states] == [(2, 21, 48)] * 4
    assert [weights.shape for weights in outputs.attentions] == [(2, 4, 21, 21)] * 3
    assert outputs.pooler_output is None
    assert model(pixels()).hidden_states is None


def test_positions_against_one_cell_at_a_time() -> None:
    width, side = 16, 5
    table = sincos_positions(width, side)
    assert table.shape == (1, 26, width)
    assert not table[0, 0].any()
    for patch in range(side**2):
        row, column = divmod(patch, side)
        expected = []
        for place in (column, row):
            angles = [place / 10000 ** (i / (width // 4)) for i in range(width // 4)]
            expected += [torch.tensor(angles).sin(), torch.tensor(angles).cos()]
        torch.testing.assert_close(table[0, 1 + patch], torch.cat(expected))


def test_patches_against_one_pixel_at_a_time() -> None:
    strip = torch.rand(1, 3, 16, 48)
    patches = split_patches(strip)
    assert patches.shape == (1, 3, 768)
    for patch, row, column, channel in ((0, 0, 0, 0), (1, 3, 5, 2), (2, 15, 15, 1)):
        value = patches[0, patch, (row * 16 + column) * 3 + channel]
        assert value == strip[0, channel, row, 16 * patch + column]


def test_patch_embedding_is_the_convolution(config: PixelConfig) -> None:
    embeddings = PatchEmbeddings(config)
    strip = torch.rand(2, 3, 16, 80)
    convolved = embeddings.projection(strip).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embeddings(split_patches(strip)), convolved, atol=1e-5, rtol=0)


def test_all_input_forms_agree(model: PixelModel) -> None:
    grey = pixels()
    forms = (
        grey,
        grey.unsqueeze(-1).expand(-1, -1, -1, 3),
        grey.unsqueeze(1).expand(-1, 3, -1, -1).float() / 255,
        grey.float() / 255,
    )
    expected, *others = (model(form).last_hidden_state for form in forms)
    for other in others:
        torch.testing.assert_close(other, expected, atol=1e-5, rtol=0)


def test_colour_matters(model: PixelModel) -> None:
    colour = torch.rand(1, 3, 16, 64)
    assert not torch.allclose(model(colour).last_hidden_state, model(colour.flip(1)).last_hidden_state)


def test_padding_changes_nothing(model: PixelModel) -> None:
    short = pixels(patches=10)
    long = torch.cat([short, pixels(patches=10, seed=1)], dim=2)
    expected = model(short).last_hidden_state
    found = model(long, padded_mask(10, 10)).last_hidden_state[:, :11]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_mask_of_ones_is_no_mask(model: PixelModel) -> None:
    assert key_padding(torch.ones(2, 20)) is None
    assert torch.equal(
        model(pixels(), padded_mask(20, 20)).last_hidden_state, model(pixels()).last_hidden_state
    )


def test_only_cls_is_left_of_an_empty_text(model: PixelModel) -> None:
    outputs = model(pixels(), padded_mask(0, 20), output_attentions=True)
    assert outputs.last_hidden_state.isfinite().all()
    torch.testing.assert_close(outputs.attentions[0][0, :, :, 0], torch.ones(4, 21))


def test_eager_and_sdpa_agree(model: PixelModel) -> None:
    model.config.unpad_inputs = False
    inputs = (pixels(), padded_mask(20, 7))
    fused = model(*inputs).last_hidden_state
    torch.testing.assert_close(
        model(*inputs, output_attentions=True).last_hidden_state, fused, atol=1e-5, rtol=0
    )
    model.set_attn_implementation("eager")
    torch.testing.assert_close(model(*inputs).last_hidden_state, fused, atol=1e-5, rtol=0)


def test_kept_patches_keep_their_positions(model: PixelModel) -> None:
    keep = torch.tensor([[0, 3, 19], [1, 2, 5]])
    everything = model(pixels(), output_hidden_states=True).hidden_states[0]
    kept = model(pixels(), keep=keep, output_hidden_states=True).hidden_states[0]
    for row in range(2):
        torch.testing.assert_close(kept[row, 1:], everything[row, 1 + keep[row]])


@pytest.mark.filterwarnings(
    "ignore:`(gradient_checkpointing_enable|is_gradient_checkpointing)`:FutureWarning"
)
def test_gradient_checkpointing_changes_no_gradient(config: PixelConfig) -> None:
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = PixelForPreTraining(config).train()
        if checkpointing:
            model.gradient_checkpointing_enable()
            assert model.is_gradient_checkpointing
        torch.manual_seed(1)
        model(pixels(), padded_mask(20, 10)).loss.backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name in gradients[0]:
        torch.testing.assert_close(gradients[0][name], gradients[1][name], msg=name)


@pytest.mark.parametrize("unpad", [False, True])
def test_first_position_is_a_shift_to_the_right(model: PixelModel, unpad: bool) -> None:
    model.config.unpad_inputs = unpad
    first, mask = torch.tensor([5, 9]), padded_mask(20, 12)
    found = model(pixels(), mask, first_position=first).last_hidden_state
    for row in range(2):
        shift = int(first[row])
        shifted = torch.cat([pixels(1, shift, seed=1), pixels()[row : row + 1]], dim=2)
        shifted_mask = F.pad(mask[row : row + 1], (shift, 0))
        expected = model(shifted, shifted_mask).last_hidden_state[0, shift:]
        real = mask[row] == 1
        torch.testing.assert_close(found[row, 1:][real], expected[1:][real], atol=1e-5, rtol=0)


@pytest.mark.parametrize("mask", [pytest.param(None, marks=pytest.mark.slow), padded_mask(20, 10)])
def test_training_compiles_without_a_break(config: PixelConfig, mask: Tensor | None) -> None:
    model = PixelModel(config).train()
    assert config.attention_probs_dropout_prob > 0  # uncompiled, this is attention in pieces
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    compiled(pixels(), mask).last_hidden_state.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize("mask", [None, padded_mask(20, 10)])
def test_the_encoder_compiles_without_a_break(model: PixelModel, mask: Tensor | None) -> None:
    model.config.unpad_inputs = False  # compiled or not, it makes no difference then on padding either
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    expected = model(pixels(), mask).last_hidden_state
    torch.testing.assert_close(compiled(pixels(), mask).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_dropout_on_embeddings_only_when_fine_tuning(config: PixelConfig) -> None:
    assert PixelForTokenClassification(config).vit.embeddings.dropout.p == 0.1
    assert PixelForPreTraining(config).vit.embeddings.dropout.p == 0.0


def test_half_precision(model: PixelModel) -> None:
    expected = model(pixels()).last_hidden_state
    found = model.to(torch.bfloat16)(pixels()).last_hidden_state
    assert found.dtype == torch.bfloat16
    assert F.cosine_similarity(found.float(), expected, dim=-1).min() > 0.99


# Lengths


def test_cut_positions(model: PixelModel) -> None:
    before = model(pixels()).last_hidden_state
    model.resize_positions(49)
    assert model.config.max_patches == 49
    assert model.embeddings.position_embeddings.shape == (1, 50, 48)
    assert torch.equal(model(pixels()).last_hidden_state, before)
    with pytest.raises(ValueError, match=r"50 patches.*49.*resize_positions"):
        model(pixels(patches=50))


@pytest.mark.parametrize("length", [81, 100, 256, 529, 1024])
def test_longer_positions(length: int) -> None:
    table = sincos_positions(16, 8)
    longer = resized_positions(table, length)
    assert longer.shape == (1, 1 + length, 16)
    assert torch.equal(longer[:, 0], table[:, 0])


@pytest.mark.parametrize("length", [49, 100])
def test_resizing_reaches_the_decoder_and_keeps_positions_frozen(config: PixelConfig, length: int) -> None:
    model = PixelForPreTraining(config)
    model.resize_positions(length)
    for table in (model.vit.embeddings.position_embeddings, model.decoder.decoder_pos_embed):
        assert table.shape[1] == 1 + length
        assert not table.requires_grad
    assert model(pixels(patches=length)).logits.shape == (2, length, 768)


def test_resizing_keeps_positions_trainable(config: PixelConfig) -> None:
    model = PixelForTokenClassification(config)
    model.resize_positions(49)
    assert model.vit.embeddings.position_embeddings.requires_grad


def test_a_length_that_is_no_square(model: PixelModel) -> None:
    with pytest.raises(ValueError, match=r"got 50, .* 49 \(7²\) and 64 \(8²\)"):
        model.resize_positions(50)


# Bad inputs


@pytest.mark.parametrize(
    ("strip", "message"),
    [
        (torch.zeros(16, 320, dtype=torch.uint8), r"got \[16, 320\]"),
        (torch.zeros(2, 15, 320, dtype=torch.uint8), r"got \[2, 15, 320\]"),
        (torch.zeros(2, 4, 16, 320), r"got \[2, 4, 16, 320\]"),
        (torch.zeros(2, 16, 321, dtype=torch.uint8), "multiple of 16 pixels, got 321"),
        (torch.zeros(2, 3, 16, 330), "multiple of 16 pixels, got 330"),
        (torch.zeros(2, 16, 0, dtype=torch.uint8), "multiple of 16 pixels, got 0"),
        (
            torch.zeros(2, 16, 65 * 16, dtype=torch.uint8),
            r"65 patches.*64.*max_seq_length=64.*resize_positions",
        ),
        (torch.zeros(2, 16, 320, dtype=torch.int64), "got torch.int64"),
        (torch.full((2, 3, 16, 320), 255.0), "between 0 and 1, got 255 to 255"),
        (torch.full((2, 16, 320), -0.5), "between 0 and 1, got -0.5"),
        (torch.full((2, 16, 320), torch.nan), "between 0 and 1, got nan"),
    ],
)
def test_bad_pixels(model: PixelModel, strip: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(strip)


@pytest.mark.parametrize("shape", [(2, 19), (1, 20), (2, 21), (2, 1, 20)])
def test_bad_attention_mask(model: PixelModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"attention_mask must be \[B, P\] = \[2, 20\]"):
        model(pixels(), torch.ones(shape))


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ([0, 45], "between 0 and 44 for 20 patches .* 64, got 0 to 45"),
        ([-1, 0], "got -1"),
        ([1], r"got torch.int64 \[1\]"),
    ],
)
def test_bad_first_position(model: PixelModel, first: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(pixels(), first_position=torch.tensor(first))


@pytest.mark.parametrize("unpad", [True, False])
def test_a_learned_mean_of_layers(unpad: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = PixelModel(PixelConfig.named("nano", max_seq_length=64, unpad_inputs=unpad)).eval()
    plain.save_pretrained(tmp_path)
    # From weights that have no such mean: all layers count alike.
    model = PixelModel.from_pretrained(tmp_path, mix_layers=True).eval()
    assert model.mix is not None
    mask = padded_mask(20, 10)
    real = F.pad(mask, (1, 0), value=1).bool()
    every = plain(pixels(), mask, output_hidden_states=True).hidden_states
    for weights in (torch.zeros(4), torch.tensor([0.0, 3.0, -1.0, 50.0])):
        model.mix.weight.data = weights
        shares = [weight.exp() / weights.exp().sum() for weight in weights]
        expected = sum(share * plain.layernorm(states) for share, states in zip(shares, every, strict=True))
        outputs = model(pixels(), mask)
        torch.testing.assert_close(outputs.last_hidden_state[real], expected[real], atol=1e-5, rtol=1e-5)
        assert outputs.hidden_states is None
    # Nearly all of the last layer: what published heads read.
    last = plain(pixels(), mask).last_hidden_state
    torch.testing.assert_close(outputs.last_hidden_state[real], last[real], atol=1e-5, rtol=1e-5)
    outputs.last_hidden_state[real].sum().backward()
    assert model.mix.weight.grad is not None
