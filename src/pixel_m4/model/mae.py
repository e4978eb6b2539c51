"""Pretraining: hide a quarter of the patches, and reconstruct their pixels.

Sources: He et al. 2022 (masked autoencoders), Rust et al. 2023 (PIXEL: text, span masks, padding).

Dimensions: B batch, P patches, K kept patches, M = P - K masked patches, D width of the encoder, E width of
the decoder, W pixels of width, C channels; a patch has 768 = 16 * 16 * C values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization
from transformers.utils import ModelOutput

from pixel_m4.model.attention import Packing
from pixel_m4.model.config import PixelConfig
from pixel_m4.model.heads import IGNORED, check_labels
from pixel_m4.model.inputs import as_in_transformers, blank_out, check_inputs, split_patches, take
from pixel_m4.model.layers import PixelLayer, layout_of, look_at_neighbours, run_layers
from pixel_m4.model.positions import init_positions, patch_positions, put_on_line, resized_parameter
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel


def patchify(pixel_values: Tensor, patch_size: int = 16, num_channels: int = 3) -> Tensor:
    """Pixels as the decoder predicts them: each patch flattened row, column, channel, in [0, 1].

    Args:
        pixel_values: uint8 [B, 16, W] or [B, 16, W, C]; or float [B, C, 16, W]
        patch_size: Height and width of a patch.
        num_channels: How often a grey value stands in a patch.

    Returns:
        float [B, P, 768]
    """
    return as_targets(split_patches(pixel_values, patch_size), patch_size, num_channels)


def unpatchify(patches: Tensor, patch_size: int = 16, num_channels: int = 3) -> Tensor:
    """The inverse of `patchify`: [B, P, 768] → [B, C, 16, W]."""
    pixels = patches.unflatten(2, (patch_size, patch_size, num_channels))  # [B, P, 16, 16, C]
    return pixels.permute(0, 4, 2, 1, 3).flatten(3)


def as_targets(patches: Tensor, patch_size: int, num_channels: int) -> Tensor:
    """Patches [B, P, 256 or 768], uint8 or float, as float [B, P, 768] in [0, 1]."""
    pixels = patches / 255 if patches.dtype == torch.uint8 else patches.float()
    if patches.shape[-1] == patch_size**2:
        pixels = pixels.repeat_interleave(num_channels, dim=-1)
    return pixels


def standardise(patches: Tensor) -> Tensor:
    """Each patch [..., 768] less its mean, divided by its standard deviation (unbiased variance + 1e-6)."""
    variance, mean = torch.var_mean(patches, dim=-1, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()


def reconstruction_loss(predictions: Tensor, targets: Tensor, counted: Tensor) -> Tensor:
    """Squared error, mean over the pixels of a patch, then over the patches that count.

    Args:
        predictions: [B, M, 768]
        targets: [B, M, 768]
        counted: [B, M], 1 where a patch is masked and attended

    Returns:
        []
    """
    return (patch_errors(predictions, targets) * counted).sum() / counted.sum().clamp(min=1)


@torch.no_grad()
def reconstruct(config: PixelConfig, pixel_values: Tensor, logits: Tensor, mask: Tensor) -> Tensor:
    """Put the predicted pixels in the masked places of a rendering.

    With `norm_pix_loss` a model predicts patches less their mean and divided by their deviation, so mean and
    deviation are taken from the original: what is shown is the shape of the ink.

    Args:
        config: The model's.
        pixel_values: uint8 [B, 16, W]
        logits: [B, P, 768]
        mask: [B, P], 1 where a patch was masked

    Returns:
        uint8 [B, 16, W]
    """
    original = patchify(pixel_values, config.patch_size, config.num_channels)
    predicted = logits.float()
    if config.norm_pix_loss:
        variance, mean = torch.var_mean(original, dim=-1, keepdim=True)
        predicted = predicted * (variance + 1e-6).sqrt() + mean
    pixels = torch.where(mask[..., None] != 0, predicted, original).clamp(0, 1)
    grey = unpatchify(pixels, config.patch_size, config.num_channels).mean(1)
    return (grey * 255).round().to(torch.uint8)


def patch_errors(predictions: Tensor, targets: Tensor) -> Tensor:
    """Squared error, mean over the pixels of a patch: two [B, M, 768] give [B, M]."""
    return (predictions.float() - targets).square().mean(-1)


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """Which patches of a batch the encoder sees, and which it does not.

    Texts may hide different numbers of patches. Rows with fewer of a kind than the longest end (of those
    seen) or begin (of those hidden) with places of the other kind, which do not count.

    Args:
        keep: [B, K], the places that the encoder sees, in ascending order as far as they count.
        masked: [B, M], the other places.
        seen: bool [B, K], which of `keep` count; None for all.
        hidden: bool [B, M], which of `masked` count; None for all.
    """

    keep: Tensor
    masked: Tensor
    seen: Tensor | None = None
    hidden: Tensor | None = None


def choose_patches(attention_mask: Tensor, mask_ratio: float) -> Hidden:
    """Hide patches at random: all but int(P * (1 - mask_ratio)), at least one with text.

    Args:
        attention_mask: [B, P], 0 for padding
        mask_ratio: Share of the patches to mask
    """
    batch, patches = attention_mask.shape
    score = torch.rand(batch, patches, device=attention_mask.device)
    # Lift the text patch nearest to being masked to the top. If any text patch was to be masked, so was
    # this one, and nothing changes; otherwise it takes the place of one patch of padding.
    best = score.masked_fill(attention_mask == 0, -1.0).argmax(1, keepdim=True)
    order = score.scatter(1, best, 2.0).argsort(dim=1)
    kept = int(patches * (1 - mask_ratio))
    return Hidden(keep=order[:, :kept].sort(dim=1).values, masked=order[:, kept:].sort(dim=1).values)


def follow_mask(patch_mask: Tensor, mask_ratio: float) -> Hidden:
    """Hide exactly the patches that a mask says.

    Args:
        patch_mask: [B, P], 1 for patches to mask, 0 for those to see
        mask_ratio: Share of the patches to mask, which only `torch.compile` asks for: it must know sizes
            before it sees a mask.

    Raises:
        ValueError: A value is neither 0 nor 1.
        RuntimeError: In a compiled model, the mask hides another share than `mask_ratio` says.
    """
    hide = patch_mask != 0
    patches, counts = hide.shape[1], (~hide).sum(1)
    order = hide.to(torch.uint8).argsort(dim=1, stable=True)  # seen, then hidden, each in ascending order
    if torch.compiler.is_compiling():
        kept = int(patches * (1 - mask_ratio))
        torch._assert_async(
            (counts == kept).all(),
            f"a compiled model masks {patches - kept} of {patches} patches: pass mask_ratio=(m - 0.5) / P "
            "with a patch_mask that has m ones in each row",
        )
        return Hidden(keep=order[:, :kept], masked=order[:, kept:])
    if not counts.numel():
        return Hidden(keep=order, masked=order[:, :0])
    wrong = hide & (patch_mask != 1)
    facts = torch.stack([counts.amin(), counts.amax(), wrong.sum()])  # one wait for the device, not three
    fewest, most, bad = facts.tolist()
    if bad:
        raise ValueError(
            f"patch_mask must be 1 for patches to mask and 0 for others, got {patch_mask[wrong][0].item()}"
        )
    keep, masked = order[:, :most], order[:, fewest:]
    if fewest == most:
        return Hidden(keep=keep, masked=masked)
    places = torch.arange(patches, device=hide.device)
    return Hidden(
        keep=keep,
        masked=masked,
        seen=places[:most] < counts[:, None],
        hidden=places[fewest:] >= counts[:, None],
    )


def some_of(places: Hidden, count: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """At most `count` of the patches that the encoder sees of each text, chosen at random.

    Returns:
        Their columns in `places.keep`, [B, min(K, count)], in ascending order; their places, as many; and
        which of them count, None for all
    """
    chance = torch.rand(places.keep.shape, device=places.keep.device)
    if places.seen is not None:
        chance = chance.masked_fill(~places.seen, 2.0)
    columns = chance.argsort(dim=1)[:, :count].sort(dim=1).values
    real = None if places.seen is None else places.seen.gather(1, columns)
    return columns, places.keep.gather(1, columns), real


def only(labels: Tensor, real: Tensor | None) -> Tensor:
    """Labels, without those of places that do not count."""
    return labels if real is None else labels.masked_fill(~real, IGNORED)


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
        piece_losses: [B, P], cross-entropies of the names of those patches, and with `visible_pieces` of as
            many that the encoder saw; 0 for others and patches without a name; None without a piece head
        blank_losses: [B, M], cross-entropies of the names of patches that the encoder saw blank; None unless
            trained with `blank_pieces`
        pieces_named: bool [B, P], where the head names a masked patch right; None without a piece head
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    mask: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    patch_losses: Tensor | None = None
    piece_losses: Tensor | None = None
    blank_losses: Tensor | None = None
    pieces_named: Tensor | None = None


class PixelDecoder(nn.Module):
    """A small transformer that fills in the masked patches; only pretraining needs it."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__()
        self.config = config
        width = config.decoder_hidden_size
        self.decoder_embed = nn.Linear(config.hidden_size, width)
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.decoder_pos_embed = nn.Parameter(torch.empty(1, 1 + config.max_patches, width))
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
        positions = patch_positions(self.decoder_pos_embed, patches.shape[1], first_position)
        states = torch.cat([cls + self.decoder_pos_embed[:, :1], patches + positions], dim=1)
        layout = layout_of(self.config, attention_mask)
        if isinstance(layout, Packing):
            states = layout.pack(states)
        states, _, _ = run_layers(self.decoder_layers, states, layout)
        states = self.decoder_norm(states)
        if isinstance(layout, Packing):
            return layout.pad(states)[:, 1:], layout.pad(self.decoder_pred(states))[:, 1:]
        return states[:, 1:], self.decoder_pred(states[:, 1:])


class PixelForPreTraining(PixelPreTrainedModel):
    """Masked autoencoder of rendered text: encode what is kept, decode everything, score what was masked."""

    def __init__(self, config: PixelConfig) -> None:
        super().__init__(config)
        self.vit = PixelModel(config, embedding_dropout=False)
        self.decoder = PixelDecoder(config)
        self.piece_head = (
            nn.Linear(config.decoder_hidden_size, config.num_pieces) if config.num_pieces else None
        )
        self.blank_head = (
            nn.Linear(config.hidden_size, config.decoder_hidden_size)
            if config.num_pieces and config.blank_pieces
            else None
        )
        self.freeze_positions()
        self.post_init()

    def freeze_positions(self) -> None:
        """Positions stay the fixed table: encoder and decoder must agree on them."""
        self.vit.embeddings.position_embeddings.requires_grad_(False)
        self.decoder.decoder_pos_embed.requires_grad_(False)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """As the base, and the decoder's own parameters."""
        super()._init_weights(module)
        if isinstance(module, PixelDecoder):
            initialization.normal_(module.mask_token, std=self.config.initializer_range)
            init_positions(module.decoder_pos_embed)

    def look_at_neighbours(self) -> None:
        """As the base, for encoder and decoder."""
        super().look_at_neighbours()
        look_at_neighbours(
            self.decoder.decoder_embed,
            self.decoder.decoder_layers,
            self.config.decoder_num_attention_heads,
        )

    def drop_piece_head(self) -> None:
        """Forget the second objective: what is left is the published architecture."""
        self.piece_head = self.blank_head = None
        self.config.num_pieces, self.config.visible_pieces, self.config.blank_pieces = 0, False, False

    def name(self, features: Tensor, names: Tensor) -> tuple[Tensor, Tensor]:
        """Errors of naming patches from [..., E], and where the name is right, each like names [...]."""
        assert self.piece_head is not None
        scores = self.piece_head(features).float()
        errors = F.cross_entropy(
            scores.flatten(0, -2), names.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return errors.view_as(names), scores.argmax(-1) == names

    def use_line_positions(self) -> None:
        """As the base, for encoder and decoder."""
        super().use_line_positions()
        put_on_line(self.decoder.decoder_pos_embed)

    def resize_positions(self, max_seq_length: int) -> None:
        """As the base, for encoder and decoder."""
        super().resize_positions(max_seq_length)
        self.decoder.decoder_pos_embed = resized_parameter(self.decoder.decoder_pos_embed, max_seq_length)

    @as_in_transformers
    def forward(
        self,
        pixel_values: Tensor,
        attention_mask: Tensor | None = None,
        patch_mask: Tensor | None = None,
        mask_ratio: float | None = None,
        piece_labels: Tensor | None = None,
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
                whatever the ratio is; only a compiled model needs one that agrees with it.
            piece_labels: [B, P], numbers of known patches for the second objective, -100 for others
            first_position: [B], the position of each text's first patch; None for 0. Short texts at places
                all over the table teach a model all of its positions.
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights

        Returns:
            loss [], logits [B, P, 768], mask [B, P]
        """
        check_inputs(self.config, pixel_values, attention_mask, first_position)
        patches = split_patches(pixel_values, self.config.patch_size)
        if patch_mask is not None and patch_mask.shape != patches.shape[:2]:
            raise ValueError(
                f"patch_mask must be [B, P] = {list(patches.shape[:2])} to match pixel_values "
                f"{list(pixel_values.shape)}, got {list(patch_mask.shape)}"
            )
        if self.piece_head is not None:
            shape = (patches.shape[0], patches.shape[1])
            piece_labels = check_labels(
                "piece_labels", piece_labels, shape, self.config.num_pieces, "num_pieces"
            )
        if attention_mask is None:
            attention_mask = torch.ones(patches.shape[:2], dtype=torch.long, device=patches.device)
        ratio = self.config.mask_ratio if mask_ratio is None else mask_ratio
        if not 0 <= ratio < 1:
            raise ValueError(f"mask_ratio must be at least 0 and below 1, got {ratio}")
        if patch_mask is None:
            places, visible = choose_patches(attention_mask, ratio), attention_mask
        else:
            places = follow_mask(patch_mask, ratio)
            visible = attention_mask if places.seen is None else attention_mask * (patch_mask == 0)
        keep, masked = places.keep, places.masked

        seen, blank = pixel_values, None
        if self.blank_head is not None and piece_labels is not None and self.training:
            blank = some_of(places, masked.shape[1])
            _, where, real = blank
            grey = torch.zeros_like(attention_mask, dtype=torch.bool)
            grey = grey.scatter(1, where, True if real is None else real)
            seen = blank_out(pixel_values, grey, self.config.patch_size)
        encoded = self.vit(
            seen,
            visible,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            keep=keep,
            first_position=first_position,
            return_dict=True,
        )
        decoded, logits = self.decoder(encoded.last_hidden_state, places, attention_mask, first_position)

        targets = as_targets(take(patches, masked), self.config.patch_size, self.config.num_channels)
        if self.config.norm_pix_loss and masked.shape[1]:
            targets = standardise(targets)
        hidden = torch.ones_like(masked, dtype=torch.bool) if places.hidden is None else places.hidden
        counted = ((take(attention_mask, masked) != 0) & hidden).float()
        losses = patch_errors(take(logits, masked), targets) * counted
        nothing = torch.zeros_like(attention_mask, dtype=torch.float)
        loss = losses.sum() / counted.sum().clamp(min=1)
        piece_losses, pieces_named, blank_losses = None, None, None
        if self.piece_head is not None and piece_labels is not None:
            known = piece_labels.masked_fill(attention_mask == 0, IGNORED)
            named, names = masked, only(take(known, masked), places.hidden)
            if self.config.visible_pieces and self.training:
                _, others, some_real = some_of(places, masked.shape[1])
                named = torch.cat([masked, others], dim=1)
                names = torch.cat([names, only(take(known, others), some_real)], dim=1)
            errors, hits = self.name(take(decoded, named), names)
            weight = self.config.piece_loss_weight / counted.sum().clamp(min=1)
            loss = loss + weight * errors.sum()
            piece_losses = nothing.scatter_add(1, named, errors)
            hits = hits[:, : masked.shape[1]]
            pieces_named = torch.zeros_like(attention_mask, dtype=torch.bool).scatter(1, masked, hits)
            if self.blank_head is not None and blank is not None:
                columns, where, some_real = blank
                states = take(encoded.last_hidden_state[:, 1:], columns)
                names = only(take(known, where), some_real)
                blank_losses, _ = self.name(self.blank_head(states), names)
                loss = loss + weight * blank_losses.sum()
        return PixelForPreTrainingOutput(
            loss=loss,
            logits=logits,
            mask=nothing.scatter(1, masked, hidden.float()),
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            patch_losses=nothing.scatter(1, masked, losses),
            piece_losses=piece_losses,
            pieces_named=pieces_named,
            blank_losses=blank_losses,
        )
