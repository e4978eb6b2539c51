"""Questions on texts in SQuAD format, and SQuAD's scores.

Sources: Rajpurkar et al. 2016 and 2018 (format, exact match, F1); Lewis et al. 2020 (MLQA), Lim et al. 2019
(KorQuAD) and So et al. 2022 (JaQuAD) for scores in scripts without spaces.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from .base import DataError
from .tables import Table

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


def read_questions(table: Table, *, align: bool = False, answers: bool = True) -> list[Question]:
    """Questions of a table: articles with paragraphs as in SQuAD's files, or a question a row as on the hub.

    Args:
        table: rows with ``paragraphs``; or with ``question``, ``context`` and, for training, ``answers``.
        align: move an answer that is not at its place to where it occurs nearest.
        answers: whether they are needed.

    Raises:
        DataError: something is missing, or an answer is not in its context; names file, question and value.
    """
    if "paragraphs" not in table.columns:
        for name in ("question", "context", *(("answers",) if answers else ())):
            table.column(name)
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        return [
            _question(row, row["context"], table.place(number), str(number + 1), align, answers)
            for number, row in enumerate(rows)
        ]
    column = table.column("paragraphs")
    questions: list[Question] = []
    for number, row in enumerate(table.rows):
        for paragraph in row[column] or ():
            if not isinstance(paragraph, dict) or "context" not in paragraph or "qas" not in paragraph:
                raise DataError(f"{table.place(number)}: a paragraph needs 'context' and 'qas'")
            questions += [
                _question(entry, paragraph["context"], table.source, str(len(questions) + i), align, answers)
                for i, entry in enumerate(paragraph["qas"], 1)
            ]
    return questions


def _question(
    entry: Mapping[str, Any], context: Any, place: str, number: str, align: bool, needed: bool
) -> Question:
    name = str(entry.get("id") or (number if needed else ""))
    place = f"{place}: question {name or number!r}"
    for what, text in (("question", entry.get("question")), ("context", context)):
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{place}: the {what} is empty ({text!r}); give it words, or drop the question")
    answers = None
    if needed:
        found = [] if entry.get("is_impossible") else list(_answers(entry.get("answers"), place))
        answers = tuple(_placed(text, start, context, place, align) for text, start in found)
    return Question(place=place, id=name, question=entry["question"], context=context, answers=answers)


def _answers(answers: Any, place: str) -> Iterator[tuple[str, int]]:
    """Texts and places: from a list of objects (files), or from an object of lists (the hub)."""
    try:
        if isinstance(answers, dict):
            yield from zip(answers["text"], map(int, answers["answer_start"]), strict=True)
        else:
            for answer in answers:
                yield answer["text"], int(answer["answer_start"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{place}: the answers {str(answers)[:60]!r} are not as in SQuAD; they need text and answer_start"
        ) from error


def _placed(text: str, start: int, context: str, place: str, align: bool) -> Answer:
    if text and start >= 0 and context.startswith(text, start):
        return Answer(text=text, start=start)
    if not text:
        raise DataError(f"{place}: an answer is empty; leave 'answers' empty if there is none")
    if not align:
        raise DataError(
            f"{place}: the answer {text!r} is not at character {start} of its context, where "
            f"{context[max(start, 0) : max(start, 0) + len(text)]!r} stands; --align_answers true takes the "
            "nearest place where it occurs"
        )
    # Some data sets count bytes.
    as_bytes = len(context.encode()[: max(start, 0)].decode(errors="ignore"))
    there = [match.start() for match in regex.finditer(regex.escape(text), context, overlapped=True)]
    if not there:
        raise DataError(f"{place}: the answer {text!r} does not occur in its context")
    wanted = as_bytes if context.startswith(text, as_bytes) else start
    return Answer(text=text, start=min(there, key=lambda found: abs(found - wanted)))


def normalize_answer(text: str) -> str:
    """Lower case, without punctuation, English articles and needless white space, as SQuAD's script does.

    That script knows ASCII punctuation only; where characters are counted (see :func:`answer_tokens`),
    all of Unicode's goes, as in MLQA's.
    """
    text = text.lower()
    if _CHARACTERS.search(text):
        text = _PUNCTUATION.sub("", text)
    text = text.translate(_ASCII_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def answer_tokens(text: str, *, words: bool = False) -> list[str]:
    """What F1 counts: words; but each character of scripts without spaces, and of Hangul.

    Args:
        text: an answer.
        words: count words everywhere, as SQuAD's own script does.
    """
    text = normalize_answer(text)
    return (text if words else _CHARACTERS.sub(r" \g<0> ", text)).split()


def exact_match(predicted: str, gold: Sequence[str]) -> bool:
    """Whether the answer is one of the right ones; ``gold`` is empty if there is none."""
    return normalize_answer(predicted) in {normalize_answer(text) for text in gold or [""]}


def answer_f1(predicted: str, gold: Sequence[str], *, words: bool = False) -> float:
    """F1 of tokens with the most similar right answer; an empty side gives 1 only if both are."""
    tokens = answer_tokens(predicted, words=words)
    return max(_f1(tokens, answer_tokens(text, words=words)) for text in gold or [""])


def _f1(predicted: Sequence[str], gold: Sequence[str]) -> float:
    if not predicted or not gold:
        return float(predicted == gold)
    common = (Counter(predicted) & Counter(gold)).total()
    return 2 * common / (len(predicted) + len(gold))


def squad_scores(
    gold: Sequence[Sequence[str]], predicted: Sequence[str], *, words: bool = False
) -> dict[str, float]:
    """Exact match and F1 in percent; with unanswerable questions (SQuAD 2) also on both kinds.

    Args:
        gold: right answers of each question; empty if it has none.
        predicted: an answer each, or the empty string.
        words: see :func:`answer_tokens`.
    """
    exact = [float(exact_match(p, g)) for p, g in zip(predicted, gold, strict=True)]
    f1 = [answer_f1(p, g, words=words) for p, g in zip(predicted, gold, strict=True)]
    answerable = [i for i, answers in enumerate(gold) if answers]
    rest = [i for i, answers in enumerate(gold) if not answers]
    scores = {"exact_match": _percent(exact), "f1": _percent(f1)}
    if rest:
        scores["no_answer_accuracy"] = _percent([exact[i] for i in rest])
        if answerable:
            scores["has_answer_exact_match"] = _percent([exact[i] for i in answerable])
            scores["has_answer_f1"] = _percent([f1[i] for i in answerable])
    return scores


def _percent(values: Sequence[float]) -> float:
    return 100 * sum(values) / max(len(values), 1)
