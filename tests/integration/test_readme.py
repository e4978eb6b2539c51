"""What the README says works: its Python runs, its commands and their flags exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pixel_m4.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^pixel-m4 (.+)$", README, re.MULTILINE)


def test_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    treebank = ROOT / "src" / "pixel_m4" / "assets" / "treebank"
    code = "\n".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL))
    exec(code.replace("UD_Tamil-TTB", str(treebank)), {})
    out = capsys.readouterr().out
    assert "('The', 'cat', 'sleeps', '.')" in out
    assert "'las_mst': " in out
    assert re.search(r"tensor\(\d\.\d+", out)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_flags_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(command.split("#")[0])
    depth = 2 if words[0] == "finetune" else 1
    with pytest.raises(SystemExit, match="0"):
        main([*words[:depth], "--help_all" if words[0] in ("finetune", "pretrain") else "--help"])
    help_ = capsys.readouterr().out
    for flag in (word for word in words if word.startswith("--")):
        assert flag in help_


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
