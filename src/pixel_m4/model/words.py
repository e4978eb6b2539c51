"""From patches to words: one state a word, and layers in which words look at words.

Published heads know the first patch of a word (tagging, entities) or the mean of its patches (parsing), and
no further layers; those are the defaults, and have no weights.

Dimensions: B batch, P patches, W words, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization

from pixel_m4.model.attention import Unpadded
from pixel_m4.model.checks import real_words
from pixel_m4.model.inputs import take
from pixel_m4.model.layers import PixelLayer, rotation_for, run_layers, unpadded_if_it_pays
from pixel_m4.model.text_config import AnyConfig


class PoolingWeights(nn.Linear):
    """Weights of a pooling that begin so that it gives the mean of the patches."""

    @torch.no_grad()
    def begin_as_mean(self) -> None:
        """Set new weights: from first, last and mean the mean; for the weights of patches all alike."""
        weight = torch.zeros_like(self.weight)
        if self.out_features > 1:
            weight[:, -self.out_features :] = torch.eye(self.out_features)
        initialization.copy_(self.weight, weight)
        initialization.zeros_(self.bias)


class WordEncoder(nn.Module):
    """States of words.

    Args:
        config: `word_pooling`, `num_word_layers` and `word_rope_theta`, and the sizes of a layer.
        pooling: Of the head where the configuration does not say it.
    """

    def __init__(self, config: AnyConfig, pooling: str) -> None:
        super().__init__()
        width = config.hidden_size
        self.config = config
        self.pooling = config.word_pooling or pooling
        self.projection = PoolingWeights(3 * width, width) if self.pooling == "first_last_mean" else None
        self.weight = PoolingWeights(width, 1) if self.pooling == "attention" else None
        self.layer = nn.ModuleList(
            PixelLayer(config, width, config.num_attention_heads, config.intermediate_size)
            for _ in range(config.num_word_layers)
        )
        self.layernorm = nn.LayerNorm(width, eps=config.layer_norm_eps) if len(self.layer) else None

    def forward(self, states: Tensor, word_starts: Tensor, root: Tensor | None = None) -> Tensor:
        """Pool patches, and run the layers over the words.

        Args:
            states: Of patches, [B, P, D]
            word_starts: [B, W + 1], padded with -100
            root: What stands before the words, [B, D]

        Returns:
            [B, W, D], or [B, 1 + W, D] with a root; of no meaning for words that are not there
        """
        words = self.pool(states, word_starts)
        real = real_words(word_starts)
        if root is not None:
            words = torch.cat([root[:, None].to(words.dtype), words], dim=1)
            real = F.pad(real, (1, 0), value=True)
        if self.layernorm is None:
            return words
        # Sentences differ so much in their words that most places of a batch may be padding.
        pattern = unpadded_if_it_pays(self.config, real[:, None, None], self.layer)
        size = self.config.hidden_size // self.config.num_attention_heads
        rotation = rotation_for(self.config.word_rope_theta, size, words, None, pattern)
        if isinstance(pattern, Unpadded):
            words = pattern.unpad(words)
        words, _, _ = run_layers(self.layer, words, pattern, rotation=rotation)
        words = self.layernorm(words)
        return pattern.pad(words) if isinstance(pattern, Unpadded) else words

    def pool(self, states: Tensor, word_starts: Tensor) -> Tensor:
        """One state a word: [B, P, D] and [B, W + 1] → [B, W, D]."""
        if self.pooling == "mean":
            return pool_words(states, word_starts)
        if self.weight is not None:
            return self._weigh(states, word_starts)
        first = word_starts[:, :-1].clamp(min=0, max=states.shape[1] - 1)
        if self.projection is None:
            return take(states, first)
        last = (word_starts[:, 1:] - 1).maximum(first)
        parts = [take(states, first), take(states, last), pool_words(states, word_starts)]
        return self.projection(torch.cat(parts, dim=-1))

    def _weigh(self, states: Tensor, word_starts: Tensor) -> Tensor:
        assert self.weight is not None
        inside = patches_of_words(states.shape[1], word_starts)  # [B, W, P]
        scores = self.weight(states).mT.float().expand(inside.shape)
        scores = scores.masked_fill(~inside, torch.finfo(scores.dtype).min)
        return scores.softmax(-1).to(states.dtype) @ states


def patches_of_words(patches: int, word_starts: Tensor) -> Tensor:
    """Which patches show a word, at least one: bool [B, W, P], nowhere for words that are not there."""
    start, stop = word_starts[:, :-1, None], word_starts[:, 1:, None]
    patch = torch.arange(patches, device=word_starts.device)
    return (patch >= start) & (patch < torch.maximum(stop, start + 1)) & real_words(word_starts)[:, :, None]


def pool_words(states: Tensor, word_starts: Tensor) -> Tensor:
    """The mean of each word's patches, `word_starts[i]` up to `word_starts[i + 1]`, at least one.

    Args:
        states: [B, P, D]
        word_starts: [B, W + 1], padded with -100

    Returns:
        [B, W, D], zero for padding
    """
    inside = patches_of_words(states.shape[1], word_starts).to(states.dtype)
    return inside @ states / inside.sum(-1, keepdim=True).clamp(min=1)
