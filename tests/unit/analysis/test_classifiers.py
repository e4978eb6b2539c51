"""Probing: known answers, one classifier at a time as the oracle, and scikit-learn beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import nn

from pixel_m4.analysis.classifiers import Probed, ProbeSettings, Words, ngram_model, probe

SIZES = {"train": 2000, "dev": 300, "test": 300}


def planted(strength: float, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Two layers: in the second one a direction tells the class."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(3, 8))
    states, labels = {}, {}
    for split, count in SIZES.items():
        labels[split] = generator.integers(0, 3, count)
        noise = generator.normal(size=(2, count, 8))
        noise[1] += strength * directions[labels[split]]
        states[split] = noise.astype(np.float32)
    return states, labels


def test_a_planted_feature_is_found_and_chance_is_chance() -> None:
    states, labels = planted(2.0)
    without, with_it = probe(states, labels, 3)
    assert with_it.test > 0.95
    assert abs(without.test - 1 / 3) < 0.1
    unknown = {**labels, "test": np.full(300, -1)}
    assert all(found.test == 0 for found in probe(states, unknown, 3))


@pytest.mark.slow
def test_against_scikit_learn() -> None:
    differences = []
    for seed in range(5):
        states, labels = planted(0.7, seed)
        reference = LogisticRegression(C=10).fit(states["train"][1], labels["train"])
        expected = reference.score(states["test"][1], labels["test"])
        differences.append(probe(states, labels, 3)[1].test - expected)
    assert abs(np.mean(differences)) < 0.02
    assert np.abs(differences).max() < 0.04


@pytest.mark.parametrize("keep", [False, True])
def test_all_together_are_as_one_alone(keep: bool) -> None:
    """Layers and decays are trained at once, and stop apart."""
    states, labels = planted(0.5)
    settings = ProbeSettings(passes=24, score_every=1, patience=2, keep_patience=keep)
    found = probe(states, labels, 3, settings)
    for layer in range(2):
        best = (-1.0, 0.0, 0.0)
        for decay in settings.decays:
            torch.manual_seed(settings.seed)
            model = nn.Linear(8, 3)
            optimizer = torch.optim.Adam(model.parameters(), lr=settings.rate, weight_decay=decay)
            data = {split: torch.from_numpy(values[layer]) for split, values in states.items()}
            targets = {split: torch.from_numpy(values) for split, values in labels.items()}
            dev, test, waiting = -1.0, 0.0, 0
            for done in range(1, settings.passes + 1):
                for chosen in torch.randperm(2000).split(settings.batch_size):
                    optimizer.zero_grad()
                    F.cross_entropy(model(data["train"][chosen]), targets["train"][chosen]).backward()
                    optimizer.step()
                if done % settings.score_every == 0:
                    now = [
                        float((model(data[split]).argmax(1) == targets[split]).float().mean())
                        for split in ("dev", "test")
                    ]
                    better = now[0] > dev
                    waiting = waiting + (not better) if keep else (0 if better else waiting + 1)
                    dev, test = now if now[0] > dev else (dev, test)
                    if waiting == settings.patience:
                        break
            best = max(best, (dev, test, decay), key=lambda each: each[0])
        assert found[layer].dev == pytest.approx(best[0])
        assert found[layer].test == pytest.approx(best[1])


def test_the_test_set_does_not_choose_the_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two strengths that dev finds alike the first is taken, whatever test says."""

    def score(self: LogisticRegression, rows: object, labels: list[str]) -> float:
        return 0.5 if len(labels) == 2 else (0.1 if self.C == 1.0 else 0.9)  # dev, test

    monkeypatch.setattr(LogisticRegression, "score", score)
    words = {
        "train": Words(["ab", "cd", "ef"], ["x", "y", "x"]),
        "dev": Words(["ab", "cd"], ["x", "y"]),
        "test": Words(["ab", "cd", "ef"], ["x", "y", "x"]),
    }
    assert ngram_model(words) == Probed(0.5, 0.1, 1.0)
