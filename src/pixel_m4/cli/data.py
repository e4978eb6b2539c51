"""`pixel-m4 data`: list, fetch, prepare, attack."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import ATTACKS_HELP, Formatter, add_attack_needs, add_fonts, new_parser

NAME = "data"


def configure(commands: Any) -> None:
    """Add the command and its actions."""
    parser = new_parser(
        commands,
        NAME,
        "fetch public data sets, prepare text for pretraining, attack data",
        "Fetch public data sets from their homes, pack text into blocks for pretraining, or write copies of "
        "data sets with attacked words.",
        ["pixel-m4 data list", "pixel-m4 data fetch ud Tamil-TTB Greek-GUD --release 2.17"],
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="show what can be fetched", formatter_class=Formatter)
    fetch = new_parser(
        actions,
        "fetch",
        "fetch a data set from its home",
        "Fetch a data set from its home.",
        ["pixel-m4 data fetch sib200 eng_Latn hye_Armn", "pixel-m4 data fetch masakhaner amh swa"],
    )
    fetch.add_argument("name", help="the data set: ud, sib200, uner …; `pixel-m4 data list` shows all")
    fetch.add_argument(
        "names", nargs="*", help="parts of it, such as languages or treebanks; default: as the list says"
    )
    fetch.add_argument("--output_dir", type=Path, default=Path("data"), help="folder to write; default: data")
    fetch.add_argument("--release", default="2.10", help="of Universal Dependencies; default: 2.10")
    fetch.add_argument(
        "--mirror", help="URL that holds the same files as MIRROR/host/path; default: the homes themselves"
    )
    prepare = new_parser(
        actions,
        "prepare",
        "pack a corpus into blocks, on one machine or on many",
        "Pack text into blocks and write them as shards, which pretraining reads faster than text.",
        [
            "pixel-m4 data prepare --data_dir corpus --output_dir corpus-blocks",
            "pixel-m4 data prepare --data_dir corpus --output_dir corpus-blocks --engine ray --workers 64",
        ],
    )
    prepare.add_argument("--data_dir", type=Path, required=True, help="folder with <lang>.txt or <lang>/")
    prepare.add_argument("--output_dir", type=Path, required=True, help="folder for the shards")
    prepare.add_argument("--languages", nargs="+", help="languages to pack; default: all that there are")
    prepare.add_argument("--max_seq_length", type=int, default=529, help="patches of a block; default: 529")
    prepare.add_argument("--shards", type=int, help="shards of each language; default: one for each 64 MB")
    prepare.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="where to work; default: local"
    )
    prepare.add_argument("--workers", type=int, default=1, help="shards written at a time; default: 1")
    add_fonts(prepare, "GoNotoCurrent.ttf")
    _add_attack(actions)


def _add_attack(actions: Any) -> None:
    attack = new_parser(
        actions,
        "attack",
        "write a copy of a data set with attacked words",
        "Write a copy of a data set whose words are attacked as by `pixel-m4 analyze robustness`, to train "
        "and test on. Annotation and splits stay; nothing that exists is replaced.",
        [
            "pixel-m4 data attack UD_English-EWT --task pos --attack inner_swap --strength 0.5 "
            "--output_dir data/EWT-inner_swap-0.5"
        ],
    )
    attack.add_argument("source", type=Path, help="folder of a data set with splits, or a file")
    attack.add_argument(
        "--task",
        required=True,
        choices=("parsing", "pos", "ner", "classification"),
        help="whose data they are",
    )
    attack.add_argument("--attack", required=True, metavar="ATTACK", help=ATTACKS_HELP)
    attack.add_argument(
        "--strength",
        type=float,
        required=True,
        help="from 0, which changes nothing, to 1: how likely a word is hit (intrude: each gap of a word; "
        "confusable: each letter; segmentation: each space)",
    )
    attack.add_argument(
        "--output_dir",
        type=Path,
        required=True,
        help="a new folder: a file a split, attack.json with settings",
    )
    attack.add_argument("--seed", type=int, default=0, help="of the attack; default: 0")
    add_attack_needs(attack)


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.fetch.run import fetch, list_sources

    if arguments.action == "list":
        list_sources()
    elif arguments.action == "prepare":
        _prepare(arguments)
    elif arguments.action == "attack":
        _attack(arguments)
    else:
        places = {"release": arguments.release, "mirror": arguments.mirror}
        fetch(arguments.name, arguments.names, arguments.output_dir, **places)


def _attack(arguments: argparse.Namespace) -> None:
    from pixel_m4.analysis.attack_data import attack_data

    names = ("task", "strength", "seed", "look_alikes", "typos")
    chosen = {name: getattr(arguments, name) for name in names}
    attack_data(arguments.source, arguments.output_dir, name=arguments.attack, **chosen)


def _prepare(arguments: argparse.Namespace) -> None:
    from pixel_m4.corpus.prepared import prepare
    from pixel_m4.render import TextRenderer

    manifest = prepare(
        arguments.data_dir,
        arguments.output_dir,
        languages=arguments.languages,
        renderer=TextRenderer(
            arguments.font_file, arguments.fallback_fonts_dir, max_seq_length=arguments.max_seq_length
        ),
        max_seq_length=arguments.max_seq_length,
        shards=arguments.shards,
        engine=arguments.engine,
        workers=arguments.workers,
    )
    for language, found in manifest["languages"].items():
        counts = f"{len(found['shards'])} shards  {found['blocks']:,} blocks  {found['patches']:,} patches"
        print(f"{language}  {counts}  fill rate {found['fill_rate']:.2%}")
