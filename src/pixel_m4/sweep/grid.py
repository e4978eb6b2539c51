"""The YAML file of a sweep: grids of arguments, written out as single fine-tuning runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args, get_origin

from transformers import TrainingArguments

from pixel_m4.console.errors import UserError
from pixel_m4.console.spelling import did_you_mean
from pixel_m4.finetune.arguments import FinetuneArguments, parse_arguments
from pixel_m4.tasks.registry import TASKS
from pixel_m4.training.recipes import Node, from_text, option_types, read_mapping, typed
from pixel_m4.training.settings import read_value

_SPECIAL = ("task", "model", "group", "metric")
_SWEEPS_OWN = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LONGEST_NAME = 200  # bytes; file systems allow 255


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One fine-tuning run of a sweep.

    Attributes:
        task: name of the task.
        axes: its place in the grid: a label for each axis.
        arguments: arguments of ``pixel-m4 finetune``, without the output folder.
        group: what its data set belongs to, such as a script; may be empty.
        metric: the score that the tables show.
    """

    task: str
    axes: Mapping[str, str]
    arguments: Mapping[str, Any]
    group: str
    metric: str

    @property
    def folder(self) -> Path:
        """Its folder inside of the sweep's, named by its place in the grid; none lies inside another."""
        name = ",".join(f"{axis}={_file_name(label)}" for axis, label in self.axes.items()) or "run"
        if len(name.encode()) > _LONGEST_NAME:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f"{name.encode()[: _LONGEST_NAME - 9].decode(errors='ignore')},{digest}"
        return Path(self.task, name)

    @property
    def digest(self) -> str:
        """SHA-256 of task and arguments, and of the recipe file that the arguments name."""
        content = json.dumps([self.task, self.arguments], sort_keys=True, ensure_ascii=False).encode()
        recipe = self.arguments.get("config")
        if recipe is not None and Path(recipe).is_file():
            content += Path(recipe).read_bytes()
        return hashlib.sha256(content).hexdigest()

    def command(self) -> list[str]:
        """The arguments as ``pixel-m4 finetune`` takes them, the task first."""
        words = [self.task]
        for name, value in self.arguments.items():
            values = value if isinstance(value, list) else [value]
            words += [f"--{name}", *map(_word, values)]
        return words


@dataclass(frozen=True, kw_only=True, slots=True)
class TableOptions:
    """What the axes are in the tables.

    Attributes:
        rows: axes that make rows; default: those that are nothing else.
        columns: axes that make columns.
        choose: axes whose best value is chosen on dev.
        average: axes that mean and standard deviation are taken over.
        difference: two labels of the columns; a column shows the first less the second.
    """

    rows: Sequence[str] = ()
    columns: Sequence[str] = ("model",)
    choose: Sequence[str] = ("learning_rate",)
    average: Sequence[str] = ("seed",)
    difference: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """Runs, in the order of the file, and what is to be made of them."""

    runs: Sequence[Run]
    table: TableOptions = field(default_factory=TableOptions)

    @property
    def axes(self) -> list[str]:
        """All axes in the order of the file."""
        return list(dict.fromkeys(axis for run in self.runs for axis in run.axes))

    @property
    def files(self) -> list[Path]:
        """Files and folders of this machine that arguments name: data, checkpoints, recipes, fonts."""
        values = [value for run in self.runs for value in run.arguments.values()]
        words = [word for value in values for word in (value if isinstance(value, list) else [value])]
        paths = [
            Path(word).expanduser() for word in dict.fromkeys(w for w in words if isinstance(w, str) and w)
        ]
        return [path for path in paths if path.exists()]


def read_sweep(path: Path) -> Sweep:
    """Read the YAML file of a sweep; ``docs/sweeps.md`` describes it.

    Raises:
        ValueError: the file is no mapping, or something in it is unknown, empty or ambiguous.
    """
    shared = read_mapping(path, "sweep")
    table = shared.pop("table", None)
    listed = shared.pop("blocks", None)
    blocks: list[dict[str, Node]] = [{}]
    if listed is not None:
        if listed.kind != "list" or not listed.content or any(node.kind != "map" for node in listed.content):
            raise listed.wrong("blocks must be a list of mappings")
        blocks = [node.content for node in listed.content]
    runs: list[Run] = []
    for block in blocks:
        try:
            runs += _runs({**shared, **block})
        except ValueError as error:
            known = str(error).startswith(f"{path}:")
            raise error if known else UserError(f"{path}: {error}") from error
    seen: set[Path] = set()
    for run in runs:
        if run.folder in seen:
            raise UserError(
                f"{path}: two runs would share the folder {run.folder}; "
                "give their blocks an axis that tells them apart (a list of one value is one)"
            )
        seen.add(run.folder)
    sweep = Sweep(runs=runs)
    options = {} if table is None or table.is_null else table.plain()
    return Sweep(runs=runs, table=_table(path, options, sweep.axes, runs))


def check_runs(sweep: Sweep) -> None:
    """Refuse runs whose arguments contradict each other, before the first one starts.

    Runs that give the same arguments, in other values, are looked at once.

    Raises:
        ValueError: names the run.
    """
    seen = set()
    for run in sweep.runs:
        names = (run.task, *run.arguments)
        if names not in seen:
            seen.add(names)
            argv = [*run.command()[1:], "--output_dir", str(run.folder)]
            try:
                parse_arguments(f"run {run.folder}", TASKS[run.task], argv)
            except ValueError as error:
                raise UserError(f"the run {run.folder}: {error}") from error


def _table(path: Path, given: Any, axes: Sequence[str], runs: Sequence[Run]) -> TableOptions:
    names = [entry.name for entry in fields(TableOptions)]
    if not isinstance(given, dict) or set(given) - set(names):
        raise UserError(f"{path}: table must be a mapping with some of {', '.join(names)}; it is {given}")
    options = {name: [value] if isinstance(value, str) else list(value) for name, value in given.items()}
    table = TableOptions(**options)
    roles = [axis for role in names[:4] for axis in getattr(table, role)]
    asked = [axis for role in names[:4] for axis in options.get(role, ())]
    for axis in asked:
        if axis not in axes:
            raise UserError(f"{path}: table: no axis {axis!r}; the axes are {', '.join(axes) or 'none'}")
        if roles.count(axis) > 1:
            raise UserError(f"{path}: table: the axis {axis!r} has several roles")
    rest = [axis for axis in axes if axis not in roles]
    if table.rows and rest:
        raise UserError(f"{path}: table: {', '.join(rest)} must be in one of rows, columns, choose, average")
    labels = {" ".join(run.axes[axis] for axis in table.columns if axis in run.axes) for run in runs}
    if table.difference and (len(table.difference) != 2 or set(table.difference) - labels):
        raise UserError(
            f"{path}: table: difference must name two of the columns {', '.join(sorted(labels))}; "
            f"it is {table.difference}"
        )
    return TableOptions(**{**options, "rows": table.rows or rest})


def _runs(block: Mapping[str, Node]) -> list[Run]:
    """Write out the grid of one block."""
    if "task" not in block or block["task"].is_null:
        raise UserError(f"task is missing; the tasks are {', '.join(TASKS)}")
    tasks = typed(block["task"], list[str])
    for task in tasks:
        if task not in TASKS:
            raise block["task"].wrong(f"no task {task!r}; the tasks are {', '.join(TASKS)}")
    types = {name: hint for task in reversed(tasks) for name, hint in _types(task).items()}
    axes: dict[str, dict[str, Any]] = {}
    bundled: set[str] = set()
    constant: dict[str, Any] = {}
    for name, node in block.items():
        if name == "task":
            continue
        if node.kind == "map" and not _takes_mapping(types.get(name)):
            bundled.add(name)
            axes[name] = {label: _choice(name, choice, types) for label, choice in node.content.items()}
        elif node.kind == "list":
            values = [_value(name, choice, types) for choice in node.content]
            axes[name] = {_label(value): value for value in values}
        else:
            constant[name] = _value(name, node, types)
        if name in axes and not axes[name]:
            raise node.wrong(f"the axis {name!r} is empty")
        if name in axes and len(axes[name]) < len(node.content):
            raise node.wrong(f"the axis {name!r} holds a value twice: {', '.join(map(_label, values))}")
    runs = []
    for task in tasks:
        for choice in product(*(values.items() for values in axes.values())):
            settings = {**constant, "task": task}
            chosen = {axis: (str(label), value) for axis, (label, value) in zip(axes, choice, strict=True)}
            for axis, (label, value) in chosen.items():
                bundle = isinstance(value, dict) and axis in bundled
                if bundle:
                    if axis in _known(task):
                        settings[axis] = label
                    settings |= {str(name): item for name, item in value.items()}
                elif axis == "model":
                    settings |= {"model_name_or_path": value}
                else:
                    settings |= {axis: value}
                if bundle or value is None:
                    chosen[axis] = (label, label)
            runs.append(_run(task, settings, chosen))
    return runs


def _choice(axis: str, node: Node, types: Mapping[str, Any]) -> Any:
    """What a label stands for: one value of the axis, or several arguments."""
    if node.kind == "map":
        return {name: _value(name, inner, types) for name, inner in node.content.items()}
    return _value(axis, node, types)


def _value(name: str, node: Node, types: Mapping[str, Any]) -> Any:
    """The value of an argument in its type; of any other name, text or a number, as it was written."""
    if node.is_null:
        return None
    if name in types and not (isinstance(node.content, str) and _PLACEHOLDER.search(node.content)):
        return read_value(node, types[name])
    if node.kind in ("list", "map"):
        raise node.wrong(
            f"{node.plain()} is a {'list' if node.kind == 'list' else 'mapping'}; write one value"
        )
    value = node.plain()
    return value if isinstance(value, int | float) and not isinstance(value, bool) else node.content


def _takes_mapping(hint: Any) -> bool:
    return any(member is dict or get_origin(member) is dict for member in (hint, *get_args(hint)))


@cache
def _types(task: str) -> dict[str, Any]:
    """The types of the arguments of a task, and of the names with a meaning of their own."""
    groups = (FinetuneArguments, TrainingArguments, TASKS[task].options_class)
    own = {"config": str, "model": str | None, "group": str | None, "metric": str | None}
    return {**option_types(groups), **own}


def _known(task: str) -> set[str]:
    """The arguments of a task."""
    return _types(task).keys() - set(_SPECIAL)


def _run(task: str, settings: Mapping[str, Any], chosen: Mapping[str, tuple[str, Any]]) -> Run:
    known, types = _known(task), _types(task)
    names = {**settings, **{axis: value for axis, (_, value) in chosen.items()}}
    used: set[str] = set()

    def fill(key: str, value: Any, path: tuple[str, ...] = ()) -> Any:
        if not isinstance(value, str):
            return value

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name not in names or isinstance(names[name], (list, dict)):
                there = ", ".join(chosen) or "none"
                raise UserError(f"{key}: the placeholder {match[0]} has no axis; the axes are {there}")
            if name in path:
                raise UserError(f"{key}: the placeholder {match[0]} stands for itself")
            used.add(name)
            return str(fill(name, names[name], (*path, name)))

        text = _PLACEHOLDER.sub(replace, value)
        if key not in types or key in path[:-1]:
            return text
        return read_value(from_text(key, text), types[key]) if _PLACEHOLDER.search(value) else text

    filled = {name: fill(name, value, (name,)) for name, value in settings.items()}
    if "model" in filled:
        filled.setdefault("model_name_or_path", filled["model"])
    for name in filled:
        if name in _SWEEPS_OWN:
            raise UserError(f"{name} is set by the sweep itself; leave it out")
        if name not in known and name not in _SPECIAL and name not in used:
            near = did_you_mean(name, sorted(known))
            raise UserError(f"{name!r} is no argument of the task {task}, and no placeholder uses it{near}")
    # A recipe may give a value that `null` takes back; without one, an argument is just left out.
    arguments = {
        name: value
        for name, value in filled.items()
        if name in known and (value is not None or (filled.get("config") and name != "config"))
    }
    asked = str(filled.get("metrics") or "").partition(",")[0].strip()  # the first chooses the checkpoint
    metric = filled.get("metric") or filled.get("metric_for_best_model") or asked or TASKS[task].metric
    return Run(
        task=task,
        axes={axis: label for axis, (label, _) in chosen.items()},
        arguments=arguments,
        group=str(filled.get("group") or ""),
        metric=str(metric).removeprefix("eval_"),
    )


def _label(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", label)


def _word(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict) else str(value)
