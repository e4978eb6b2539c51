"""Transformer layers of encoder and decoder, over batches as they are, with a mask, or packed.

Sources: Dosovitskiy et al. 2021 (ViT). Module names are those of the published checkpoints.

Dimensions: B batch, P patches, S = 1 + P sequence with CLS, N real tokens of a batch, D width, H heads.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from pixel_m4.model.attention import (
    Unpadded,
    attend,
    attend_padded,
    attend_varlen,
    has_varlen,
    in_chunks,
    varlen_takes,
)
from pixel_m4.model.config import PixelConfig
from pixel_m4.model.inputs import readable
from pixel_m4.model.positions import Rotation, places_of, rotate, rotation_of

# What may be attended: everything, a mask bool [B, 1, 1, S], or each sequence of a packed row to itself.
Pattern = Tensor | Unpadded | None

# Padded tokens of a batch from which unpadded pays, as a share.
PADDING_TO_PACK = 0.1


def key_padding(attention_mask: Tensor | None) -> Tensor | None:
    """What may be attended: CLS always, patches where the mask is not 0; None if there is no padding.

    Args:
        attention_mask: [B, P]

    Returns:
        bool [B, 1, 1, 1 + P], or None (then attention has its fastest kernels), which is found out on the
        CPU alone: elsewhere the host would have to wait, so pass None where nothing is padding
    """
    if attention_mask is None:
        return None
    attended = attention_mask != 0
    if readable(attended) and bool(attended.all()):
        return None
    return F.pad(attended, (1, 0), value=True)[:, None, None, :]


def pattern_of(
    config: PixelConfig, attention_mask: Tensor | None, layers: nn.ModuleList, padded: bool = False
) -> Pattern:
    """Decide how a batch is computed: as it is, with a mask, or packed.

    Args:
        config: `unpad_inputs` says whether to pack; by default on the CPU, where enough is padding for it to
            pay, and on GPUs as far as it goes without waiting (`Unpadded.in_order`).
        attention_mask: [B, P], 0 for padding
        layers: Those that compute it.
        padded: Whether to leave the padding where it is, come what may.
    """
    mask = key_padding(attention_mask)
    return mask if mask is None or padded else unpadded_if_it_pays(config, mask, layers)


def unpadded_if_it_pays(config: PixelConfig, mask: Tensor, layers: nn.ModuleList) -> Tensor | Unpadded:
    """The unpadded of a batch where enough of it is padding for that to pay, else the mask as it is.

    Args:
        config: See `pattern_of`.
        mask: bool [B, 1, 1, S]
        layers: See `pattern_of`.
    """
    if config.unpad_inputs is False or config._attn_implementation == "eager":
        return mask
    if torch.compiler.is_compiling() or (config.unpad_inputs is None and not readable(mask)):
        # Nothing may be looked at; a mask would keep the fastest kernels from being used.
        return Unpadded.in_order(mask[:, 0, 0]) if takes_varlen(layers) else mask
    if not bool(mask.any(-1).all()):
        return mask
    if config.unpad_inputs or 1 - int(mask.sum()) / mask.numel() >= PADDING_TO_PACK:
        return Unpadded.of(mask[:, 0, 0])
    return mask


def takes_varlen(layers: nn.ModuleList) -> bool:
    """Whether the kernel for sequences of many lengths can compute the attention of some layers now."""
    layer = layers[0]
    assert isinstance(layer, PixelLayer)
    attention = layer.attention.attention
    weight = attention.query.weight
    if not has_varlen(weight.device) or (attention.training and attention.dropout > 0):
        return False
    kind = weight.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
    return varlen_takes(dtype, attention.query.out_features // attention.heads)


def rotation_for(
    theta: float | None, size: int, states: Tensor, keep: Tensor | None, pattern: Pattern
) -> Rotation | None:
    """How the layers of a batch turn queries and keys; None where positions are not rotary.

    Args:
        theta: The base of the angles, or None.
        size: d, the width of a head.
        states: [B, S, D], what the layers get before it is packed
        keep: [B, K], the patches that are there; None for all
        pattern: How the batch is computed: its tokens may be packed.
    """
    if theta is None:
        return None
    places = places_of(states.shape[1], keep, states.device)
    if isinstance(pattern, Unpadded):
        places = pattern.unpad(places.expand(len(states), -1))
    return rotation_of(places, size, theta)


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

    def forward(
        self, states: Tensor, pattern: Pattern, weights: bool, rotation: Rotation | None
    ) -> tuple[Tensor, Tensor | None]:
        """Attend, with PyTorch's fused kernels unless the weights are asked for.

        Args:
            states: [B, S, D], or [1, N, D] of packed sequences
            pattern: bool [B, 1, 1, S], what may be attended; None for everything; or the unpadded
            weights: Whether to return the attention weights, which takes the eager path
            rotation: How to turn queries and keys, or None

        Returns:
            As states, and the weights [B, H, S, S] or None
        """
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1))  # [B, S, H, D / H]
            for projection in (self.query, self.key, self.value)
        )
        if rotation is not None:
            query, key = rotate(query, rotation), rotate(key, rotation)
        dropout = self.dropout if self.training else 0.0
        attention: Tensor | None = None
        eager = weights or self.config._attn_implementation == "eager"
        if not eager and in_chunks(states, pattern, dropout):
            return attend(query, key, value, pattern, dropout).flatten(2), None
        if isinstance(pattern, Unpadded):
            if not dropout and has_varlen(query.device) and varlen_takes(query.dtype, query.shape[-1]):
                return attend_varlen(query, key, value, pattern).flatten(2), None
            return attend_padded(query, key, value, pattern, dropout).flatten(2), None
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        if eager:
            scores = query @ key.mT * query.shape[-1] ** -0.5
            if pattern is not None:
                scores = scores.masked_fill(~pattern, torch.finfo(scores.dtype).min)
            attention = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
            context = F.dropout(attention, dropout) @ value
        else:
            context = F.scaled_dot_product_attention(query, key, value, attn_mask=pattern, dropout_p=dropout)
        return context.transpose(1, 2).flatten(2), attention if weights else None


class Attention(nn.Module):
    """Self-attention and its output projection, two modules in the checkpoints."""

    def __init__(self, config: PixelConfig, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(config, width, heads)
        self.output = Dense(width, width)

    def forward(
        self, states: Tensor, pattern: Pattern, weights: bool, rotation: Rotation | None
    ) -> tuple[Tensor, Tensor | None]:
        """[B, S, D] → [B, S, D] and the attention weights [B, H, S, S] or None."""
        context, attention = self.attention(states, pattern, weights, rotation)
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

    def forward(
        self, states: Tensor, pattern: Pattern, weights: bool, rotation: Rotation | None
    ) -> tuple[Tensor, Tensor | None]:
        """[B, S, D] → [B, S, D] and the attention weights [B, H, S, S] or None."""
        attended, attention = self.attention(self.layernorm_before(states), pattern, weights, rotation)
        states = states + self.dropout(attended)
        transformed = self.output(self.activation(self.intermediate(self.layernorm_after(states))))
        return states + self.dropout(transformed), attention


def run_layers(
    layers: Iterable[nn.Module],
    states: Tensor,
    pattern: Pattern,
    weights: bool = False,
    every: bool = False,
    rotation: Rotation | None = None,
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Pass states through layers.

    Args:
        layers: `PixelLayer`s
        states: [B, S, D], or [1, N, D] of packed sequences
        pattern: bool [B, 1, 1, S], what may be attended; None for everything; or the unpadded
        weights: Whether to collect attention weights
        every: Whether to collect hidden states, which otherwise are freed as soon as they can be
        rotation: How to turn queries and keys, or None

    Returns:
        The last layer's output, as states; the input and each layer's output; the attention weights,
        [B, H, S, S] each.
    """
    hidden_states, attentions = [states] if every else [], []
    for layer in layers:
        states, attention = layer(states, pattern, weights, rotation)
        if every:
            hidden_states.append(states)
        if attention is not None:
            attentions.append(attention)
    return states, hidden_states, attentions
