"""Questions on texts in SQuAD format, and SQuAD's scores.

Sources: Rajpurkar et al. 2016 and 2018 (format, exact match, F1); Lewis et al. 2020 (MLQA), Lim et al. 2019
(KorQuAD) and So et al. 2022 (JaQuAD) for scores in scripts without spaces.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from pixel_m4.files import DataError
from pixel_m4.formats.rows import BadRows, check_text, shown
from pixel_m4.formats.tables import Table

# Scripts that write no spaces, and Hangul, whose words carry particles: F1 counts their characters.
_CHARACTERS = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
)
_ARTICLES = regex.compile(r"\b(?:a|an|the)\b")
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_PUNCTUATION = regex.compile(r"\p{P}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A part of a context.

    Attributes:
        text: as it stands there.
        start: its first character.
    """

    text: str
    start: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question on a text.

    Attributes:
        place: where it stands.
        id: its name; its number where the data have none, and empty without answers, which come in parts.
        question: what is asked.
        context: the text that may hold the answer.
        answers: all that count as right; empty if there is none, None if it is not known.
    """

    place: str
    id: str
    question: str
    context: str
    answers: tuple[Answer, ...] | None


def read_questions(
    table: Table, *, align: bool = False, answers: bool = True, bad: BadRows | None = None
) -> list[Question]:
    """Questions of a table: articles with paragraphs as in SQuAD's files, or a question a row as on the hub.

    Args:
        table: rows with ``paragraphs``; or with ``question``, ``context`` and, for training, ``answers``.
        align: move an answer that is not at its place to where it occurs nearest.
        answers: whether they are needed.
        bad: what to do with questions that are wrong; default: the first one is an error.

    Raises:
        DataError: something is missing or no text, an answer is not in its context, a name is there twice,
            or there are no questions; names file, question and value.
    """
    bad = BadRows("questions") if bad is None else bad
    questions: list[Question] = []
    seen: dict[str, str] = {}
    entries = _entries(table) if "paragraphs" in table.columns else _flat(table, answers)
    for count, (entry, context, place) in enumerate(entries, 1):
        with bad.row():
            question = _question(entry, context, place, str(count), align, answers)
            if question.id and question.id in seen and answers:
                raise DataError(
                    f"{question.place}: the id {question.id!r} is there twice; the first one is "
                    f"{seen[question.id]!r}; give every question an id of its own"
                )
            seen[question.id] = question.question[:60]
            questions.append(question)
    bad.tell(table.source, len(questions))
    if not questions:
        raise DataError(f"{table.source} has no questions; its paragraphs must have `qas`")
    return questions


def _flat(table: Table, answers: bool) -> Iterator[tuple[Any, Any, str]]:
    """Question, context and place of rows as on the hub."""
    for name in ("question", "context", *(("answers",) if answers else ())):
        table.column(name)
    for number, values in enumerate(table.rows):
        row = dict(zip(table.columns, values, strict=True))
        yield row, row["context"], table.place(number)


def _entries(table: Table) -> Iterator[tuple[Any, Any, str]]:
    """Question, context and place of the paragraphs of articles."""
    column = table.column("paragraphs")
    for number, row in enumerate(table.rows):
        place = table.place(number)
        if not isinstance(row[column], (list, tuple)):
            raise DataError(f"{place}: the paragraphs are no list, but {shown(row[column])}")
        for paragraph in row[column]:
            if not isinstance(paragraph, dict) or "context" not in paragraph or "qas" not in paragraph:
                raise DataError(f"{place}: a paragraph needs 'context' and 'qas'")
            if not isinstance(paragraph["qas"], (list, tuple)):
                raise DataError(f"{place}: the questions ('qas') are no list, but {shown(paragraph['qas'])}")
            for entry in paragraph["qas"]:
                yield entry, paragraph["context"], table.source


def _question(entry: Any, context: Any, place: str, number: str, align: bool, needed: bool) -> Question:
    if not isinstance(entry, dict):
        raise DataError(f"{place}: question {number}: no object, but {shown(entry)}")
    name = _name(entry.get("id"), f"{place}: question {number}") or (number if needed else "")
    place = f"{place}: question {name or number!r}"
    question = check_text(entry.get("question"), "question", place)
    check_text(context, "context", place)
    answers = None
    if needed:
        found = list(_answers(entry.get("answers"), place))
        if _is_true(entry.get("is_impossible"), place) and found:
            raise DataError(
                f"{place}: is_impossible is true, but there are answers ({found[0][0]!r}); drop one of both"
            )
        answers = tuple(_placed(text, start, context, place, align) for text, start in found)
    return Question(place=place, id=name, question=question, context=context, answers=answers)


def _name(value: Any, place: str) -> str:
    """The id of a question as text, empty if it has none."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"{place}: the id {shown(value)} is neither text nor a whole number")
    return check_text(str(value), "id", place)


def _is_true(value: Any, place: str) -> bool:
    """Whether ``is_impossible`` is true, also where programs wrote it as text or as a number."""
    known = {"true": True, "false": False, "1": True, "0": False, "none": False, "": False}
    text = str(value).strip().lower()
    if not isinstance(value, (str, bool, int, type(None))) or text not in known:
        raise DataError(f"{place}: is_impossible is {shown(value)}; write true or false")
    return known[text]


def _answers(answers: Any, place: str) -> Iterator[tuple[str, int]]:
    """Texts and places: from a list of objects (files), or from an object of lists (the hub)."""
    wrong = DataError(
        f"{place}: the answers {str(answers)[:60]!r} are not as in SQuAD; they need text and answer_start"
    )
    if isinstance(answers, dict):
        texts, starts = answers.get("text"), answers.get("answer_start")
        if isinstance(texts, str) and not isinstance(starts, (list, tuple)):
            texts, starts = [texts], [starts]
        if not isinstance(texts, (list, tuple)) or not isinstance(starts, (list, tuple)):
            raise wrong
        if len(texts) != len(starts):
            raise DataError(f"{place}: {len(texts)} answers with {len(starts)} places (answer_start)")
        found: list[tuple[Any, Any]] = list(zip(texts, starts, strict=True))
    elif isinstance(answers, (list, tuple)):
        if not all(isinstance(a, dict) and "text" in a and "answer_start" in a for a in answers):
            raise wrong
        found = [(answer["text"], answer["answer_start"]) for answer in answers]
    else:
        raise wrong
    for text, start in found:
        if not isinstance(text, str):
            raise DataError(f"{place}: an answer is no text, but {shown(text)}")
        if text.strip():
            check_text(text, "answer", place)
        whole = isinstance(start, int) or (isinstance(start, float) and start.is_integer())
        if isinstance(start, str) and re.fullmatch(r"-?[0-9]{1,9}", start.strip()):
            whole = True
        if isinstance(start, bool) or not whole:
            raise DataError(f"{place}: answer_start is {shown(start)}; write a whole number")
        yield text, int(start)


def _placed(text: str, start: int, context: str, place: str, align: bool) -> Answer:
    if text and start >= 0 and context.startswith(text, start):
        return Answer(text=text, start=start)
    if not text:
        raise DataError(f"{place}: an answer is empty; leave 'answers' empty if there is none")
    there = [match.start() for match in regex.finditer(regex.escape(text), context, overlapped=True)]
    if not there:
        raise DataError(f"{place}: the answer {text!r} does not occur in its context")
    if not align:
        raise DataError(
            f"{place}: the answer {text!r} is not at character {start} of its context, where "
            f"{context[max(start, 0) : max(start, 0) + len(text)]!r} stands; --align_answers true takes the "
            "nearest place where it occurs"
        )
    # Some data sets count bytes.
    as_bytes = len(context.encode()[: max(start, 0)].decode(errors="ignore"))
    wanted = as_bytes if context.startswith(text, as_bytes) else start
    return Answer(text=text, start=min(there, key=lambda found: abs(found - wanted)))


def normalize_answer(text: str, *, characters: bool = False) -> str:
    """Lower case, without ASCII punctuation, English articles and needless white space: as SQuAD's script.

    Args:
        text: an answer.
        characters: drop all of Unicode's punctuation, as MLQA's script does, where characters are counted
            (see :func:`answer_tokens`).
    """
    text = text.lower()
    if characters and _CHARACTERS.search(text):
        text = _PUNCTUATION.sub("", text)
    text = text.translate(_ASCII_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def answer_tokens(text: str, *, characters: bool = False) -> list[str]:
    """What F1 counts: words, as SQuAD's script does.

    Args:
        text: an answer.
        characters: count each character of scripts without spaces, and of Hangul.
    """
    text = normalize_answer(text, characters=characters)
    return (_CHARACTERS.sub(r" \g<0> ", text) if characters else text).split()


def exact_match(predicted: str, gold: Sequence[str], *, characters: bool = False) -> bool:
    """Whether the answer is one of the right ones; ``gold`` is empty if there is none."""
    right = {normalize_answer(text, characters=characters) for text in gold or [""]}
    return normalize_answer(predicted, characters=characters) in right


def answer_f1(predicted: str, gold: Sequence[str], *, characters: bool = False) -> float:
    """F1 of tokens with the most similar right answer; an empty side gives 1 only if both are."""
    tokens = answer_tokens(predicted, characters=characters)
    return max(_f1(tokens, answer_tokens(text, characters=characters)) for text in gold or [""])


def _f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold))


def squad_scores(gold: Sequence[Sequence[str]], predicted: Sequence[str]) -> dict[str, float]:
    """Exact match and F1 in percent; with unanswerable questions (SQuAD 2) also on both kinds.

    ``exact_match`` and ``f1`` are SQuAD's, as published for all languages. ``exact_match_characters`` and
    ``f1_characters`` count characters where a script has no spaces, and know all punctuation; for other
    scripts they are the same.

    Args:
        gold: right answers of each question; empty if it has none.
        predicted: an answer each, or the empty string.
    """
    pairs = list(zip(predicted, gold, strict=True))
    exact = [float(exact_match(p, g)) for p, g in pairs]
    f1 = [answer_f1(p, g) for p, g in pairs]
    answerable = [i for i, answers in enumerate(gold) if answers]
    rest = [i for i, answers in enumerate(gold) if not answers]
    scores = {
        "exact_match": _percent(exact),
        "f1": _percent(f1),
        "exact_match_characters": _percent([float(exact_match(p, g, characters=True)) for p, g in pairs]),
        "f1_characters": _percent([answer_f1(p, g, characters=True) for p, g in pairs]),
    }
    if rest:
        scores["no_answer_accuracy"] = _percent([exact[i] for i in rest])
        if answerable:
            scores["has_answer_exact_match"] = _percent([exact[i] for i in answerable])
            scores["has_answer_f1"] = _percent([f1[i] for i in answerable])
    return scores


def _percent(values: Sequence[float]) -> float:
    return 100 * sum(values) / max(len(values), 1)
