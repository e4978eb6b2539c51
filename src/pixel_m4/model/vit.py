"""The encoder: a pre-norm Vision Transformer over a strip of rendered text.

Sources: Dosovitskiy et al. 2021 (ViT), He et al. 2022 (MAE), Rust et al. 2023 (PIXEL), Kesen et al. 2025
(PIXEL-M4). Parameter names are those of the published checkpoints.

Dimensions: B batch, P patches, K kept patches, S = 1 + P or 1 + K sequence with CLS, D width, H heads,
W pixels of width, C channels, L = P rows of the position table without CLS.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel, initialization
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling

from pixel_m4.model.attention import Packing, attend, attend_padded, in_pieces
from pixel_m4.model.config import PixelConfig, check_square

logger = logging.getLogger(__name__)

# What may be attended: everything, a mask bool [B, 1, 1, S], or each sequence of a packed row to itself.
Layout = Tensor | Packing | None

# Padded tokens of a batch from which packing pays, as a share.
PADDING_TO_PACK = 0.1


def sincos_positions(width: int, side: int) -> Tensor:
    """The fixed 2-D sine-cosine table of a square grid, with a zero row for CLS (He et al. 2022).

    Half of the width codes the column ("w goes first"), half the row; each half is sines, then cosines.

    Returns:
        [1, 1 + side², width]
    """
    frequency = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angle = torch.outer(torch.arange(side, dtype=torch.float64), frequency)
    line = torch.cat([angle.sin(), angle.cos()], dim=1)  # [side, width / 2]
    column, row = line.repeat(side, 1), line.repeat_interleave(side, dim=0)
    grid = torch.cat([column, row], dim=1)
    return torch.cat([torch.zeros(1, width, dtype=torch.float64), grid])[None].float()


def resized_positions(table: Tensor, max_seq_length: int) -> Tensor:
    """Cut a position table, or interpolate its square grid bicubically; the CLS row stays.

    Args:
        table: [1, 1 + L, D]
        max_seq_length: The new L, a perfect square.

    Returns:
        [1, 1 + max_seq_length, D]
    """
    check_square(max_seq_length)
    old = table.shape[1] - 1
    if max_seq_length <= old:
        return table[:, : 1 + max_seq_length].clone()
    side = check_square(old)
    cls, grid = table[:, :1], table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2)
    # kept: published models stretch the square grid to the shape of their image, a strip of 1 x L patches,
    # and sample it with a scale of (1.1, L + 0.1) / side rather than (1, L) / side.
    scale = (1.1 / side, (max_seq_length + 0.1) / side)
    strip = F.interpolate(grid.float(), scale_factor=scale, mode="bicubic", align_corners=False)
    strip = strip.flatten(2).transpose(1, 2).to(table.dtype)
    assert strip.shape[1] == max_seq_length, f"{strip.shape[1]} positions instead of {max_seq_length}"
    return torch.cat([cls, strip], dim=1)


def split_patches(pixel_values: Tensor, patch_size: int = 16) -> Tensor:
    """Cut a strip of pixels into patches, each flattened row by row, column by column, channel last.

    Args:
        pixel_values: [B, 16, W] grey, [B, 16, W, C] or [B, C, 16, W]; the type is kept.
        patch_size: Height and width of a patch.

    Returns:
        [B, P, 256] for grey, [B, P, 256 * C] otherwise
    """
    if pixel_values.ndim == 4 and pixel_values.shape[1] != patch_size:
        pixel_values = pixel_values.permute(0, 2, 3, 1)
    patches = pixel_values.unflatten(2, (-1, patch_size))  # [B, 16, P, 16(, C)]
    return patches.transpose(1, 2).flatten(2)


def take(values: Tensor, index: Tensor) -> Tensor:
    """Pick places along the second dimension: `values` [B, P(, D)] and `index` [B, K] give [B, K(, D)]."""
    if values.ndim == 3:
        index = index.unsqueeze(-1).expand(-1, -1, values.shape[-1])
    return values.gather(1, index)


def key_padding(attention_mask: Tensor | None) -> Tensor | None:
    """What may be attended: CLS always, patches where the mask is not 0; None if there is no padding.

    Args:
        attention_mask: [B, P]

    Returns:
        bool [B, 1, 1, 1 + P], or None (then attention has its fastest kernels)
    """
    if attention_mask is None:
        return None
    attended = attention_mask != 0
    if not torch.compiler.is_compiling() and bool(attended.all()):
        return None
    return F.pad(attended, (1, 0), value=True)[:, None, None, :]


def layout_of(config: PixelConfig, attention_mask: Tensor | None, padded: bool = False) -> Layout:
    """Decide how a batch is computed: as it is, with a mask, or packed.

    Args:
        config: `unpad_inputs` says whether to pack; by default where enough is padding for it to pay.
        attention_mask: [B, P], 0 for padding
        padded: Whether to leave the padding where it is, come what may.
    """
    mask = key_padding(attention_mask)
    if mask is None or padded or config.unpad_inputs is False or torch.compiler.is_compiling():
        return mask
    if config._attn_implementation == "eager":
        return mask
    packing = Packing.of(mask[:, 0, 0])
    padding = 1 - packing.index.numel() / packing.attended.numel()
    if config.unpad_inputs or (mask.device.type == "cpu" and padding >= PADDING_TO_PACK):
        return packing
    return mask


def check_inputs(config: PixelConfig, pixel_values: Tensor, attention_mask: Tensor | None) -> None:
    """Refuse inputs that would fail later with a riddle, or worse, not fail.

    Raises:
        ValueError: Names the offending shape or value.
    """
    shape, size, channels = tuple(pixel_values.shape), config.patch_size, config.num_channels
    strip = (
        (pixel_values.ndim == 3 and shape[1] == size)
        or (pixel_values.ndim == 4 and shape[1] == size and shape[3] == channels)
        or (pixel_values.ndim == 4 and shape[1] == channels and shape[2] == size)
    )
    if not strip:
        raise ValueError(
            f"pixel_values must be [B, {size}, W] grey, [B, {size}, W, {channels}] or "
            f"[B, {channels}, {size}, W]; got {list(shape)}"
        )
    width = shape[3] if pixel_values.ndim == 4 and shape[1] != size else shape[2]
    if width == 0 or width % size:
        raise ValueError(f"the width of pixel_values must be a multiple of {size} pixels, got {width}")
    patches = width // size
    if patches > config.max_patches:
        raise ValueError(
            f"pixel_values hold {patches} patches, but the model has positions for {config.max_patches}: "
            f"render with max_seq_length={config.max_patches}, or first call "
            "model.resize_positions(max_seq_length)"
        )
    if pixel_values.dtype != torch.uint8 and not pixel_values.is_floating_point():
        raise ValueError(f"pixel_values must be uint8 (0 to 255) or float (0 to 1), got {pixel_values.dtype}")
    if attention_mask is not None and tuple(attention_mask.shape) != (shape[0], patches):
        raise ValueError(
            f"attention_mask must be [B, P] = {[shape[0], patches]} to match pixel_values {list(shape)}, "
            f"got {list(attention_mask.shape)}"
        )
    if (
        pixel_values.is_floating_point()
        and not torch.compiler.is_compiling()
        and pixel_values.numel()
        and pixel_values.max() > 1
    ):
        raise ValueError(
            f"float pixel_values must lie between 0 and 1, got {pixel_values.max().item():g}: "
            "divide by 255, or pass uint8"
        )


class PatchEmbeddings(nn.Module):
    """Patches to vectors. The weight is stored as a convolution's [D, C, 16, 16] and used as a matrix."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.projection = nn.Conv2d(
            config.num_channels, config.hidden_size, kernel_size=config.patch_size, stride=config.patch_size
        )

    @torch.no_grad()
    def center(self, mean: float = 0.88, deviation: float = 0.27) -> None:
        """Set new weights as if pixels were centred and scaled, with the architecture left as it is.

        Rendered text is mostly white, so plain new weights give all patches nearly the same vector.

        Args:
            mean: Mean pixel value of text patches.
            deviation: Their standard deviation.
        """
        self.projection.weight /= deviation
        self.projection.bias = nn.Parameter(-mean * self.projection.weight.sum((1, 2, 3)))

    def forward(self, patches: Tensor) -> Tensor:
        """[B, P, 256] (grey) or [B, P, 256 * C], uint8 or float in [0, 1] → [B, P, D]."""
        weight, bias = self.projection.weight, self.projection.bias
        pixels = patches.to(weight.dtype)
        if patches.dtype == torch.uint8:
            pixels = pixels / 255
        # Grey: three equal channels meet the sum of their weights.
        if patches.shape[-1] == weight[0, 0].numel():
            return F.linear(pixels, weight.sum(1).flatten(1), bias)
        return F.linear(pixels, weight.permute(0, 2, 3, 1).flatten(1), bias)


class PixelEmbeddings(nn.Module):
    """CLS and patch embeddings plus their positions."""

    def __init__(self, config: PixelConfig, dropout: float) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, config.hidden_size))
        self.patch_embeddings = PatchEmbeddings(config)
        self.position_embeddings = nn.Parameter(torch.empty(1, 1 + config.max_patches, config.hidden_size))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, patches: Tensor, keep: Tensor | None = None, first_position: Tensor | None = None
    ) -> Tensor:
        """Embed all patches, or those kept; patch p has position row p + 1 either way.

        Args:
            patches: [B, P, 256 or 256 * C]
            keep: [B, K], places of the patches to keep
            first_position: [B], what is added to p

        Returns:
            [B, 1 + P, D], or [B, 1 + K, D]
        """
        cls_position = self.position_embeddings[:, :1]
        positions = patch_positions(self.position_embeddings, patches.shape[1], first_position)
        if keep is not None:
            patches = take(patches, keep)
            positions = take(positions.expand(len(patches), -1, -1), keep)
        embeddings = self.patch_embeddings(patches) + positions
        cls = (self.cls_token + cls_position).expand(len(patches), -1, -1)
        return self.dropout(torch.cat([cls.to(embeddings.dtype), embeddings], dim=1))


def check_first_position(first_position: Tensor, batch: int, patches: int, max_patches: int) -> None:
    """Refuse places from where a text would run over the position table (or, if negative, into CLS's row).

    Compiled code does not look at the values, as that would break its graph.

    Raises:
        ValueError: It is not integers [B], or a text begins before the table or ends behind it.
    """
    if first_position.shape != (batch,) or first_position.is_floating_point():
        raise ValueError(
            f"first_position must be integers [B] = [{batch}], got {first_position.dtype} "
            f"{list(first_position.shape)}"
        )
    if torch.compiler.is_compiling() or not batch:
        return
    low, high = (int(value) for value in first_position.aminmax())
    if low < 0 or high + patches > max_patches:
        raise ValueError(
            f"first_position must lie between 0 and {max_patches - patches}, as {patches} patches follow and "
            f"there are {max_patches} positions; got {low} to {high}"
        )


def patch_positions(table: Tensor, patches: int, first_position: Tensor | None) -> Tensor:
    """The rows of a position table that patches have.

    Args:
        table: [1, 1 + L, D]
        patches: P
        first_position: [B], the row of each text's first patch, counted from 0; None for 0

    Returns:
        [1, P, D], or [B, P, D]
    """
    if first_position is None:
        return table[:, 1 : 1 + patches]
    return table[0, 1 + first_position[:, None] + torch.arange(patches, device=table.device)]


class Dense(nn.Module):
    """A linear layer under the name `dense`, as the checkpoints have it."""

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width_in, width_out)

    def forward(self, states: Tensor) -> Tensor:
        """[..., width_in] → [..., width_out]."""
        return self.dense(states)


class SelfAttention(nn.Module):
    """Multi-head attention before its output projection."""

    def __init__(self, config: PixelConfig, width: int, heads: int) -> None:
        super().__init__()
        self.config = config
        self.heads = heads
        self.dropout = config.attention_probs_dropout_prob
        self.query = nn.Linear(width, width, bias=config.qkv_bias)
        self.key = nn.Linear(width, width, bias=config.qkv_bias)
        self.value = nn.Linear(width, width, bias=config.qkv_bias)

    def forward(self, states: Tensor, layout: Layout, weights: bool) -> tuple[Tensor, Tensor | None]:
        """Attend, with PyTorch's fused kernels unless the weights are asked for.

        Args:
            states: [B, S, D], or [1, N, D] of packed sequences
            layout: bool [B, 1, 1, S], what may be attended; None for everything; or the packing
            weights: Whether to return the attention weights, which takes the eager path

        Returns:
            As states, and the weights [B, H, S, S] or None
        """
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1))  # [B, S, H, D / H]
            for projection in (self.query, self.key, self.value)
        )
        dropout = self.dropout if self.training else 0.0
        attention: Tensor | None = None
        eager = weights or self.config._attn_implementation == "eager"
        if not eager and in_pieces(states, layout, dropout):
            return attend(query, key, value, layout, dropout).flatten(2), None
        if isinstance(layout, Packing):
            return attend_padded(query, key, value, layout, dropout).flatten(2), None
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        if eager:
            scores = query @ key.mT * query.shape[-1] ** -0.5
            if layout is not None:
                scores = scores.masked_fill(~layout, torch.finfo(scores.dtype).min)
            attention = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
            context = F.dropout(attention, dropout) @ value
        else:
            context = F.scaled_dot_product_attention(query, key, value, attn_mask=layout, dropout_p=dropout)
        return context.transpose(1, 2).flatten(2), attention if weights else None


class Attention(nn.Module):
    """Self-attention and its output projection, two modules in the checkpoints."""

    def __init__(self, config: PixelConfig, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(config, width, heads)
        self.output = Dense(width, width)

    def forward(self, states: Tensor, layout: Layout, weights: bool) -> tuple[Tensor, Tensor | None]:
        """[B, S, D] → [B, S, D] and the attention weights [B, H, S, S] or None."""
        context, attention = self.attention(states, layout, weights)
        return self.output(context), attention


class PixelLayer(GradientCheckpointingLayer):
    """One pre-norm transformer layer, of the encoder or of the decoder."""

    def __init__(self, config: PixelConfig, width: int, heads: int, intermediate: int) -> None:
        super().__init__()
        self.layernorm_before = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.attention = Attention(config, width, heads)
        self.layernorm_after = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.intermediate = Dense(width, intermediate)
        self.activation = ACT2FN[config.hidden_act]
        self.output = Dense(intermediate, width)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor, layout: Layout, weights: bool) -> tuple[Tensor, Tensor | None]:
        """[B, S, D] → [B, S, D] and the attention weights [B, H, S, S] or None."""
        attended, attention = self.attention(self.layernorm_before(states), layout, weights)
        states = states + self.dropout(attended)
        transformed = self.output(self.activation(self.intermediate(self.layernorm_after(states))))
        return states + self.dropout(transformed), attention


def run_layers(
    layers: Iterable[nn.Module], states: Tensor, layout: Layout, weights: bool = False, every: bool = False
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Pass states through layers.

    Args:
        layers: `PixelLayer`s
        states: [B, S, D], or [1, N, D] of packed sequences
        layout: bool [B, 1, 1, S], what may be attended; None for everything; or the packing
        weights: Whether to collect attention weights
        every: Whether to collect hidden states, which otherwise are freed as soon as they can be

    Returns:
        The last layer's output, as states; the input and each layer's output; the attention weights,
        [B, H, S, S] each.
    """
    hidden_states, attentions = [states] if every else [], []
    for layer in layers:
        states, attention = layer(states, layout, weights)
        if every:
            hidden_states.append(states)
        if attention is not None:
            attentions.append(attention)
    return states, hidden_states, attentions


class PixelEncoder(nn.Module):
    """The stack of layers."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList(
            PixelLayer(config, config.hidden_size, config.num_attention_heads, config.intermediate_size)
            for _ in range(config.num_hidden_layers)
        )

    def forward(
        self, states: Tensor, layout: Layout, weights: bool = False, every: bool = False
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """See `run_layers`."""
        return run_layers(self.layer, states, layout, weights, every)


class ClsPooler(nn.Module):
    """tanh(dense(CLS)): the parser's root and the classifier's "cls" pooling."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        """[B, S, D] → [B, D]."""
        return torch.tanh(self.dense(states[:, 0]))


class PixelPreTrainedModel(PreTrainedModel):
    """What all pixel models share: initialisation, loading, and the length of their positions."""

    config_class = PixelConfig
    base_model_prefix = "vit"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _supports_sdpa = True
    _can_compile_fullgraph = True
    _no_split_modules: ClassVar[list[str]] = ["PixelLayer"]
    # Parts of a checkpoint that another head used; published ones carry some that no head used.
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [
        r"^decoder\.",
        r"^piece_head\.",
        r"^classifier\.",
        r"^(vit\.)?pooler\.",
        r"^biaffine_(arcs|rels)\.",
        r"^qa_outputs\.",
    ]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Normal weights, zero biases, and the fixed sine-cosine table for positions."""
        std = self.config.initializer_range
        if isinstance(module, nn.Linear | nn.Conv2d):
            initialization.normal_(module.weight, std=std)
            if module.bias is not None:
                initialization.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            initialization.ones_(module.weight)
            initialization.zeros_(module.bias)
        elif isinstance(module, PixelEmbeddings):
            initialization.normal_(module.cls_token, std=std)
            init_positions(module.position_embeddings)

    @classmethod
    def _can_set_attn_implementation(cls) -> bool:
        """`SelfAttention` reads the configuration at every call; transformers guesses from source text."""
        return True

    def freeze_positions(self) -> None:
        """Stop the training of positions where they are fixed: not here, but in pretraining."""

    def resize_positions(self, max_seq_length: int) -> None:
        """Give the model another maximum length: shorter cuts the positions, longer interpolates them.

        Call it before an optimizer is made, as the parameter is a new one; `config.image_size` follows.

        Args:
            max_seq_length: The new maximum in patches, a perfect square.

        Raises:
            ValueError: The length is no perfect square.
        """
        embeddings = self.base_model.embeddings
        embeddings.position_embeddings = resized_parameter(embeddings.position_embeddings, max_seq_length)
        self.config.image_size = [self.config.patch_size, self.config.patch_size * max_seq_length]

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *model_args: Any, **kwargs: Any) -> Any:
        """Load a folder or a name on the hub: safetensors or `pytorch_model.bin` (tensors only).

        What the checkpoint does not have, such as a new head, is named in one line of the log.

        Raises:
            FileNotFoundError: The path or its `config.json` does not exist.
            OSError: The folder holds no weights.
            ValueError: The weights file is damaged, holds more than tensors, or is another architecture's.
        """
        name = pretrained_model_name_or_path
        check_folder(name, needs_config=kwargs.get("config") is None)
        try:
            with_info = {**kwargs, "output_loading_info": True}
            model, info = super().from_pretrained(name, *model_args, **with_info)
        except pickle.UnpicklingError as error:
            raise ValueError(
                f"{weights_files(name)} holds more than tensors, or is damaged; it was not loaded, as "
                "a pickle can run code"
            ) from error
        except (SafetensorError, EOFError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "PytorchStreamReader" not in str(error):
                raise
            reason = str(error).split(". ")[0]
            raise ValueError(f"{weights_files(name)} is truncated or damaged: {reason}") from error
        new = sorted({key.rpartition(".")[0] or key for key in info["missing_keys"]})
        if new:
            logger.warning(
                "%s: new weights, not from %s, to be trained: %s", cls.__name__, name, ", ".join(new)
            )
        model.freeze_positions()  # transformers makes new parameters, which are trainable
        return (model, info) if kwargs.get("output_loading_info") else model


def init_positions(table: nn.Parameter) -> None:
    """Fill a position table [1, 1 + L, D] with sines and cosines, unless a checkpoint filled it."""
    positions = sincos_positions(table.shape[2], check_square(table.shape[1] - 1))
    initialization.copy_(table, positions.to(table))


def resized_parameter(table: nn.Parameter, max_seq_length: int) -> nn.Parameter:
    """`resized_positions` for a parameter [1, 1 + L, D]; frozen stays frozen."""
    with torch.no_grad():
        return nn.Parameter(resized_positions(table, max_seq_length), requires_grad=table.requires_grad)


def check_folder(name: Any, needs_config: bool) -> None:
    """Refuse a model folder that is missing or incomplete; names on the hub pass.

    Raises:
        FileNotFoundError: The path or its `config.json` does not exist.
        ValueError: A weights file is empty.
    """
    path = Path(str(name))
    path_like = isinstance(name, Path) or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1
    if name is not None and path_like and not path.exists():
        raise FileNotFoundError(f"there is no model folder {str(name)!r}")
    if not path.is_dir():
        return
    if needs_config and not (path / "config.json").exists():
        raise FileNotFoundError(f"the model folder {str(name)!r} has no config.json")
    for file in weights_in(path):
        if file.stat().st_size == 0:
            raise ValueError(f"{file} is truncated or damaged: it is empty")


def weights_in(folder: Path) -> list[Path]:
    """The weights files of a folder, those that transformers prefers."""
    return sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


def weights_files(name: Any) -> str:
    """The weights files of a model folder, or the name of a model on the hub, for error messages."""
    return ", ".join(map(str, weights_in(Path(str(name))))) or str(name)


class PixelModel(PixelPreTrainedModel):
    """The encoder alone.

    Args:
        config: Its configuration.
        add_pooling_layer: Whether to have tanh(dense(CLS)) as `pooler_output`; only some heads need it.
        embedding_dropout: Dropout on the embeddings: on in fine-tuning, off in pretraining, as published.
    """

    def __init__(
        self, config: PixelConfig, add_pooling_layer: bool = False, embedding_dropout: bool = True
    ) -> None:
        super().__init__(config)
        self.embeddings = PixelEmbeddings(config, config.hidden_dropout_prob if embedding_dropout else 0.0)
        self.encoder = PixelEncoder(config)
        self.layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.pooler = ClsPooler(config) if add_pooling_layer else None
        self.keeps_padding = False  # a head sets it that reads what stands on padding
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The patch embedding."""
        return self.embeddings.patch_embeddings

    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        keep: Tensor | None = None,
        first_position: Tensor | None = None,
    ) -> BaseModelOutputWithPooling:
        """Encode a strip of patches.

        Args:
            pixel_values: uint8 [B, 16, W] grey or [B, 16, W, 3]; or float [B, 3, 16, W] in [0, 1]
            attention_mask: [B, P], 0 for padding
            output_hidden_states: Whether to return the embeddings and each layer's output (no last norm)
            output_attentions: Whether to return attention weights (slower)
            keep: [B, K], places of the patches to encode; the others are dropped after positions are added
            first_position: [B], the position of each text's first patch; None for 0

        Returns:
            last_hidden_state [B, 1 + P, D] (or [B, 1 + K, D]), pooler_output [B, D] with a pooling layer,
            hidden_states ([B, 1 + P, D], one more than layers), attentions ([B, H, 1 + P, 1 + P] a layer);
            zero on padding if the batch was packed (`config.unpad_inputs`), otherwise of no meaning there
        """
        check_inputs(self.config, pixel_values, attention_mask)
        patches = split_patches(pixel_values, self.config.patch_size)
        if first_position is not None:
            check_first_position(first_position, len(patches), patches.shape[1], self.config.max_patches)
        output_hidden_states = resolve(output_hidden_states, self.config.output_hidden_states)
        output_attentions = resolve(output_attentions, self.config.output_attentions)
        if keep is not None and attention_mask is not None:
            attention_mask = take(attention_mask, keep)

        layout = layout_of(self.config, attention_mask, padded=output_attentions or self.keeps_padding)
        states = self.embeddings(patches, keep, first_position)
        if isinstance(layout, Packing):
            states = layout.pack(states)
        states, hidden_states, attentions = self.encoder(
            states, layout, output_attentions, output_hidden_states
        )
        states = self.layernorm(states)
        if isinstance(layout, Packing):
            states, hidden_states = layout.pad(states), [layout.pad(every) for every in hidden_states]

        return BaseModelOutputWithPooling(
            last_hidden_state=states,
            pooler_output=self.pooler(states) if self.pooler is not None else None,
            hidden_states=tuple(hidden_states) if output_hidden_states else None,
            attentions=tuple(attentions) if output_attentions else None,
        )


def resolve(asked: bool | None, default: bool | None) -> bool:
    """What the caller asked for, or else the configuration."""
    return bool(default if asked is None else asked)
