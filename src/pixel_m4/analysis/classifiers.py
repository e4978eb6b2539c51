"""Classifiers of words: which of their properties can be read from a layer, or from their letters.

Source: Şahin et al. 2020 (tasks), Kesen et al. 2025 (protocol).  All layers and weight decays are trained
together, each as if alone.

Dimensions: N words, L layers, W weight decays, K = L * W classifiers, B batch, D width, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pixel_m4.files import DataError, read_text
from pixel_m4.formats.folders import find_split

SPLITS = ("train", "dev", "test")
_FILES = ("{split}.txt", "{split}.txt.gz")


class Words(NamedTuple):
    """Examples of a task: words, or several together, and their labels."""

    texts: list[str]
    labels: list[str]


@dataclass(frozen=True, kw_only=True)
class ProbeSettings:
    """How a classifier is trained; the defaults are the published ones, but for `keep_patience`.

    Args:
        decays: Weight decays, of which dev chooses.
        rate: Of Adam.
        batch_size: Words of a step.
        passes: Through train, at most.
        score_every: Passes from one scoring on dev to the next.
        patience: Scorings without a better one before it stops.
        keep_patience: Never give the patience back after a better scoring, as published code forgets to.
        seed: Of the first weights and the order.
    """

    decays: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2)
    rate: float = 1e-3
    batch_size: int = 64
    passes: int = 200
    score_every: int = 4
    patience: int = 5
    keep_patience: bool = False
    seed: int = 1223


class Probed(NamedTuple):
    """What the classifier of a layer reaches: accuracies, and the decay that dev chose."""

    dev: float
    test: float
    decay: float


def read_task(folder: Path) -> dict[str, Words]:
    """Read train, dev and test of a task and language: the last column is the label, words stand before it.

    Raises:
        DataError: a file is missing, empty, or has a line without word or label; or train has one label only.
    """
    found = {}
    for split in SPLITS:
        file = find_split(folder, split, _FILES)
        texts, labels = [], []
        for number, line in enumerate(read_text(file).splitlines(), 1):
            columns = line.split()
            if not columns:
                continue
            if len(columns) < 2:
                raise DataError(f"{file}:{number}: {line!r} has no label; write word and label")
            texts.append(" ".join(columns[:-1]))
            labels.append(columns[-1])
        if not texts:
            raise DataError(f"{file} is empty; write a word and its label on each line")
        found[split] = Words(texts, labels)
    if len(set(found["train"].labels)) < 2:
        raise DataError(
            f"{folder}: all of train has the label {found['train'].labels[0]}; nothing can be told apart"
        )
    return found


def numbered(words: Mapping[str, Words]) -> tuple[list[str], dict[str, np.ndarray]]:
    """The classes of train in order, and the labels by number; -1 for one that train has not."""
    classes = sorted(set(words["train"].labels))
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, {
        split: np.array([numbers.get(label, -1) for label in each.labels]) for split, each in words.items()
    }


class _Classifiers(nn.Module):
    """K linear classifiers that begin alike; those of a layer are the columns of one matrix."""

    decays: Tensor

    def __init__(self, layers: int, decays: Sequence[float], width: int, classes: int) -> None:
        super().__init__()
        first = nn.Linear(width, classes)
        count = len(decays)
        self.weight = nn.Parameter(first.weight.detach().T.repeat(layers, 1, count))  # [L, D, W * C]
        self.bias = nn.Parameter(first.bias.detach().repeat(layers, 1, count))  # [L, 1, W * C]
        self.register_buffer("decays", torch.tensor(decays).repeat_interleave(classes))
        self.classes = classes

    def forward(self, states: Tensor) -> Tensor:
        """[L, B, D] → [L, B, W, C]."""
        return torch.baddbmm(self.bias, states, self.weight).unflatten(-1, (-1, self.classes))

    def differentiate(self, states: Tensor, wanted: Tensor) -> None:
        """Set the gradients of cross-entropy and weight decay, which are cheaper written out than recorded.

        Args:
            states: [L, B, D]
            wanted: [B, W * C]: 1 at the label, once for each weight decay
        """
        wrong = (self(states).softmax(-1).flatten(-2) - wanted) / len(wanted)
        gradients = states.mT @ wrong, wrong.sum(1, keepdim=True)
        for parameter, gradient in zip((self.weight, self.bias), gradients, strict=True):
            # Each classifier has its own weight decay, as Adam has one for all.
            parameter.grad = gradient.addcmul_(parameter, self.decays)


@torch.no_grad()
def probe(
    states: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    classes: int,
    settings: ProbeSettings = ProbeSettings(),
) -> list[Probed]:
    """Train a classifier a layer and weight decay, and choose the decay on dev.

    Args:
        states: Of train, dev and test, float32 [L, N, D].
        labels: Of these, int [N], from 0; -1 for one that is always wrong.
        classes: C.
        settings: How to train.

    Returns:
        One for each layer
    """
    torch.manual_seed(settings.seed)
    data = {split: torch.from_numpy(states[split]) for split in SPLITS}
    targets = {split: torch.from_numpy(labels[split]) for split in SPLITS}
    layers, count, width = data["train"].shape
    model = _Classifiers(layers, settings.decays, width, classes)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.rate, fused=True)
    wanted = F.one_hot(targets["train"], classes).float().repeat(1, len(settings.decays))  # [N, W * C]
    shape = (layers, len(settings.decays))
    best, test = torch.full(shape, -1.0), torch.zeros(shape)
    waiting = torch.zeros(
        shape, dtype=torch.long
    )  # scorings since the best one; those that wait too long stop
    for done in range(1, settings.passes + 1):
        for chosen in torch.randperm(count).split(settings.batch_size):
            model.differentiate(data["train"][:, chosen], wanted[chosen])
            optimizer.step()
        if done % settings.score_every and done < settings.passes:
            continue
        dev, now = _accuracies(model, data, targets)
        better = (dev > best) & (waiting < settings.patience)
        best, test = torch.where(better, dev, best), torch.where(better, now, test)
        waiting = torch.where(better, waiting if settings.keep_patience else 0, waiting + 1)
        if (waiting >= settings.patience).all():
            break
    return [
        Probed(
            dev=float(best[layer, chosen]),
            test=float(test[layer, chosen]),
            decay=settings.decays[int(chosen)],
        )
        for layer, chosen in enumerate(best.argmax(1))
    ]


def _accuracies(
    model: _Classifiers, data: Mapping[str, Tensor], targets: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Of dev and of test, [L, W] each."""
    dev, test = (
        (model(data[split]).argmax(-1) == targets[split][:, None]).float().mean(1)
        for split in ("dev", "test")
    )
    return dev, test


def majority(words: Mapping[str, Words]) -> Probed:
    """Always the most frequent label of train."""
    labels = words["train"].labels
    most = max(sorted(set(labels)), key=labels.count)
    dev, test = (
        float(np.mean([label == most for label in words[split].labels])) for split in ("dev", "test")
    )
    return Probed(dev, test, 0.0)


def ngram_model(words: Mapping[str, Words]) -> Probed:
    """Logistic regression on character n-grams of the words: what the letters alone tell."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), sublinear_tf=True)
    letters.fit(words["train"].texts)
    rows = {split: letters.transform(words[split].texts) for split in SPLITS}
    best = Probed(-1.0, 0.0, 0.0)
    for strength in (1.0, 10.0):
        model = LogisticRegression(C=strength, max_iter=300).fit(rows["train"], words["train"].labels)
        dev, test = (float(model.score(rows[split], words[split].labels)) for split in ("dev", "test"))
        if dev > best.dev:  # test decides nothing, not even between equals
            best = Probed(dev, test, 1 / strength)
    return best
