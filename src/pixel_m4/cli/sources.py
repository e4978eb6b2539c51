"""Options of training, their help and published recipes, read from the sources: importing takes seconds."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# Where the options of a command are: files and classes, whose parents are looked for in the same files.
_TRAINING = ("transformers/training_args.py", "TrainingArguments")
_MODEL = ("finetune/arguments.py", "FinetuneArguments")
_PRETRAIN = (
    ("pretrain/arguments.py", "PretrainArguments"),
    ("pretrain/arguments.py", "PretrainTrainingArguments"),
)
_TASKS = {
    "parsing": "tasks/parsing.py",
    "pos": "tasks/tagging.py",
    "ner": "tasks/ner.py",
    "classification": "tasks/classification.py",
    "qa": "tasks/qa.py",
}
_PARENTS = ("tasks/base.py", "training/arguments.py", "transformers/training_args.py")
_OWN = ("help", "config")


def finetune_options(task: str | None) -> frozenset[str]:
    """Names of the options of a task, of all tasks for None; empty if the sources are not there."""
    tasks = _TASKS.values() if task is None else [_TASKS[task]]
    return _options((_MODEL, _TRAINING, *map(_options_class, tasks)))


def task_options() -> frozenset[str]:
    """Names of the options that `evaluate` takes for any of the tasks."""
    return _options(tuple(map(_options_class, _TASKS.values())))


def pretrain_options() -> frozenset[str]:
    """Names of the options of pretraining; empty if the sources are not there."""
    return _options(_PRETRAIN)


def helps(task: str | None = None) -> dict[str, str]:
    """The help of each option of this package: of a task, or of pretraining for None."""
    places = _PRETRAIN if task is None else (_MODEL, _options_class(_TASKS[task]))
    return {name: text for place in places for name, text in _helps(*place).items()}


def _with_default(text: str, default: object) -> str:
    """A help that says the default, if that is a value and not said yet."""
    if "efault" in text or default in (None, ""):
        return text
    return f"{text}; default: {str(default).lower() if isinstance(default, bool) else default}"


def task_helps(task: str) -> dict[str, str]:
    """The help of the options that a task has beside those of all tasks."""
    return _helps(*_options_class(_TASKS[task]))


def published_recipe(task: str) -> dict[str, object]:
    """The defaults of fine-tuning that a task's class calls ``recipe``."""
    return _recipe(_TASKS[task])


def _recipe(file: str) -> dict[str, object]:
    for item in (item for node in _classes(file) for item in node.body if isinstance(item, ast.AnnAssign)):
        named = isinstance(item.target, ast.Name) and item.target.id == "recipe"
        if named and isinstance(item.value, ast.Dict):
            found: dict[str, object] = {}
            for key, value in zip(item.value.keys, item.value.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(value, ast.Constant):
                    found[str(key.value)] = value.value
                elif key is None:  # **Parsing.recipe
                    found |= _recipe("tasks/parsing.py")
            return found
    return {}


def unknown_option(words: Sequence[str], known: Iterable[str]) -> str | None:
    """What to say about the first option that is not known, nor the beginning of one.

    Args:
        words: of the command line.
        known: names, with underscores.
    """
    names = set(known)
    for word in words:
        if word == "--":
            return None
        if not word.startswith("--"):
            continue
        given = word.split("=", 1)[0]
        name = given[2:].replace("-", "_")
        if not any(each.startswith(name) for each in names):
            close = get_close_matches(name, sorted(names), n=1)
            return f"unknown option {given}" + (f"; did you mean --{close[0]}?" if close else "")
    return None


@cache
def _options(places: tuple[tuple[str, str], ...]) -> frozenset[str]:
    if any(_class(*place) is None for place in places):
        return frozenset()
    return frozenset({*_OWN, *(name for place in places for name in _names(*place))})


def _options_class(file: str) -> tuple[str, str]:
    """The dataclass of a task's own options: what the task's class calls ``options_class``."""
    for item in (item for node in _classes(file) for item in node.body if isinstance(item, ast.Assign)):
        named = [target.id for target in item.targets if isinstance(target, ast.Name)]
        if named == ["options_class"] and isinstance(item.value, ast.Name):
            name = item.value.id
            return (file if _class(file, name) is not None else "tasks/base.py"), name
    return "tasks/base.py", "TaskOptions"


def _names(file: str, name: str) -> Iterator[str]:
    """The options of a dataclass as `HfArgumentParser` makes them, its parents' too."""
    for option, default in _fields(file, name).items():
        yield option
        if default is True:
            yield f"no_{option}"


def _fields(file: str, name: str) -> dict[str, object]:
    """The fields of a dataclass that are options, and their defaults where they are constants."""
    options: dict[str, object] = {}
    for _, option, item in _declared(file, name):
        values = _keywords(item.value)
        shared = ast.unparse(item.annotation).startswith("ClassVar")
        if values.get("init") is not False and not shared and not option.startswith("_"):
            options[option] = values.get("default")
    return options


@cache
def _helps(file: str, name: str) -> dict[str, str]:
    """The help of the fields of a dataclass, its parents' first; of those of this package alone."""
    texts: dict[str, str] = {}
    for at, option, item in _declared(file, name):
        if at.startswith("transformers/") or not isinstance(item.value, ast.Call):
            continue
        for each in item.value.keywords:
            if each.arg == "metadata" and isinstance(each.value, ast.Dict):
                said = {
                    _text(key): value
                    for key, value in zip(each.value.keys, each.value.values, strict=True)
                    if key
                }
                texts[option] = _with_default(_text(said["help"]), _keywords(item.value).get("default"))
    return texts


def _declared(file: str, name: str) -> Iterator[tuple[str, str, ast.AnnAssign]]:
    """File, name and declaration of the fields of a dataclass, its parents' first."""
    found = _class(file, name)
    if found is None:
        return
    at, node = found
    for base in node.bases:
        parent = base.id if isinstance(base, ast.Name) else ""
        place = next((place for place in (at, *_PARENTS) if _class(place, parent) is not None), None)
        if place is not None:
            yield from _declared(place, parent)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield at, item.target.id, item


def _text(node: ast.expr) -> str:
    """A string as it is written, also in parts; what stands in braces of an f-string is left as it is."""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return "…"
    return str(node.value) if isinstance(node, ast.Constant) else ast.unparse(node)


def _keywords(value: ast.expr | None) -> Mapping[str, object]:
    if isinstance(value, ast.Constant):
        return {"default": value.value}
    if not isinstance(value, ast.Call):
        return {}
    return {
        each.arg: each.value.value
        for each in value.keywords
        if each.arg and isinstance(each.value, ast.Constant)
    }


def _class(file: str, name: str) -> tuple[str, ast.ClassDef] | None:
    return next(((file, node) for node in _classes(file) if node.name == name), None)


@cache
def _classes(file: str) -> tuple[ast.ClassDef, ...]:
    """The classes of a source file; none if it cannot be read."""
    if file.startswith("transformers/"):
        spec = find_spec("transformers")
        roots = list(spec.submodule_search_locations or ()) if spec is not None else []
        path = Path(roots[0]).parent / file if roots else Path()
    else:
        path = _PACKAGE / file
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ()
    return tuple(node for node in tree.body if isinstance(node, ast.ClassDef))
