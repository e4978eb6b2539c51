from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixel_m4.model import attention
from pixel_m4.model.attention import (
    STEPS,
    Unpadded,
    attend,
    attend_padded,
    attend_varlen,
    chunks,
    dropped_steps,
    has_varlen,
    keep_some,
    varlen_takes,
)

MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [1, 0, 0, 0, 0]]).bool()


def parts(*shape: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for _ in range(3)
    ]


def eager(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, kept: Tensor | None = None
) -> Tensor:
    """Attention as the textbook has it; `kept` [B, H, S, S] are the factors of dropout."""
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    scores = query @ key.mT / query.shape[-1] ** 0.5
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
    weights = scores.softmax(-1)
    return ((weights if kept is None else weights * kept) @ value).transpose(1, 2)


def factors(shape: tuple[int, int, int], seed: int, dropout: float) -> Tensor:
    """The factors of dropout [B, H, S, S] that `attend` uses after `torch.manual_seed(seed)`."""
    batch, length, heads = shape
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    steps, kept = dropped_steps(dropout), torch.zeros(batch, heads, length, length, dtype=torch.float64)
    for number, _, some in chunks((length,) * batch, heads):
        kept[number, some] = keep_some(kept[number, some], steps, generator) * (STEPS / (STEPS - steps))
    return kept


@pytest.mark.parametrize("chunk", [1, 60, 2**18])
@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_against_whole_matrices(
    monkeypatch: pytest.MonkeyPatch, chunk: int, mask: Tensor | None, dropout: float
) -> None:
    monkeypatch.setattr(attention, "CHUNK", chunk)
    pattern = None if mask is None else mask[:, None, None]
    ours, theirs, gradient = parts(3, 5, 4, 6), parts(3, 5, 4, 6), torch.randn(3, 5, 4, 6).double()
    kept = factors((3, 5, 4), 7, dropout)
    torch.manual_seed(7)
    found, expected = attend(*ours, pattern, dropout), eager(*theirs, mask, kept)
    torch.testing.assert_close(found, expected)
    found.backward(gradient)
    expected.backward(gradient)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("pattern", [None, MASK[:, None, None], Unpadded.of(MASK)])
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_gradients_by_differences(pattern: Tensor | Unpadded | None, dropout: float) -> None:
    def seeded(*states: Tensor) -> Tensor:
        torch.manual_seed(0)
        return attend(*states, pattern, dropout)

    shape = (1, 8, 2, 4) if isinstance(pattern, Unpadded) else (3, 5, 2, 4)
    assert torch.autograd.gradcheck(seeded, parts(*shape))


def assert_as_with_a_mask(found: Tensor, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    """Results of unpadded sequences, padded again, and gradients are those of attention with a mask."""
    expected = eager(*theirs, MASK)
    torch.testing.assert_close(found[MASK], expected[MASK])
    assert not found[~MASK].any()
    found.square().sum().backward()
    expected[MASK].square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


@pytest.mark.parametrize("way", [attend, attend_padded])
def test_packed_sequences_attend_to_themselves(way: Callable[..., Tensor]) -> None:
    unpadded = Unpadded.of(MASK)
    assert unpadded.lengths == (5, 2, 1)
    ours, theirs = parts(3, 5, 4, 6), parts(3, 5, 4, 6)
    found = unpadded.pad(way(*(unpadded.unpad(states) for states in ours), unpadded, 0.0))
    assert_as_with_a_mask(found, ours, theirs)


def slow_varlen(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    cu_seq_q: Tensor,
    cu_seq_k: Tensor,
    max_q: int,
    max_k: int,
    *,
    scale: float,
) -> Tensor:
    """What PyTorch's kernel for GPUs computes, by its signature: [N, H, d] each → [N, H, d]."""
    assert cu_seq_q is cu_seq_k
    assert query.shape[-1] % 8 == 0
    query = query * scale * query.shape[-1] ** 0.5
    assert cu_seq_q.dtype == torch.int32
    bounds = cu_seq_q.tolist()
    assert bounds[0] == 0
    assert bounds[-1] == len(query)
    assert max_q == max_k >= max(b - a for a, b in pairwise(bounds))
    found = [eager(query[None, a:b], key[None, a:b], value[None, a:b], None)[0] for a, b in pairwise(bounds)]
    return torch.cat(found)


@pytest.mark.parametrize("unpadded", [Unpadded.of(MASK), Unpadded.in_order(MASK)])
def test_the_kernel_for_many_lengths(unpadded: Unpadded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "varlen_attn", slow_varlen)
    ours, theirs = parts(3, 5, 4, 6), parts(3, 5, 4, 6)
    found = unpadded.pad(attend_varlen(*(unpadded.unpad(states) for states in ours), unpadded))
    assert_as_with_a_mask(found, ours, theirs)


def test_padding_is_a_sequence_of_its_own() -> None:
    unpadded = Unpadded.in_order(MASK)
    assert unpadded.bounds.tolist() == [0, 5, 5, 7, 10, 11, 15]
    assert unpadded.index.tolist() == [0, 1, 2, 3, 4, 5, 7, 6, 8, 9, 10, 11, 12, 13, 14]
    assert unpadded.longest == Unpadded.of(MASK).longest == 5
    assert Unpadded.of(MASK).bounds.tolist() == [0, 5, 7, 8]


def test_which_devices_have_that_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", None)
    for capability, expected in (((7, 5), False), ((8, 0), True), ((9, 0), True)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)  # noqa: B023
        assert has_varlen(torch.device("cuda")) is expected
        assert not has_varlen(torch.device("cpu"))
    monkeypatch.setattr(torch.version, "hip", "6.0")
    assert not has_varlen(torch.device("cuda"))
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(attention, "varlen_attn", None)
    assert not has_varlen(torch.device("cuda"))


def test_what_that_kernel_takes() -> None:
    assert [varlen_takes(torch.bfloat16, size) for size in (12, 64, 256, 257)] == [True, True, True, False]
    assert [varlen_takes(dtype, 64) for dtype in (torch.float16, torch.float32)] == [True, False]


def test_packing_and_back() -> None:
    unpadded, states = Unpadded.of(MASK), torch.randn(3, 5, 2)
    packed = unpadded.unpad(states)
    assert torch.equal(packed[0], states[MASK])
    assert torch.equal(unpadded.pad(packed), states * MASK[..., None])


def test_a_seed_decides_and_two_draws_differ() -> None:
    states = parts(2, 9, 2, 4)
    torch.manual_seed(0)
    first, second = attend(*states, None, 0.5), attend(*states, None, 0.5)
    torch.manual_seed(0)
    assert torch.equal(attend(*states, None, 0.5), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("dropout", [0.1, 0.5, 0.9])
def test_dropout_is_unbiased(dropout: float) -> None:
    kept = factors((8, 100, 4), 1, dropout)
    deviation = (dropout / (1 - dropout) / kept.numel()) ** 0.5
    assert abs(kept.mean() - 1) < 5 * deviation
    assert (kept == 0).double().mean() == pytest.approx(dropout, abs=0.01)
    # Neighbours come from one random number, and are as independent as others.
    zero = (kept == 0).double().flatten()
    for distance in (1, 2, 3, 4):
        both = (zero[:-distance] * zero[distance:]).mean()
        assert both == pytest.approx(dropout**2, abs=0.01)


def test_total_dropout_is_finite() -> None:
    states = parts(1, 5, 2, 4)
    attend(*states, None, 1.0).sum().backward()
    assert all(part.grad.isfinite().all() for part in states)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_other_types(dtype: torch.dtype) -> None:
    states = parts(2, 20, 4, 8, dtype=dtype)
    found = attend(*states)
    assert found.dtype == dtype
    expected = F.scaled_dot_product_attention(*(s.float().transpose(1, 2) for s in states)).transpose(1, 2)
    torch.testing.assert_close(found.float(), expected, atol=1e-6 if dtype == torch.float32 else 0.02, rtol=0)
    found.sum().backward()
    assert all(part.grad.dtype == dtype and part.grad.isfinite().all() for part in states)


def test_little_is_kept_for_the_backward_pass() -> None:
    kept = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    states = parts(2, 64, 2, 4)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        attend(*states, None, 0.1)
    assert sum(kept) == 4 * states[0].numel()
