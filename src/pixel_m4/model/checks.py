"""Checks of what goes into heads, which refuse what would fail later with a riddle, or worse, not fail.

Shapes are checked everywhere. Values are looked at on the CPU alone (`readable`): elsewhere the host would
have to wait for the device, so `check_batch` looks at them before a batch is copied there.

Dimensions: B batch, P patches, W words (padded).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from pixel_m4.model.inputs import check_inputs, count_patches, readable
from pixel_m4.model.text_config import AnyConfig, TextConfig

IGNORED = -100  # the label that no loss counts, and the padding of word_starts


def check_labels(
    name: str, labels: Tensor | None, shape: tuple[int, ...], count: int, what: str
) -> Tensor | None:
    """Refuse labels of another shape, no whole numbers, or outside 0 … count - 1 and -100.

    Returns:
        The labels as int64

    Raises:
        ValueError: Names the shape, the type or the value.
    """
    if labels is None:
        return None
    if tuple(labels.shape) != shape:
        raise ValueError(f"{name} must be {list(shape)}, got {list(labels.shape)}")
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"{name} must be whole numbers, got {labels.dtype}")
    if not readable(labels):
        return labels.long()
    wrong = labels[((labels < 0) & (labels != IGNORED)) | (labels >= count)]
    if wrong.numel():
        raise ValueError(f"{name} must be below {count} ({what}) or {IGNORED}, got {wrong[0].item()}")
    return labels.long()


def real_words(word_starts: Tensor) -> Tensor:
    """Which words there are: [B, W + 1] → bool [B, W]."""
    return (word_starts[:, :-1] >= 0) & (word_starts[:, 1:] >= 0)


def attended(states: Tensor, attention_mask: Tensor | None) -> Tensor:
    """Which patches are no padding: bool [B, P]."""
    if attention_mask is None:
        return torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
    return attention_mask != 0


def check_word_starts(word_starts: Tensor, seen: Tensor) -> Tensor:
    """Refuse word boundaries of another batch, in another order, or beyond the patches of their text.

    Args:
        word_starts: [B, W + 1]
        seen: bool [B, P], False for padding

    Returns:
        The boundaries as int64

    Raises:
        ValueError: Names the shape or the value.
    """
    batch, patches = seen.shape
    if word_starts.ndim != 2 or word_starts.shape[0] != batch or word_starts.shape[1] < 2:
        raise ValueError(
            f"word_starts must be [B, W + 1] with B = {batch} and at least one word, "
            f"got {list(word_starts.shape)}"
        )
    if word_starts.is_floating_point() or word_starts.dtype == torch.bool:
        raise ValueError(f"word_starts must be whole numbers, got {word_starts.dtype}")
    word_starts = word_starts.long()
    if not readable(word_starts):
        return word_starts
    wrong = word_starts[((word_starts < 0) & (word_starts != IGNORED)) | (word_starts > patches)]
    if wrong.numel():
        raise ValueError(
            f"word_starts must lie between 0 and the {patches} patches, or be {IGNORED}; "
            f"got {wrong[0].item()}"
        )
    start, stop = word_starts[:, :-1], word_starts[:, 1:]
    for bad, problem in (
        ((start < 0) & (stop >= 0), f"go on after {IGNORED}, which must come last"),
        ((stop >= 0) & (stop < start), "go back"),
        (
            (start >= 0) & (stop >= 0) & ~seen.gather(1, (stop - 1).maximum(start).clamp(0, patches - 1))
            | ((start == patches) & (stop >= 0)),
            "reach into the padding",
        ),
    ):
        if bad.any():
            text, word = bad.nonzero()[0].tolist()
            found = word_starts[text, word : word + 2].tolist()
            raise ValueError(f"word_starts {problem} at word {word + 1} of text {text}: got {found}")
    return word_starts


def check_heads(arc_labels: Tensor, rel_labels: Tensor, real: Tensor) -> None:
    """Refuse labels of words that are not there, heads that are not there, and relations without a head.

    Args:
        arc_labels: [B, W]
        rel_labels: [B, W]
        real: bool [B, W], which words there are

    Raises:
        ValueError: Names the place and the value.
    """
    if not readable(arc_labels):
        return
    words = real.sum(1)[:, None]
    for labels, name, bad, problem in (
        (arc_labels, "arc_labels", (arc_labels != IGNORED) & ~real, "a word that is not there"),
        (rel_labels, "rel_labels", (rel_labels != IGNORED) & ~real, "a word that is not there"),
        (arc_labels, "arc_labels", arc_labels > words, "a head that is not there"),
        (
            rel_labels,
            "rel_labels",
            (rel_labels != IGNORED) & (arc_labels == IGNORED),
            f"a relation to no head, as arc_labels is {IGNORED} there",
        ),
    ):
        if bad.any():
            text, word = bad.nonzero()[0].tolist()
            raise ValueError(
                f"{name} has {problem}: got {labels[text, word].item()} for word {word + 1} of text {text}, "
                f"which has {words[text].item()} words"
            )


def check_answers(name: str, positions: Tensor, attended: Tensor) -> None:
    """Refuse answers on padding.

    Args:
        name: Of the positions.
        positions: [B], -100 for none
        attended: bool [B, P + 1], False for padding

    Raises:
        ValueError: Names the place and the value.
    """
    if not readable(positions):
        return
    bad = (positions != IGNORED) & ~attended.gather(1, positions.clamp(min=0)[:, None]).squeeze(1)
    if bad.any():
        text = int(bad.nonzero()[0])
        raise ValueError(f"{name} must not lie on padding, got {positions[text].item()} for text {text}")


def check_ids(config: TextConfig, input_ids: Tensor, attention_mask: Tensor | None) -> None:
    """Refuse sequences of a wrong shape or type, or longer than the positions.

    Raises:
        ValueError: Names the shape or the value.
    """
    if input_ids.ndim != 2 or input_ids.shape[1] < 2 or input_ids.is_floating_point():
        raise ValueError(
            f"input_ids must be whole numbers [B, 1 + P], got {input_ids.dtype} {list(input_ids.shape)}"
        )
    batch, length = input_ids.shape
    if attention_mask is not None and tuple(attention_mask.shape) != (batch, length - 1):
        raise ValueError(
            f"attention_mask must be [B, P] = {[batch, length - 1]}, without CLS, to match input_ids "
            f"{[batch, length]}; got {list(attention_mask.shape)}"
        )
    if torch.compiler.is_compiling():
        return
    if config.positions is not None and length > config.positions:
        raise ValueError(f"input_ids are {length} long, but the model has positions for {config.positions}")
    if not readable(input_ids):
        return
    lowest, highest = (value.item() for value in input_ids.aminmax())
    if lowest < 0 or highest >= config.vocab_size:
        raise ValueError(
            f"input_ids must lie between 0 and {config.vocab_size - 1}, got {lowest} to {highest}"
        )


def check_batch(config: AnyConfig, batch: Mapping[str, Tensor]) -> None:
    """Refuse what a model does not look at on another device than the CPU: for before a batch is copied.

    Args:
        config: Of the model.
        batch: Arguments of its `forward`, on the CPU.

    Raises:
        ValueError: Names the shape or the value.
    """
    mask = batch.get("attention_mask")
    if isinstance(config, TextConfig):
        check_ids(config, batch["input_ids"], mask)
        size, places = len(batch["input_ids"]), batch["input_ids"].shape[1] - 1
    else:
        check_inputs(config, batch["pixel_values"], mask, batch.get("first_position"))
        size, places = len(batch["pixel_values"]), count_patches(batch["pixel_values"], config.patch_size)
    seen = torch.ones(size, places, dtype=torch.bool) if mask is None else mask != 0
    starts, words = batch.get("word_starts"), 0
    if starts is not None:
        real = real_words(check_word_starts(starts, seen))
        words = real.shape[1]
    for name, count, what in (
        ("arc_labels", words + 1, "words and the root"),
        ("rel_labels", config.num_labels, "num_labels"),
        ("tag_labels", config.num_tags, "num_tags"),
    ):
        check_labels(name, batch.get(name), (size, words), count, what)
    if starts is not None and "arc_labels" in batch and "rel_labels" in batch:
        check_heads(batch["arc_labels"], batch["rel_labels"], real)
    for name in ("start_positions", "end_positions"):
        positions = check_labels(name, batch.get(name), (size,), places + 1, "patches and CLS")
        if positions is not None and not config.padding_competes:
            check_answers(name, positions, F.pad(seen, (0, 1), value=True))
    labels = batch.get("labels")
    if labels is not None and not labels.is_floating_point():
        check_labels("labels", labels, tuple(labels.shape), config.num_labels, "num_labels")


def checked_on_device(
    config: AnyConfig, batch: Mapping[str, Tensor], device: torch.device
) -> dict[str, Tensor]:
    """A batch where the model is, its values checked before they are copied there; see `check_batch`."""
    if device.type != "cpu":  # there the model looks at them itself
        check_batch(config, batch)
    return {name: values.to(device) for name, values in batch.items()}
