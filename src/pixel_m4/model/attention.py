"""Attention on the CPU in chunks that stay in cache, and sequences laid end to end without their padding.

PyTorch's fused kernel for the CPU knows no dropout: in training it falls back to whole matrices [B, H, S, S],
and keeps several of them for the backward pass. `attend` computes a sequence and a few heads at a time, keeps
queries, keys, values and the result, and computes the weights again in the backward pass (Chen et al. 2016;
the gradient of the softmax from the result as in Dao et al. 2022).

On GPUs `attend_varlen` gives unpadded batches to PyTorch's kernel for sequences of many lengths, in half
precision and without dropout, the two things that it asks for.

Dimensions: B batch, S sequence with CLS, N real tokens of a batch, H heads, D width, d = D / H.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

try:
    from torch.nn.attention.varlen import varlen_attn
except ImportError:  # PyTorch before 2.10
    varlen_attn = None  # type: ignore[assignment]

CHUNK = 2**18  # attention weights computed at once: one megabyte of float32, so that they stay in cache
STEPS = 2**16  # dropout is rounded to this part: four choices from one random number, three times as fast


@dataclass(frozen=True, kw_only=True)
class Unpadded:
    """Where the real tokens of a padded batch are: CLS and the attended patches of every sequence.

    Args:
        attended: bool [B, S]
        index: [N], places of the real tokens in B * S; without lengths [B * S], see `in_order`
        lengths: Real tokens of each sequence, B numbers, at least 1 each as CLS is real; None if nobody
            has looked.
        bounds: int32, where sequences begin and end in the row, from 0 to N
    """

    attended: Tensor
    index: Tensor
    lengths: tuple[int, ...] | None
    bounds: Tensor

    @classmethod
    def of(cls, attended: Tensor) -> Unpadded:
        """Read it off a mask, bool [B, S]; on another device than the CPU the host waits for it."""
        counts = attended.sum(1)
        return cls(
            attended=attended,
            index=attended.flatten().nonzero().squeeze(1),
            lengths=tuple(counts.tolist()),
            bounds=F.pad(counts.cumsum(0), (1, 0)).to(torch.int32),
        )

    @classmethod
    def in_order(cls, attended: Tensor) -> Unpadded:
        """The same without looking at a value, so that neither the host waits nor a graph breaks.

        Padding stays, after the real tokens of its sequence and as a sequence of its own, which nothing else
        attends to; so all sizes are known.

        Args:
            attended: bool [B, S]
        """
        batch, length = attended.shape
        starts = torch.arange(0, batch * length, length, device=attended.device)
        order = (~attended).to(torch.uint8).argsort(dim=1, stable=True)
        bounds = torch.stack([starts, starts + attended.sum(1)], dim=1).flatten()
        return cls(
            attended=attended,
            index=(order + starts[:, None]).flatten(),
            lengths=None,
            bounds=F.pad(bounds, (0, 1), value=batch * length).to(torch.int32),
        )

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence, or no fewer."""
        return self.attended.shape[1] if self.lengths is None else max(self.lengths)

    def unpad(self, states: Tensor) -> Tensor:
        """Lay real tokens end to end in one row: [B, S, ...] → [1, N, ...]."""
        return states.flatten(0, 1).index_select(0, self.index)[None]

    def pad(self, states: Tensor) -> Tensor:
        """Put them back: [1, N, ...] → [B, S, ...], zero on padding."""
        padded = states.new_zeros(self.attended.numel(), *states.shape[2:])
        padded = padded.index_copy(0, self.index, states[0])
        if self.lengths is None:
            padded = padded.masked_fill(~self.attended.view(-1, *[1] * (padded.ndim - 1)), 0)
        return padded.unflatten(0, tuple(self.attended.shape))


@torch.compiler.assume_constant_result
def has_varlen(device: torch.device) -> bool:
    """Whether a device has the kernel of `attend_varlen`: NVIDIA's GPUs from Ampere on (A100, RTX 30)."""
    if device.type != "cuda" or varlen_attn is None or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def varlen_takes(dtype: torch.dtype, size: int) -> bool:
    """Whether that kernel computes heads of this width in this type; it has no float32."""
    return dtype in (torch.float16, torch.bfloat16) and size <= 256


def in_chunks(states: Tensor, pattern: Tensor | Unpadded | None, dropout: float) -> bool:
    """Whether `attend` is the better way: on the CPU, for packed sequences or with dropout."""
    return (
        states.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and (dropout > 0 or isinstance(pattern, Unpadded))
    )


def attend(
    query: Tensor, key: Tensor, value: Tensor, pattern: Tensor | Unpadded | None = None, dropout: float = 0.0
) -> Tensor:
    """Scaled dot-product attention, a chunk at a time.

    Dropout takes one number of PyTorch's generator as the seed of its masks, so `torch.manual_seed` decides.

    Args:
        query: [B, S, H, d], or [1, N, H, d] of packed sequences
        key: As query.
        value: As query.
        pattern: bool [B, 1, 1, S], what may be attended; None for everything; or the unpadded, which lets
            every sequence attend to itself
        dropout: Share of the attention weights to drop; the others grow by 1 / (1 - dropout).

    Returns:
        As query.
    """
    batch, length = query.shape[:2]
    lengths = (length,) * batch
    if isinstance(pattern, Unpadded):
        assert pattern.lengths is not None, "on the CPU lengths are known"
        lengths = pattern.lengths
    mask = pattern[:, 0, 0] if isinstance(pattern, Tensor) else None
    seed = int(torch.randint(2**62, ())) if dropout > 0 else 0
    flat = (states.flatten(0, 1) for states in (query, key, value))
    return AttentionInChunks.apply(*flat, mask, lengths, dropout, seed).view(query.shape)


def attend_varlen(query: Tensor, key: Tensor, value: Tensor, unpadded: Unpadded) -> Tensor:
    """Attention of packed sequences by the kernel for them, where `has_varlen` and `varlen_takes` allow it.

    Args:
        query: [1, N, H, d], float16 or bfloat16
        key: As query.
        value: As query.
        unpadded: Where sequences begin and end.

    Returns:
        As query.
    """
    size, bounds, longest = query.shape[-1], unpadded.bounds, unpadded.longest
    # The kernel asks for heads whose width is a multiple of 8; zeros change no product.
    q, k, v = (F.pad(states[0], (0, -size % 8)) for states in (query, key, value))
    context: Any = varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=size**-0.5)
    return context[None, ..., :size]


def attend_padded(query: Tensor, key: Tensor, value: Tensor, unpadded: Unpadded, dropout: float) -> Tensor:
    """Attention of packed sequences by padding them for the fused kernel: where there is no better one.

    Args:
        query: [1, N, H, d]
        key: As query.
        value: As query.
        unpadded: Where they belong.
        dropout: Share of the attention weights to drop.

    Returns:
        As query.
    """
    query, key, value = (unpadded.pad(states).transpose(1, 2) for states in (query, key, value))
    mask = unpadded.attended[:, None, None]
    context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    return unpadded.unpad(context.transpose(1, 2))


def chunks(lengths: Sequence[int], heads: int) -> Iterator[tuple[int, slice, slice]]:
    """The number of a sequence, its rows, and some of its heads, as many as stay in cache."""
    start = 0
    for number, length in enumerate(lengths):
        step = min(max(CHUNK // length**2, 1), heads)
        for head in range(0, heads, step):
            yield number, slice(start, start + length), slice(head, head + step)
        start += length


def dropped_steps(dropout: float) -> int:
    """Dropout as a multiple of 1 / STEPS; something is always kept."""
    return min(round(dropout * STEPS), STEPS - 1)


def keep_some(weights: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Which weights dropout keeps: bool, as weights."""
    count = weights.numel()
    numbers = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    return (numbers.view(torch.int16)[:count] >= steps - STEPS // 2).view(weights.shape)


def weights_of(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """Attention weights of a chunk: scaled queries [h, n, d], keys [h, n, d], mask [n] → float [h, n, n]."""
    scores = torch.bmm(query, key.mT)
    if mask is not None:
        scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
    if scores.dtype in (torch.float16, torch.bfloat16):
        scores = scores.float()
    return torch.softmax(scores, -1)


class AttentionInChunks(torch.autograd.Function):
    """See `attend`."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        lengths: tuple[int, ...],
        dropout: float,
        seed: int,
    ) -> Tensor:
        """[N, H, d] each and bool [B, S] or None → [N, H, d]."""
        context = torch.empty(query.shape, dtype=value.dtype)
        steps, generator = dropped_steps(dropout), torch.Generator().manual_seed(seed)
        scale, growth = query.shape[-1] ** -0.5, STEPS / (STEPS - steps)
        with torch.autocast("cpu", enabled=False):
            for number, rows, heads in chunks(lengths, query.shape[1]):
                q, k, v = (states[rows, heads].transpose(0, 1) for states in (query, key, value))
                weights = weights_of(q * scale, k, None if mask is None else mask[number])
                if steps:
                    weights *= keep_some(weights, steps, generator)
                    v = v * growth  # fewer values to multiply than weights
                torch.bmm(weights.to(v.dtype), v, out=context[rows, heads].transpose(0, 1))
        ctx.save_for_backward(query, key, value, context, mask)
        ctx.options = lengths, dropout, seed
        return context

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Compute the weights again, with the same dropout, and from them the gradients."""
        query, key, value, context, mask = ctx.saved_tensors
        lengths, dropout, seed = ctx.options
        steps, generator = dropped_steps(dropout), torch.Generator().manual_seed(seed)
        scale, growth = query.shape[-1] ** -0.5, STEPS / (STEPS - steps)
        d_query, d_key, d_value = (
            torch.empty(states.shape, dtype=states.dtype) for states in (query, key, value)
        )
        # Each weight's share in the softmax's normalisation: the sum over gradient times result.
        shares = (gradient * context).sum(-1, dtype=torch.promote_types(context.dtype, torch.float32))
        with torch.autocast("cpu", enabled=False):
            for number, rows, heads in chunks(lengths, query.shape[1]):
                q, k, v, g = (states[rows, heads].transpose(0, 1) for states in (query, key, value, gradient))
                q = q * scale
                weights = weights_of(q, k, None if mask is None else mask[number])
                dropped, kept = weights, None
                if steps:
                    kept = keep_some(weights, steps, generator)
                    dropped = weights * kept
                    g = g * growth
                torch.bmm(dropped.to(g.dtype).mT, g, out=d_value[rows, heads].transpose(0, 1))
                d_scores = torch.bmm(g, v.mT).to(weights.dtype)
                if kept is not None:
                    d_scores *= kept
                d_scores -= shares[rows, heads].T.unsqueeze(-1)
                d_scores *= weights
                d_scores = d_scores.to(q.dtype)
                torch.bmm(d_scores, k * scale, out=d_query[rows, heads].transpose(0, 1))
                torch.bmm(d_scores.mT, q, out=d_key[rows, heads].transpose(0, 1))
        return d_query, d_key, d_value, None, None, None, None
