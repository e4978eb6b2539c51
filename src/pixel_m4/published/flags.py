"""Flags of a published command line, and what each becomes here; what a flag no longer means is said once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pixel_m4.console.errors import UserError

Value = str | None
"""What stands behind a flag; None for a flag that stands alone."""
Flags = Mapping[str, Value]

_said: set[str] = set()


@dataclass
class Command:
    """The command line of ``pixel-m4`` that a published one becomes.

    Attributes:
        words: the command, and what stands before its options.
        options: by name; a list for an option that takes several values.
    """

    words: list[str]
    options: dict[str, Value | list[str]] = field(default_factory=dict)

    def line(self) -> list[str]:
        """Its words."""
        line = list(self.words)
        for name, value in self.options.items():
            if isinstance(value, list):
                line += [f"--{name}", *value]
            else:
                line.append(f"--{name}" if value is None else f"--{name}={value}")
        return line


Apply = Callable[[Value, Flags, Command], None]
"""Puts a flag's value into the command; sees all flags."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What becomes of a flag.

    Attributes:
        kind: ``ours``: an option of ours; ``settled``: it decides something, as ``about`` says;
            ``accepted``: with a line that says what it no longer means; ``refused``: with the reason.
        about: our option, or the reason.
        apply: what is done where the kind does not say it.
        neutral: values that ask for nothing, so that nothing is said.
    """

    kind: Literal["ours", "settled", "accepted", "refused"]
    about: str
    apply: Apply | None = None
    neutral: tuple[str, ...] = ()

    def carry(self, name: str, value: Value, flags: Flags, command: Command) -> None:
        """Do it.

        Raises:
            UserError: the flag is refused.
        """
        if self.apply is not None:
            self.apply(value, flags, command)
        elif self.kind == "ours":
            command.options[self.about] = value
        elif self.asks_for_nothing(value):
            return
        elif self.kind == "accepted":
            say(name, self.about)
        else:
            shown = "" if value is None or "token" in name else f" {value}"
            raise UserError(f"--{name}{shown} is not obeyed: {self.about}")

    def asks_for_nothing(self, value: Value) -> bool:
        """Whether the value is as good as leaving the flag out."""
        return value is not None and value.lower() in {"", "none", "false", "0", *self.neutral}


def ours(name: str) -> Meaning:
    """The flag is an option of ours."""
    return Meaning("ours", name)


def settled(about: str, apply: Apply) -> Meaning:
    """The flag is honoured in another way."""
    return Meaning("settled", about, apply)


def accepted(why: str, *neutral: str) -> Meaning:
    """The flag has lost its meaning, and nothing goes wrong without it."""
    return Meaning("accepted", why, neutral=neutral)


def refused(why: str, *neutral: str) -> Meaning:
    """The flag cannot be honoured."""
    return Meaning("refused", why, neutral=neutral)


def split_flags(argv: Sequence[str], several: Collection[str] = (), first: str = "") -> dict[str, Value]:
    """Values by names of flags, with ``_``; of a flag that stands twice, the last.

    Args:
        argv: flags, as ``--flag``, ``--flag=value`` or ``--flag value``.
        several: flags that take several words, which are joined by spaces.
        first: what a word without a flag at the beginning is called; empty: there is none.

    Raises:
        UserError: a value stands without a flag.
    """
    flags: dict[str, Value] = {}
    name = ""
    for word in argv:
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = name.replace("-", "_")
            flags[name] = value if equals else None
        elif name and flags[name] is None:
            flags[name] = word
        elif name in several:
            flags[name] = f"{flags[name]} {word}"
        elif first and not flags:
            flags[first] = word
        else:
            raise UserError(f"{word!r} belongs to no flag; flags begin with --")
    return flags


def say(flag: str, what: str) -> None:
    """Tell once, on the standard error, what a flag no longer means."""
    if flag not in _said:
        _said.add(flag)
        print(f"--{flag}: {what}", file=sys.stderr)


def is_true(value: Value) -> bool:
    """Whether a flag says yes; one that stands alone does."""
    return value is None or value.lower() in ("true", "1", "yes", "y", "t")


def asked(flags: Flags, name: str) -> bool:
    """Whether a flag is there and says yes."""
    return name in flags and is_true(flags[name])
