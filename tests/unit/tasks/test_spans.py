from __future__ import annotations

import pytest

from pixel_m4.render import TextRenderer
from pixel_m4.tasks.spans import answer_patches, span_characters, trim, whole_words


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
    ("text", "widened"),
    [
        ("born in War[sa]w, Poland", "born in [Warsaw], Poland"),
        ("in [War]saw, Poland", "in [Warsaw], Poland"),
        ("the ci[ty of War]saw.", "the [city of Warsaw]."),
        ("in [Warsaw], Poland", "in [Warsaw], Poland"),
        ("[Obama]'s house", "[Obama]'s house"),
        ("Ob[am]a's house", "[Obama]'s house"),
        ("Austria-Hun[ga]ry", "Austria-[Hungary]"),
        ("about 1,[00]0.5 of them", "about [1,000.5] of them"),
        ("in 19[67].", "in [1967]."),
        ("in 1967, 1[96]8", "in 1967, [1968]"),
        ("ولدت في وا[رسو]، بولندا", "ولدت في [وارسو]، بولندا"),
        ("यह वार[सॉ] में है", "यह [वारसॉ] में है"),
        ("می‌خو[ا]هم", "[می‌خواهم]"),  # with a joiner that is no border
        ("Ко[пе]рник", "[Коперник]"),
        ("她出生在华[沙市]波兰", "她出生在华[沙市]波兰"),
        ("コー[ヒー]を飲む", "コー[ヒー]を飲む"),
        ("コ[ーヒ]ーを飲む", "コ[ーヒ]ーを飲む"),
        ("เขาเกิดใน[วอร์]ซอ", "เขาเกิดใน[วอร์]ซอ"),
        ("ເກີດຢູ່[ວໍ]ຊໍ", "ເກີດຢູ່[ວໍ]ຊໍ"),
        ("កើតនៅ[វ៉ា]សូវី", "កើតនៅ[វ៉ា]សូវី"),
        ("ဝါ[ဆော]မြို့", "ဝါ[ဆော]မြို့"),
        ("그는 [바르샤바]에서", "그는 [바르샤바]에서"),
        ("她用iPh[on]e打电话", "她用[iPhone]打电话"),
        ("他在Pa[ris出]生", "他在[Paris出]生"),
    ],
)
def test_words_are_made_whole(text: str, widened: str) -> None:
    start, end = text.index("["), text.index("]") - 1
    bare = text.replace("[", "").replace("]", "")
    first, last = whole_words(bare, start, end)
    assert f"{bare[:first]}[{bare[first:last]}]{bare[last:]}" == widened


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
