from __future__ import annotations

import pytest

from pixel_m4.render import TextRenderer
from pixel_m4.tasks.spans import answer_patches, span_characters, trim


@pytest.mark.parametrize(
    ("span", "kept"),
    [
        ("cat, ", "cat"),
        ("(cat)", "(cat)"),
        ("cat)", "cat"),
        ("“a” cat", "“a” cat"),
        ("“cat", "cat"),
        ("cat “", "cat"),
        ("»، قط", "قط"),
        ("...", "..."),
        ('"a" cat".', '"a" cat"'),
        ("18°", "18°"),
    ],
)
def test_marks_that_do_not_belong_to_a_span(span: str, kept: str) -> None:
    text = f"xx{span}yy"
    start, end = trim(text, 2, 2 + len(span))
    assert text[start:end] == kept


@pytest.mark.parametrize(
    ("question", "context", "answer"),
    [
        ("Where was she born?", "Marie was born in Warsaw, Poland.", "Warsaw"),
        ("أين ولدت؟", "ولدت ماري كوري في وارسو، بولندا سنة 1867.", "وارسو، بولندا"),
        ("איפה היא נולדה?", "מארי קירי נולדה בעיר ורשה שבפולין.", "ורשה שבפולין"),
        ("她出生在哪里？", "玛丽居里出生在华沙市波兰首都", "华沙市波"),
    ],
)
def test_there_and_back(question: str, context: str, answer: str) -> None:
    renderer = TextRenderer(max_seq_length=100)
    offsets = renderer.offsets((question, context))
    start = context.index(answer)
    patches = answer_patches(offsets, start, start + len(answer))
    assert patches is not None
    found = span_characters(offsets, *patches, context)
    assert answer in context[slice(*found)]
    assert len(answer) <= found[1] - found[0] <= len(answer) + 2


def test_answers_that_are_cut_off_have_no_patches() -> None:
    renderer = TextRenderer(max_seq_length=16)
    context = "one two three four five six seven eight"
    offsets = renderer.offsets(("Which?", context))
    assert answer_patches(offsets, 0, 3) is not None
    assert answer_patches(offsets, context.index("eight"), len(context)) is None
