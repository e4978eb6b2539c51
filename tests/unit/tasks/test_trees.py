from __future__ import annotations

import io
import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from udtools import udeval

from pixel_m4.formats.conllu import parse_conllu, strip_subtype
from pixel_m4.tasks.trees import (
    attachment_scores,
    draw_tree,
    is_tree,
    left_neighbour_baseline,
    maximum_spanning_tree,
    tree_svg,
)


def all_trees(words: int) -> list[tuple[int, ...]]:
    return [heads for heads in itertools.product(range(words + 1), repeat=words) if reaches_root(heads)]


def reaches_root(heads: tuple[int, ...]) -> bool:
    """The definition, spelled out: one root, and from every word a way to it."""
    for word in range(1, len(heads) + 1):
        for _ in heads:
            word = heads[word - 1] if word else 0
        if word:
            return False
    return heads.count(0) == 1


def total(scores: np.ndarray, heads: tuple[int, ...] | np.ndarray) -> float:
    return float(scores[np.arange(len(heads)), np.asarray(heads)].sum())


TREES = {words: all_trees(words) for words in range(1, 6)}


def test_there_are_as_many_trees_as_cayley_says() -> None:
    # Rooted labelled trees on n nodes: n ** (n - 1), https://en.wikipedia.org/wiki/Cayley%27s_formula
    assert [len(TREES[n]) for n in TREES] == [n ** (n - 1) for n in TREES]


@pytest.mark.parametrize("words", TREES)
def test_best_tree_is_the_best_of_all_trees(words: int) -> None:
    generator = np.random.default_rng(words)
    for _ in range(200):
        scores = generator.normal(size=(words, words + 1)) * generator.choice([0.1, 1, 30])
        scores[:, 0] += generator.choice([-5, 0, 5])  # some roots that all words want, some that none wants
        heads = maximum_spanning_tree(scores)
        assert is_tree(heads)
        best = max(TREES[words], key=lambda tree: total(scores, tree))
        assert tuple(heads) == best


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda n: hnp.arrays(np.float64, (n, n + 1), elements=st.integers(-4, 0).map(float))
    )
)
def test_best_tree_among_many_ties(scores: np.ndarray) -> None:
    heads = maximum_spanning_tree(scores)
    assert reaches_root(tuple(heads.tolist()))
    assert total(scores, heads) == max(total(scores, tree) for tree in TREES[len(scores)])


@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda n: hnp.arrays(
            np.float64, (n, n + 1), elements=st.sampled_from([-np.inf, -3.0, -1.0, -0.25, 0.0])
        )
    )
)
def test_forbidden_arcs_are_used_only_if_no_tree_is_without(scores: np.ndarray) -> None:
    heads = maximum_spanning_tree(scores)
    assert reaches_root(tuple(heads.tolist()))
    fewest = min(np.isneginf(scores[np.arange(len(t)), np.asarray(t)]).sum() for t in TREES[len(scores)])
    assert np.isneginf(scores[np.arange(len(heads)), heads]).sum() == fewest
    if not fewest:
        assert total(scores, heads) == max(total(scores, tree) for tree in TREES[len(scores)])


def test_long_sentences_of_nested_cycles() -> None:
    """Every word prefers its right neighbour, and pairs prefer each other: contraction upon contraction."""
    generator = np.random.default_rng(0)
    words = 150
    scores = generator.normal(size=(words, words + 1))
    scores[np.arange(words - 1), np.arange(2, words + 1)] += 20
    scores[np.arange(1, words), np.arange(1, words)] += 19
    heads = maximum_spanning_tree(scores)
    assert is_tree(heads)
    # No tree is better that moves one word elsewhere.
    for word in range(words):
        for other in range(1, words + 1):
            moved = heads.copy()
            moved[word] = other
            if heads[word] != 0 and is_tree(moved):
                assert total(scores, moved) <= total(scores, heads) + 1e-9


def test_the_own_word_and_the_given_scores_are_let_alone() -> None:
    scores = np.array([[0.0, np.nan, -1.0], [-2.0, -1.0, np.inf]])
    before = scores.copy()
    assert maximum_spanning_tree(scores).tolist() == [0, 1]
    np.testing.assert_array_equal(scores, before)
    assert maximum_spanning_tree([[-3.0, 9.0]]).tolist() == [0]


@pytest.mark.parametrize(
    "scores", [np.zeros((0, 1)), np.zeros((2, 2)), np.zeros(3), [[0.0, 1.0, np.nan], [0.0, 1.0, 2.0]]]
)
def test_impossible_scores_are_refused(scores) -> None:
    with pytest.raises(ValueError, match="scores must"):
        maximum_spanning_tree(scores)


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_is_tree_is_the_definition(words: int) -> None:
    for heads in itertools.product(range(words + 1), repeat=words):
        assert is_tree(heads) == reaches_root(heads)
    assert not is_tree([words + 1] + [0] * (words - 1))
    assert not is_tree([-1] * words)
    assert not is_tree([])


def test_attachment_scores_count_words_not_sentences() -> None:
    scores = attachment_scores(
        [[0, 1, 1], [0]],
        [["root", "obj", "punct"], ["root"]],
        [[0, 1, 2], [0]],
        [["root", "obl", "punct"], ["root"]],
    )
    assert scores == {"uas": 75.0, "las": 50.0}


def random_trees(generator: np.random.Generator, lengths: list[int]) -> tuple[list, list]:
    relations = ["obj", "nsubj", "nsubj:pass", "punct", "obl"]
    heads, rels = [], []
    for length in lengths:
        tree = maximum_spanning_tree(generator.normal(size=(length, length + 1))).tolist()
        heads.append(tree)
        rels.append([relations[generator.integers(5)] if head else "root" for head in tree])
    return heads, rels


@pytest.mark.parametrize("seed", range(5))
def test_attachment_scores_are_those_of_the_shared_task(seed: int) -> None:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 9, size=40).tolist()
    gold, predicted = (random_trees(generator, lengths) for _ in range(2))
    expected = udeval.evaluate(*(load_for_udeval(*trees) for trees in (gold, predicted)))
    plain = [[[strip_subtype(rel) for rel in rels] for rels in part[1]] for part in (gold, predicted)]
    scores = attachment_scores(gold[0], plain[0], predicted[0], plain[1])
    assert scores["uas"] == pytest.approx(100 * expected["UAS"].f1)
    assert scores["las"] == pytest.approx(100 * expected["LAS"].f1)
    assert 0 < scores["las"] < scores["uas"] < 100


def load_for_udeval(heads: list, rels: list) -> object:
    text = "".join(conllu(*zip(*sentence, strict=True)) for sentence in zip(heads, rels, strict=True))
    kinds = ("no_gapping", "no_shared_parents_in_coordination", "no_shared_dependents_in_coordination")
    kinds += ("no_control", "no_external_arguments_of_relative_clauses", "no_case_info")
    options = {**dict.fromkeys(kinds, 0), "multiple_roots_okay": False}
    return udeval.load_conllu(io.StringIO(text), "made", options)


@pytest.mark.parametrize(
    "parts",
    [
        ([], [], [], []),
        ([[]], [[]], [[]], [[]]),
        ([[0]], [["root"]], [[0]], []),
        ([[0]], [["root"]], [[0, 1]], [["root", "obj"]]),
    ],
)
def test_attachment_scores_of_unequal_parts_are_refused(parts) -> None:
    with pytest.raises(ValueError, match=r"words|must be equal|as many"):
        attachment_scores(*parts)


def conllu(*words: tuple[int, str]) -> str:
    return "".join(f"{n}\tw\t_\tX\t_\t_\t{h}\t{r}\t_\t_\n" for n, (h, r) in enumerate(words, 1)) + "\n"


def test_left_neighbour_baseline() -> None:
    train = parse_conllu(conllu((0, "root"), (1, "nmod:poss"), (1, "nmod"), (1, "obj")))
    test = parse_conllu(
        conllu((0, "root"), (1, "nmod:x"), (2, "obj"), (1, "nmod")) + conllu((2, "nmod"), (0, "root"))
    )
    # Sentence 1: words 1, 2, 3 have the right head, 1 and 2 the relation too; sentence 2: none.
    assert left_neighbour_baseline(train, test) == {"uas": 50.0, "las": pytest.approx(100 / 3)}
    with pytest.raises(ValueError, match="training"):
        left_neighbour_baseline([], test)
    with pytest.raises(ValueError, match="no words"):
        left_neighbour_baseline(train, [])


WORDS = ["मैंने", "猫", "<b>&", "שלום", "."]
HEADS = [4, 4, 2, 0, 4]
RELS = ["nsubj", "obj", "amod", "root", "punct"]


def test_drawn_arcs() -> None:
    assert draw_tree(WORDS, HEADS, RELS).split("\n") == [
        "┌───► 1  nsubj ← 4  मैंने",
        "├─┬─► 2  obj ← 4    猫",
        "│ └─► 3  amod ← 2   <b>&",
        "├───● 4  root       שלום",
        "└───► 5  punct ← 4  .",
    ]
    assert draw_tree(["x"], [0], ["root"]) == "● 1  root  x"
    assert draw_tree([], [], []) == ""


@given(st.data())
def test_every_tree_can_be_drawn_and_lines_begin_at_one_column(data: st.DataObject) -> None:
    words = data.draw(st.integers(1, 12))
    heads = data.draw(st.lists(st.integers(0, words), min_size=words, max_size=words))
    lines = draw_tree(["w"] * words, heads, ["rel"] * words).split("\n")
    assert len({len(line) for line in lines}) == 1
    ElementTree.fromstring(tree_svg(["w"] * words, heads, ["rel"] * words))


def test_svg_is_well_formed_and_holds_every_word_and_relation() -> None:
    root = ElementTree.fromstring(tree_svg(WORDS, HEADS, RELS))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(filter(None, texts)) == sorted(WORDS + RELS)


def test_svg_of_a_right_to_left_sentence_runs_from_the_right() -> None:
    def places(words: list[str]) -> list[float]:
        root = ElementTree.fromstring(tree_svg(words, [0, 1], ["root", "obj"]))
        at = {e.text: float(e.attrib["x"]) for e in root.iter("{http://www.w3.org/2000/svg}text")}
        return [at[word] for word in words]

    first, second = places(["אני", "כאן"])
    assert first > second
    first, second = places(["I", "am"])
    assert first < second


def test_wide_characters_take_more_room() -> None:
    def width(word: str) -> int:
        return int(ElementTree.fromstring(tree_svg([word], [0], [""])).attrib["width"])

    assert width("猫猫") == width("catt") > width("ca\u0301t")


def test_drawings_refuse_unequal_lengths_and_impossible_heads() -> None:
    for draw in (draw_tree, tree_svg):
        with pytest.raises(ValueError, match="as many"):
            draw(["a"], [0, 1], ["root"])
        with pytest.raises(ValueError, match="head 2"):
            draw(["a"], [2], ["root"])
