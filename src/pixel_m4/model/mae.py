"""Pretraining: hide a quarter of the patches, and reconstruct their pixels.

Sources: He et al. 2022 (masked autoencoders), Rust et al. 2023 (PIXEL: text, span masks, padding).

Dimensions: B batch, P patches, K kept patches, M = P - K masked patches, D width of the encoder, E width of
the decoder, W pixels of width; a patch has 768 = 16 * 16 * C values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization
from transformers.utils import ModelOutput

from pixel_m4.model.attention import Unpadded
from pixel_m4.model.config import PixelConfig
from pixel_m4.model.inputs import as_in_transformers, check_inputs, split_patches, take
from pixel_m4.model.layers import PixelLayer, pattern_of, rotation_for, run_layers
from pixel_m4.model.masks import Hidden, choose_patches, follow_mask
from pixel_m4.model.objectives import mean_of, reconstruction_errors, targets_of
from pixel_m4.model.positions import init_positions, patch_positions, resized_parameter
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel


@dataclass
class PixelForPreTrainingOutput(ModelOutput):
    """What pretraining returns.

    Args:
        loss: [], of the patches that are masked and attended
        logits: [B, P, 768], predicted pixels of every patch
        mask: [B, P], 1 where a patch was masked, 0 where the encoder saw it
        hidden_states: The encoder's, [B, 1 + K, D] each
        attentions: The encoder's, [B, H, 1 + K, 1 + K] each
        patch_losses: [B, P], what each patch adds to the sum that the loss is a mean of: the squared error of
            a patch that is masked and attended, 0 for others
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    mask: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    patch_losses: Tensor | None = None


class PixelDecoder(nn.Module):
    """A small transformer that fills in the masked patches; only pretraining needs it."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.decoder_hidden_size
        self.decoder_embed = nn.Linear(config.hidden_size, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.decoder_pos_embed = (
            nn.Parameter(torch.empty(1, 1 + config.max_patches, width)) if config.adds_positions else None
        )
        self.decoder_layers = nn.ModuleList(
            PixelLayer(config, width, config.decoder_num_attention_heads, config.decoder_intermediate_size)
            for _ in range(config.decoder_num_hidden_layers)
        )
        self.decoder_norm = nn.LayerNorm(
            width, eps=1e-5
        )  # kept: published weights were trained with this one
        self.decoder_pred = nn.Linear(width, config.patch_size**2 * config.num_channels)

    def forward(
        self,
        states: Tensor,
        hidden: Hidden,
        attention_mask: Tensor,
        first_position: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Predict the pixels of every patch.

        Args:
            states: [B, 1 + K, D], the encoder's output
            hidden: Says where its patches are.
            attention_mask: [B, P], 0 for padding
            first_position: [B], the position of each text's first patch; None for 0

        Returns:
            What pixels are made of, [B, P, E], and pixels, [B, P, 768]
        """
        states = self.decoder_embed(states)
        cls, kept = states[:, :1], states[:, 1:]
        token = self.mask_token.to(states.dtype)
        if hidden.seen is not None:
            kept = torch.where(hidden.seen[..., None], kept, token)
        tokens = token.expand(*attention_mask.shape, -1)
        patches = tokens.scatter(
            1, hidden.keep.unsqueeze(-1).expand_as(kept), kept
        )  # [B, P, E], in the original order
        if self.decoder_pos_embed is not None:
            positions = patch_positions(self.decoder_pos_embed, patches.shape[1], first_position)
            cls, patches = cls + self.decoder_pos_embed[:, :1], patches + positions
        states = torch.cat([cls, patches], dim=1)
        pattern = pattern_of(self.config, attention_mask, self.decoder_layers)
        size = self.config.decoder_hidden_size // self.config.decoder_num_attention_heads
        rotation = rotation_for(self.config.rope_theta, size, states, None, pattern)
        if isinstance(pattern, Unpadded):
            states = pattern.unpad(states)
        states, _, _ = run_layers(self.decoder_layers, states, pattern, rotation=rotation)
        states = self.decoder_norm(states)
        if isinstance(pattern, Unpadded):
            return pattern.pad(states)[:, 1:], pattern.pad(self.decoder_pred(states))[:, 1:]
        return states[:, 1:], self.decoder_pred(states[:, 1:])


@dataclass(frozen=True, kw_only=True)
class Masked:
    """A batch, and what of it is hidden.

    Args:
        patches: [B, P, 256 or 768]
        attention_mask: [B, P], 0 for padding
        places: Which patches the encoder sees.
        visible: [B, P], the attention mask without what is hidden, where a mask said what is
    """

    patches: Tensor
    attention_mask: Tensor
    places: Hidden
    visible: Tensor

    @property
    def counted(self) -> Tensor:
        """[B, M], 1 where a patch is masked and attended."""
        attended = take(self.attention_mask, self.places.masked) != 0
        hidden = self.places.hidden
        return (attended if hidden is None else attended & hidden).float()


class PixelForPreTraining(PixelPreTrainedModel):
    """Masked autoencoder of rendered text: encode what is kept, decode everything, score what was masked."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__(config)
        self.vit = PixelModel(config, embedding_dropout=False)
        self.decoder = PixelDecoder(config)
        self.freeze_positions()
        self.post_init()

    @as_in_transformers
    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        patch_mask: Tensor | None = None,
        mask_ratio: float | None = None,
        first_position: Tensor | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
    ) -> PixelForPreTrainingOutput:
        """Reconstruct masked patches.

        Args:
            pixel_values: uint8 [B, 16, W] grey or [B, 16, W, 3]; or float [B, 3, 16, W] in [0, 1]
            attention_mask: [B, P], 0 for padding
            patch_mask: [B, P] of 0 and 1 or truth values, 1 for the patches to mask, as many in each text as
                is wanted; None for random ones
            mask_ratio: Share of the patches to mask at random, instead of the configuration's. For exactly m
                of P patches pass (m - 0.5) / P, which rounding cannot miss. A `patch_mask` is followed
                whatever the ratio is; only a compiled model needs one that agrees with it, and on another
                device than the CPU a ratio that is passed must agree, as the device is then not waited for.
            first_position: [B], the position of each text's first patch; None for 0. Short texts at places
                all over the table teach a model all of its positions.
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights

        Returns:
            loss [], logits [B, P, 768], mask [B, P]
        """
        masked = self.mask(pixel_values, attention_mask, patch_mask, mask_ratio, first_position)
        encoded = self.encode(pixel_values, masked, first_position, output_hidden_states, output_attentions)
        _, logits = self.decoder(
            encoded.last_hidden_state, masked.places, masked.attention_mask, first_position
        )
        return self.score(masked, encoded, logits)

    def mask(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None,
        patch_mask: Tensor | None,
        mask_ratio: float | None,
        first_position: Tensor | None,
    ) -> Masked:
        """Check a batch, and hide patches of it."""
        check_inputs(self.config, pixel_values, attention_mask, first_position)
        patches = split_patches(pixel_values, self.config.patch_size)
        if patch_mask is not None and patch_mask.shape != patches.shape[:2]:
            raise ValueError(
                f"patch_mask must be [B, P] = {list(patches.shape[:2])} to match pixel_values "
                f"{list(pixel_values.shape)}, got {list(patch_mask.shape)}"
            )
        if attention_mask is None:
            attention_mask = torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device)
        ratio = self.config.mask_ratio if mask_ratio is None else mask_ratio
        if not 0 <= ratio < 1:
            raise ValueError(f"mask_ratio must be at least 0 and below 1, got {ratio}")
        if patch_mask is None:
            places, visible = choose_patches(attention_mask, ratio), attention_mask
        else:
            places = follow_mask(patch_mask, ratio, agreed=mask_ratio is not None)
            visible = attention_mask if places.seen is None else attention_mask * (patch_mask == 0)
        return Masked(patches=patches, attention_mask=attention_mask, places=places, visible=visible)

    def encode(
        self,
        pixel_values: Tensor,
        masked: Masked,
        first_position: Tensor | None,
        output_hidden_states: bool | None,
        output_attentions: bool | None,
    ) -> Any:
        """Encode what is kept."""
        return self.vit(
            pixel_values,
            masked.visible,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            keep=masked.places.keep,
            first_position=first_position,
            return_dict=True,
        )

    def score(self, masked: Masked, encoded: Any, logits: Tensor) -> PixelForPreTrainingOutput:
        """Compare the predicted pixels of what is masked with the true ones."""
        places, counted = masked.places, masked.counted
        targets = targets_of(self.config, take(masked.patches, places.masked))
        errors = reconstruction_errors(take(logits, places.masked), targets, counted)
        hidden = torch.ones_like(counted) if places.hidden is None else places.hidden.float()
        nothing = torch.zeros_like(masked.attention_mask, dtype=torch.float)
        return PixelForPreTrainingOutput(
            loss=mean_of(errors, counted),
            logits=logits,
            mask=nothing.scatter(1, places.masked, hidden),
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            patch_losses=nothing.scatter(1, places.masked, errors),
        )

    def freeze_positions(self) -> None:
        """Positions stay the fixed table: encoder and decoder must agree on them."""
        for table in (self.vit.embeddings.position_embeddings, self.decoder.decoder_pos_embed):
            if table is not None:
                table.requires_grad_(False)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As the base, and the decoder's own parameters."""
        super()._init_weights(module)
        if isinstance(module, PixelDecoder):
            initialization.normal_(module.mask_token, std=self.config.initializer_range)
            if module.decoder_pos_embed is not None:
                init_positions(module.decoder_pos_embed)

    def resize_positions(self, max_seq_length: int) -> None:
        """As the base, for encoder and decoder."""
        super().resize_positions(max_seq_length)
        self.decoder.decoder_pos_embed = resized_parameter(self.decoder.decoder_pos_embed, max_seq_length)
