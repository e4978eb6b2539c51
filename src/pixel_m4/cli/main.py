"""The command ``pixel-m4``; every command imports what it needs when it runs."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise, takewhile
from pathlib import Path
from types import ModuleType
from typing import Any

from pixel_m4.cli import (
    analyze,
    data,
    demo,
    embed,
    evaluate,
    export,
    fill,
    finetune,
    fonts,
    info,
    predict,
    pretrain,
    quickstart,
    render,
    sweep,
)
from pixel_m4.cli.parts import TASKS, Formatter, settle_revision
from pixel_m4.cli.sources import finetune_options, pretrain_options, task_options, unknown_option
from pixel_m4.console.errors import explain, report
from pixel_m4.console.spelling import RENAMED, did_you_mean
from pixel_m4.console.stopping import Stopped, Stopping
from pixel_m4.console.threads import settle
from pixel_m4.shipped import find_model, is_exported, is_hub_name

COMMANDS: dict[str, ModuleType] = {
    command.NAME: command
    for command in (
        *(quickstart, predict, evaluate, finetune, sweep, pretrain),
        *(fill, embed, analyze, render, info, export, data, fonts, demo),
    )
}
_HELP = ("-h", "--help")
_RENAMED = {**RENAMED, "pieces": "units"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; errors that users can mend come as one line and exit code 1."""
    settle()
    arguments = with_underscores(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    own = ["--debug", *(["--quiet"] if arguments[:1] in (["finetune"], ["pretrain"]) else [])]
    debug, quiet = (option in own and option in arguments[:end] for option in ("--debug", "--quiet"))
    arguments = [word for word in arguments[:end] if word not in own] + arguments[end:]
    if not arguments:
        arguments = ["--help"]
    parser = build_parser()
    _check_spelling(parser, arguments)
    try:
        _check_places(arguments)
    except OSError as error:
        report(error)
        return 1
    name, *rest = arguments
    if name == "finetune":
        task = rest.pop(0) if rest and not rest[0].startswith("-") else None
        if set(_HELP) & set(rest):
            print(finetune.help_of(task) if task else subparsers(parser)[name].format_help(), end="")
            return 0
        return _guard(lambda: finetune.run(task, _all_help(rest), quiet), debug, again=arguments)
    if name == "pretrain" and not set(_HELP) & set(rest):
        return _guard(lambda: pretrain.run(_all_help(rest), quiet), debug, again=arguments)
    if name == "evaluate":
        known, others = parser.parse_known_args(arguments)
        return _guard(lambda: evaluate.run(settle_revision(known), others), debug)
    known = parser.parse_args(arguments)
    again = arguments if name in ("sweep", "quickstart") else None
    if name == "sweep" and not known.resume_runs:
        again = [*arguments, "--resume_runs"]
    return _guard(lambda: COMMANDS[name].run(settle_revision(known)), debug, again=again)


def build_parser() -> argparse.ArgumentParser:
    """All commands; those of ``finetune`` and ``pretrain`` are for help and completion alone."""
    parser = argparse.ArgumentParser(
        prog="pixel-m4",
        description="Language models that read text as pixels: no tokenizer, no vocabulary, any script.",
        epilog="examples:\n"
        '  echo "The cat sleeps." | pixel-m4 predict pixel-m4-ud\n'
        "  pixel-m4 quickstart\n\n"
        "`pixel-m4 COMMAND --help` has examples and options of a command, which may be spelled with - or _.\n"
        "--debug, after any command, shows where an error comes from; --quiet, after finetune and pretrain,\n"
        "shows no progress and no scores.",
        formatter_class=Formatter,
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="show the version and exit"
    )
    parser.add_argument(
        "--print_completion",
        action=_Completion,
        default=argparse.SUPPRESS,
        help="print what lets a shell complete commands and options: bash, zsh or tcsh",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS.values():
        command.configure(commands)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        from pixel_m4.version import __version__

        print(f"pixel-m4 {__version__}")
        parser.exit()


class _Completion(argparse.Action):
    """Prints the script of a shell."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, *_: Any) -> None:
        import shtab

        if values not in shtab.SUPPORTED_SHELLS:
            parser.error(f"--print_completion {values}: one of {', '.join(shtab.SUPPORTED_SHELLS)}")
        print(shtab.complete(parser, values))
        parser.exit()


def with_underscores(words: Sequence[str]) -> list[str]:
    """A command line whose options have their present names, with ``_``; not what follows ``--``."""
    end = words.index("--") if "--" in words else len(words)
    spelled = []
    for word in words[:end]:
        option, equals, value = word.partition("=")
        if option.startswith("--") and option[2:].replace("-", "").isidentifier():
            name = option[2:].replace("-", "_")
            new = _RENAMED.get(name, name)
            if new != name:
                print(f"pixel-m4: --{name} is called --{new} now", file=sys.stderr)
            word = f"--{new}{equals}{value}"
        spelled.append(word)
    return [*spelled, *words[end:]]


def _all_help(words: Sequence[str]) -> list[str]:
    return ["--help" if word == "--help_all" else word for word in words]


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser by their names; none if it has none."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= action.choices
    return found


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Names of a parser's options."""
    return {word[2:] for action in parser._actions for word in action.option_strings if word.startswith("--")}


def _check_spelling(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Stop at a misspelled command, task or option, before anything slow is imported.

    Raises:
        SystemExit: something is misspelled; what, and the nearest name, has been printed.
    """
    command, rest = next(iter(arguments), "-"), list(arguments[1:])
    parsers = subparsers(parser)
    if command.startswith("-"):
        return
    if command not in parsers:
        parser.error(
            f"no command {command!r}{did_you_mean(command, parsers)} (the commands: {', '.join(parsers)})"
        )
    chosen = parsers[command]
    known: frozenset[str] | set[str]
    if command == "finetune":
        task = None if not rest or rest[0].startswith("-") else rest.pop(0)
        if task is not None and task not in TASKS:
            parser.error(f"no task {task!r}{did_you_mean(task, TASKS)} (the tasks: {', '.join(TASKS)})")
        known = finetune_options(task)
    elif command == "pretrain":
        known = pretrain_options()
    else:
        inner = subparsers(chosen)
        if inner and rest and not rest[0].startswith("-"):
            action = rest.pop(0)
            if action not in inner:
                chosen.error(f"no action {action!r}{did_you_mean(action, inner)}")
            chosen = inner[action]
        known = options_of(chosen) | (task_options() if command == "evaluate" else set())
    problem = unknown_option(rest, {*known, "help_all"}) if known else None
    if problem is not None:
        words = [command, *arguments[1 : len(arguments) - len(rest)]]
        parser.error(f"{problem} (`pixel-m4 {' '.join(words)} --help` lists them)")


def _check_places(arguments: Sequence[str]) -> None:
    """Stop at a model folder or a file of data that is not there, before anything slow is imported.

    Raises:
        OSError: what is not there.
    """
    command, *rest = arguments or ("",)
    named = {
        word[2:].partition("=")[0].replace("-", "_"): word.partition("=")[2] or following
        for word, following in pairwise([*rest, ""])
        if word.startswith("--")
    }
    models = [named.get("model"), named.get("model_name_or_path")]
    if command == "analyze":
        rest = rest[1:]  # the action
    takes_model = ("predict", "evaluate", "export", "embed", "analyze")
    if command in takes_model and rest and not rest[0].startswith("-"):
        models.append(rest[0])
    if command == "demo" and "--models" in rest:
        given = takewhile(lambda word: not word.startswith("--"), rest[rest.index("--models") + 1 :])
        models += list(given)
    for model in models:
        if model and command in ("predict", "evaluate") and is_exported(model):
            Path(model).expanduser().open("rb").close()
        elif model and model != "none" and not is_hub_name(model):
            find_model(model)
    for option in ("config", "data_file"):
        path = named.get(option)
        if (
            not path
            or path.startswith("-")
            or path == "none"
            or (option == "data_file" and "data_dir" in named)
        ):
            continue
        if not Path(path).expanduser().exists():
            raise FileNotFoundError(f"--{option} is no file: {path}")


def _leave_group() -> None:
    """Part from the other processes of a training; gloo's threads may bring down a process that does not."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _guard(command: Callable[[], None], debug: bool, again: Sequence[str] | None = None) -> int:
    """Run a command; its exit code.

    Args:
        command: what to run.
        debug: whether to show where an error comes from.
        again: the command line that goes on with what was stopped.
    """
    from pixel_m4.render.losses import told_at_end

    try:
        with Stopping().listening(), told_at_end(lambda line: print(f"pixel-m4: {line}", file=sys.stderr)):
            command()
        _leave_group()
    except BrokenPipeError:  # who reads has had enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that nothing is flushed at exit
        return 141
    except KeyboardInterrupt as stop:
        if again is not None:
            message = getattr(stop, "message", "") or "stopped"
            print(f"pixel-m4: {message}; to go on: {_how(again)}", file=sys.stderr)
        return stop.exit_code if isinstance(stop, Stopped) else 130
    except Exception as error:
        if debug and explain(error) is not None:  # a fault shows it anyway
            traceback.print_exception(error)
        report(error)
        return 1
    return 0


def _how(words: Sequence[str]) -> str:
    """The command that goes on with a run that was stopped; it deletes nothing, and shows no secrets."""
    from pixel_m4.console.redact import redact_command

    kept: list[str] = []
    value = False  # of the option that is left out
    for word in words:
        option, equals, _ = word.partition("=")
        if option.replace("-", "_") == "__overwrite_output_dir":
            value = not equals
        elif value and not word.startswith("-"):
            value = False
        else:
            value = False
            kept.append(word)
    command = redact_command(["pixel-m4", *kept])
    return f"{command} (under torchrun, as before)" if "TORCHELASTIC_RUN_ID" in os.environ else command


if __name__ == "__main__":
    sys.exit(main())
