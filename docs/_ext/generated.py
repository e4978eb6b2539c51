"""Fills pages with what the code says: tables of contents, options of all commands, public names, notebooks.

A page is plain Markdown, which code hosts show as it is. A comment in it, such as
``<!-- filled: options -->``, stands where the site has more.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
NOTEBOOKS = DOCS.parent / "notebooks"
_FILLED = re.compile(r"^<!-- filled: (\w+) ?([\w./-]*) -->$", re.MULTILINE)
_LISTED = re.compile(r"^ *- \[[^\]]*\]\(([\w./-]+)\.md\)", re.MULTILINE)


def contents(text: str) -> str:
    """The index with a hidden table of contents for every section that lists pages."""
    parts = re.split(r"(?m)^(?=## )", text)
    return "".join(part + _toctree(part) for part in parts)


def _toctree(section: str) -> str:
    pages = _LISTED.findall(section)
    if not pages:
        return ""
    title = section.splitlines()[0].removeprefix("## ")
    return "\n```{toctree}\n:hidden:\n:caption: " + title + "\n\n" + "\n".join(pages) + "\n```\n\n"


def options(_: str) -> str:
    """Every command with all of its options, from the parsers that run."""
    return "\n".join(_commands())


def _commands() -> Iterator[str]:
    from pixel_m4.cli.main import COMMANDS, build_parser, subparsers

    commands = subparsers(build_parser())
    for name in COMMANDS:
        parser = commands[name]
        yield from _command(f"pixel-m4 {name}", parser, 2)
        if name == "finetune":
            yield from _finetuning()
        elif name == "pretrain":
            yield from _options(_pretraining())
        else:
            yield from _options(parser._actions)
        for action, inner in subparsers(parser).items():
            yield from _command(f"pixel-m4 {name} {action}", inner, 3)
            yield from _options(inner._actions)


def _command(title: str, parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} {title}\n"
    yield f"{_plain(parser.description or '')}\n"
    examples = (parser.epilog or "").split("\n\n")[0].removeprefix("examples:\n")
    yield f"```\n{re.sub('(?m)^  ', '', examples)}\n```\n"


def _options(actions: Sequence[argparse.Action]) -> Iterator[str]:
    """A table of options; none if there are none."""
    shown = [action for action in actions if _is_shown(action)]
    if not shown:
        return
    yield "| option | what it is |"
    yield "|---|---|"
    for action in shown:
        spelled = [name for name in action.option_strings if "-" not in name.lstrip("-")]
        names = ", ".join(f"`{name}`" for name in spelled) or f"`{action.metavar or action.dest}`"
        yield f"| {names} | {_plain(_help(action))} |"
    yield ""


def _help(action: argparse.Action) -> str:
    """What an option is, what it may be and its default, as far as the help does not say it."""
    text = action.help or ""
    if action.choices and not all(str(choice) in text for choice in action.choices):
        text += f"; one of {', '.join(map(str, action.choices))}"
    if "efault" not in text and action.default not in (None, "", argparse.SUPPRESS) and action.option_strings:
        default = getattr(action.default, "value", action.default)
        text += f"; default: {str(default).lower() if isinstance(default, bool) else default}"
    if action.required and action.option_strings and "needed" not in text:
        text += "; needed"
    return text


def _is_shown(action: argparse.Action) -> bool:
    kinds = (argparse._HelpAction, argparse._SubParsersAction)
    return not isinstance(action, kinds) and action.help != argparse.SUPPRESS


def _plain(text: str) -> str:
    """Help as a cell of a table, where nothing but code is marked up."""
    text = " ".join(text.replace("%%", "%").split())
    pieces = re.split(r"(`[^`]*`|--[a-z0-9_]+)", text)
    marked = (f"`{p}`" if p.startswith("--") else p if p.startswith("`") else _escaped(p) for p in pieces)
    return "".join(marked).replace("|", "\\|")


def _escaped(text: str) -> str:
    return re.sub(r"([\\*_<>\[\]{}$])", r"\\\1", text)


def _finetuning() -> Iterator[str]:
    from pixel_m4.cli.parts import TASKS
    from pixel_m4.cli.sources import published_recipe, task_helps
    from pixel_m4.finetune.arguments import FinetuneArguments
    from pixel_m4.tasks.registry import TASKS as CLASSES
    from pixel_m4.training.settings import SettingsParser

    yield "### Options of all tasks\n"
    yield from _options(SettingsParser("finetune", (FinetuneArguments,), {})._actions)
    for name, about in TASKS.items():
        yield f"### pixel-m4 finetune {name}\n"
        yield f"{about[0].upper()}{about[1:]}.\n"
        recipe = ", ".join(f"`--{option} {value}`" for option, value in published_recipe(name).items())
        yield f"Defaults, as published: {recipe}.\n"
        own = SettingsParser(name, (CLASSES[name].options_class,), {})
        assert {action.dest for action in own._actions} >= set(task_helps(name))
        yield from _options([action for action in own._actions if action.dest != "config"])
    yield "### Options of training\n"
    yield (
        "The arguments of transformers' `TrainingArguments`. Those that have no meaning for pixel models are "
        "refused with the reason that stands here.\n"
    )
    yield from _options(_training())


def _training() -> list[argparse.Action]:
    """Options of transformers, in our words where we have some."""
    from transformers import TrainingArguments

    from pixel_m4.cli.finetune import TRAINER_HELP
    from pixel_m4.training.arguments import REFUSED
    from pixel_m4.training.settings import SettingsParser

    actions = SettingsParser("finetune", (TrainingArguments,), {})._actions
    for action in actions:
        if action.dest in REFUSED:
            action.help, action.choices = f"refused: {REFUSED[action.dest]}", None
        else:
            action.help = TRAINER_HELP.get(action.dest, action.help)
    return [action for action in actions if action.dest != "config" and not _is_negation(action)]


def _pretraining() -> list[argparse.Action]:
    from pixel_m4.cli.finetune import TRAINER_HELP
    from pixel_m4.cli.sources import helps
    from pixel_m4.pretrain.arguments import PretrainArguments, PretrainTrainingArguments
    from pixel_m4.training.settings import SettingsParser

    actions = SettingsParser("pretrain", (PretrainArguments, PretrainTrainingArguments), {})._actions
    ours = helps()
    for action in actions:
        action.help = ours.get(action.dest) or TRAINER_HELP.get(action.dest, action.help)
    return sorted((a for a in actions if not _is_negation(a)), key=lambda action: action.dest not in ours)


def _is_negation(action: argparse.Action) -> bool:
    return any(name.startswith("--no_") and name[5:] == action.dest for name in action.option_strings)


_MEMBERS = (":members:",)
_FORWARD = (":members: forward",)
# The public names, by section of the page: the directive, the name, its options.
PUBLIC: Mapping[str, Sequence[tuple[str, str, Sequence[str]]]] = {
    "use": (
        ("autofunction", "pixel_m4.load", ()),
        ("autoclass", "pixel_m4.predict.annotator.Annotator", _MEMBERS),
        ("autoclass", "pixel_m4.Checkpoint", _MEMBERS),
        ("autofunction", "pixel_m4.embed", ()),
    ),
    "predictions": (
        ("autoclass", "pixel_m4.tasks.parsing.Parsed", ()),
        ("autoclass", "pixel_m4.formats.conllu.Sentence", _MEMBERS),
        ("autoclass", "pixel_m4.formats.iob.TaggedSentence", _MEMBERS),
        ("autoclass", "pixel_m4.tasks.classification.TextPrediction", _MEMBERS),
        ("autoclass", "pixel_m4.tasks.qa.QAPrediction", _MEMBERS),
    ),
    "errors": (
        ("autoexception", "pixel_m4.console.errors.UserError", ()),
        ("autoexception", "pixel_m4.files.DataError", ()),
        ("autoexception", "pixel_m4.render.fonts.FontError", ()),
    ),
    "render": (
        ("autoclass", "pixel_m4.TextRenderer", (":members:", ":special-members: __call__")),
        ("autoclass", "pixel_m4.PixelProcessor", (":special-members: __call__",)),
        ("autoclass", "pixel_m4.render.encoding.Encoding", _MEMBERS),
        ("autoclass", "pixel_m4.render.encoding.BatchEncoding", _MEMBERS),
    ),
    "models": (
        ("autoclass", "pixel_m4.PixelConfig", (":members: named",)),
        ("autoclass", "pixel_m4.PixelModel", _FORWARD),
        ("autoclass", "pixel_m4.PixelForPreTraining", _FORWARD),
        ("autoclass", "pixel_m4.PixelForTokenClassification", _FORWARD),
        ("autoclass", "pixel_m4.PixelForBiaffineParsing", _FORWARD),
        ("autoclass", "pixel_m4.PixelForSequenceClassification", _FORWARD),
        ("autoclass", "pixel_m4.PixelForQuestionAnswering", _FORWARD),
    ),
    "analyses": (
        ("autofunction", "pixel_m4.analysis.retrieval.analyze_retrieval", ()),
        ("autofunction", "pixel_m4.analysis.maps.analyze_map", ()),
        ("autoclass", "pixel_m4.analysis.maps.MapSettings", ()),
        ("autofunction", "pixel_m4.analysis.probing.analyze_probe", ()),
        ("autofunction", "pixel_m4.analysis.robustness.analyze_robustness", ()),
        ("autoclass", "pixel_m4.analysis.robustness.Attacks", ()),
        ("autofunction", "pixel_m4.analysis.explanations.analyze_saliency", ()),
        ("autofunction", "pixel_m4.analysis.attacks.attack", ()),
        ("autofunction", "pixel_m4.analysis.lookalikes.look_alikes", ()),
        ("autoclass", "pixel_m4.analysis.states.Running", ()),
    ),
}


def api(section: str) -> str:
    """Public names of a section of the page, from their docstrings."""
    lines = []
    for directive, name, extra in PUBLIC[section]:
        lines += [f".. {directive}:: {name}", *(f"   {line}" for line in extra), ""]
    return "```{eval-rst}\n" + "\n".join(lines) + "```"


def notebook(name: str) -> str:
    """A notebook's source as Markdown without its title, its cells of code as blocks."""
    import jupytext

    text: str = jupytext.writes(jupytext.read(NOTEBOOKS / name), "md")
    return re.sub(r"\A---\n.*?\n---\n\s*# [^\n]*\n", "", text, flags=re.DOTALL)


_FILLERS: Mapping[str, Callable[[str], str]] = {"options": options, "api": api, "notebook": notebook}


def fill(docname: str, text: str) -> str:
    """A page as the site has it."""
    if docname == "index":
        text = contents(text)
    return _FILLED.sub(lambda match: _FILLERS[match[1]](match[2]), text)


def prose(_: Any, what: str, __: str, ___: Any, ____: Any, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before a colon for a type: our returns are sentences."""
    after = what in ("property", "attribute")
    for number, line in enumerate(lines):
        if after and line.strip():
            lines[number] = re.sub(r"^([^:]+): ", r"\1 – ", line)
        after = line.strip() in ("Returns:", "Yields:")


def setup(app: Any) -> dict[str, Any]:
    """Read pages with their comments filled."""

    def read(_: Any, docname: str, source: list[str]) -> None:
        source[0] = fill(docname, source[0])

    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", prose, priority=100)  # before napoleon
    return {"version": "1", "parallel_read_safe": True}
