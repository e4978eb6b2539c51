from __future__ import annotations

import pytest

from pixel_m4.files import DataError
from pixel_m4.formats.columns import find_columns, spread_translations
from pixel_m4.formats.tables import Table

COLUMNS = ["premise", "hypothesis", "label"]


def table(*rows: list) -> Table:
    return Table(source="xnli", columns=COLUMNS, rows=list(rows), label_names={"label": ["yes", "no"]})


def test_a_text_in_several_languages_is_a_row_a_language() -> None:
    """As XNLI's all_languages has its two columns."""
    made = table(
        [{"de": "Ja.", "en": "Yes."}, {"language": ["en", "de"], "translation": ["No.", "Nein."]}, 0],
        [{"de": "Tag.", "en": "Day."}, {"language": ["en", "de"], "translation": ["Night.", "Nacht."]}, 1],
    )
    spread = spread_translations(made)
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
    assert spread_translations(made) is made
    assert spread_translations(table()).rows == []


def test_texts_in_different_languages() -> None:
    with pytest.raises(DataError, match="xnli, row 1: its columns are in different languages"):
        spread_translations(table([{"de": "Ja."}, {"en": "No."}, 0]))
    with pytest.raises(DataError, match="row 2: a text in several languages is wanted, not 'x'"):
        spread_translations(table([{"de": "Ja."}, {"de": "Nein."}, 0], ["x", {"de": "y"}, 0]))
