"""What the commands share: how help looks, and options that several have."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich_argparse import RawDescriptionRichHelpFormatter, RichHelpFormatter

from pixel_m4.shipped import with_revision

if TYPE_CHECKING:
    from rich.text import Text

TASKS = {
    "parsing": "dependency parsing on Universal Dependencies",
    "pos": "part-of-speech tagging on Universal Dependencies",
    "ner": "named entities: CoNLL and IOB2 columns, Universal NER, KLUE, Arrow folders, the hub",
    "classification": "classes or scores of texts and pairs of texts: SIB-200, GLUE, XNLI",
    "qa": "answers as parts of texts: SQuAD, TyDiQA-GoldP, KorQuAD, JaQuAD",
}
RENDERER_HELP = (
    "where the renderer comes from, for a model that has none: a folder or hub name that has one, or "
    "bigrams, words, graphemes, adaptive or continuous; default: the model"
)
FALLBACK_HELP = (
    "folder with fonts for characters that the font lacks, or noto for those that `pixel-m4 fonts fetch "
    "--fallback` has fetched; default: none"
)
OVERWRITE_HELP = "replace what is there; default: refuse to"
ATTACKS_HELP = (
    "full_swap: the letters of a word in any order; inner_swap: all but the first and the last; disemvowel: "
    "without vowels (Latin, Greek and Cyrillic); truncate: without the last letter; drop_marks: without "
    "accents, points and dependent vowels; keyboard_typo: a letter by its neighbour on the keyboard (Latin, "
    "Greek, Cyrillic, Arabic, Hebrew, Devanagari); phonetic: another English word that sounds the same; "
    "natural_typo: a misspelling of --typos; simplify and traditional: the other Chinese characters; "
    "intrude: punctuation between letters; confusable: characters that look like the letters, "
    "confusable_in_script: of the same script, confusable_across_scripts: of others; segmentation: without "
    "spaces, for texts only"
)


class Formatter(RawDescriptionRichHelpFormatter):
    """Help in colour where the terminal has it; what has several lines, such as examples, keeps them."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, max_help_position=28, **options)

    def _rich_fill_text(self, text: Text, width: int, indent: Text) -> Text:
        lines = "\n" in text.plain.strip()
        formatter = RawDescriptionRichHelpFormatter if lines else RichHelpFormatter
        return formatter._rich_fill_text(self, text, width, indent)


Formatter.usage_markup = False
Formatter.help_markup = Formatter.text_markup = False  # brackets are brackets


class Preset(argparse.Action):
    """Options under one name: what is given beside it, before or after, wins."""

    def __init__(self, *arguments: Any, presets: Mapping[str, Mapping[str, Any]], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.presets = presets

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> None:
        """Set those that still have their defaults."""
        setattr(namespace, self.dest, values)
        for name, value in self.presets[values].items():
            if getattr(namespace, name) == parser.get_default(name):
                setattr(namespace, name, value)


def new_parser(commands: Any, name: str, about: str, description: str, examples: Sequence[str]) -> Any:
    """The parser of a command.

    Args:
        commands: what `add_subparsers` gave.
        name: the command.
        about: a line for the list of commands.
        description: what it does.
        examples: command lines.
    """
    return commands.add_parser(
        name,
        help=about,
        description=description,
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples),
        formatter_class=Formatter,
    )


def add_revision(parser: argparse.ArgumentParser) -> None:
    """`--model_revision`; :func:`settle_revision` obeys it."""
    parser.add_argument(
        "--model_revision",
        help="branch, tag or commit of a model on the hub; default: its main branch (owner/name@revision "
        "says the same)",
    )


def settle_revision(arguments: argparse.Namespace) -> argparse.Namespace:
    """Put `--model_revision` behind the name of the model; return the arguments.

    Raises:
        ValueError: The model is none on the hub.
    """
    revision = getattr(arguments, "model_revision", None)
    for name in ("model", "checkpoint"):
        if revision is not None and getattr(arguments, name, None) is not None:
            setattr(arguments, name, with_revision(getattr(arguments, name), revision, "--model_revision"))
    return arguments


def add_fonts(parser: argparse.ArgumentParser, default: str) -> None:
    """`--font_file` and `--fallback_fonts_dir`."""
    parser.add_argument("--font_file", help=f"the font; default: {default}")
    parser.add_argument("--fallback_fonts_dir", help=FALLBACK_HELP)


def add_picture(parser: argparse.ArgumentParser) -> None:
    """How pictures of patches look."""
    parser.add_argument(
        "--columns", type=int, help="patches of a row of the picture; default: all in one row"
    )
    parser.add_argument("--scale", type=int, default=2, help="picture pixels for each pixel; default: 2")
    parser.add_argument("--borders", action="store_true", help="draw the borders of patches")
    parser.add_argument("--rtl", action="store_true", help="right-to-left even if the text does not look so")


def add_attack_needs(parser: argparse.ArgumentParser) -> None:
    """What attacks on words need beside the words."""
    parser.add_argument(
        "--typos",
        type=Path,
        metavar="FILE",
        help="for natural_typo: a word, a tab and a misspelling of it a line; default: none",
    )
    parser.add_argument(
        "--look_alikes",
        choices=("all", "drawable", "identical"),
        default="all",
        help="which ones confusable takes: all (default); drawable: those that the font has, so that no "
        "missing glyphs are drawn; identical: those that the font draws with the same pixels",
    )
