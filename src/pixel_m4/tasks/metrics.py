"""Scores of labels and of numbers, in percent, by scikit-learn and SciPy (loaded when needed)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

LABEL_METRICS = ("accuracy", "f1", "matthews", "f1_positive")
NUMBER_METRICS = ("pearson", "spearman", "mse")


def lower_is_better(metric: str) -> bool:
    """Whether a score, such as ``eval_loss`` or ``mse``, measures what is wrong."""
    return metric.endswith(("loss", "mse"))


def label_scores(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> dict[str, float]:
    """Accuracy, macro F1 and Matthews correlation; with two labels also the F1 of the second (GLUE's).

    Macro F1 is the mean over the labels that occur in ``gold`` or ``predicted``.
    """
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    scores = {
        "accuracy": accuracy_score(gold, predicted),
        "f1": f1_score(gold, predicted, average="macro", zero_division=0),
        "matthews": matthews_corrcoef(gold, predicted),
    }
    if len(labels) == 2:
        positive = labels[1]
        flags = [[label == positive for label in side] for side in (gold, predicted)]
        scores["f1_positive"] = f1_score(*flags, zero_division=0)
    return {name: 100 * float(score) for name, score in scores.items()}


def number_scores(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, float]:
    """Pearson and Spearman correlation (0 where one side is constant), and the mean squared error itself."""
    from scipy.stats import ConstantInputWarning, pearsonr, spearmanr

    scores = {"pearson": 0.0, "spearman": 0.0}
    if len(set(gold)) > 1 and len(set(predicted)) > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConstantInputWarning)
            scores = {
                "pearson": 100 * float(pearsonr(gold, predicted).statistic),
                "spearman": 100 * float(spearmanr(gold, predicted).statistic),
            }
    errors = [(g - p) ** 2 for g, p in zip(gold, predicted, strict=True)]
    return {**scores, "mse": sum(errors) / len(errors)}
