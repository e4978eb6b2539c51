"""What a fine-tuned model decides about a text, and how far each decision is above its alternatives.

Dimensions: B copies of a text, T decisions, W words, N labels, P patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pixel_m4.tasks.base import Task
from pixel_m4.tasks.qa import QuestionAnswering


@dataclass(frozen=True, kw_only=True)
class Decisions:
    """What a model says about one text.

    Attributes:
        names: What it says, in words; T of them.
        words: Numbers of the words that each is about, from 0; None: the whole text.
        score: Outputs of the model for B texts of the same length → [B, T].
    """

    names: Sequence[str]
    words: Sequence[int | None]
    score: Callable[[Any], Tensor]


def decisions_of(task: Task, example: Any, item: Any, outputs: Any) -> Decisions:
    """The decisions of a model about one example that fits on a canvas.

    A score is a logit less the mean logit of all that could have been said instead: what all alternatives
    have in common says nothing.

    Args:
        task: Of the model.
        example: The example.
        item: Its only part.
        outputs: What the model says about it.
    """
    if "arc_logits" in outputs:
        (predicted,) = task.predict([example], [item], task.decode(outputs, [item]))
        return _heads(item.words, predicted.tree.heads, predicted.tree.deprels)
    if isinstance(task, QuestionAnswering):
        return _answer(task, item, outputs)
    if outputs.logits.ndim == 2:
        return _label(task, outputs.logits)
    return _tags(task, item, outputs.logits)


def _above(logits: Tensor, chosen: Tensor) -> Tensor:
    """Logits [B, T, N] of the chosen ones [T], less the means: [B, T]."""
    picked = logits.gather(2, chosen.to(logits.device)[None, :, None].expand(len(logits), -1, 1))[..., 0]
    return picked - logits.mean(2)


def _heads(words: Sequence[str], heads: Sequence[int], deprels: Sequence[str]) -> Decisions:
    count, chosen = len(words), torch.tensor(heads)
    names = [
        f"{word} ← {words[head - 1] if head else 'root'} ({relation})"
        for word, head, relation in zip(words, heads, deprels, strict=True)
    ]

    def score(outputs: Any) -> Tensor:
        return _above(outputs.arc_logits[:, :count, : count + 1].float(), chosen)

    return Decisions(names=names, words=list(range(count)), score=score)


def _tags(task: Task, item: Any, logits: Tensor) -> Decisions:
    by_word = bool(getattr(task.options, "labels_words", False))
    places = list(range(len(item.words))) if by_word else item.starts
    chosen = logits[0, places].argmax(-1)
    names = [f"{word}: {task.labels[int(label)]}" for word, label in zip(item.words, chosen, strict=True)]
    return Decisions(
        names=names,
        words=list(range(len(item.words))),
        score=lambda outputs: _above(outputs.logits[:, places].float(), chosen),
    )


def _label(task: Task, logits: Tensor) -> Decisions:
    if logits.shape[1] == 1:  # a number, which has no alternatives
        value = float(logits[0, 0])
        return Decisions(
            names=[f"score {value:.3g}"], words=[None], score=lambda outputs: outputs.logits.float()
        )
    chosen = logits.argmax(-1)
    name = task.labels[int(chosen)] if task.labels else str(int(chosen))
    return Decisions(
        names=[name],
        words=[None],
        score=lambda outputs: _above(outputs.logits.float()[:, None], chosen),
    )


def _answer(task: QuestionAnswering, item: Any, outputs: Any) -> Decisions:
    """The best answer of a window, as first and last patch."""
    shown = torch.from_numpy(task.renderer.offsets(item.pair).text_of_patch == 1)
    limit = task.options.max_answer_length
    start, end = (
        logits[0].float().cpu()[: len(shown)].masked_fill(~shown, -torch.inf)
        for logits in (outputs.start_logits, outputs.end_logits)
    )
    both = start[:, None] + end  # [P, P]
    length = torch.arange(len(shown)) - torch.arange(len(shown))[:, None]
    both = both.masked_fill((length < 0) | (length >= limit), -torch.inf)
    first, last = divmod(int(both.argmax()), len(shown))
    spans = task.renderer.offsets(item.pair).spans
    name = item.part[int(spans[first, 0]) : int(spans[last, 1])]

    def score(found: Any) -> Tensor:
        logits = torch.stack([found.start_logits, found.end_logits], dim=1).float()
        return _above(logits, torch.tensor([first, last])).sum(1, keepdim=True)

    return Decisions(names=[name], words=[None], score=score)
