"""`pixel-m4 sweep`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pixel_m4.cli.parts import new_parser
from pixel_m4.console.errors import UserError

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
            "pixel-m4 sweep configs/sweeps/ud.yaml --output_dir /shared/runs/ud --engine ray",
        ],
    )
    parser.add_argument(
        "file", type=Path, help="YAML file: arguments of finetune; lists of values make the grid"
    )
    parser.add_argument(
        "--output_dir", type=Path, required=True, help="folder that gets a folder for every run, and tables"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        help="runs at the same time; default: one for each GPU, or 1; on Ray as many as there is room for",
    )
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
    parser.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="where to compute: local is this machine, ray a Ray cluster, whose machines must all see "
        "--output_dir, the data, and the folder that the command is started in; default: local",
    )
    parser.add_argument(
        "--ray_address",
        metavar="ADDRESS",
        help="with --engine ray: HOST:PORT of the cluster, or local for one that is started on this machine "
        "and ends with the sweep; default: RAY_ADDRESS, else the cluster of this machine, else local",
    )
    parser.add_argument(
        "--cpus_per_run",
        type=int,
        help="with --engine ray: CPUs for each run; default: a GPU's share of its machine, without GPUs 4, "
        "or all of the smallest machine if it has fewer",
    )
    parser.add_argument(
        "--gpus_per_run",
        type=float,
        help="with --engine ray: GPUs for each run, 0 to 1; 0.5 lets two runs share one; default: 1 if the "
        "cluster has GPUs, else 0",
    )


def run(arguments: argparse.Namespace) -> None:
    """Do it."""
    from pixel_m4.sweep.cluster import ClusterOptions

    options = {name: getattr(arguments, name) for name in ("ray_address", "cpus_per_run", "gpus_per_run")}
    for name, value in options.items():
        if arguments.engine == "local" and value is not None:
            raise UserError(f"--{name} {value} is for --engine ray; write that, too, or leave it out")
    cluster = ClusterOptions(**options) if arguments.engine == "ray" else None
    from pixel_m4.sweep.run import sweep  # takes seconds: after the options have been looked at

    sweep(
        arguments.file,
        arguments.output_dir,
        jobs=arguments.jobs,
        dry_run=arguments.dry_run,
        report_only=arguments.report_only,
        rerun_changed=arguments.rerun_changed,
        resume_runs=arguments.resume_runs,
        cluster=cluster,
    )
