from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import pixel_m4
from pixel_m4 import __all__ as doors
from pixel_m4.cli.main import COMMANDS, build_parser, main, subparsers, with_underscores
from pixel_m4.cli.parts import TASKS
from pixel_m4.cli.sources import finetune_options, pretrain_options
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
    assert main(["finetune", "parsing", "--help"]) == 0
    out = capsys.readouterr().out
    assert "--early_stopping_patience" in out
    assert "default: 15000, as published" in " ".join(out.split())
    assert "--lr_scheduler_type" not in out
    with pytest.raises(SystemExit):
        main(["finetune", "parsing", "--help_all"])
    assert "--lr_scheduler_type" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples_that_can_be_read(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        build_parser().parse_args([command, "--help"])
    text = capsys.readouterr().out
    examples = re.findall(r"^  (?:echo .* \| )?(pixel-m4 .*)$", text.replace("\\\n    ", ""), re.MULTILINE)
    assert examples
    for example in examples:
        words = with_underscores(shlex.split(example))[1:]
        assert words[0] == command
        if command in ("finetune", "pretrain"):
            known = finetune_options(words[1]) if command == "finetune" else pretrain_options()
            assert {word[2:] for word in words if word.startswith("--")} <= known
        else:
            build_parser().parse_args(words)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_the_default_of_each_option(command: str) -> None:
    parser = subparsers(build_parser())[command]
    for each in (parser, *subparsers(parser).values()):
        for action in each._actions:
            text = action.help or ""
            needed = action.required or "needed" in text or "instead" in text
            if action.option_strings and action.nargs != 0 and not needed:
                assert re.search(r"default|repeatable", text), f"{command} --{action.dest}: {text}"


def test_options_are_spelled_with_either_sign(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--max-seq-length=9", "--rgb", "-x", "a-b", "--mask", "c-d", "--", "--e-f"]
    spelled = ["--max_seq_length=9", "--rgb", "-x", "a-b", "--mask", "c-d", "--", "--e-f"]
    assert with_underscores(words) == spelled
    assert with_underscores(["--num-pieces=5", "--pieces", "x"]) == ["--patch_classes=5", "--units", "x"]
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "pixel-m4: --num_pieces is called --patch_classes now", "pixel-m4: --pieces is called --units now"
    ]  # fmt: skip
    assert main(["info", "tiny", "--max-seq-length", "36"]) == 0
    assert "36 patches" in capsys.readouterr().out


def test_version_completion_and_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        (["--version"], f"pixel-m4 {pixel_m4.__version__}"),
        (["--print-completion", "bash"], "--early_stopping_patience"),
        ([], "quickstart"),
    ):
        with pytest.raises(SystemExit, match="0"):
            main(words)
        assert said in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["--print_completion", "dos"])
    assert "bash, zsh, tcsh" in capsys.readouterr().err


def test_debug_shows_where_an_error_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fonts", "--font_file", "none.ttf", "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("pixel-m4: font_file names a font that does not exist: none.ttf\n")


def test_unknown_task(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["finetune", "cooking"])
    assert "cooking" in capsys.readouterr().err


def test_every_door_opens() -> None:
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
        ("demo --models pixel-m4-ud ./nosuch --port 1", "there is no model folder './nosuch'"),
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


@pytest.mark.parametrize(
    ("files", "command", "said"),
    [
        (
            {"r.yaml": "task: parsing\nmax_steps: abc\n"},
            "finetune --config r.yaml --data_dir . --output_dir o --model_name_or_path pixel-m4-tiny",
            "r.yaml:2: max_steps:",
        ),
        ({"p.yaml": "max_seq_length: 10\n"}, "pretrain --config p.yaml --output_dir o", "p.yaml:1"),
        ({"s.yaml": "task: parsing\nmax_stepz: [1, 3]\n"}, "sweep s.yaml --output_dir o", "max_stepz"),
        ({}, "render cat --output x.png --scale 0", "columns and scale must be at least 1"),
        (
            {"d/Case/a/x": "", "d/POS/b/x": ""},
            "analyze probe pixel-m4-tiny --data_dir d --output_dir o --tasks Case --languages b",
            "none of these tasks in any of these languages",
        ),
    ],
)  # fmt: skip
def test_what_users_write_is_never_a_fault_of_the_program(
    files: dict[str, str],
    command: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(command.split()) == 1
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_help(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", task, "--help"]) == 0
    assert "--skip_bad_rows" in capsys.readouterr().out
