"""What the site shows from the code is whole: options, public names, and every page in the contents."""

from __future__ import annotations

import re
import sys

import jupytext
import pytest

import documents
import pixel_m4
from pixel_m4.cli.main import COMMANDS, build_parser, options_of, subparsers
from pixel_m4.cli.sources import finetune_options, pretrain_options

sys.path.insert(0, str(documents.ROOT / "docs" / "_ext"))
import generated

DOCS = documents.ROOT / "docs"


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """The page of options, by heading."""
    page = generated.fill("commands", (DOCS / "commands.md").read_text(encoding="utf-8"))
    parts = re.split(r"(?m)^##+ (.*)$", page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_is_there_with_its_help(command: str, sections: dict[str, str]) -> None:
    parser = subparsers(build_parser())[command]
    wanted = {f"pixel-m4 {command}": parser}
    wanted |= {f"pixel-m4 {command} {name}": inner for name, inner in subparsers(parser).items()}
    if command in ("finetune", "pretrain"):
        return
    for title, each in wanted.items():
        for option in options_of(each) - {"help"}:
            assert re.search(rf"^\| `--{option}` \| \S", sections[title], re.MULTILINE), f"{title} --{option}"


def test_every_option_of_training_is_there(sections: dict[str, str]) -> None:
    def named(*titles: str) -> set[str]:
        shown = "".join(sections[title] for title in titles)
        return set(re.findall(r"^\| `--(\w+)` \| \S", shown, re.MULTILINE))

    # Switches that are on by default have a second name, `no_…`.
    def without_negations(options: frozenset[str]) -> set[str]:
        return {name for name in options if name.removeprefix("no_") not in options - {name}} - {"help"}

    for task in ("parsing", "pos", "ner", "classification", "qa"):
        found = named("Options of all tasks", f"pixel-m4 finetune {task}", "Options of training")
        assert without_negations(finetune_options(task)) <= found
    assert without_negations(pretrain_options()) <= named("pixel-m4 pretrain")


def test_public_names_are_there() -> None:
    shown = {name for section in generated.PUBLIC.values() for _, name, _ in section}
    assert {f"pixel_m4.{name}" for name in pixel_m4.__all__ if name != "__version__"} <= shown
    sources = (documents.ROOT / "src" / "pixel_m4" / "analysis").glob("*.py")
    analyses = {
        f"pixel_m4.analysis.{file.stem}.{name}"
        for file in sources
        for name in re.findall(r"^def (analyze_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert len(analyses) == 5
    assert analyses <= shown
    page = (DOCS / "python.md").read_text(encoding="utf-8")
    assert set(re.findall(r"filled: api (\w+)", page)) == set(generated.PUBLIC)


def test_every_page_is_in_the_contents_once() -> None:
    index = generated.fill("index", (DOCS / "index.md").read_text(encoding="utf-8"))
    listed = [
        line
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
        for line in tree.split("\n")
    ]
    pages = [line for line in listed if line and not line.startswith(":")]
    files = {page.relative_to(DOCS).with_suffix("").as_posix() for page in DOCS.rglob("*.md")}
    assert sorted(pages) == sorted(files - {"index"})


def test_every_notebook_is_shown_whole() -> None:
    shown = set()
    for page in (DOCS / "notebooks").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        (name,) = re.findall(r"filled: notebook (\S+)", text)
        filled = generated.fill(page.stem, text)
        for cell in jupytext.read(documents.ROOT / "notebooks" / name).cells[1:]:
            assert cell.source in filled
        shown.add(name)
    assert shown == {file.name for file in (documents.ROOT / "notebooks").glob("*.py")}


def test_a_comment_that_nobody_fills_is_seen() -> None:
    with pytest.raises(KeyError):
        generated.fill("x", "<!-- filled: nothing here -->")
    for page in DOCS.rglob("*.md"):
        for line in re.findall(r"<!-- filled.*", page.read_text(encoding="utf-8")):
            assert generated._FILLED.fullmatch(line), f"{page}: {line}"
