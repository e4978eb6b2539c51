"""A second objective of pretraining: name hidden patches by their class, the number of a frequent patch.

It is heads and losses around the published model, and no part of it: a finished checkpoint has no trace of
it.
Why it helps small models: docs/log.md, 2026-11-25.

Dimensions: B batch, P patches, K kept patches, M masked patches, D width of the encoder, E width of the
decoder, N patch classes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixel_m4.model import PixelConfig, PixelForPreTraining, PixelForPreTrainingOutput
from pixel_m4.model.checks import IGNORED, check_labels
from pixel_m4.model.flops import linear, product
from pixel_m4.model.inputs import as_in_transformers, blank_out, take
from pixel_m4.model.masks import Hidden

SAVED = "patch_classes"
"""Where the configuration of a checkpoint inside of a training holds the objective."""


@dataclass(frozen=True, kw_only=True)
class PatchClasses:
    """What is named.

    Args:
        number: Patches that are named, N.
        weight: Of this objective beside the pixels.
        visible: Whether as many of the patches that the encoder sees are named, too.
        blank: Whether the encoder sees as many patches blank, for its own states to name.
    """

    number: int
    weight: float = 0.2
    visible: bool = False
    blank: bool = False

    @classmethod
    def of(cls, config: PixelConfig) -> PatchClasses | None:
        """The objective that a checkpoint inside of a training has; None if there is none."""
        saved = getattr(config, SAVED, None)
        return None if saved is None else cls(**saved)


@dataclass
class PatchClassesOutput(PixelForPreTrainingOutput):
    """What pretraining with this objective returns.

    Args:
        class_losses: [B, P], cross-entropies of the classes of masked patches, and with `visible` of as many
            that the encoder saw; 0 for others and patches without a class; None without labels
        blank_losses: [B, M], the same of patches that the encoder saw blank; None unless trained with `blank`
        named: bool [B, P], where a masked patch is named right; None without labels
    """

    class_losses: Tensor | None = None
    blank_losses: Tensor | None = None
    named: Tensor | None = None


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


class PixelWithPatchClasses(PixelForPreTraining):
    """The masked autoencoder with heads that name patches.

    Args:
        config: Of the model.
        objective: What is named.
    """

    def __init__(self, config: PixelConfig, objective: PatchClasses) -> None:
        super().__init__(config)
        width = config.decoder_hidden_size
        self.objective: PatchClasses | None = objective
        self.piece_head: nn.Module | None = nn.Linear(width, objective.number)
        self.blank_head: nn.Module | None = nn.Linear(config.hidden_size, width) if objective.blank else None
        setattr(config, SAVED, asdict(objective))
        self.post_init()

    def drop_classes(self) -> None:
        """Forget the objective: what is left is the published architecture."""
        self.objective = self.piece_head = self.blank_head = None
        forget(self.config)

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
        class_labels: Tensor | None = None,
    ) -> PatchClassesOutput:
        """Reconstruct and name masked patches.

        Args:
            pixel_values: See `PixelForPreTraining.forward`, as of all that is not named here
            attention_mask: [B, P]
            patch_mask: [B, P]
            mask_ratio: Share of the patches to mask
            first_position: [B]
            output_hidden_states: Whether to return the encoder's hidden states
            output_attentions: Whether to return the encoder's attention weights
            class_labels: [B, P], classes of patches, -100 for those that have none; None: nothing is named
        """
        masked = self.mask(pixel_values, attention_mask, patch_mask, mask_ratio, first_position)
        places, attention_mask = masked.places, masked.attention_mask
        known = None
        if self.objective is not None:
            shape = (attention_mask.shape[0], attention_mask.shape[1])
            labels = check_labels(
                "class_labels", class_labels, shape, self.objective.number, "the patch classes"
            )
            known = None if labels is None else labels.masked_fill(attention_mask == 0, IGNORED)

        seen, blank = pixel_values, None
        if self.blank_head is not None and known is not None and self.training:
            blank = some_of(places, places.masked.shape[1])
            _, where, real = blank
            grey = torch.zeros_like(attention_mask, dtype=torch.bool)
            grey = grey.scatter(1, where, True if real is None else real)
            seen = blank_out(pixel_values, grey, self.config.patch_size)
        encoded = self.encode(seen, masked, first_position, output_hidden_states, output_attentions)
        decoded, logits = self.decoder(encoded.last_hidden_state, places, attention_mask, first_position)
        plain = self.score(masked, encoded, logits)
        if self.objective is None or known is None:
            return PatchClassesOutput(**plain)
        losses, named = self._name_masked(places, decoded, known)
        total, blank_losses = losses.sum(), None
        if self.blank_head is not None and blank is not None:
            columns, where, real = blank
            states = self.blank_head(take(encoded.last_hidden_state[:, 1:], columns))
            blank_losses, _ = self.name(states, only(take(known, where), real))
            total = total + blank_losses.sum()
        weight = self.objective.weight / masked.counted.sum().clamp(min=1)
        return PatchClassesOutput(
            **{**plain, "loss": plain["loss"] + weight * total},
            class_losses=losses,
            blank_losses=blank_losses,
            named=named,
        )

    def _name_masked(self, places: Hidden, decoded: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Errors of naming masked patches, and in training visible ones, and where the former are right."""
        assert self.objective is not None
        count = places.masked.shape[1]
        asked, labels = places.masked, only(take(known, places.masked), places.hidden)
        if self.objective.visible and self.training:
            _, others, real = some_of(places, count)
            asked = torch.cat([asked, others], dim=1)
            labels = torch.cat([labels, only(take(known, others), real)], dim=1)
        errors, hits = self.name(take(decoded, asked), labels)
        losses = torch.zeros_like(known, dtype=torch.float).scatter_add(1, asked, errors)
        return losses, torch.zeros_like(known, dtype=torch.bool).scatter(1, places.masked, hits[:, :count])

    def name(self, features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Errors of naming patches from [..., E], and where they are named right, each like labels [...]."""
        assert self.piece_head is not None
        scores = self.piece_head(features).float()
        errors = F.cross_entropy(
            scores.flatten(0, -2), labels.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return errors.view_as(labels), scores.argmax(-1) == labels


# Checkpoints name the class that anybody can open them with.
PixelWithPatchClasses.__name__ = PixelForPreTraining.__name__


def widened(outputs: Any) -> Any:
    """Outputs of a pretraining model whose losses and mask can be summed.

    FSDP gives all outputs back in bfloat16, in which sums are coarse and count no further than 256.
    """
    for name in ("mask", "patch_losses", "class_losses", "blank_losses", "named"):
        value = getattr(outputs, name, None)
        if value is not None and value.dtype in (torch.bfloat16, torch.float16):
            outputs[name] = value.float()
    return outputs


def objective_loss(outputs: PatchClassesOutput, objective: PatchClasses) -> Tensor:
    """The sum of what the objective adds to the sum of squared errors, []."""
    parts = [outputs.class_losses, outputs.blank_losses]
    return objective.weight * torch.stack([part.sum() for part in parts if part is not None]).sum()


def objective_flops(config: PixelConfig, objective: PatchClasses, patches: int) -> int:
    """Operations that the objective adds to a training step of a sequence: three times its products."""
    kept = int(patches * (1 - config.mask_ratio))
    named = min(2 * (patches - kept), patches) if objective.visible else patches - kept
    added = 0
    if objective.blank:
        blank = min(patches - kept, kept)
        named += blank
        added = product(blank, config.hidden_size, config.decoder_hidden_size)
    return 3 * (added + product(named, config.decoder_hidden_size, objective.number))


def objective_parameters(config: PixelConfig, objective: PatchClasses) -> int:
    """Parameters of the heads."""
    head = linear(config.decoder_hidden_size, objective.number)
    return head + (linear(config.hidden_size, config.decoder_hidden_size) if objective.blank else 0)


def forget(config: PixelConfig) -> None:
    """Leave no trace of an objective in a configuration."""
    config.__dict__.pop(SAVED, None)
