"""What the user wrote: command line over recipe over defaults, and where each value comes from."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, get_args

from transformers import HfArgumentParser

from pixel_m4.console.errors import UserError
from pixel_m4.console.spelling import did_you_mean
from pixel_m4.training.limits import check_value
from pixel_m4.training.recipes import Node, check_names, option_types, read_mapping, typed

logger = logging.getLogger(__name__)


class Layer:
    """Where a value comes from; what the user wrote is ``FILE`` or ``COMMAND``, and the higher one wins."""

    DEFAULT, FILE, COMMAND = range(3)


@dataclass
class Settings:
    """The values of all options, and the layer that each comes from."""

    values: dict[str, Any]
    layers: dict[str, int]
    defaults: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        value = self.values[name]
        return value.value if isinstance(value, Enum) else value

    def layer(self, *names: str) -> int:
        """The highest layer that one of the options was written in."""
        return max(self.layers.get(name, Layer.DEFAULT) for name in names)

    def given(self, name: str) -> bool:
        """Whether the user wrote it."""
        return self.layer(name) > Layer.DEFAULT

    def reset(self, *names: str, because: str = "") -> None:
        """Take back what was written in a lower layer, and say so if the reason is not another such value."""
        for name in names:
            if because and self.given(name) and self.values[name] != self.defaults[name]:
                logger.warning(
                    "the recipe's %s is left out, as the command line has %s", self.said(name), because
                )
            self.values[name] = self.defaults[name]
            self.layers.pop(name, None)

    def said(self, name: str) -> str:
        """How a value is written on the command line."""
        value = "…" if name.endswith("token") else written_as(self[name])
        return f"--{name} {value}"

    def higher(self, first: str, second: str) -> str | None:
        """Of two options that exclude each other the one that wins; None if both stand in one layer."""
        one, other = self.layer(first), self.layer(second)
        return None if one == other else first if one > other else second

    def choose(self, first: str, second: str) -> None:
        """Of two options that exclude each other keep the one that was written higher.

        Raises:
            ValueError: both stand in one place.
        """
        if self.given(first) and self.given(second):
            winner = self.higher(first, second)
            if winner is None:
                raise UserError(
                    f"{self.said(first)} and {self.said(second)} exclude each other; leave one of the two out"
                )
            self.reset(second if winner == first else first, because=self.said(winner))

    def needless(self, name: str, since: int, why: str) -> None:
        """Refuse an option that can have no effect, or take it back if something was decided above it.

        Args:
            name: of the option; false, 0 and none pass.
            since: the layer that decided that it has no effect.
            why: it has none.

        Raises:
            ValueError: it was written in this layer, or above.
        """
        if self.given(name) and self[name] not in (None, False, 0, "no"):
            if self.layer(name) >= since:
                raise UserError(f"{self.said(name)} has no effect: {why}")
            self.reset(name)


class SettingsParser(HfArgumentParser):
    """argparse that tells what was written, and answers mistakes without pages of usage."""

    def __init__(self, command: str, groups: Sequence[type], defaults: Mapping[str, Any]) -> None:
        super().__init__(list(groups), prog=command, allow_abbrev=False)
        self.add_argument("--config", metavar="RECIPE.yaml", help="YAML file with arguments by name")
        self.set_defaults(**defaults)
        self._types = option_types(groups)
        for action in self._actions:
            optional = type(None) in get_args(self._types.get(action.dest))
            if optional and action.dest not in _NONE_IS_TEXT and action.type is not None:
                action.type = _or_none(action.type)

    def error(self, message: str) -> Any:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: error: {message} (--help lists all arguments)\n")

    def read(self, argv: Sequence[str], task: str | None = None) -> Settings:
        """Read the command line, and the recipe that it names.

        Args:
            argv: the command line.
            task: what recipes may be for; None: pretraining.

        Raises:
            ValueError: the recipe is wrong.
            SystemExit: the command line is wrong (argparse has printed why).
        """
        absent = object()
        names = [action.dest for action in self._actions if action.dest != "help"]
        found, rest = self.parse_known_args(argv, argparse.Namespace(**dict.fromkeys(names, absent)))
        if rest:
            flag = next((word for word in rest if word.startswith("-")), rest[0]).partition("=")[0]
            near = did_you_mean(flag.lstrip("-"), names) if flag.startswith("--") else ""
            self.error(f"unrecognized arguments: {' '.join(rest)}{near.replace('mean ', 'mean --')}")
        written = {name: value for name, value in vars(found).items() if value is not absent}
        config, model = written.pop("config", None), written.get("model_name_or_path")
        nodes = _read_recipe(Path(config), self._types, task) if config is not None else {}
        if model is None and "model_name_or_path" in nodes:
            model = typed(nodes["model_name_or_path"], str | None)
        for name, value in written.items():
            try:
                check_value(name, value, model)
            except ValueError as error:
                raise UserError(f"--{name} {error}") from error
        recipe = {name: read_value(node, self._types[name], model) for name, node in nodes.items()}
        defaults = {name: self.get_default(name) for name in names if name != "config"}
        layers = {**dict.fromkeys(recipe, Layer.FILE), **dict.fromkeys(written, Layer.COMMAND)}
        return Settings({**defaults, **recipe, **written}, layers, defaults)

    def build(self, settings: Settings) -> tuple[Any, ...]:
        """An object of each dataclass.

        Raises:
            UserError: one of them refuses a value.
        """
        try:
            return tuple(
                group(**{entry.name: settings.values[entry.name] for entry in fields(group) if entry.init})
                for group in self.dataclass_types
            )
        except ValueError as error:  # transformers' own checks, too
            raise UserError(str(error)) from error


# `none` is a value of these, and does not stand for "not given".
_NONE_IS_TEXT = ("report_to",)


def _or_none(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    def converted(text: str) -> Any:
        return None if text.lower() == "none" else convert(text)

    converted.__name__ = getattr(convert, "__name__", "value")  # what argparse calls it
    return converted


def written_as(value: Any) -> str:
    """A value as it is written on the command line."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _read_recipe(path: Path, types: Mapping[str, Any], task: str | None = None) -> dict[str, Node]:
    recipe = read_mapping(path, "recipe")
    if "task" in recipe:
        node = recipe.pop("task")
        named = typed(node, str)
        if named != task:
            raise UserError(f"{node.place} is for the task {named!r}, not {task or 'pretraining'!r}")
    check_names(recipe, types)
    return dict(recipe)


def read_value(node: Node, hint: Any, model: str | None = None) -> Any:
    """The value of an option in a file.

    Args:
        node: as it was read.
        hint: type of the option.
        model: checkpoint that training starts from.

    Raises:
        ValueError: the option cannot have it; the message names file, line and value.
    """
    value = typed(node, hint)
    try:
        check_value(node.name, value, model)
    except ValueError as error:
        raise node.wrong(str(error)) from error
    return value
