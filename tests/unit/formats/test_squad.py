from __future__ import annotations

import json
from typing import Any

import pytest

from pixel_m4.files import DataError
from pixel_m4.formats.squad import (
    Answer,
    answer_f1,
    answer_tokens,
    exact_match,
    normalize_answer,
    read_questions,
    squad_scores,
)
from pixel_m4.formats.tables import parse_json

CONTEXT = "Marie Curie was born in Warsaw."


def article(*questions: dict[str, Any], context: str = CONTEXT) -> str:
    return json.dumps({"version": "1.1", "data": [{"paragraphs": [{"context": context, "qas": questions}]}]})


def entry(text: str = "Warsaw", start: int = 24, **more: Any) -> dict[str, Any]:
    answers = [{"text": text, "answer_start": start}]
    return {"id": "q1", "question": "Where?", "answers": answers, **more}


def test_files_and_rows_hold_the_same_questions() -> None:
    (nested,) = read_questions(parse_json(article(entry()), "dev.json"))
    row = {"id": "q1", "question": "Where?", "context": CONTEXT}
    rows = json.dumps({**row, "answers": {"text": ["Warsaw"], "answer_start": [24]}})
    (flat,) = read_questions(parse_json(rows, "dev.jsonl"))
    for question in (nested, flat):
        assert (question.id, question.question, question.context) == ("q1", "Where?", CONTEXT)
        assert question.answers == (Answer(text="Warsaw", start=24),)


def test_questions_without_an_answer() -> None:
    questions = [
        entry(is_impossible=True, answers=[], plausible_answers=[{"text": "Warsaw", "answer_start": 24}]),
        entry(id="q2", answers={"text": [], "answer_start": []}),
    ]
    assert [q.answers for q in read_questions(parse_json(article(*questions), "a"))] == [(), ()]
    raw = parse_json(json.dumps({"question": "Where?", "context": CONTEXT}), "raw")
    assert [(q.id, q.answers) for q in read_questions(raw, answers=False)] == [("", None)]


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (entry(start=23), r"dev\.json: question 'q1': the answer 'Warsaw' is not at character 23 .*' Warsa'"),
        (entry(start=-1), r"question 'q1': the answer 'Warsaw' is not at character -1"),
        (entry(text=""), r"question 'q1': an answer is empty"),
        (entry(question=" "), r"question 'q1': the question is empty"),
        (entry(answers=[{"text": "Warsaw"}]), r"question 'q1': the answers .* are not as in SQuAD"),
        ({"id": "q1", "question": "Where?"}, r"question 'q1': the answers 'None' are not as in SQuAD"),
    ],
)  # fmt: skip
def test_wrong_questions(question: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_questions(parse_json(article(question), "dev.json"))


def test_wrong_files() -> None:
    with pytest.raises(DataError, match="the context is empty"):
        read_questions(parse_json(article(entry(), context=""), "a"))
    with pytest.raises(DataError, match="needs 'context' and 'qas'"):
        read_questions(parse_json('{"data": [{"paragraphs": [{"context": "a"}]}]}', "a"))
    for empty in ('[{"paragraphs": []}]', '[{"paragraphs": [{"context": "a", "qas": []}]}]'):
        with pytest.raises(DataError, match="file has no questions; its paragraphs must have `qas`"):
            read_questions(parse_json(f'{{"data": {empty}}}', "file"))
    with pytest.raises(DataError, match="no column 'answers'; it has the columns question, context"):
        read_questions(parse_json('{"question": "a", "context": "b"}', "a"))


def test_answers_are_moved_to_their_nearest_place() -> None:
    def start(text: str, start: int, context: str) -> int:
        table = parse_json(article(entry(text, start), context=context), "a")
        (question,) = read_questions(table, align=True)
        assert question.answers is not None
        return question.answers[0].start

    assert start("Warsaw", 20, CONTEXT) == 24
    assert start("aa", 6, "aaa bb aa") == 7
    assert start("aa", 2, "aaa bb aa") == 1
    bytes_before = "Ключ и замок, ключ".encode().index("ключ".encode())
    assert start("ключ", bytes_before, "Ключ и замок, ключ") == 14
    with pytest.raises(DataError, match="'Paris' does not occur in its context"):
        start("Paris", 3, CONTEXT)


def test_normalization_is_that_of_squad() -> None:
    assert normalize_answer("The  Cat's (big) hat, a Theme!") == "cats big hat theme"
    assert normalize_answer("1990–1991") == "1990–1991"  # SQuAD knows ASCII punctuation only
    assert normalize_answer("「東京」、大阪。") == "「東京」、大阪。"
    assert normalize_answer("「東京」、大阪。", characters=True) == "東京大阪"
    assert normalize_answer("«мир»", characters=True) == "«мир»"  # a script with spaces


def test_tokens() -> None:
    assert answer_tokens("the big cat") == ["big", "cat"]
    assert answer_tokens("2008 年的 Beijing") == ["2008", "年的", "beijing"]
    assert answer_tokens("2008 年的 Beijing", characters=True) == ["2008", "年", "的", "beijing"]
    assert answer_tokens("한국어를 말", characters=True) == ["한", "국", "어", "를", "말"]
    assert answer_tokens("한국어를 말") == ["한국어를", "말"]


def test_scores_by_hand() -> None:
    assert exact_match("the Warsaw.", ["Paris", "Warsaw"])
    assert not exact_match("in Warsaw", ["Warsaw"])
    assert answer_f1("in Warsaw", ["Paris", "Warsaw"]) == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert answer_f1("cat cat dog", ["cat dog dog bird"]) == pytest.approx(
        2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)
    )
    assert answer_f1("北京市", ["北京"], characters=True) == pytest.approx(2 * (2 / 3) / (2 / 3 + 1))
    assert answer_f1("北京市", ["北京"]) == 0  # one word, as SQuAD's script sees it
    assert answer_f1("", ["the"]) == 1  # nothing is left of either
    assert answer_f1("", ["cat"]) == 0
    assert answer_f1("Paris", ["Warsaw"]) == 0


def test_scores_of_both_versions() -> None:
    first = squad_scores([["Warsaw"], ["a cat", "dog"]], ["in Warsaw", "cat"])
    f1 = pytest.approx(100 * (2 / 3 + 1) / 2)
    assert first == {"exact_match": 50, "f1": f1, "exact_match_characters": 50, "f1_characters": f1}
    # What SQuAD's script sees as one word, and punctuation that it does not know.
    other = squad_scores([["กรุงเทพ"], ["北京。"]], ["กรุงเทพมหานคร", "北京"])
    assert (other["exact_match"], other["f1"], other["exact_match_characters"]) == (0, 0, 50)
    assert 50 < other["f1_characters"] < 100
    second = squad_scores([["Warsaw"], [], []], ["in Warsaw", "", "dog"])
    assert second == {
        "exact_match": pytest.approx(100 / 3),
        "f1": pytest.approx(100 * (2 / 3 + 1) / 3),
        "exact_match_characters": pytest.approx(100 / 3),
        "f1_characters": pytest.approx(100 * (2 / 3 + 1) / 3),
        "no_answer_accuracy": 50,
        "has_answer_exact_match": 0,
        "has_answer_f1": pytest.approx(200 / 3),
    }
    assert set(squad_scores([[]], [""]).values()) == {100}


def test_repeated_words_count_as_often_as_both_have_them() -> None:
    assert answer_f1("to be or not to be", ["to be to be"]) == pytest.approx(0.8)
