from __future__ import annotations

import errno
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
import safetensors
import safetensors.torch
import torch
import yaml
from transformers import TrainingArguments

from pixel_m4.cli import main as cli
from pixel_m4.console.errors import UserError, explain, report
from pixel_m4.console.redact import HIDDEN

WORKER = """Caught ValueError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File x
ValueError: row 3: no text
"""


def raised(action: Callable[[], object]) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        action()
    return caught.value


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (lambda _: yaml.safe_load("a: [1"), "expected ',' or ']'"),
        (lambda _: json.loads("{"), "a file is not JSON: Expecting property name"),
        (lambda _: json.loads("[" * 100_000), "nested too deeply"),
        (lambda _: b"\xff".decode(), "a file is not UTF-8"),
        (lambda _: lzma.decompress(b"nonsense"), "LZMAError"),
        (lambda t: safetensors.torch.load_file(write(t / "x", b"12345678901")), "SafetensorError"),
        (lambda _: pyarrow.array(["a"]).cast(pyarrow.int8()), "Failed to parse string"),
        ((lambda t: (t / "none").read_text()), "No such file or directory: "),
        ((lambda t: t.read_text()), "Is a directory: "),
        (
            lambda _: torch.empty(1 << 50),
            "there is not enough memory: give a smaller --per_device_train_batch",
        ),
        (lambda _: torch.empty(1, device="cuda:77"), "CUDA"),
    ],
)
def test_what_users_can_mend_is_one_line(action: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    line = explain(raised(lambda: action(tmp_path)))
    assert line is not None
    assert said in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/d/x"),
            "No space left on device: /d/x; make room",
        ),
        (OSError(errno.EIO, "cannot write x (y); do z"), "cannot write x (y); do z"),
        (UserError("one\n  two"), "one two"),
        (UserError(), "UserError"),
        (RuntimeError("Some callback requires wandb to be installed."), "requires wandb"),
        (RuntimeError("[enforce fail at inline_container.cc:603] . unexpected pos 64"), "is the disk full?"),
        (RuntimeError("CUDA error: no kernel image is available for execution"), "no kernel image"),
        (torch.distributed.DistNetworkError("The server socket has failed to listen"), "failed to listen"),
        (MemoryError(), "there is not enough memory"),
        (UnicodeEncodeError("ascii", "ж", 0, 1, "ordinal not in range"), "set PYTHONIOENCODING=utf-8"),
        (ValueError("loaded state dict has a different number of parameter groups"), "by another optimizer"),
        (UserError(WORKER), "row 3: no text"),
        (UserError("https://u:hunter22@h/x"), f"https://{HIDDEN}@h/x"),
    ],
)
def test_messages(error: Exception, line: str) -> None:
    said = explain(error)
    assert said is not None
    assert line in said


def test_whose_value_errors_are_the_users() -> None:
    """Those of libraries that read what users write, in another process, too; not those of our own code."""
    worker = 'Caught.\nOriginal Traceback (most recent call last):\n  File "{}", line 1\nValueError: bad row'
    library, ours = "/x/site-packages/pyarrow/lib.py", "/x/datasets/src/pixel_m4/tasks/base.py"
    assert explain(ValueError(worker.format(library))) == "bad row"
    assert explain(ValueError(worker.format(ours))) is None
    assert explain(raised(lambda: TrainingArguments(eval_strategy="perhaps"))) is not None
    assert explain(raised(lambda: int("x"))) is None


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"), TypeError("x"), AttributeError("x"), IndexError("x"), ZeroDivisionError(),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), RecursionError("deep"),
        RuntimeError("CUDA error: device-side assert triggered"), ImportError("cannot import name 'x'"),
        AssertionError(), ValueError("ours"),
    ],
)  # fmt: skip
def test_errors_of_the_program_keep_their_traceback(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(error) is None
    assert cli._guard(lambda: (_ for _ in ()).throw(error), debug=False) == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert "test_errors.py" in shown
    assert "pixel-m4: this is an error of the program, not yours: please report it" in shown


def test_no_secret_stands_in_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "very-secret-1")
    report(KeyError("very-secret-1"))
    assert "very-secret-1" not in capsys.readouterr().err
