"""Commands in the documentation and in comments of recipes are ones that the command line takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

import documents
from pixel_m4.cli import main as cli
from pixel_m4.finetune.arguments import parse_arguments, task_of_recipe
from pixel_m4.pretrain import arguments as pretrain_arguments
from pixel_m4.tasks.registry import TASKS

ROOT = documents.ROOT
FILES = [*documents.PAGES, *(ROOT / "configs").rglob("*.yaml")]


def commands() -> Iterator[tuple[str, str]]:
    for file in sorted(FILES):
        text = re.sub(r"^# ?", "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        text = re.sub(r" \\\n\s*", " ", text)
        for line in re.findall(r"^ *(?:echo .*\| *)?(?:[A-Z_]+=\S+ )*pixel-m4 (.+)$", text, re.MULTILINE):
            yield documents.name(file), line


FOUND = list(commands())


def test_there_are_commands() -> None:
    assert {"README.md", "docs/data.md", "configs/sweeps/from-scratch.yaml"} <= {file for file, _ in FOUND}


@pytest.mark.parametrize(("file", "line"), FOUND)
def test_the_command_line_takes_it(file: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(cli, "_guard", lambda *_, **__: 0)
    monkeypatch.setattr(cli, "_check_places", lambda _: None)  # the folders are examples
    words = list(takewhile(lambda word: word not in ("|", "<", ">"), shlex.split(line, comments=True)))
    assert cli.main(words) == 0
    if words[0] == "finetune":
        name = words[1] if not words[1].startswith("--") else task_of_recipe(words[1:])
        parse_arguments("x", TASKS[name], words[2:] if words[1] == name else words[1:])
    elif words[0] == "pretrain":
        pretrain_arguments.parse_arguments(words[1:])
    elif words[0] == "sweep":
        assert Path(words[1]).is_file()
