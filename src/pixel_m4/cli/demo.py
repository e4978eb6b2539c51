"""`pixel-m4 demo`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import new_parser

NAME = "demo"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "open a page on this machine that shows what models see and say",
        "Serve a page, and a JSON API at /api/openapi.json. Type text in any script: see its patches, hide "
        "some and watch a model paint them, parse and tag, attack the text, ask what a decision rests on, "
        "and find the nearest sentences. The page loads nothing from elsewhere and stores nothing.",
        ["pixel-m4 demo", "pixel-m4 demo --models pixel-m4-ud pixel-m4-tiny runs/my-entities --port 8000"],
    )
    parser.add_argument(
        "--models",
        nargs="+",
        default=["pixel-m4-ud", "pixel-m4-tiny"],
        metavar="NAME",
        help="model folders, hub names or checkpoints of the package; fine-tuned ones predict, pretraining "
        "checkpoints paint hidden patches; default: pixel-m4-ud pixel-m4-tiny",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen at; 0.0.0.0 lets other machines in; default: 127.0.0.1, only this one",
    )
    parser.add_argument("--port", type=int, default=7860, help="the port; 0: any that is free; default: 7860")
    parser.add_argument(
        "--allow_hosts",
        nargs="+",
        default=[],
        metavar="NAME",
        help="names by which browsers may reach the server, beside localhost and --host; *: any; "
        "default: none",
    )
    parser.add_argument(
        "--frame_ancestors",
        nargs="+",
        default=[],
        metavar="SITE",
        help="sites that may show the page in a frame, such as https://huggingface.co; default: none",
    )
    parser.add_argument(
        "--behind_proxy",
        action="store_true",
        help="take the clients' addresses from X-Forwarded-For; only behind a proxy that sets it",
    )
    parser.add_argument(
        "--sentences",
        type=Path,
        metavar="FILE",
        help="sentences to search for the nearest ones, a language, a tab and a sentence a line; default: "
        "the embedded treebank and the examples of the page",
    )
    parser.add_argument(
        "--threads",
        type=int,
        help="texts that are worked on at the same time; default: the number of processors",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1, mps …; default: an accelerator if there is one")


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.demo.run import Settings, demo

    given = vars(arguments)
    demo(Settings(**{name: given[name] for name in Settings.__dataclass_fields__}))
