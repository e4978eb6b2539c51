"""YAML files of options: every value is checked against the type of its option, with file and line.

YAML guesses types: ``no`` is a truth value, ``1e-3`` is text, ``010`` is 8. Here the option says what its
value is: text stays as it was written, ``1e-3`` is a number, and what does not fit is refused with what to
write.
"""

from __future__ import annotations

import logging
import math
import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from pixel_m4.console.errors import UserError
from pixel_m4.console.spelling import RENAMED, did_you_mean

logger = logging.getLogger(__name__)

_TAG = "tag:yaml.org,2002:"
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INT = re.compile(r"[+-]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[+-]?([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_PADDED = re.compile(r"[+-]?0[0-9]")  # an octal number of YAML, or a date, or a code with zeros
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a YAML file that has no type yet.

    Attributes:
        name: its key, for messages.
        place: its file and line, for messages; empty if it comes from no file.
        content: text of a scalar, nodes of a list, or nodes by key of a mapping.
        kind: what YAML takes a scalar for: str, bool, int, float, null, timestamp …; or list, or map.
        quoted: whether a scalar stands in quotation marks, or is a block.
    """

    name: str
    place: str
    content: Any
    kind: str
    quoted: bool = False

    @property
    def is_null(self) -> bool:
        """Whether there is no value."""
        return self.kind == "null"

    def plain(self) -> Any:
        """The value as it looks, where no option tells its type; numbers such as 1e-3 are numbers."""
        if self.kind == "list":
            return [node.plain() for node in self.content]
        if self.kind == "map":
            return {name: node.plain() for name, node in self.content.items()}
        if self.is_null:
            return None
        if self.kind == "bool":
            return _TRUTH[self.content.lower()]
        if not self.quoted and not _PADDED.match(self.content):
            if _INT.fullmatch(self.content):
                return int(self.content)
            if _FLOAT.fullmatch(self.content):
                return float(self.content)
        return self.content

    def wrong(self, what: str) -> UserError:
        """The error that something is wrong with it."""
        return UserError(f"{self.place}: {self.name}: {what}" if self.place else f"{self.name}: {what}")


def read_mapping(path: Path, what: str) -> dict[str, Node]:
    """The mapping that a YAML file holds.

    Args:
        path: the file.
        what: what messages call it, such as ``recipe``.

    Raises:
        ValueError: the file cannot be read, is no mapping, or holds a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the {what} {path}: {error}") from error
    try:
        node = parse(text, str(path))
    except yaml.YAMLError as error:
        raise UserError(f"cannot read the {what} {path}: {error}") from error
    if node is None or node.kind != "map":
        found = "nothing" if node is None else {"list": "a list"}.get(node.kind, "one value")
        raise UserError(f"{path} must hold a mapping of names to values, as `name: value`; it holds {found}")
    for name in sorted(node.content.keys() & RENAMED.keys()):
        new = RENAMED[name]
        if new in node.content:
            raise UserError(f"{node.content[name].place}: {name} is called {new} now, which is there, too")
        logger.warning("%s: %s is called %s now", path, name, new)
        node.content[new] = replace(node.content.pop(name), name=new)
    return node.content


def parse(text: str, source: str = "", name: str = "") -> Node | None:
    """One YAML value; None if there is nothing.

    Args:
        text: the YAML.
        source: what messages call the file.
        name: what messages call the value.

    Raises:
        yaml.YAMLError: the text is no YAML.
        ValueError: a key stands twice, or something is of a kind that options do not have.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    return None if root is None else _node(root, name, source, 0)


def _node(node: yaml.Node, name: str, source: str, depth: int) -> Node:
    place = f"{source}:{node.start_mark.line + 1}" if source else ""
    kind = node.tag.removeprefix(_TAG)
    if isinstance(node, yaml.ScalarNode):
        found = Node(name, place, node.value, kind, node.style is not None)
        if kind not in ("str", "bool", "int", "float", "null", "timestamp", "value"):
            raise found.wrong(f"values of the kind {node.tag} are not read; write plain text or a number")
        return found
    if depth > _DEEPEST:
        raise Node(name, place, None, kind).wrong("lists and mappings are nested too deep")
    if isinstance(node, yaml.SequenceNode) and kind == "seq":
        return Node(name, place, [_node(item, name, source, depth + 1) for item in node.value], "list")
    if isinstance(node, yaml.MappingNode) and kind == "map":
        return Node(name, place, _entries(node, source, depth + 1), "map")
    raise Node(name, place, None, kind).wrong(f"values of the kind {node.tag} are not read")


def _entries(node: yaml.MappingNode, source: str, depth: int) -> dict[str, Node]:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise UserError(f"{source}:{line}: a name is a single word, not a list or a mapping")
        if key.value in lines and key.tag != f"{_TAG}merge":
            raise UserError(
                f"{source}:{line}: {key.value} stands in line {lines[key.value]} already; leave one"
            )
        lines[key.value] = line
    yaml.SafeLoader("").flatten_mapping(node)  # `<<: *anchor`; what the mapping itself says comes last
    return {key.value: _node(value, key.value, source, depth) for key, value in node.value}


def from_text(name: str, text: str) -> Node:
    """A value that was put together from text, as if it stood in a file without quotation marks."""
    return Node(name, "", text, "bool" if text.lower() in _TRUTH else "str")


def option_types(groups: Iterable[type]) -> dict[str, Any]:
    """The types of the options of dataclasses, by name."""
    return {
        entry.name: hints[entry.name]
        for group in groups
        for hints in [get_type_hints(group)]
        for entry in fields(group)
        if entry.init
    }


def check_names(names: Mapping[str, Node], known: Iterable[str]) -> None:
    """Refuse names that are no option.

    Raises:
        ValueError: names the first with its place, and the most similar option.
    """
    options = list(known)
    for name, node in names.items():
        if name not in options:
            raise UserError(f"{node.place}: no such argument: {name}{did_you_mean(name, options)}")


def typed(node: Node, hint: Any) -> Any:
    """The value of a node as an option of a type takes it.

    Raises:
        ValueError: it does not fit; the message names place, value and what to write.
    """
    wanted = list(_members(hint))
    if node.is_null:
        if type(None) in wanted:
            return None
        raise node.wrong("there is no value; write one, or leave the line out")
    enums = [member for member in wanted if isinstance(member, type) and issubclass(member, Enum)]
    if node.kind == "map":
        if any(get_origin(member) is dict or member is dict for member in wanted):
            return node.plain()
        raise node.wrong(f"{_shown(node)} is a mapping; {_advice(wanted)}")
    lists = [member for member in wanted if get_origin(member) is list or member is list]
    if node.kind == "list":
        if not lists:
            raise node.wrong(
                f"{_shown(node)} is a list; {_advice(wanted)} (lists of values are for `pixel-m4 sweep`)"
            )
        return [typed(item, (*get_args(lists[0]), str)[0]) for item in node.content]
    if enums:
        return _choice(node, [str(member.value) for member in enums[0]])
    if str in wanted or any(get_origin(member) is Literal for member in wanted):
        return node.content
    if lists:
        return [typed(node, (*get_args(lists[0]), str)[0])]
    if bool in wanted:
        if node.kind == "bool" and not node.quoted:
            return _TRUTH[node.content.lower()]
        raise node.wrong(f"{_shown(node)} is no truth value; write true or false, without quotation marks")
    if not {int, float} & set(wanted):
        raise node.wrong(f"{_shown(node)} is one value; a mapping is wanted")
    return _number(node, integer=float not in wanted)


def _number(node: Node, *, integer: bool) -> int | float:
    what = "whole number" if integer else "number"
    if node.quoted:
        raise node.wrong(f"{_shown(node)} is text, but a {what} is wanted; leave the quotation marks out")
    if _INT.fullmatch(node.content):
        return int(node.content) if integer else float(node.content)
    if not integer and _FLOAT.fullmatch(node.content) and not _PADDED.match(node.content):
        value = float(node.content)
        if math.isfinite(value):
            return value
    if node.kind == "int":
        other = int(yaml.safe_load(node.content))
        ways = f"it could mean {other}, or the digits as they stand" if other >= 0 else "it is not decimal"
        raise node.wrong(
            f"{node.content} is no decimal number ({ways}); write the {what} without zeros before it"
        )
    if integer and _FLOAT.fullmatch(node.content):
        raise node.wrong(f"{node.content} is no whole number; write one such as {float(node.content):.0f}")
    raise node.wrong(f"{_shown(node)} is no {what}")


def _choice(node: Node, choices: Sequence[str]) -> str:
    if node.content not in choices:
        raise node.wrong(f"{_shown(node)} is none of {', '.join(choices)}")
    return node.content


def _members(hint: Any) -> Iterator[Any]:
    """The types that a union allows."""
    if get_origin(hint) in (Union, types.UnionType):
        for member in get_args(hint):
            yield from _members(member)
    else:
        yield hint


def _advice(wanted: Sequence[Any]) -> str:
    kinds = {bool: "true or false", int: "one whole number", float: "one number", str: "one text"}
    kind = next((words for kind, words in kinds.items() if kind in wanted), "one value")
    return f"write {kind}"


def _shown(node: Node) -> str:
    value = (
        repr(node.content)
        if node.quoted
        else str(node.plain() if node.kind in ("list", "map") else node.content)
    )
    return value if len(value) <= 60 else f"{value[:57]}..."
