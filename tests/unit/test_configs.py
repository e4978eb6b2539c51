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
    words = ["--config", str(file)]
    words += [] if "output_dir" in recipe else ["--output_dir", "o"]
    words += [] if {"data_dir", "dataset_name", "train_file"} & set(recipe) else ["--data_dir", "d"]
    arguments, training, options = parse_arguments("x", TASKS[name], words)
    task = TASKS[name]
    assert training.output_dir == recipe.get("output_dir", "o")
    assert training.eval_strategy == training.save_strategy
    assert arguments.early_stopping_patience == recipe.get(
        "early_stopping_patience", task.recipe["early_stopping_patience"]
    )
    assert isinstance(options, task.options_class)
    assert training.learning_rate == recipe["learning_rate"] >= 1e-5  # a number, and not text such as 1e-5


def places() -> list[tuple[str, str]]:
    """Folders of data that the comments of recipes name, and languages."""
    found = []
    for file in RECIPES:
        text = re.sub(r"\\\n# +", "", file.read_text(encoding="utf-8"))
        for line in re.findall(r"^#   pixel-m4 finetune .*$", text, re.MULTILINE):
            folder = re.search(r"--data_dir (\S+)", line) or re.search(
                r"^data_dir: (\S+)", text, re.MULTILINE
            )
            language = re.search(r"--language (\S+)", line)
            assert folder is not None, line
            found.append((folder[1], language[1] if language else ""))
    return found


@pytest.mark.parametrize(("folder", "language"), places())
def test_data_that_comments_name_can_be_fetched(folder: str, language: str) -> None:
    assert is_fetched(Path(folder), language or None)


def test_names_in_comments_can_be_fetched() -> None:
    """Treebanks and languages of the papers, as the comments list them."""
    for name, source, least in (
        ("parsing", "data/ud-treebanks-v2.10/UD_{}", 24), ("pos", "data/ud-treebanks-v2.10/UD_{}", 9),
    ):  # fmt: skip
        text = (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
        names = set(re.findall(r"\b([A-Z][a-z]+-[A-Za-z]{2,})\b", text)) - {"Team-PIXEL", "Part-of"}
        assert len(names) == least, names
        assert all(is_fetched(Path(source.format(each)), None) for each in names)
    text = (CONFIGS / "sib200.yaml").read_text(encoding="utf-8")
    languages = set(re.findall(r"\b[a-z]{3}_[A-Z][a-z]{3}\b", text))
    assert len(languages) == 24
    assert all(is_fetched(Path("data/sib200"), each) for each in languages)


@pytest.mark.parametrize(
    ("name", "task"),
    [*(("tiny", task) for task in TASKS), *(("ud", task) for task in ("parsing", "pos", "ner"))],
)
def test_the_recipes_for_the_shipped_checkpoints(name: str, task: str) -> None:
    argv = ["--config", str(CONFIGS / f"finetune-{name}.yaml"), "--data_dir", "d", "--output_dir", "o"]
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
