"""What the README and the documentation tell to type works, in a folder with nothing but what a clone has."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

import documents

TREEBANK = documents.ROOT / "src" / "pixel_m4" / "assets" / "treebank"
BLOCKS = {page: list(documents.blocks(page)) for page in documents.PAGES}
# Data that a page takes for granted, and what stands in their place.
GIVEN = {"README.md": {"UD_Tamil-TTB": TREEBANK}}


def languages(page: Path) -> set[str]:
    return {block.language for block in BLOCKS[page]}


def run_page(page: Path, folder: Path) -> None:
    """Run the blocks of a page in their order.

    Raises:
        AssertionError: A block fails, or does not print what the page says; names file and line.
    """
    for given in ("configs", "scripts", "benchmarks", "src"):
        (folder / given).symlink_to(documents.ROOT / given)
    for name, place in GIVEN.get(documents.name(page), {}).items():
        (folder / name).symlink_to(place)
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for block in BLOCKS[page]:
        place = f"{documents.name(page)}:{block.line}"
        if block.language == "text":
            _compare(place, block.text, printed)
        elif block.language == "python":
            printed = _run_python(place, block.text, names)
        else:
            printed = _run_bash(place, block.text, folder)


def _run_python(place: str, code: str, names: dict[str, Any]) -> str:
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(code, place, "exec"), names)
    except Exception:
        pytest.fail(f"{place}:\n{traceback.format_exc()}", pytrace=False)
    return out.getvalue()


def _run_bash(place: str, commands: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{place}: exit code {done.returncode}\n{commands}\n{done.stdout}"
    return done.stdout


def _compare(place: str, expected: str, printed: str) -> None:
    lines = {_shape(line) for line in printed.splitlines()}
    for line in expected.splitlines():
        if line.strip() not in ("", "…"):
            assert _shape(line) in lines, f"{place}: nothing like {line!r} in\n{printed}"


def _shape(line: str) -> str:
    """A line without its numbers and spaces, which differ between computers."""
    return re.sub(r"\s+", " ", re.sub(r"\d+(\.\d+)?", "0", line)).strip()


@pytest.mark.filterwarnings("ignore::UserWarning")  # pages also show what is warned of
@pytest.mark.parametrize(
    "page",
    [page for page in documents.PAGES if "python" in languages(page) and "bash" not in languages(page)],
    ids=documents.name,
)
def test_python_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in documents.PAGES if "bash" in languages(page)], ids=documents.name
)
def test_a_page_can_be_followed(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)


def test_what_fails_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = documents.ROOT / "sample.md"
    monkeypatch.setitem(BLOCKS, page, [])

    def check(*blocks: tuple[str, str], message: str) -> None:
        BLOCKS[page] = [documents.Block(page, 7, *block) for block in blocks]
        for given in tmp_path.iterdir():
            given.unlink()
        with pytest.raises((AssertionError, pytest.fail.Exception), match=message):
            run_page(page, tmp_path)

    check(("python", "1 / 0"), message=r"sample.md:7:[\s\S]*ZeroDivisionError")
    check(("bash", "false | true"), message="sample.md:7: exit code 1")
    check(("python", "print('las 12.5')"), ("text", "las 3\nuas 3"), message="nothing like 'uas 3'")
