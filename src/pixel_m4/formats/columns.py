"""Which columns of a table hold texts and labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pixel_m4.files import DataError
from pixel_m4.formats.tables import Table

PAIRS = (
    ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2"),
    ("question", "sentence"), ("text1", "text2"), ("text_a", "text_b"), ("text", "pair"),
)  # fmt: skip
TEXTS = ("text", "sentence", "content", "review", "headline", "tweet", "document", "title")
LABELS = (
    "label",
    "category",
    "labels",
    "score",
    "class",
    "topic",
    "target",
    "gold_label",
    "similarity_score",
)
KNOWN = [*(name for pair in PAIRS for name in pair), *TEXTS, *LABELS]
"""Names that tell a header from data."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*")  # BCP 47, and names such as eng_Latn


class Columns(NamedTuple):
    """Numbers of the columns; None where there is none."""

    text: int
    pair: int | None
    label: int | None


def find_columns(
    table: Table,
    *,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    labels: bool = True,
    pairs: bool | None = None,
) -> Columns:
    """The columns that were asked for, else those with usual names, else the only ones that make sense.

    Args:
        table: the table.
        text: name of the text's column.
        pair: name of the second text's column.
        label: name of the label's column.
        labels: whether there must be one.
        pairs: whether the texts are pairs; None: if there are columns of pairs.

    Raises:
        DataError: there is no such column; names those that are there, and the option to use.
    """
    if not table.header and text is None:
        return _guess_columns(table)
    lowered = {name.lower(): number for number, name in reversed(list(enumerate(table.columns)))}
    label_number = _find(table, label, lowered, LABELS, "label") if labels else None
    if text is None and pair is None and pairs is not False:
        for first, second in PAIRS:
            if first in lowered and second in lowered:
                numbers = [table.column(table.columns[lowered[name]]) for name in (first, second)]
                return Columns(numbers[0], numbers[1], label_number)
    if pair is None and pairs:
        raise DataError(
            f"{table.source} has no column that is known to hold a second text, but the model reads "
            f"pairs; it has {', '.join(table.columns)}; call two of them sentence1 and sentence2"
        )
    text_number = _find(table, text, lowered, TEXTS, "text")
    return Columns(text_number, None if pair is None else table.column(pair), label_number)


def spread_translations(table: Table, columns: Columns) -> Table:
    """A row a language where a cell holds the text in several, as XNLI's ``all_languages`` has it.

    Such a cell is ``{language: text}``, or ``{"language": [language …], "translation": [text …]}``.  The rows
    of a language stay together, so that it does not matter in which order training draws them.

    Args:
        table: the table.
        columns: those of the texts; objects in any other column are none of ours.

    Raises:
        DataError: the cells of a row are in different languages, or hold something else than translations.
    """
    first = table.rows[0] if table.rows else ()
    of_texts = [number for number in (columns.text, columns.pair) if number is not None]
    spread = [number for number in of_texts if first and isinstance(first[number], Mapping)]
    if not spread:
        return table
    by_language: dict[str, list[list[Any]]] = {}
    for number, row in enumerate(table.rows):
        texts = {at: _by_language(row[at], table.place(number)) for at in spread}
        languages = {tuple(sorted(found)) for found in texts.values()}
        if len(languages) != 1:
            raise DataError(f"{table.place(number)}: its columns are in different languages")
        for language in texts[spread[0]]:
            cells = [texts[at][language] if at in texts else cell for at, cell in enumerate(row)]
            by_language.setdefault(language, []).append(cells)
    rows = [row for part in by_language.values() for row in part]
    return replace(table, rows=rows, lines=[])


def _by_language(cell: Any, place: str) -> dict[str, Any]:
    if isinstance(cell, Mapping) and set(cell) == {"language", "translation"}:
        cell = dict(zip(cell["language"], cell["translation"], strict=True))
    if not isinstance(cell, Mapping) or not cell or not all(map(_is_language, cell)):
        raise DataError(
            f"{place}: a text, or one in several languages ({{'en': …, 'hi': …}}), is wanted, not "
            f"{str(cell)[:60]!r}"
        )
    return dict(cell)


def _is_language(name: Any) -> bool:
    return isinstance(name, str) and _LANGUAGE.fullmatch(name) is not None


def _find(
    table: Table, asked: str | None, lowered: Mapping[str, int], usual: Sequence[str], what: str
) -> int:
    if asked is not None:
        return table.column(asked)
    for name in usual:
        if name in lowered:
            return table.column(table.columns[lowered[name]])
    raise DataError(
        f"{table.source} has no column that is known to hold the {what}; it has "
        f"{', '.join(table.columns)}; name it by --{what}_column"
    )


def _guess_columns(table: Table) -> Columns:
    """Text and label of a file without a header, where only one way to read it makes sense."""
    columns = list(zip(*table.rows, strict=True))
    texts = [
        i
        for i, values in enumerate(columns)
        if sum(" " in value.strip() for value in values) * 2 > len(values)
    ]
    labels = [i for i, values in enumerate(columns) if i not in texts and _look_like_labels(values)]
    if len(texts) == len(labels) == 1 and len(columns) == 2:
        _refuse_header(table, columns[texts[0]], columns[labels[0]])
        return Columns(texts[0], None, labels[0])
    example = ",".join(f"column{number}" for number in range(1, len(columns) + 1))
    raise DataError(
        f"{table.source} has no header that names text and label; name its {len(columns)} columns in order "
        f"by --columns, such as --columns {example}, with text and label among them (or --text_column and "
        f"--label_column)"
    )


def _refuse_header(table: Table, texts: Sequence[str], labels: Sequence[str]) -> None:
    """Refuse a first row that may well be a header with names of its own, which would become an example."""
    others = labels[1:]
    alone = labels[0] not in others and (
        " " not in texts[0].strip() or all(others.count(label) > 1 for label in set(others))
    )
    if alone or (are_fractions(others) and not are_fractions(labels)):
        first, second = (cell.strip() for cell in table.rows[0])
        raise DataError(
            f"{table.place(0)}: not clear whether this is a header or an example: {first[:40]!r}, "
            f"{second[:40]!r}; if it is a header, name its columns by --text_column and --label_column, else "
            "by --columns, such as --columns text,label"
        )


def _look_like_labels(values: Sequence[str]) -> bool:
    return all(value.strip() for value in values) and (
        len(set(values)) <= max(2, len(values) // 2) or are_fractions(set(values))
    )


def are_fractions(labels: Iterable[str]) -> bool:
    """Whether labels are numbers, and not all whole ones."""
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return False
    return any(not number.is_integer() for number in numbers)
