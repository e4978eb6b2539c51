from __future__ import annotations

import ast
from pathlib import Path

import pytest
from rich.table import Table

import pixel_m4
from pixel_m4.console.screen import plain_console

ODD = "a [b]bold[/b] [/x] [link=x] :cat: \\[c] {brace} %s https://x.y/" + "z" * 200


def test_texts_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    plain_console().print(ODD)
    assert capsys.readouterr().out == ODD + "\n"
    table = Table("[/x]", title="[/x] :cat:", title_justify="left")
    table.add_row("[b]c[/d]")
    plain_console(soft_wrap=False).print(table)
    out = capsys.readouterr().out
    assert "[/x] :cat:" in out
    assert "[b]c[/d]" in out


def test_every_console_of_the_package_is_a_plain_one() -> None:
    folder = Path(pixel_m4.__file__).parent
    made = [
        file.name
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Console"
    ]
    assert made == ["screen.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in folder.rglob("*.py"))
    assert "from rich import print" not in text
    assert "from_markup" not in text
