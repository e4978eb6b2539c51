"""`--preset published` of the analyses: published settings, unless others are given beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.cli.main import build_parser, main


@pytest.mark.parametrize("before", [False, True])
def test_what_is_given_beside_wins(before: bool) -> None:
    preset, given = ["--preset", "published"], ["--languages", "russian", "--pooling", "cls"]
    beside = [*given, *preset] if before else [*preset, *given]
    command = ["analyze", "probe", "pixel-m4-tiny", "--data_dir", "x", "--output_dir", "y"]
    arguments = build_parser().parse_args([*command, *beside])
    assert arguments.languages == ["russian"]
    assert arguments.pooling == "cls"
    assert arguments.keep_patience is True
    assert "Case" in arguments.tasks
    assert "CharacterBin" not in arguments.tasks
    alone = build_parser().parse_args(command)
    assert (alone.languages, alone.tasks, alone.keep_patience) == (None, None, False)


def test_published_languages() -> None:
    command = ["--data_dir", "x", "--output_dir", "y", "--preset", "published"]
    parser = build_parser()
    retrieval = parser.parse_args(["analyze", "retrieval", "pixel-m4-tiny", *command])
    assert list(retrieval.languages) == ["eng_Latn", "hin_Deva", "ukr_Cyrl", "zho_Hans"]
    assert retrieval.pooling == "published"
    assert len(parser.parse_args(["analyze", "map", "pixel-m4-tiny", *command]).languages) == 28


def test_languages_are_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["analyze", "map", "pixel-m4-tiny", "--data_dir", str(tmp_path), "--output_dir", "y"]
    assert main(command) == 1
    assert "give at least two languages, got none" in capsys.readouterr().err
