"""Dependency trees: decode them from scores, score them, draw them.

Dimensions: W words, N = W + 1 nodes with the root as node 0.
Heads are numbered as in CoNLL-U: words from 1, and 0 for the root.
"""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pixel_m4.formats.conllu import Sentence, find_cycle, strip_subtype

__all__ = [
    "attachment_scores",
    "draw_tree",
    "is_tree",
    "left_neighbour_baseline",
    "maximum_spanning_tree",
    "tree_svg",
]


def is_tree(heads: Sequence[int] | npt.NDArray[np.integer]) -> bool:
    """Whether heads make one tree: all are among 0 … W, exactly one is 0, and there is no cycle."""
    numbers = [int(head) for head in heads]
    return (
        all(0 <= head <= len(numbers) for head in numbers)
        and numbers.count(0) == 1
        and not find_cycle(numbers)
    )


def attachment_scores(
    gold_heads: Sequence[Sequence[int]],
    gold_rels: Sequence[Sequence[str]],
    pred_heads: Sequence[Sequence[int]],
    pred_rels: Sequence[Sequence[str]],
) -> dict[str, float]:
    """Attachment scores over all words, punctuation included, as in the CoNLL 2018 shared task.

    Relations are compared as they are: strip subtypes before, if they shall not count.

    Returns:
        ``uas``, the percentage of words with the right head, and ``las``, with the right head and relation.

    Raises:
        ValueError: there are no words, or the four do not have the same sentences and lengths.
    """
    words = right_head = right_both = 0
    if not len(gold_heads) == len(gold_rels) == len(pred_heads) == len(pred_rels):
        raise ValueError(
            f"not as many sentences each: {len(gold_heads)} gold heads, {len(gold_rels)} gold relations, "
            f"{len(pred_heads)} predicted heads, {len(pred_rels)} predicted relations"
        )
    for index, parts in enumerate(zip(gold_heads, gold_rels, pred_heads, pred_rels, strict=True)):
        lengths = [len(part) for part in parts]
        if len(set(lengths)) > 1:
            raise ValueError(
                f"sentence {index}: {lengths} gold heads, gold relations, predicted heads and relations; "
                "their numbers must be equal"
            )
        for gold_head, gold_rel, pred_head, pred_rel in zip(*parts, strict=True):
            words += 1
            right_head += gold_head == pred_head
            right_both += gold_head == pred_head and gold_rel == pred_rel
    if not words:
        raise ValueError("there are no words to score")
    return {"uas": 100 * right_head / words, "las": 100 * right_both / words}


def left_neighbour_baseline(
    train_sentences: Sequence[Sentence], test_sentences: Sequence[Sentence]
) -> dict[str, float]:
    """What one gets without looking: every word hangs on its left neighbour.

    The first word is the root; the others have the relation most frequent in the training sentences. Only
    universal relations are compared, without subtypes.

    Returns:
        ``uas`` and ``las``, as `attachment_scores`.

    Raises:
        ValueError: there are no sentences to train on or to test.
    """
    counts = Counter(strip_subtype(rel) for sentence in train_sentences for rel in sentence.deprels)
    if not counts:
        raise ValueError("there are no training sentences to find the most frequent relation in")
    frequent = min(counts, key=lambda rel: (-counts[rel], rel))
    return attachment_scores(
        [sentence.heads for sentence in test_sentences],
        [[strip_subtype(rel) for rel in sentence.deprels] for sentence in test_sentences],
        [range(len(sentence.words)) for sentence in test_sentences],
        [["root"] + [frequent] * (len(sentence.words) - 1) for sentence in test_sentences],
    )


# --- Decoding ---------------------------------------------------------------------------------------------


def maximum_spanning_tree(scores: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The best tree in which exactly one word hangs on the root.

    Chu & Liu (1965) and Edmonds (1967), https://en.wikipedia.org/wiki/Edmonds%27_algorithm. A penalty on
    every arc from the root, larger than any difference between two trees, leaves one such arc. Mostly the
    best head of each word already makes a tree, and nothing more is computed.

    Args:
        scores: [W, W + 1]; scores[d, h] is the log-probability that word d + 1 hangs on h, 0 being the root.
            scores[d, d + 1] is not looked at. −inf forbids an arc, as far as a tree is possible without it.

    Returns:
        heads [W].

    Raises:
        ValueError: the shape is wrong, there are no words, or a score is NaN or +inf.
    """
    scores = np.array(scores, dtype=np.float64)
    if scores.ndim != 2 or not scores.shape[0] or scores.shape[1] != scores.shape[0] + 1:
        raise ValueError(f"scores must be [W, W + 1] with W > 0, not {list(scores.shape)}")
    words = scores.shape[0]
    own = np.eye(words, words + 1, k=1, dtype=bool)
    scores[own] = -np.inf
    if np.isnan(scores).any() or np.isposinf(scores).any():
        raise ValueError("scores must not hold NaN or +inf")
    greedy = scores.argmax(axis=1)
    if is_tree(greedy) and np.isfinite(scores.max(axis=1)).all():
        return greedy

    # Forbidden arcs get a finite score so low that no tree of allowed arcs loses to a tree with one of them.
    finite = scores[np.isfinite(scores)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    forbidden = low - (high - low) * words - 1
    scores[~np.isfinite(scores)] = forbidden
    scores[:, 0] -= (high - forbidden) * words + 1
    scores[own] = -np.inf
    heads = _arborescence(np.vstack([np.zeros(words + 1), scores]))[1:]
    assert is_tree(heads)
    return heads


def _arborescence(weights: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Heads [N] of the best spanning arborescence from node 0; weights [N, N] as weights[dependent, head].

    The diagonal is −inf; row 0 and the result's item 0 mean nothing. A cycle of best arcs is contracted
    into its first node, whose arcs remember in `dependent` and `head` the nodes that they really join; the
    other nodes of the cycle get no more arcs. When no cycle is left, contractions are undone last first:
    the arc that enters a cycle replaces the cycle's own arc at the node it really enters.
    """
    size = len(weights)
    nodes = np.arange(size)
    dependent, head = np.repeat(nodes[:, None], size, axis=1), np.repeat(nodes[None, :], size, axis=0)
    owner = nodes.copy()  # the node that stands for each node now
    contracted: list[tuple[int, npt.NDArray[np.int64], dict[int, tuple[int, int]]]] = []

    def arcs(chosen: npt.NDArray[np.int64]) -> dict[int, tuple[int, int]]:
        ends = dependent[chosen, best[chosen]].tolist(), head[chosen, best[chosen]].tolist()
        return dict(zip(chosen.tolist(), zip(*ends, strict=True), strict=True))

    while True:
        best = np.where((owner == nodes) & (nodes > 0), weights.argmax(axis=1), 0)
        cycle = np.array(find_cycle(best[1:].tolist()), dtype=np.int64)
        if not cycle.size:
            break
        first = int(cycle[0])
        contracted.append((first, owner.copy(), arcs(cycle)))
        inside = np.zeros(size, dtype=bool)
        inside[cycle] = True
        owner[inside[owner]] = first

        entering = weights[cycle] - weights[cycle, best[cycle]][:, None]  # [cycle, N]: arc in, own arc out
        via_in = cycle[entering.argmax(axis=0)]
        via_out = cycle[weights[:, cycle].argmax(axis=1)]
        row, column = entering.max(axis=0), weights[nodes, via_out]
        row_ends = dependent[via_in, nodes], head[via_in, nodes]
        column_ends = dependent[nodes, via_out], head[nodes, via_out]
        weights[cycle, :] = weights[:, cycle] = -np.inf
        weights[first], (dependent[first], head[first]) = row, row_ends
        weights[:, first], (dependent[:, first], head[:, first]) = column, column_ends
        weights[first, cycle] = -np.inf

    standing = arcs(nodes[1:][owner[1:] == nodes[1:]])
    for first, owner_before, own_arcs in reversed(contracted):
        entered = standing.pop(first)
        standing |= own_arcs
        standing[int(owner_before[entered[0]])] = entered
    heads = np.zeros(size, dtype=np.int64)
    for node, governor in standing.values():
        heads[node] = governor
    return heads


# --- Drawing ----------------------------------------------------------------------------------------------

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_BOX = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"  # indexed by the sum of the directions a line leaves the cell in


def draw_tree(words: Sequence[str], heads: Sequence[int], rels: Sequence[str]) -> str:
    """A parse as lines for a terminal: one word a line, and on its left the arcs, one vertical a head.

    The word comes last on its line, so that wide characters, combining marks and right-to-left words, whose
    widths terminals do not agree about, cannot shift anything.

    Raises:
        ValueError: heads or relations are not as many as words, or a head is not among 0 … W.
    """
    _check_lengths(words, heads, rels)
    size = len(words)
    spans = {
        head: (min(head, *dependents), max(head, *dependents))
        for head in range(1, size + 1)
        if (dependents := [word for word, other in enumerate(heads, 1) if other == head])
    }
    levels: dict[int, int] = {}  # the vertical of each head: 0 is the one next to the words
    for head, (top, bottom) in sorted(spans.items(), key=lambda item: (item[1][1] - item[1][0], item[0])):
        taken = {levels[other] for other in levels if spans[other][0] <= bottom and top <= spans[other][1]}
        levels[head] = max(taken, default=-1) + 1
    width = 2 * (max(levels.values(), default=-1) + 1)
    cells = np.zeros((size + 1, width), dtype=np.int64)
    for head, (top, bottom) in spans.items():
        column = width - 2 * (levels[head] + 1)
        cells[top + 1 : bottom + 1, column] |= _UP
        cells[top:bottom, column] |= _DOWN
        for word in [head, *(word for word, other in enumerate(heads, 1) if other == head)]:
            cells[word, column:] |= _RIGHT
            cells[word, column + 1 :] |= _LEFT
    numbers = len(str(size))
    labels = [f"{rel} ← {head}" if head else rel for rel, head in zip(rels, heads, strict=True)]
    wide = max(map(len, labels), default=0)
    return "\n".join(
        "".join(_BOX[cell] for cell in cells[number])
        + ("► " if heads[number - 1] else "● ")
        + f"{number:>{numbers}}  {labels[number - 1]:<{wide}}  {word}"
        for number, word in enumerate(words, 1)
    )


def tree_svg(words: Sequence[str], heads: Sequence[int], rels: Sequence[str]) -> str:
    """A parse as an inline SVG: words in a row with arcs from heads to dependents above them.

    Sentences in a right-to-left script run from the right. Lines and letters take the colour of the page
    around.

    Raises:
        ValueError: heads or relations are not as many as words, or a head is not among 0 … W.
    """
    _check_lengths(words, heads, rels)
    em, gap, step = 9.0, 22.0, 26.0  # pixels: a narrow letter, between words, between heights of arcs
    widths = [
        max(em * _text_width(word), 0.7 * em * _text_width(rel) + 6)
        for word, rel in zip(words, rels, strict=True)
    ]
    total = sum(widths) + gap * (len(words) + 1)
    centres: list[float] = []
    x = gap
    for width in widths:
        centres.append(x + width / 2)
        x += width + gap
    if _runs_right_to_left(words):
        centres = [total - centre for centre in centres]

    arcs = sorted(
        ((min(head, word), max(head, word), word) for word, head in enumerate(heads, 1) if head),
        key=lambda arc: (arc[1] - arc[0], arc),
    )
    levels: dict[int, int] = {}  # by dependent
    for place, (left, right, word) in enumerate(arcs):
        below = [levels[other] for low, high, other in arcs[:place] if low < right and left < high]
        levels[word] = max(below, default=0) + 1
    base = step * (max(levels.values(), default=0) + 1) + 16
    height = base + 34

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="parse" role="img" width="{total:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {total:.0f} {height:.0f}" font-family="sans-serif">',
        f"<title>{html.escape(' '.join(words))}</title>",
    ]
    used: Counter[tuple[int, bool]] = Counter()  # arcs that leave a word on one side start apart
    for left, right, word in sorted(arcs, key=lambda arc: arc[0] - arc[1]):
        head = left if word == right else right
        end = centres[word - 1]
        rightwards = centres[word - 1] > centres[head - 1]
        used[head, rightwards] += 1
        start = centres[head - 1] + (1 if rightwards else -1) * min(4.0 * used[head, rightwards], 12.0)
        top = base - step * levels[word]
        radius = min(8.0, abs(end - start) / 2) * (1 if rightwards else -1)
        parts.append(
            f'<path d="M{start:.1f} {base:.1f} V{top + 8:.1f} Q{start:.1f} {top:.1f} '
            f"{start + radius:.1f} {top:.1f} H{end - radius:.1f} "
            f'Q{end:.1f} {top:.1f} {end:.1f} {top + 8:.1f} V{base - 5:.1f}" '
            'fill="none" stroke="currentColor" stroke-opacity="0.55"/>'
            f'<path d="M{end - 3.5:.1f} {base - 6:.1f} h7 l-3.5 6 z" fill="currentColor"/>'
            + _svg_text((start + end) / 2, top - 4, rels[word - 1], 11)
        )
    for word, (centre, text) in enumerate(zip(centres, words, strict=True), 1):
        if heads[word - 1] == 0:
            parts.append(
                f'<path d="M{centre:.1f} 16 V{base - 5:.1f}" stroke="currentColor" stroke-dasharray="3 3"/>'
                f'<path d="M{centre - 3.5:.1f} {base - 6:.1f} h7 l-3.5 6 z" fill="currentColor"/>'
                + _svg_text(centre, 11, rels[word - 1], 11)
            )
        parts.append(_svg_text(centre, base + 20, text, 16))
    return "".join([*parts, "</svg>"])


def _svg_text(x: float, y: float, text: str, size: int) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle" fill="currentColor">'
        f"{html.escape(text)}</text>"
    )


def _check_lengths(words: Sequence[str], heads: Sequence[int], rels: Sequence[str]) -> None:
    if not len(words) == len(heads) == len(rels):
        raise ValueError(f"{len(words)} words, {len(heads)} heads and {len(rels)} relations; must be as many")
    for head in heads:
        if not 0 <= head <= len(words):
            raise ValueError(f"head {head} is not among 0 … {len(words)}")


def _text_width(text: str) -> int:
    """Columns of a fixed-width font: none for marks that combine, two for wide characters."""
    return sum(
        0
        if unicodedata.category(character) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )


def _runs_right_to_left(words: Sequence[str]) -> bool:
    classes = Counter(unicodedata.bidirectional(character) for word in words for character in word)
    return classes["R"] + classes["AL"] > classes["L"]
