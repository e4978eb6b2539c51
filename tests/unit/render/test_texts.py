"""Lists, columns and items that are no texts; limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pixel_m4.render import TextRenderer

WORDS = ["My", "cat"]


@pytest.fixture(scope="module")
def renderer() -> TextRenderer:
    return TextRenderer(max_seq_length=32)


@pytest.mark.parametrize("method", ["batch", "measure", "measure_texts"])
@pytest.mark.parametrize("given", ["hello world", b"hello", np.str_("hello"), None, 3, {"a": 1}])
def test_one_string_is_no_list(renderer: TextRenderer, method: str, given: object) -> None:
    with pytest.raises(TypeError, match="give a list of"):
        getattr(renderer, method)(given)


@pytest.mark.parametrize(
    "column",
    [
        np.array(WORDS),
        np.array(WORDS, object),
        pd.Series(WORDS),
        pd.Series(WORDS, dtype="string", index=[7, 3]),
        pa.array(WORDS),
        pa.chunked_array([WORDS[:1], WORDS[1:]]),
        tuple(WORDS),
        dict.fromkeys(WORDS).keys(),
        map(str, WORDS),
        list(pa.array(WORDS)),
    ],
    ids=lambda column: type(column).__name__,
)
@pytest.mark.parametrize("method", ["batch", "measure", "measure_texts", "__call__", "offsets"])
def test_columns_and_iterators_are_lists(renderer: TextRenderer, method: str, column: object) -> None:
    if isinstance(column, map):
        column = map(str, WORDS)  # one for each method
    if isinstance(column, tuple) and method in ("__call__", "offsets"):
        pytest.skip("a tuple is a pair there")
    call = getattr(renderer, method)
    found, expected = call(column), call(WORDS)
    if method == "batch":
        np.testing.assert_array_equal(found["pixel_values"], expected["pixel_values"])
    elif method == "__call__":
        np.testing.assert_array_equal(found.pixel_values, expected.pixel_values)
    elif method == "offsets":
        np.testing.assert_array_equal(found.spans, expected.spans)
    else:
        assert list(map(np.asarray, found)) == list(map(np.asarray, expected))


def test_columns_of_lists_of_words(renderer: TextRenderer) -> None:
    rows = [["My", "cat"], ["a", "b"]]
    expected = renderer.batch(rows)["pixel_values"]
    for column in (
        np.array(rows),
        pa.array(rows),
        pd.Series(rows),
        [iter(row) for row in rows],
        pa.array(rows).tolist(),
    ):
        np.testing.assert_array_equal(renderer.batch(column)["pixel_values"], expected)
    assert renderer.batch(iter([]))["pixel_values"].shape == (0, 16, 16)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", None], r"texts\[1\] is None"),
        (["a", "b", float("nan")], r"texts\[2\] is nan \(a missing value"),
        (pd.Series(["a", np.nan]), r"texts\[1\] is nan"),
        (pa.array(["a", None]), r"texts\[1\] is None"),
        ([b"a"], r"texts\[0\] is b'a' of type bytes"),
        ([["a"], ["b", None]], r"texts\[1\]\[1\] is None"),
        ([["a", 7]], r"texts\[0\]\[1\] is 7 of type int"),
        ([("a", None)], r"texts\[0\]\[1\], a text of a pair, is None"),
        ([3], r"texts\[0\] is 3 of type int; a text is a string"),
        ([{"text": "a"}], r"texts\[0\] is \{'text': 'a'\} of type dict"),
        (np.array([1, 2]), r"texts\[0\] is 1 of type int"),
    ],
)
def test_wrong_items_are_named(renderer: TextRenderer, texts: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        renderer.batch(texts)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):  # commands show users' mistakes in one line
        renderer.batch(texts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", [None, b"a", float("nan"), 3, {"a": 1}, ["a", None], ("a", ["b"]), ("a", b"b")]
)
def test_what_is_no_text(renderer: TextRenderer, text: object) -> None:
    for call in (renderer, renderer.offsets):
        with pytest.raises(TypeError, match="the text"):
            call(text)  # type: ignore[operator]
    with pytest.raises(TypeError, match=r"words\[1\] is None"):
        renderer.measure(["a", None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"texts\[0\] is \['a'\] of type list"):
        renderer.measure_texts([["a"]])  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["max_length", "text_a_max_length"])
@pytest.mark.parametrize("value", [0, -1, -100, 1.5, "3", True, float("nan")])
def test_limits_are_checked(renderer: TextRenderer, name: str, value: object) -> None:
    for call in (
        lambda **limit: renderer("a b", **limit),
        lambda **limit: renderer(("a", "b"), **limit),
        lambda **limit: renderer.batch(["a b"], **limit),
        lambda **limit: renderer.offsets("a b", **limit),
    ):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1.*not {value!r}"):
            call(**{name: value})
    np.testing.assert_array_equal(renderer("a b", np.int64(2)).pixel_values, renderer("a b", 2).pixel_values)


@pytest.mark.parametrize("stride", [-1, 1.5, "3", True, None, float("nan")])
def test_strides_are_checked(renderer: TextRenderer, stride: object) -> None:
    with pytest.raises(ValueError, match=f"stride must be a whole number of at least 0, not {stride!r}"):
        renderer(("a", "b " * 90), return_overflowing_patches=True, stride=stride)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["false", "no", 0, 1, None])
def test_truth_values_are_checked(renderer: TextRenderer, value: object) -> None:
    for call in (
        lambda: renderer("a b", rtl=value),  # type: ignore[arg-type]
        lambda: renderer.batch(["a b"], rtl=value),  # type: ignore[arg-type]
        lambda: renderer.offsets("a b", rtl=value),  # type: ignore[arg-type]
        lambda: renderer(("a", "b"), return_overflowing_patches=value),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=f"(rtl|patches) must be True or False, not {value!r}"):
            call()


@pytest.mark.parametrize("method", ["batch", "measure", "measure_texts", "__call__"])
def test_tables_and_sets_are_no_lists(renderer: TextRenderer, method: str) -> None:
    """Iterating gives the names of columns, or texts in any order."""
    for table in (pd.DataFrame({"title": WORDS}), pa.table({"title": WORDS}), {"a", "b"}, frozenset("ab")):
        with pytest.raises(TypeError, match=r"give a list of|the text is"):
            getattr(renderer, method)(table)


@pytest.mark.parametrize("char", ["", "ab", None, 7])
def test_coverage_is_of_one_character(renderer: TextRenderer, char: object) -> None:
    with pytest.raises(ValueError, match="covers takes one character, not"):
        renderer.covers(char)  # type: ignore[arg-type]
