"""Every recipe that is shipped is one that the command takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from pixel_m4.fetch.homes import SOURCES
from pixel_m4.finetune.arguments import parse_arguments, task_of_recipe
from pixel_m4.shipped import find_shipped
from pixel_m4.tasks.registry import TASKS

CONFIGS = Path(__file__).parents[2] / "configs"
# Sweeps and pretraining have forms and tests of their own; the others leave the data to the command line.
RECIPES = sorted(
    file
    for file in CONFIGS.rglob("*.yaml")
    if file.parent.name != "sweeps"
    and not file.name.startswith(("pretrain", "accelerate", "finetune", "pixel-m4-ud"))
)


def name_of(file: Path) -> str:
    return file.relative_to(CONFIGS).with_suffix("").as_posix()


def is_fetched(data_dir: Path, language: str | None) -> bool:
    """Whether `pixel-m4 data fetch` puts a data set there."""
    name = language or data_dir.name.removeprefix("UD_").removeprefix("UNER_")
    release = re.search(r"v(\d\.\d+)", str(data_dir))
    offering = [source for source in SOURCES.values() if not source.all or name in source.all]
    items = [item for source in offering for item in source.items(name, release[1] if release else "2.10")]
    return any(data_dir in (path := Path("data", item.path), *path.parents) for item in items)


@pytest.mark.parametrize("file", RECIPES, ids=name_of)
def test_recipe(file: Path) -> None:
    recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert file.read_text(encoding="utf-8").startswith("# ")
    name = task_of_recipe(["--config", str(file)])
    arguments, training, options = parse_arguments("x", TASKS[name], ["--config", str(file)])
    task = TASKS[name]
    assert training.output_dir == recipe["output_dir"]
    assert training.eval_strategy == training.save_strategy
    assert arguments.early_stopping_patience == recipe.get(
        "early_stopping_patience", task.recipe["early_stopping_patience"]
    )
    assert isinstance(options, task.options_class)
    assert training.learning_rate == recipe["learning_rate"] >= 1e-5  # a number, and not text such as 1e-5
    if arguments.data_dir is not None:
        assert is_fetched(Path(arguments.data_dir), getattr(options, "language", None))
        assert Path(arguments.data_dir).name in (file.stem, *file.stem.split("_"), "sib200", "ner")


@pytest.mark.parametrize("task", TASKS)
def test_the_recipe_for_the_shipped_checkpoint_is_for_any_task(task: str) -> None:
    argv = ["--config", str(CONFIGS / "finetune-tiny.yaml"), "--data_dir", "d", "--output_dir", "o"]
    arguments, training, _ = parse_arguments("x", TASKS[task], argv)
    assert find_shipped(arguments.model_name_or_path) != arguments.model_name_or_path
    assert training.save_steps == training.eval_steps == 200  # the best is kept


def test_the_recipe_for_many_treebanks() -> None:
    file = str(CONFIGS / "pixel-m4-ud.yaml")
    assert task_of_recipe(["--config", file]) == "parsing"
    argv = ["--config", file, "--data_dir", "d", "--output_dir", "o"]
    arguments, training, _ = parse_arguments("x", TASKS["parsing"], argv)
    assert find_shipped(arguments.model_name_or_path) != arguments.model_name_or_path
    assert training.max_steps % training.eval_steps == 0  # the last checkpoint is scored
    assert training.save_steps == training.eval_steps


def test_experiments_of_the_paper_are_all_there() -> None:
    names = {name_of(file) for file in RECIPES}
    assert sum(name.startswith("sib200/") for name in names) == 24
    assert {"parsing/UD_Japanese-GSD", "parsing/UD_Hindi-HDTB", "ner/klue"} <= names
    assert {f"ner/naamapadam_{language}" for language in ("hi", "bn", "ta", "te")} <= names
    assert {f"ner/UNER_{name}" for name in ("English-EWT", "Serbian-SET", "Chinese-GSD")} <= names
