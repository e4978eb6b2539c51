from __future__ import annotations

import pytest

from pixel_m4.tasks.metrics import label_scores, number_scores


def test_scores_by_hand() -> None:
    # b: 2 of 3 found, no false one; a: 2 found, 1 false.
    scores = label_scores(list("aabbb"), list("aabba"), ["a", "b"])
    f1_a, f1_b = 2 * 2 / (2 * 2 + 1), 2 * 2 / (2 * 2 + 1)
    assert scores["accuracy"] == pytest.approx(80)
    assert scores["f1"] == pytest.approx(100 * (f1_a + f1_b) / 2)
    assert scores["f1_positive"] == pytest.approx(100 * f1_b)
    assert scores["matthews"] == pytest.approx(100 * (2 * 2 - 1 * 0) / (3 * 2 * 2 * 3) ** 0.5)


def test_several_labels_have_no_positive_one() -> None:
    scores = label_scores(list("abc"), list("aab"), list("abc"))
    assert set(scores) == {"accuracy", "f1", "matthews"}
    assert scores["f1"] == pytest.approx(100 * (2 / 3) / 3)


def test_numbers() -> None:
    scores = number_scores([1, 2, 3], [1, 4, 9])
    assert scores["spearman"] == pytest.approx(100)
    assert scores["pearson"] == pytest.approx(100 * 8 / (2 * (98 / 3)) ** 0.5)
    assert scores["mse"] == pytest.approx(40 / 3)


def test_a_constant_has_no_correlation() -> None:
    assert number_scores([1, 2], [3, 3]) == {"pearson": 0, "spearman": 0, "mse": 2.5}
