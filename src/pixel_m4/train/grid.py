"""The YAML file of a sweep: grids of arguments, written out as single fine-tuning runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from transformers import TrainingArguments

from .arguments import FinetuneArguments
from .finetune import TASKS

_SPECIAL = ("task", "model", "group", "metric")
_SWEEPS_OWN = ("output_dir", "resume_from_checkpoint")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_LONGEST_NAME = 200  # bytes; file systems allow 255
_FLOAT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")  # PyYAML takes 1e-5 for a string, people do not


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


def read_sweep(path: Path) -> Sweep:
    """Read the YAML file of a sweep; ``docs/sweeps.md`` describes it.

    Raises:
        ValueError: the file is no mapping, or something in it is unknown, empty or ambiguous.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"cannot read the sweep {path}: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a mapping of names to values, not {type(content).__name__}")
    shared = {str(name): value for name, value in content.items()}
    table = shared.pop("table", None) or {}
    blocks = shared.pop("blocks", [{}])
    if not isinstance(blocks, list) or not blocks or not all(isinstance(block, dict) for block in blocks):
        raise ValueError(f"{path}: blocks must be a list of mappings")
    runs: list[Run] = []
    for block in blocks:
        try:
            runs += _runs({**shared, **block})
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    seen: set[Path] = set()
    for run in runs:
        if run.folder in seen:
            raise ValueError(
                f"{path}: two runs would share the folder {run.folder}; "
                "give their blocks an axis that tells them apart (a list of one value is one)"
            )
        seen.add(run.folder)
    sweep = Sweep(runs=runs)
    return Sweep(runs=runs, table=_table(path, table, sweep.axes, runs))


def _table(path: Path, given: Any, axes: Sequence[str], runs: Sequence[Run]) -> TableOptions:
    names = [entry.name for entry in fields(TableOptions)]
    if not isinstance(given, dict) or set(given) - set(names):
        raise ValueError(f"{path}: table must be a mapping with some of {', '.join(names)}; it is {given}")
    options = {name: [value] if isinstance(value, str) else list(value) for name, value in given.items()}
    table = TableOptions(**options)
    roles = [axis for role in names[:4] for axis in getattr(table, role)]
    asked = [axis for role in names[:4] for axis in options.get(role, ())]
    for axis in asked:
        if axis not in axes:
            raise ValueError(f"{path}: table: no axis {axis!r}; the axes are {', '.join(axes) or 'none'}")
        if roles.count(axis) > 1:
            raise ValueError(f"{path}: table: the axis {axis!r} has several roles")
    rest = [axis for axis in axes if axis not in roles]
    if table.rows and rest:
        raise ValueError(f"{path}: table: {', '.join(rest)} must be in one of rows, columns, choose, average")
    labels = {" ".join(run.axes[axis] for axis in table.columns if axis in run.axes) for run in runs}
    if table.difference and (len(table.difference) != 2 or set(table.difference) - labels):
        raise ValueError(
            f"{path}: table: difference must name two of the columns {', '.join(sorted(labels))}; "
            f"it is {table.difference}"
        )
    return TableOptions(**{**options, "rows": table.rows or rest})


def _runs(block: Mapping[str, Any]) -> list[Run]:
    """Write out the grid of one block."""
    if not block.get("task"):
        raise ValueError(f"task is missing; the tasks are {', '.join(TASKS)}")
    tasks = block["task"] if isinstance(block["task"], list) else [block["task"]]
    for task in tasks:
        if task not in TASKS:
            raise ValueError(f"no task {task!r}; the tasks are {', '.join(TASKS)}")
    axes: dict[str, dict[str, Any]] = {}
    for name, value in block.items():
        if name != "task" and isinstance(value, (list, dict)):
            if not value:
                raise ValueError(f"the axis {name!r} is empty")
            axes[name] = (
                value if isinstance(value, dict) else {_label(_number(choice)): choice for choice in value}
            )
            if len(axes[name]) < len(value):
                raise ValueError(f"the axis {name!r} holds a value twice: {value}")
    constant = {name: value for name, value in block.items() if name not in axes and name != "task"}
    runs = []
    for task in tasks:
        for choice in product(*(values.items() for values in axes.values())):
            settings = {**constant, "task": task}
            chosen = {axis: (str(label), value) for axis, (label, value) in zip(axes, choice, strict=True)}
            for axis, (label, value) in chosen.items():
                bundle = isinstance(value, dict) and axis in block and isinstance(block[axis], dict)
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


def _known(task: str) -> set[str]:
    """The arguments of a task."""
    groups = (FinetuneArguments, TrainingArguments, TASKS[task].options_class)
    return {entry.name for group in groups for entry in fields(group) if entry.init} | {"config"}


def _run(task: str, settings: Mapping[str, Any], chosen: Mapping[str, tuple[str, Any]]) -> Run:
    known = _known(task)
    names = {**settings, **{axis: value for axis, (_, value) in chosen.items()}}
    used: set[str] = set()

    def fill(key: str, value: Any, path: tuple[str, ...] = ()) -> Any:
        if not isinstance(value, str):
            return value

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name not in names or isinstance(names[name], (list, dict)):
                there = ", ".join(chosen) or "none"
                raise ValueError(f"{key}: the placeholder {match[0]} has no axis; the axes are {there}")
            if name in path:
                raise ValueError(f"{key}: the placeholder {match[0]} stands for itself")
            used.add(name)
            return str(fill(name, names[name], (*path, name)))

        return _number(_PLACEHOLDER.sub(replace, value))

    filled = {name: fill(name, value, (name,)) for name, value in settings.items()}
    if "model" in filled:
        filled.setdefault("model_name_or_path", filled["model"])
    for name in filled:
        if name in _SWEEPS_OWN:
            raise ValueError(f"{name} is set by the sweep itself; leave it out")
        if name not in known and name not in _SPECIAL and name not in used:
            raise ValueError(f"{name!r} is no argument of the task {task}, and no placeholder uses it")
    arguments = {name: value for name, value in filled.items() if name in known and value is not None}
    metric = filled.get("metric") or filled.get("metric_for_best_model") or TASKS[task].metric
    return Run(
        task=task,
        axes={axis: label for axis, (label, _) in chosen.items()},
        arguments=arguments,
        group=str(filled.get("group") or ""),
        metric=str(metric).removeprefix("eval_"),
    )


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) and _FLOAT.fullmatch(value) else value


def _label(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", label)


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict) else str(value)
