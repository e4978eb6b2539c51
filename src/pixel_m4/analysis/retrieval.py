"""Cross-lingual retrieval: whether a sentence's vector is near that of its translation (Kesen et al. 2025).

Dimensions: N sentences, which all languages have in the same order, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pixel_m4.console.errors import UserError
from pixel_m4.files import DataError
from pixel_m4.formats.folders import find_split
from pixel_m4.formats.tables import find_language, read_table

RANKS = (1, 5, 10)


class Found(NamedTuple):
    """How well the sentences of one language find those of another.

    Attributes:
        source: The language that asks.
        target: The language that is searched.
        recall: By k, the share of sentences whose translation is among the k nearest.
        reciprocal_rank: Mean of 1 / rank of the translation.
    """

    source: str
    target: str
    recall: Mapping[int, float]
    reciprocal_rank: float


def read_parallel(folder: Path, languages: Sequence[str], split: str) -> dict[str, list[str]]:
    """The sentences of languages, aligned by ``index_id``, as SIB-200 has them.

    Args:
        folder: With a folder a language.
        languages: At least two.
        split: train, dev or test.

    Returns:
        As many sentences of each language, in the same order

    Raises:
        DataError: A language or split is missing, a file has no ``index_id`` and ``text``, or the languages
            have nothing in common.
    """
    if len(set(languages)) < 2:
        raise UserError(f"give at least two languages, got {', '.join(languages) or 'none'}")
    found: dict[str, dict[str, str]] = {}
    for language in languages:
        file = find_split(
            find_language(folder, language), split, ["{split}.tsv", "{split}.csv", "{split}.jsonl"]
        )
        table = read_table(file)
        numbers, texts = table.column("index_id"), table.column("text")
        found[language] = {str(row[numbers]): str(row[texts]) for row in table.rows}
    first = found[languages[0]]
    common = [number for number in first if all(number in texts for texts in found.values())]
    if not common:
        raise DataError(f"{folder}: {', '.join(languages)} have no index_id in common")
    return {language: [texts[number] for number in common] for language, texts in found.items()}


def retrieve(vectors: Mapping[str, np.ndarray]) -> list[Found]:
    """Search in both directions between all pairs of languages.

    The mean of all vectors is taken away first, and they get length 1; the nearest is that of the largest
    product.  Of several that are equally near, the translation counts as the last.

    Args:
        vectors: float [N, D] of each language.
    """
    everything = np.concatenate(list(vectors.values())).astype(np.float64)
    mean = everything.mean(0)
    near = {}
    for language, rows in vectors.items():
        centred = rows.astype(np.float64) - mean
        near[language] = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    return [_search(source, target, near[source], near[target]) for source, target in permutations(near, 2)]


def _search(source: str, target: str, asking: np.ndarray, searched: np.ndarray) -> Found:
    similar = asking @ searched.T  # [N, N]
    true = similar.diagonal()[:, None]
    ranks = (similar >= true).sum(1)  # itself included, so from 1
    recall = {k: float((ranks <= k).mean()) for k in RANKS}
    return Found(source, target, recall, float((1 / ranks).mean()))


def rows_of(found: Sequence[Found], **more: Any) -> list[dict[str, Any]]:
    """A row a pair, for a table."""
    return [
        {
            **more,
            "source": each.source,
            "target": each.target,
            **{f"recall@{k}": round(value, 4) for k, value in each.recall.items()},
            "mrr": round(each.reciprocal_rank, 4),
        }
        for each in found
    ]
