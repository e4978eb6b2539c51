"""Which patches pretraining hides: at random, or as a mask says.

Dimensions: B batch, P patches, K kept patches, M = P - K masked patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pixel_m4.model.inputs import readable


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


def follow_mask(patch_mask: Tensor, mask_ratio: float, agreed: bool = False) -> Hidden:
    """Hide exactly the patches that a mask says.

    Args:
        patch_mask: [B, P], 1 for patches to mask, 0 for those to see
        mask_ratio: Share of the patches to mask, for where sizes must be known before the mask is seen: in
            `torch.compile`, and on another device than the CPU, which need not be waited for then.
        agreed: Whether the caller says that the mask has this share.

    Raises:
        ValueError: A value is neither 0 nor 1.
        RuntimeError: The share is relied on, and the mask hides another one.
    """
    hide = patch_mask != 0
    patches, counts = hide.shape[1], (~hide).sum(1)
    order = hide.to(torch.uint8).argsort(dim=1, stable=True)  # seen, then hidden, each in ascending order
    if torch.compiler.is_compiling() or (agreed and not readable(patch_mask)):
        kept = int(patches * (1 - mask_ratio))
        torch._assert_async(
            (counts == kept).all(),
            f"by mask_ratio the model masks {patches - kept} of {patches} patches, and patch_mask says "
            "another number: pass mask_ratio=(m - 0.5) / P with a patch_mask that has m ones in each row",
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
