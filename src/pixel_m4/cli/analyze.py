"""`pixel-m4 analyze`: an action an analysis."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.embed import add_states
from pixel_m4.cli.parts import new_parser

NAME = "analyze"
_PROBE = "pixel-m4 analyze probe pixel-m4-tiny --data_dir linspector --tasks Case POS --languages russian"
_PARALLEL = "folder of parallel text as SIB-200 is: a folder a language, files with `index_id` and `text`"
_MAP = "pixel-m4 analyze map pixel-m4-tiny --data_dir data/sib200 --languages eng_Latn hin_Deva zho_Hans"
_EXAMPLE = "pixel-m4 analyze retrieval pixel-m4-tiny --data_dir data/sib200 --languages eng_Latn hin_Deva"


def configure(commands: Any) -> None:
    """Add the command and its actions."""
    parser = new_parser(
        commands,
        NAME,
        "find out what a checkpoint knows",
        "Analyses of a checkpoint's hidden states, layer by layer.",
        [f"{_EXAMPLE} --output_dir runs/retrieval", f"{_PROBE} --output_dir runs/probing"],
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    retrieval = new_parser(
        actions,
        "retrieval",
        "find translations by their vectors",
        "Whether a sentence's vector is near that of its translation: recall and mean reciprocal rank in "
        "both directions between all pairs of languages, for every layer, beside random weights.",
        [f"{_EXAMPLE} --output_dir runs/retrieval"],
    )
    retrieval.add_argument("model", help="a model folder, a hub name, or a checkpoint of the package")
    retrieval.add_argument("--data_dir", type=Path, required=True, help=_PARALLEL)
    retrieval.add_argument("--languages", nargs="+", required=True, help="folders of the languages")
    retrieval.add_argument("--output_dir", type=Path, required=True, help="folder for table and settings")
    retrieval.add_argument("--split", default="train", help="train (default), dev or test")
    retrieval.add_argument("--layers", type=int, nargs="+", help="numbers of layers; default: all")
    retrieval.add_argument(
        "--no_controls", action="store_true", help="leave random weights out; default: they are there"
    )
    retrieval.add_argument("--seed", type=int, default=0, help="of the random weights; default: 0")
    add_states(retrieval)
    maps = new_parser(
        actions,
        "map",
        "draw sentences as points, near where alike",
        "Maps of sentences by t-SNE, a layer each: a table, a page in which a point tells its text, and "
        "pictures if matplotlib is installed. Also says how many of a text's neighbours are of its language.",
        [f"{_MAP} --output_dir runs/map"],
    )
    maps.add_argument("model", help="a model folder, a hub name, or a checkpoint of the package")
    maps.add_argument("--data_dir", type=Path, required=True, help=_PARALLEL)
    maps.add_argument("--languages", nargs="+", required=True, help="folders of the languages")
    maps.add_argument("--output_dir", type=Path, required=True, help="folder for maps and settings")
    maps.add_argument("--split", default="train", help="train (default), dev or test")
    maps.add_argument("--layers", type=int, nargs="+", help="numbers of layers; default: all")
    maps.add_argument("--perplexity", type=float, default=50.0, help="how many neighbours count; default: 50")
    maps.add_argument("--learning_rate", type=float, default=500.0, help="of t-SNE; default: 500")
    maps.add_argument("--iterations", type=int, default=1000, help="of t-SNE, at least 250; default: 1000")
    maps.add_argument("--seed", type=int, default=42, help="of t-SNE; default: 42")
    add_states(maps)
    probe = new_parser(
        actions,
        "probe",
        "read properties of words from each layer",
        "Which properties of a word a linear classifier reads from each layer (LINSPECTOR), beside "
        "five controls: "
        "random weights, shuffled labels, the mean patch, character n-grams, the most frequent label.",
        [f"{_PROBE} --output_dir runs/probing"],
    )
    probe.add_argument("model", help="a model folder, a hub name, or a checkpoint of the package")
    probe.add_argument(
        "--data_dir",
        type=Path,
        required=True,
        help="folder with TASK/LANGUAGE/{train,dev,test}.txt: words, and the label in the last column",
    )
    probe.add_argument("--output_dir", type=Path, required=True, help="folder for table and settings")
    probe.add_argument("--tasks", nargs="+", help="names of tasks; default: all that are there")
    probe.add_argument("--languages", nargs="+", help="names of languages; default: all that are there")
    probe.add_argument("--layers", type=int, nargs="+", help="numbers of layers; default: all")
    probe.add_argument(
        "--no_controls", action="store_true", help="leave the controls out; default: they are there"
    )
    add_states(probe)
    probe.set_defaults(pooling="published")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.analysis.run import analyze_map, analyze_probe, analyze_retrieval

    common = {
        "layers": arguments.layers,
        "pooling": arguments.pooling,
        "device": arguments.device,
        "batch_size": arguments.per_device_eval_batch_size,
        "renderer": arguments.renderer,
        "overwrite": arguments.overwrite,
    }
    if arguments.action == "probe":
        analyze_probe(
            arguments.model,
            arguments.data_dir,
            arguments.output_dir,
            tasks=arguments.tasks,
            languages=arguments.languages,
            controls=not arguments.no_controls,
            **common,
        )
    elif arguments.action == "map":
        from pixel_m4.analysis.maps import MapSettings

        analyze_map(
            arguments.model,
            arguments.data_dir,
            arguments.languages,
            arguments.output_dir,
            split=arguments.split,
            tsne=MapSettings(
                perplexity=arguments.perplexity,
                learning_rate=arguments.learning_rate,
                iterations=arguments.iterations,
                seed=arguments.seed,
            ),
            **common,
        )
    else:
        analyze_retrieval(
            arguments.model,
            arguments.data_dir,
            arguments.languages,
            arguments.output_dir,
            split=arguments.split,
            seed=arguments.seed,
            controls=not arguments.no_controls,
            **common,
        )
