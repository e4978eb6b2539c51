"""Saliency: which patches a decision of a fine-tuned model rests on.

Sources: Chefer et al. 2021 (attention × gradient), Sundararajan et al. 2017 (integrated gradients), Samek et
al. 2017 (deletion curves).

Dimensions: P patches, T decisions, V variants of a strip, C channels, S = 1 + P places, CLS first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pixel_m4.analysis.decisions import Decisions, decisions_of
from pixel_m4.console.errors import UserError
from pixel_m4.model import PixelPreTrainedModel
from pixel_m4.model.answering import as_tensors
from pixel_m4.model.checks import checked_on_device
from pixel_m4.render import TextRenderer
from pixel_m4.render.encoding import Encoding
from pixel_m4.render.offsets import Offsets
from pixel_m4.tasks.base import Task

METHODS = ("chefer", "gradient_input", "integrated_gradients", "occlusion", "occlusion_words")
_STEPS = 32  # of integrated gradients
_SHARES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of the patches that a deletion curve deletes
_DRAWS = 3  # of random orders


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A text as a model reads it, and what the model decides about it.

    Attributes:
        example: What the task made of the text.
        text: What is drawn: a text, words, or a pair of texts.
        inputs: Arguments of the model for one text; pixels are float [1, C, 16, 16 * P] from 0 to 1.
        decisions: What the model says.
        scores: float64 [T], how far each decision is above its alternatives.
    """

    task: Task
    renderer: TextRenderer
    model: PixelPreTrainedModel
    example: Any
    text: Any
    inputs: dict[str, Tensor]
    decisions: Decisions
    scores: np.ndarray
    batch_size: int = 32

    @classmethod
    def open(cls, task: Task, model: PixelPreTrainedModel, example: Any, batch_size: int = 32) -> Strip:
        """Let a model decide about one example.

        Args:
            task: Of the model.
            model: In evaluation mode.
            example: Of the task, with or without annotation.
            batch_size: Variants of the strip that are read together.

        Raises:
            UserError: The example does not fit on one canvas, or the model reads no pixels.
        """
        if not isinstance(task.renderer, TextRenderer):
            raise UserError("saliency is of pixels, and this is a text model; give a pixel model")
        items = task.encode([example], labels=False)
        if len(items) != 1:
            raise UserError(
                f"saliency is of one window of {task.renderer.max_seq_length} patches, and this text takes "
                f"{len(items)}: {_beginning(example)}; give shorter texts"
            )
        item = items[0]
        inputs = checked_on_device(model.config, as_tensors(task.collate([item])), model.device)
        inputs["pixel_values"] = _as_float(inputs["pixel_values"], model.config.num_channels)
        with torch.no_grad():
            outputs = model(**inputs)
        decisions = decisions_of(task, example, item, outputs)
        text = next(getattr(item, name) for name in ("words", "pair", "text") if hasattr(item, name))
        return cls(
            task=task,
            renderer=task.renderer,
            model=model,
            example=example,
            text=list(text) if isinstance(text, tuple) and hasattr(item, "words") else text,
            inputs=inputs,
            decisions=decisions,
            scores=decisions.score(outputs)[0].cpu().double().numpy(),
            batch_size=batch_size,
        )

    @cached_property
    def encoding(self) -> Encoding:
        """The strip, for pictures."""
        return self.renderer(self.text)

    @cached_property
    def offsets(self) -> Offsets:
        """Which characters and which word each patch shows."""
        return self.renderer.offsets(self.text)

    @property
    def shown(self) -> np.ndarray:
        """Numbers of the patches that show text; black ones are not among them."""
        return np.flatnonzero(self.offsets.text_of_patch >= 0)

    def words(self) -> list[tuple[str, np.ndarray]]:
        """Each word, of both texts of a pair, with the numbers of its patches."""
        texts = self.text if isinstance(self.text, tuple) else (self.text,)
        found = []
        for number, text in enumerate(texts):
            for place, word in enumerate(text.split() if isinstance(text, str) else text):
                here = (self.offsets.text_of_patch == number) & (self.offsets.word_of_patch == place)
                found.append((word, np.flatnonzero(here)))
        return found

    def scored(self, variants: Sequence[np.ndarray]) -> np.ndarray:
        """Score the decisions when patches are white.

        Args:
            variants: For each of V variants the numbers of its white patches.

        Returns:
            float64 [V, T]
        """
        found = []
        for start in range(0, len(variants), self.batch_size):
            batch = variants[start : start + self.batch_size]
            pixels = self.inputs["pixel_values"].repeat(len(batch), 1, 1, 1)
            for strip, white in zip(pixels, batch, strict=True):
                self._blank(strip, white)
            found.append(self._score(pixels).cpu().double().numpy())
        return np.concatenate(found) if found else np.zeros((0, len(self.scores)))

    @property
    def baseline(self) -> Tensor:
        """Pixels [1, C, 16, 16 * P] of the strip without its text; black patches stay."""
        pixels = self.inputs["pixel_values"].clone()
        self._blank(pixels[0], self.shown)
        return pixels

    def _blank(self, strip: Tensor, patches: np.ndarray) -> None:
        size = self.renderer.pixels_per_patch
        columns = (patches[:, None] * size + np.arange(size)).ravel()
        strip[..., torch.from_numpy(columns).to(strip.device)] = 1.0

    @torch.no_grad()
    def _score(self, pixels: Tensor) -> Tensor:
        return self.score(pixels)

    def score(self, pixels: Tensor) -> Tensor:
        """Score the decisions on other pixels [V, C, 16, 16 * P]: [V, T], with gradients."""
        count = len(pixels)
        others = {
            name: value.expand(count, *value.shape[1:])
            for name, value in self.inputs.items()
            if name != "pixel_values"
        }
        return self.decisions.score(self.model(pixel_values=pixels, **others))

    def by_patch(self, values: Tensor) -> np.ndarray:
        """Sum values of pixels [1, C, 16, 16 * P] by patch: float64 [P]."""
        size = self.renderer.pixels_per_patch
        summed = values.detach().cpu().double().sum((0, 1, 2)).unflatten(0, (-1, size)).sum(1)
        return summed.numpy()


def chefer(strip: Strip, decision: int) -> np.ndarray:
    """Attention × gradient, its positive part, rolled out over the layers.

    It begins at the places of the last layer that the decision reads, each with the length of its gradient
    (ours; published code begins at CLS, which is the same where a head reads CLS alone).

    Returns:
        float64 [P], none below 0
    """
    pixels = strip.inputs["pixel_values"].clone().requires_grad_()
    inputs = {**strip.inputs, "pixel_values": pixels}
    outputs = strip.model(**inputs, output_attentions=True, output_hidden_states=True)
    score = strip.decisions.score(outputs)[0, decision]
    states = outputs.hidden_states[-1]
    *by_layer, by_state = torch.autograd.grad(score, [*outputs.attentions, states])
    begin = by_state[0].norm(dim=-1)  # [S]
    relevance = begin / begin.sum().clamp(min=1e-12)
    for attention, gradient in reversed(list(zip(outputs.attentions, by_layer, strict=True))):
        used = (gradient * attention)[0].clamp(min=0).mean(0)  # [S, S]
        relevance = relevance + relevance @ used
    return relevance[1:].detach().cpu().double().numpy()


def gradient_input(strip: Strip, decision: int) -> np.ndarray:
    """Gradient × (pixels less the white strip): float64 [P]."""
    pixels = strip.inputs["pixel_values"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(strip.score(pixels)[0, decision], pixels)
    return strip.by_patch(gradient * (pixels - strip.baseline))


def integrated_gradients(strip: Strip, decision: int) -> np.ndarray:
    """The same, averaged on the way from the white strip, so that the sum is the difference of the scores.

    Returns:
        float64 [P]

    Raises:
        UserError: The package captum, of the extra ``analysis``, is not there.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise UserError(
            "integrated gradients need captum: pip install 'pixel-m4[analysis]', or choose other --methods"
        ) from error
    values = IntegratedGradients(strip.score, multiply_by_inputs=True).attribute(
        strip.inputs["pixel_values"],
        baselines=strip.baseline,
        target=decision,
        n_steps=_STEPS,
        internal_batch_size=strip.batch_size,
    )
    return strip.by_patch(values)


def explain(strip: Strip, methods: Sequence[str], decisions: Sequence[int]) -> dict[str, np.ndarray]:
    """How relevant each patch is for decisions.

    Args:
        strip: A text and its model.
        methods: Of `METHODS`.
        decisions: Their numbers; T of them.

    Returns:
        By method, float64 [T, P]; "occlusion" is what a decision loses when a patch is white, and
        "occlusion_words" that of a whole word, evenly over its patches.
    """
    found: dict[str, np.ndarray] = {}
    for method in methods:
        if method in _BY_DECISION:
            found[method] = np.stack([_BY_DECISION[method](strip, decision) for decision in decisions])
            continue
        groups = [patches for _, patches in strip.words()]
        if method == "occlusion":
            groups = [np.array([patch]) for patch in strip.shown]
        groups = [group for group in groups if len(group)]
        lost = (strip.scores - strip.scored(groups))[:, decisions]  # [V, T]
        relevance = np.zeros((len(decisions), strip.inputs["attention_mask"].shape[1]))
        for group, values in zip(groups, lost, strict=True):
            relevance[:, group] += values[:, None] / len(group)
        found[method] = relevance
    return found


_BY_DECISION: dict[str, Callable[[Strip, int], np.ndarray]] = {
    "chefer": chefer,
    "gradient_input": gradient_input,
    "integrated_gradients": integrated_gradients,
}


def deletion(strip: Strip, decision: int, relevance: np.ndarray) -> float:
    """What a decision loses on average while its most relevant patches are deleted, a fifth at a time.

    Args:
        strip: A text and its model.
        decision: Its number.
        relevance: [P]

    Returns:
        The area over the curve: the mean loss of score after 20, 40 … 100 % of the patches
    """
    variants = _deleted(strip, relevance)
    return float((strip.scores[decision] - strip.scored(variants)[:, decision]).mean())


def random_deletion(strip: Strip, seed: int = 0) -> np.ndarray:
    """The same for all decisions, with patches deleted in random order, the mean of three: a control.

    Returns:
        float64 [T]
    """
    drawn = np.random.default_rng(seed)
    count = strip.inputs["attention_mask"].shape[1]
    variants = [white for _ in range(_DRAWS) for white in _deleted(strip, drawn.random(count))]
    return (strip.scores - strip.scored(variants)).mean(0)


def _deleted(strip: Strip, relevance: np.ndarray) -> list[np.ndarray]:
    """The patches that are deleted at each share, the most relevant [P] first."""
    order = strip.shown[np.argsort(-relevance[strip.shown], kind="stable")]
    return [order[: round(share * len(order))] for share in _SHARES]


def word_relevance(strip: Strip, relevance: np.ndarray) -> Iterator[tuple[str, float]]:
    """Each word, and the sum of its patches' relevance [P]."""
    for word, patches in strip.words():
        yield word, float(relevance[patches].sum())


def _as_float(pixels: Tensor, channels: int) -> Tensor:
    """uint8 [1, 16, W] or [1, 16, W, C] as float [1, C, 16, W] from 0 to 1."""
    if pixels.ndim == 3:
        return (pixels.float() / 255)[:, None].repeat(1, channels, 1, 1)
    return (pixels.float() / 255).permute(0, 3, 1, 2).contiguous()


def _beginning(example: Any) -> str:
    text = " ".join(example.words) if hasattr(example, "words") else str(getattr(example, "text", example))
    return text if len(text) <= 60 else f"{text[:60]} …"
