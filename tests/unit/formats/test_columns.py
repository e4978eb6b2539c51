from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.files import DataError
from pixel_m4.formats.columns import KNOWN, Columns, find_columns, spread_translations
from pixel_m4.formats.tables import Table, parse_json, read_table

BOTH = Columns(0, 1, 2)
COLUMNS = ["premise", "hypothesis", "label"]


def table(*rows: list) -> Table:
    return Table(source="xnli", columns=COLUMNS, rows=list(rows), label_names={"label": ["yes", "no"]})


def test_a_text_in_several_languages_is_a_row_a_language() -> None:
    """As XNLI's all_languages has its two columns."""
    made = table(
        [{"de": "Ja.", "en": "Yes."}, {"language": ["en", "de"], "translation": ["No.", "Nein."]}, 0],
        [{"de": "Tag.", "en": "Day."}, {"language": ["en", "de"], "translation": ["Night.", "Nacht."]}, 1],
    )
    spread = spread_translations(made, BOTH)
    assert [list(row) for row in spread.rows] == [
        ["Ja.", "Nein.", 0],
        ["Tag.", "Nacht.", 1],
        ["Yes.", "No.", 0],
        ["Day.", "Night.", 1],
    ]
    assert find_columns(spread) == (0, 1, 2)
    assert spread.label_names == made.label_names


def test_plain_texts_stay() -> None:
    made = table(["a", "b", 0])
    assert spread_translations(made, BOTH) is made
    assert spread_translations(table(), BOTH).rows == []


def test_texts_in_different_languages() -> None:
    with pytest.raises(DataError, match="xnli, row 1: its columns are in different languages"):
        spread_translations(table([{"de": "Ja."}, {"en": "No."}, 0]), BOTH)
    with pytest.raises(DataError, match=r"row 2: a text, or one in several languages .* is wanted, not 'x'"):
        spread_translations(table([{"de": "Ja."}, {"de": "Nein."}, 0], ["x", {"de": "y"}, 0]), BOTH)


def test_objects_beside_the_text_are_no_languages() -> None:
    """They multiplied the rows."""
    made = parse_json(
        '{"text": "first", "label": "a", "meta": {"source": "web", "id": 1}}\n'
        '{"text": "second", "label": "b", "meta": {"source": "web"}}\n',
        "x.jsonl",
    )
    assert spread_translations(made, find_columns(made)) is made
    mixed = parse_json('{"text": {"raw": "One!", "clean": "one"}, "label": "a"}', "x.jsonl")
    with pytest.raises(DataError, match=r"x\.jsonl, row 1: a text, or one in several languages .* is wanted"):
        spread_translations(mixed, find_columns(mixed))


@pytest.mark.parametrize(
    ("header", "rows", "clear"),
    [
        ("utterance,intent", ["book it,book", "no thank you,stop", "a seat,book", "just stop,stop"], False),
        ("what is said,what is meant", ["a b,x", "c d,y", "e f,x", "g h,y"], False),
        ("utterance,mark", ["a b,0.5", "c d,1.5", "e f,2.0"], False),
        ("a first film,good", ["a b,good", "c d,bad", "e f,bad"], True),
        ("a first film,rare", ["a b,good", "c d,bad", "e f,good"], False),
    ],
)  # fmt: skip
def test_a_header_of_names_that_nobody_knows(
    header: str, rows: list[str], clear: bool, tmp_path: Path
) -> None:
    """It became an example with a class of its own."""
    rows = rows * 5
    (tmp_path / "train.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    made = read_table(tmp_path / "train.csv", known=KNOWN)
    if clear:
        assert find_columns(made) == (0, None, 1)
        return
    with pytest.raises(DataError, match=r"train\.csv:1: not clear whether this is a header or an example: "):
        find_columns(made)
    text, label = header.split(",")
    made = read_table(tmp_path / "train.csv", known=[text, label])
    assert len(made.rows) == len(rows)
    assert find_columns(made, text=text, label=label) == (0, None, 1)


def test_a_rare_label_in_the_first_row_is_no_header(tmp_path: Path) -> None:
    rows = ["a first film,rare", *["a b,good", "c d,bad"] * 5, "e f,odd"]
    (tmp_path / "train.csv").write_text("\n".join(rows), encoding="utf-8")
    made = read_table(tmp_path / "train.csv", known=KNOWN)
    assert find_columns(made) == (0, None, 1)
    assert len(made.rows) == len(rows)
