"""`pixel-m4 sweep`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import new_parser

NAME = "sweep"


def configure(commands: Any) -> None:
    """Add the command."""
    parser = new_parser(
        commands,
        NAME,
        "fine-tune over a grid, then make tables and plots",
        "Fine-tune with every combination of some options, and make tables of mean and deviation and "
        "plots of them. "
        "Runs that are finished are kept when the command is given again.",
        [
            "pixel-m4 sweep configs/sweeps/tiny.yaml --output_dir runs/tiny",
            "pixel-m4 sweep configs/sweeps/ud.yaml --output_dir runs/ud --dry_run",
        ],
    )
    parser.add_argument(
        "file", type=Path, help="YAML file: arguments of finetune; lists of values make the grid"
    )
    parser.add_argument(
        "--output_dir", type=Path, required=True, help="folder that gets a folder for every run, and tables"
    )
    parser.add_argument("--jobs", type=int, help="runs at the same time; default: one for each GPU, or 1")
    parser.add_argument("--dry_run", action="store_true", help="only list the runs and how far they are")
    parser.add_argument("--report_only", action="store_true", help="only make tables and plots, run nothing")
    parser.add_argument(
        "--rerun_changed",
        action="store_true",
        help="repeat runs that were made with other arguments; default: they are an error",
    )
    parser.add_argument(
        "--resume_runs",
        action="store_true",
        help="go on from checkpoints of interrupted runs; default: they start anew",
    )


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.sweep.run import sweep

    sweep(
        arguments.file,
        arguments.output_dir,
        jobs=arguments.jobs,
        dry_run=arguments.dry_run,
        report_only=arguments.report_only,
        rerun_changed=arguments.rerun_changed,
        resume_runs=arguments.resume_runs,
    )
