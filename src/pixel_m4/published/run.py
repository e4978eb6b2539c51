"""Run a published command line."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from pixel_m4.cli.main import main as pixel_m4
from pixel_m4.console.errors import UserError, report
from pixel_m4.console.spelling import did_you_mean
from pixel_m4.published.flags import Command, Flags, ours, split_flags
from pixel_m4.published.scripts import SCRIPTS, Script

_HELP = ("-h", "--help")


def main(file: str, argv: Sequence[str] | None = None) -> int:
    """Run what a published script has become; errors that users can mend come as one line and exit code 1.

    Args:
        file: the script.
        argv: its flags; default: those of this process.
    """
    script = SCRIPTS[Path(file).name]
    words = list(sys.argv[1:] if argv is None else argv)
    if set(words) & set(_HELP):
        print(help_of(script))
        return 0
    try:
        if script.refusal:
            raise UserError(script.refusal)
        flags = flags_of(script, words)
        if script.function:
            translate(script, flags)  # says what has lost its meaning
            module, _, name = script.function.partition(":")
            getattr(import_module(f"pixel_m4.published.{module}"), name)(flags)
            return 0
        command = translate(script, flags)
        before = script.before() if script.before is not None else None
    except Exception as error:
        report(error, script.name)
        return 1
    return (pixel_m4(before) if before else 0) or pixel_m4(command)


def flags_of(script: Script, argv: Sequence[str]) -> dict[str, str | None]:
    """The flags of a command line, and the script's defaults.

    Raises:
        UserError: a flag is not known, where no command could know it.
    """
    flags = split_flags(argv, script.several, script.first)
    if not script.command:
        for name in flags:
            if name not in script.flags:
                near = did_you_mean(name, script.flags).replace("mean ", "mean --")
                known = ", ".join(f"--{each}" for each in script.flags)
                raise UserError(f"unknown flag --{name}{near} (the flags: {known})")
    return {**{name: value for name, value in script.defaults.items() if name not in flags}, **flags}


def translate(script: Script, flags: Flags) -> list[str]:
    """The command line of ``pixel-m4`` for a published one; what a flag no longer means is told.

    A flag that is not in the tables is handed on: it is one of transformers' that is ours, too, or one of
    ours, or the command says that there is none.

    Raises:
        UserError: a flag is refused.
        FontError: the folder with fallback fonts does not exist.
    """
    command = Command(list(script.command))
    meanings = {**script.trainer, **script.flags}
    for name, value in flags.items():
        meanings.get(name, ours(name)).carry(name, value, flags, command)
    if script.settle is not None:
        script.settle(flags, command)
    return command.line()


def help_of(script: Script) -> str:
    """What a script has become, and each of its flags."""
    lines = [f"{script.name}: {script.becomes.replace('`', '')}", ""]
    for name, meaning in {**script.flags, **script.trainer}.items():
        lines.append(f"  --{name}: {meaning.kind}: {meaning.about.replace('`', '')}")
    if script.trainer:
        lines.append("\nArguments of transformers' Trainer that are not listed are those of today.")
    return "\n".join([*lines, "\ndocs/published.md has all scripts."])
