from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pixel_m4 import __all__ as doors
from pixel_m4.cli.main import main
from pixel_m4.render import fonts


def test_fonts_shows_the_font_and_its_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fonts"]) == 0
    out = capsys.readouterr().out
    assert str(fonts.find_font()) in out
    assert "37,962 code points" in out
    assert f"{fonts.FONT_SHA256} (the font of published checkpoints)" in out


def test_errors_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fonts", "--font_file", "none.ttf"]) == 1
    assert capsys.readouterr().err == "pixel-m4: font_file names a font that does not exist: none.ttf\n"


def test_help_is_quick_and_complete() -> None:
    code = (
        "import sys\nfrom pixel_m4.cli.main import main\ntry: main(['--help'])\n"
        "finally: assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("finetune", "quickstart", "fonts"):
        assert command in done.stdout


def test_finetune_help_lists_tasks_and_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", "--help"]) == 0
    assert "parsing" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["finetune", "parsing", "--help"])
    assert "--early_stopping_patience" in capsys.readouterr().out


def test_unknown_task(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["finetune", "cooking"])
    assert "cooking" in capsys.readouterr().err


def test_every_door_opens() -> None:
    import pixel_m4

    for name in doors:
        assert getattr(pixel_m4, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = pixel_m4.nothing


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("predict runs/nosuch", "there is no model folder 'runs/nosuch'"),
        ("evaluate ./nosuch --data_dir x", "there is no model folder './nosuch'"),
        ("export ~/nosuch x.onnx", "there is no model folder '~/nosuch'"),
        ("fill --model nosuch/ hi", "there is no model folder 'nosuch/'"),
        (
            "finetune parsing --model_name_or_path=./nosuch --data_dir x",
            "there is no model folder './nosuch'",
        ),
        ("pretrain --model-name-or-path ./nosuch", "there is no model folder './nosuch'"),
        ("finetune --config nosuch.yaml", "--config is no file: nosuch.yaml"),
        ("finetune qa --data_file nosuch.json", "--data_file is no file: nosuch.json"),
    ],
)
def test_what_is_not_there_is_told_before_anything_slow(
    command: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pixel_m4.cli.main._guard", lambda *_, **__: pytest.fail("the command began"))
    assert main(command.split()) == 1
    assert message in capsys.readouterr().err
