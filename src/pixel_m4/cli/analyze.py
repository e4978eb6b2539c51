"""`pixel-m4 analyze`: an action an analysis."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.analysis.presets import PUBLISHED
from pixel_m4.cli.embed import add_running, add_states, running
from pixel_m4.cli.parts import ATTACKS_HELP, Preset, add_attack_needs, new_parser

NAME = "analyze"
_PROBE = "pixel-m4 analyze probe pixel-m4-tiny --data_dir linspector --tasks Case POS --languages russian"
_ROBUSTNESS = "pixel-m4 analyze robustness pixel-m4-ud --data UD_English-EWT --attacks inner_swap truncate"
_MODEL = "a model folder, a hub name, or a checkpoint of the package"
_MAP = "pixel-m4 analyze map pixel-m4-tiny --data_dir data/sib200 --languages eng_Latn hin_Deva zho_Hans"
_SALIENCY = "pixel-m4 analyze saliency pixel-m4-ud 'The cat sleeps on the warm roof.' --words 2"
_EXAMPLE = "pixel-m4 analyze retrieval pixel-m4-tiny --data_dir data/sib200 --languages eng_Latn hin_Deva"
_MORE_ATTACKS = (
    "font_swap: some sentences in one of --fonts; font_size: some in one of --font_sizes; default: all that "
    "can be done"
)
_PARALLEL = ("data_dir", "languages", "output_dir", "split", "layers", "pooling")


def configure(commands: Any) -> None:
    """Add the command and its actions."""
    parser = new_parser(
        commands,
        NAME,
        "find out what a checkpoint knows",
        "What a checkpoint knows, layer by layer, and how well a fine-tuned model reads misspelled words.",
        [f"{_EXAMPLE} --output_dir runs/retrieval", f"{_PROBE} --output_dir runs/probing"],
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for add in (_add_retrieval, _add_map, _add_robustness, _add_probe, _add_saliency):
        add(actions)


def _add_retrieval(actions: Any) -> None:
    parser = new_parser(
        actions,
        "retrieval",
        "find translations by their vectors",
        "Whether a sentence's vector is near that of its translation: recall and mean reciprocal rank in "
        "both directions between all pairs of languages, for every layer, beside random weights.",
        [f"{_EXAMPLE} --output_dir runs/retrieval"],
    )
    _add_parallel(parser)
    parser.add_argument(
        "--no_controls", action="store_true", help="leave random weights out; default: they are there"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random weights; default: 0")
    _add_preset(parser, "retrieval")
    add_states(parser)
    parser.set_defaults(analyze=_retrieval)


def _retrieval(arguments: argparse.Namespace) -> None:
    from pixel_m4.analysis.retrieval import analyze_retrieval

    analyze_retrieval(**_chosen(arguments, *_PARALLEL, "seed"), controls=not arguments.no_controls)


def _add_map(actions: Any) -> None:
    parser = new_parser(
        actions,
        "map",
        "draw sentences as points, near where alike",
        "Maps of sentences by t-SNE, UMAP or PaCMAP, a layer each: a table, a page in which a point tells "
        "its text and what the model sees of it, and pictures if matplotlib is installed. Also says how many "
        "of a text's neighbours are of its language.",
        [f"{_MAP} --output_dir runs/map"],
    )
    _add_parallel(parser)
    parser.add_argument(
        "--method",
        choices=("tsne", "umap", "pacmap"),
        default="tsne",
        help="how texts are laid out: tsne (default); umap or pacmap, which need the extra `maps`",
    )
    parser.add_argument("--perplexity", type=float, default=50.0, help="of t-SNE; default: 50")
    parser.add_argument("--learning_rate", type=float, default=500.0, help="of t-SNE; default: 500")
    parser.add_argument("--iterations", type=int, default=1000, help="of t-SNE, at least 250; default: 1000")
    parser.add_argument(
        "--neighbours", type=int, help="of umap and pacmap; default: what the library takes, 15 and 10"
    )
    parser.add_argument("--seed", type=int, default=42, help="of the places; default: 42")
    parser.add_argument(
        "--no_strips",
        action="store_true",
        help="leave what the model sees out of the page, which has 2 kB a text for it; default: it is there",
    )
    _add_preset(parser, "map")
    add_states(parser)
    parser.set_defaults(analyze=_map)


def _map(arguments: argparse.Namespace) -> None:
    from pixel_m4.analysis.maps import MapSettings, analyze_map

    names = ("method", "perplexity", "learning_rate", "iterations", "neighbours", "seed")
    layout = MapSettings(**{name: getattr(arguments, name) for name in names})
    analyze_map(**_chosen(arguments, *_PARALLEL), layout=layout, strips=not arguments.no_strips)


def _add_robustness(actions: Any) -> None:
    parser = new_parser(
        actions,
        "robustness",
        "score a fine-tuned model on misspelled words",
        "Scores of a parser, a tagger, or a model of named entities or of classes of texts when the words of "
        "the test data are misspelled or drawn in another font: a row an attack and strength, and how many "
        "words and patches that changed. Letters are grapheme clusters: every script can be attacked.",
        [f"{_ROBUSTNESS} --output_dir runs/robustness"],
    )
    parser.add_argument("model", help="folder of a fine-tuned model, its name on the hub, or pixel-m4-ud")
    parser.add_argument(
        "--data", type=Path, required=True, help="a file with annotation, or the folder of a data set"
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for table and settings")
    parser.add_argument("--split", default="test", help="of a folder: train, dev or test (default)")
    parser.add_argument("--attacks", nargs="+", metavar="ATTACK", help=f"{ATTACKS_HELP}; {_MORE_ATTACKS}")
    parser.add_argument(
        "--strengths",
        type=float,
        nargs="+",
        default=[0.0, 0.2, 0.5, 0.8],
        help="from 0, which changes nothing, to 1: how likely a word is hit (intrude: each gap of a word; "
        "confusable: each letter; segmentation: each space; font_swap and font_size: each sentence or text); "
        "default: 0 0.2 0.5 0.8",
    )
    parser.add_argument("--sentences", type=int, help="take so many at most, evenly from all; default: all")
    parser.add_argument("--seed", type=int, default=0, help="of the attacks; default: 0")
    add_attack_needs(parser)
    parser.add_argument(
        "--fonts", type=Path, nargs="+", default=[], metavar="FILE", help="for font_swap; default: none"
    )
    parser.add_argument(
        "--font_sizes",
        type=float,
        nargs="+",
        default=[],
        metavar="POINTS",
        help="for font_size, such as 7 9; default: none",
    )
    add_running(parser)
    parser.set_defaults(analyze=_robustness)


def _robustness(arguments: argparse.Namespace) -> None:
    from pixel_m4.analysis.robustness import Attacks, analyze_robustness

    names = ("strengths", "seed", "look_alikes", "typos", "fonts", "font_sizes")
    attacks = Attacks(names=arguments.attacks, **{name: getattr(arguments, name) for name in names})
    analyze_robustness(**_chosen(arguments, "data", "output_dir", "split", "sentences"), attacks=attacks)


def _add_probe(actions: Any) -> None:
    parser = new_parser(
        actions,
        "probe",
        "read properties of words from each layer",
        "Which properties of a word a linear classifier reads from each layer (LINSPECTOR), beside "
        "five controls: "
        "random weights, shuffled labels, the mean patch, character n-grams, the most frequent label.",
        [f"{_PROBE} --output_dir runs/probing"],
    )
    parser.add_argument("model", help=_MODEL)
    parser.add_argument(
        "--data_dir",
        type=Path,
        required=True,
        help="folder with TASK/LANGUAGE/{train,dev,test}.txt: words, and the label in the last column",
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for table and settings")
    parser.add_argument("--tasks", nargs="+", help="names of tasks; default: all that are there")
    parser.add_argument("--languages", nargs="+", help="names of languages; default: all that are there")
    parser.add_argument("--layers", type=int, nargs="+", help="numbers of layers; default: all")
    parser.add_argument(
        "--no_controls", action="store_true", help="leave the controls out; default: they are there"
    )
    parser.add_argument(
        "--keep_patience",
        action="store_true",
        help="never give a classifier its patience back after a better scoring, as the published code "
        "forgets to; default: give it back",
    )
    _add_preset(parser, "probe")
    add_states(parser)
    parser.set_defaults(pooling="published")
    parser.set_defaults(analyze=_probe)


def _probe(arguments: argparse.Namespace) -> None:
    from pixel_m4.analysis.probing import analyze_probe

    names = ("data_dir", "output_dir", "tasks", "languages", "layers", "pooling")
    controls = not arguments.no_controls
    analyze_probe(**_chosen(arguments, *names), controls=controls, keep_patience=arguments.keep_patience)


def _add_saliency(actions: Any) -> None:
    parser = new_parser(
        actions,
        "saliency",
        "show which patches a decision rests on",
        "Which patches and words speak for what a fine-tuned model says (labels, heads, entities, answers), "
        "over the strip and over the text, by several methods; and how much the model's score loses when "
        "the patches that a method calls relevant are deleted, beside random order.",
        [f"{_SALIENCY} --output_dir runs/saliency"],
    )
    parser.add_argument("model", help="folder of a fine-tuned model, its name on the hub, or pixel-m4-ud")
    parser.add_argument("texts", nargs="*", metavar="text", help="texts; or give --file")
    parser.add_argument(
        "--file", type=Path, help="raw text, or a file of the model's task; default: the texts"
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for results and settings")
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="chefer: attention × gradient, rolled out over the layers; gradient_input; "
        "integrated_gradients (needs captum); occlusion: one patch white at a time; occlusion_words: one "
        "word; default: all",
    )
    parser.add_argument(
        "--words", type=int, nargs="+", help="explain these words only, by number from 1; default: all"
    )
    parser.add_argument("--limit", type=int, default=50, help="texts to explain at most; default: 50")
    parser.add_argument("--seed", type=int, default=0, help="of the random order; default: 0")
    _add_preset(parser, "saliency")
    add_running(parser)
    parser.set_defaults(analyze=_saliency)


def _saliency(arguments: argparse.Namespace) -> None:
    from pixel_m4.analysis.explanations import analyze_saliency

    analyze_saliency(**_chosen(arguments, "texts", "file", "output_dir", "methods", "words", "limit", "seed"))


def _add_parallel(parser: argparse.ArgumentParser) -> None:
    """What is asked, and the sentences that all languages have."""
    parser.add_argument("model", help=_MODEL)
    parser.add_argument(
        "--data_dir",
        type=Path,
        required=True,
        help="folder of parallel text as SIB-200 is: a folder a language, files with `index_id` and `text`",
    )
    parser.add_argument(
        "--languages", nargs="+", default=[], help="folders of two languages or more; default: of the preset"
    )
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for results and settings")
    parser.add_argument("--split", default="train", help="train (default), dev or test")
    parser.add_argument("--layers", type=int, nargs="+", help="numbers of layers; default: all")


def _add_preset(parser: argparse.ArgumentParser, analysis: str) -> None:
    """Published settings under a name."""
    parser.add_argument(
        "--preset",
        choices=["published"],
        action=Preset,
        presets={"published": PUBLISHED[analysis]},
        help="published: the settings of the paper, unless other ones are given beside; default: none",
    )


def _chosen(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Options that a function takes by the same names, and those that all analyses have."""
    options = {name: getattr(arguments, name) for name in ("model", *names)}
    return {**options, "running": running(arguments), "overwrite": arguments.overwrite}


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    arguments.analyze(arguments)
