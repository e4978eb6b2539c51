"""Attacks: what they may do, in any script, and how often."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from scipy.stats import binomtest

from pixel_m4.analysis.attacks import ATTACKS, ON_WORDS, attack, letters
from pixel_m4.analysis.robustness import attacked, moved
from pixel_m4.cli.main import main
from pixel_m4.console.errors import UserError
from pixel_m4.formats.conllu import read_conllu
from pixel_m4.render import TextRenderer

WORDS = [
    "letters",
    "пишемо",
    "हिन्दी",
    "किताबें",
    "தமிழ்மொழி",
    "שָׁלוֹם",
    "中文文字",
    "한국어말",
    "a",
    "…",
    "New York",
    "I",
    "oui",
]


@pytest.mark.parametrize("name", ATTACKS)
def test_strength_0_changes_nothing_and_words_stay_words(name: str) -> None:
    assert attack(WORDS, name, 0) == WORDS
    changed = attack(WORDS, name, 1)
    assert len(changed) == len(WORDS)
    assert changed != WORDS
    assert changed[8:12] == WORDS[8:12]  # too short, no letter, with a space
    assert all(word and not any(c.isspace() for c in word) for word in changed if word != "New York")
    assert attack(WORDS, name, 1) == changed
    assert changed != attack(WORDS, name, 1, seed=1) or name not in ("full_swap", "intrude")


@pytest.mark.parametrize("name", ["full_swap", "inner_swap", "truncate"])
def test_what_is_drawn_as_one_stays_one(name: str) -> None:
    for seed in range(20):
        for before, after in zip(WORDS, attack(WORDS, name, 1, seed), strict=True):
            lost = Counter(letters(before)) - Counter(letters(after))
            assert sum(lost.values()) == (1 if name == "truncate" and len(after) < len(before) else 0)
            if name == "inner_swap":
                assert letters(after)[0] == letters(before)[0]
                assert letters(after)[-1] == letters(before)[-1]


def test_letters() -> None:
    assert letters("किताबें") == ["कि", "ता", "बें"]
    assert letters("שָׁלוֹם") == ["שָׁ", "ל", "וֹ", "ם"]
    assert letters("நொடி") == ["நொ", "டி"]
    # The Korean letters ᅡ and ᄀ would be one in the other order.
    assert attack(["aᅡᄀb"], "inner_swap", 1) == ["aᅡᄀb"]


def test_known_words() -> None:
    assert attack(["abcd", "abc"], "inner_swap", 1) == ["acbd", "abc"]
    assert attack(["abcd", "abc"], "truncate", 1) == ["abc", "abc"]
    assert attack(["Letters", "aie", "été", "ab"], "disemvowel", 1) == ["Lttrs", "aie", "t", "ab"]
    assert attack(["किताब", "שָׁלוֹם", "été", "한국"], "drop_marks", 1) == ["कतब", "שלום", "ete", "한국"]
    (intruded,) = attack(["letters"], "intrude", 0.01)
    assert len(intruded) == 8
    assert intruded[0] + intruded[-1] == "ls"
    (full,) = attack(["letters"], "intrude", 1)
    assert full[::2] == "letters"
    assert len(set(full[1::2])) == 1


def test_a_strength_is_a_share_and_a_greater_one_hits_more() -> None:
    words = ["letters"] * 2000
    for name in ON_WORDS.keys() - {"drop_marks", "full_swap", "inner_swap"}:
        hits = {p: [word != "letters" for word in attack(words, name, p, 3)] for p in (0.2, 0.5, 0.8)}
        for share, hit in hits.items():
            assert binomtest(sum(hit), len(hit), share).pvalue > 0.001
        assert all(more >= less for less, more in zip(hits[0.2], hits[0.5], strict=True))
    with pytest.raises(UserError, match="no attack 'x'; there are full_swap"):
        attack(words, "x", 0.5)
    with pytest.raises(UserError, match="from 0 to 1, got 2"):
        attack(words, "truncate", 2)


def test_how_far_pixels_moved() -> None:
    renderer = TextRenderer()
    assert moved(renderer, WORDS, WORDS) == (0, 0)
    words, patches = moved(renderer, ["abcdef", "gh"], ["abcdxf", "gh"])
    assert words == 0.5
    assert patches == pytest.approx(1 / 4)  # of three patches and one


LINES = "\n".join(
    f"{number}\t{word}\t_\t{tag}\t_\t_\t{head}\t{relation}\t_\t_"
    for number, (word, tag, head, relation) in enumerate(
        [("Little", "ADJ", 2, "amod"), ("children", "NOUN", 3, "nsubj"), ("sleep", "VERB", 0, "root")], 1
    )
)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "test.conllu"
    file.write_text(f"{LINES}\n\n" * 4, encoding="utf-8")
    (first, *_) = attacked(list(read_conllu(file)), "truncate", 1)
    assert first.words == ("Littl", "childre", "slee")
    assert first.heads == (2, 3, 0)
    output = tmp_path / "out"
    command = ["analyze", "robustness", "pixel-m4-ud", "--data", str(file), "--output_dir", str(output)]
    command += ["--attacks", "truncate", "intrude", "--strengths", "0", "1", "--sentences", "3"]
    command += ["--device", "cpu"]
    assert main(command) == 0
    assert "truncate        1: las" in capsys.readouterr().out
    with (output / "robustness.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["attack"], row["strength"]) for row in rows] == [
        *(("truncate", "0.0"), ("truncate", "1.0"), ("intrude", "0.0"), ("intrude", "1.0"))
    ]
    assert [row["words_changed"] for row in rows] == ["0.0", "1.0", "0.0", "1.0"]
    assert rows[0]["upos"] == rows[2]["upos"]
    assert float(rows[0]["las"]) > float(rows[1]["las"])
    assert main(command) == 1
    assert "is there already; --overwrite" in capsys.readouterr().err
    assert main([*command[:6], str(tmp_path / "x"), "--attacks", "swap"]) == 1
    assert "there is no attack 'swap'" in capsys.readouterr().err
    for options, message in (
        ("--seed -1", "--seed must be from 0 to 4294967295, got -1"),
        ("--sentences 0", "--sentences must be at least 1, got 0"),
        ("--per_device_eval_batch_size 0", "batch_size must be at least 1, got 0"),
    ):
        assert main([*command[:6], str(tmp_path / "x"), *options.split()]) == 1
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x" / "robustness.csv").exists()
