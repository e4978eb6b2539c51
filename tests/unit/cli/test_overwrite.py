"""No command replaces a file that nobody asked it to replace, and each says so before it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixel_m4.cli.main import main

COMMANDS = {
    "render": ["render", "a cat", "--output", "there.png"],
    "render arrays": ["render", "a cat", "--output", "there.npz"],
    "fill": ["fill", "a [MASK] cat", "--output", "there.png"],
    "export": ["export", "pixel-m4-tiny", "there.onnx"],
    "embed": ["embed", "pixel-m4-tiny", "a cat", "--output", "there.npy"],
    "predict": ["predict", "pixel-m4-ud", "texts.txt", "--output", "there.conllu"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_files_are_not_replaced_unasked(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("The cat sleeps.\n")
    target = next(Path(word) for word in command if word.startswith("there"))
    target.write_text("mine")
    assert main(command) != 0
    assert f"{target} is there already; --overwrite replaces it" in capsys.readouterr().err.replace("\n", " ")
    assert target.read_text() == "mine"


@pytest.mark.parametrize("name", ["render", "render arrays"])
def test_files_are_replaced_if_asked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = Path(COMMANDS[name][-1])
    target.write_text("mine")
    assert main([*COMMANDS[name], "--overwrite"]) == 0
    assert target.read_bytes() != b"mine"
