from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixel_m4.finetune.arguments import parse_arguments
from pixel_m4.sweep.grid import Sweep, check_runs, read_sweep
from pixel_m4.tasks.tagging import Tagging

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "sweeps"


@pytest.fixture
def read(tmp_path: Path):  # type: ignore[no-untyped-def]
    def read(text: str) -> Sweep:
        file = tmp_path / "sweep.yaml"
        file.write_text(text, encoding="utf-8")
        return read_sweep(file)

    return read


def test_lists_make_a_grid_and_placeholders_are_filled(read) -> None:  # type: ignore[no-untyped-def]
    sweep = read(
        "task: parsing\nname: [A, B]\ndata_dir: data/UD_{name}\nlearning_rate: [1e-5, 5.0e-5]\nseed: [0, 1]\n"
        "bf16: true\nmax_steps: 300\n"
    )
    assert len(sweep.runs) == 8
    last = sweep.runs[-1]
    assert last.arguments == {
        "data_dir": "data/UD_B",
        "learning_rate": 5e-5,
        "seed": 1,
        "bf16": True,
        "max_steps": 300,
    }
    assert last.folder == Path("parsing/name=B,learning_rate=5e-05,seed=1")
    assert last.metric == "las"
    words = last.command()
    assert words[0] == "parsing"
    assert words[words.index("--bf16") + 1] == "true"
    assert sweep.runs[0].arguments["learning_rate"] == 1e-5
    assert len({run.digest for run in sweep.runs}) == 8


def test_blocks_models_by_name_and_data_sets_with_groups(read) -> None:  # type: ignore[no-untyped-def]
    sweep = read(
        """
model: {scratch: null, four: runs/four}
seed: [0, 1]
max_steps: 100
blocks:
  - task: [parsing, pos]
    data_dir: UD_{name}
    name: {Tamil-TTB: {group: Tamil}, Thai-TUD: {group: Thai, max_steps: 50}}
  - task: pos
    data_dir: [elsewhere]
    group: Latin
table: {difference: [four, scratch]}
"""
    )
    assert len(sweep.runs) == 2 * 2 * (2 + 2) + 2 * 2
    by_folder = {run.folder.as_posix(): run for run in sweep.runs}
    scratch = by_folder["parsing/model=scratch,seed=0,name=Tamil-TTB"]
    four = by_folder["parsing/model=four,seed=0,name=Thai-TUD"]
    assert "model_name_or_path" not in scratch.arguments
    assert (scratch.arguments["max_steps"], scratch.group) == (100, "Tamil")
    assert four.arguments["model_name_or_path"] == "runs/four"
    assert (four.arguments["max_steps"], four.group) == (50, "Thai")
    assert four.arguments["data_dir"] == "UD_Thai-TUD"
    assert by_folder["pos/model=four,seed=1,data_dir=elsewhere"].group == "Latin"
    assert sweep.table.rows == ["name", "data_dir"]


def test_folders_of_long_names_stay_apart(read) -> None:  # type: ignore[no-untyped-def]
    long = "я" * 150
    sweep = read(f"task: pos\ndata_dir: [{long}/one, {long}/two]\n")
    folders = [run.folder for run in sweep.runs]
    assert len(set(folders)) == 2
    assert all(len(folder.name.encode()) <= 200 for folder in folders)
    assert read("task: pos\n").runs[0].folder == Path("pos/run")


def test_a_label_is_the_value_of_its_axis_beside_a_bundle(read) -> None:  # type: ignore[no-untyped-def]
    sweep = read("task: pos\ndata_dir: {one: {group: x}, two: {group: y, data_dir: other}}\n")
    assert [run.arguments["data_dir"] for run in sweep.runs] == ["one", "other"]


def test_values_have_the_types_of_their_arguments(read) -> None:  # type: ignore[no-untyped-def]
    sweep = read(
        "task: classification\nlanguage: [no, en, 012]\ntext_column: yes\nlearning_rate: 1e-3\nbf16: off\n"
        "name: {a: {max_steps: 1_000, run_name: on}, b: {eval_strategy: no}}\nrate: [1e-6]\n"
        "weight_decay: '{rate}'\nlr_scheduler_kwargs: {min_lr: 1e-7}\ndata_dir: '{name}'\n"
    )
    first, second = sweep.runs[0].arguments, sweep.runs[1].arguments
    assert [run.arguments["language"] for run in sweep.runs[::2]] == ["no", "en", "012"]
    assert (first["text_column"], first["learning_rate"], first["bf16"]) == ("yes", 1e-3, False)
    assert (first["max_steps"], first["run_name"], second["eval_strategy"]) == (1000, "on", "no")
    assert (first["weight_decay"], first["lr_scheduler_kwargs"]) == (1e-6, {"min_lr": 1e-7})
    words = sweep.runs[0].command()
    assert words[words.index("--lr_scheduler_kwargs") + 1] == '{"min_lr": 1e-07}'


def test_null_takes_back_what_a_recipe_gives(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("model_name_or_path: pixel-m4-tiny\nmuon_learning_rate: 0.02\n")
    text = f"task: pos\nconfig: {recipe}\ndata_dir: d\nmuon_learning_rate: [null, 0.1]\n"
    sweep = read(text)
    assert "none" in sweep.runs[0].command()
    check_runs(sweep)
    found = parse_arguments("x", Tagging, [*sweep.runs[0].command()[1:], "--output_dir", "o"])[0]
    assert found.muon_learning_rate is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {a: null, b: m}\n", "the run pos/model=a: .* needs a model to start from"),
        ("config_name: tiny\noptim: sgd\nmuon_learning_rate: 1\n", "the run pos/run: --optim sgd and"),
        ("config_name: tiny\nmax_steps: 3\nnum_train_epochs: [1, 2]\n", "num_train_epochs=1: .*contradict"),
    ],
)
def test_runs_that_cannot_be_are_told_before_the_first(read, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        check_runs(read(f"task: pos\ndata_dir: d\n{text}"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task: parsing\nlearning_rate: [1e-5, fast]\n", r"sweep\.yaml:2: learning_rate: fast is no number"),
        ("task: parsing\nseed: 1\nseed: 2\n", r"sweep\.yaml:3: seed stands in line 2 already"),
        ("task: parsing\nbf16: 'false'\n", "write true or false, without quotation marks"),
        ("task: parsing\ndropout_prob: [0.1, 1.5]\n", "must be at least 0 and less than 1, got 1.5"),
        ("task: parsing\nx: {a: {max_steps: 1.5}}\ndata_dir: '{x}'\n", "1.5 is no whole number"),
        ("task: parsing\nx: [a]\nmax_steps: '{x}'\n", "max_steps: a is no whole number"),
        ("task: {a: b}\n", "is a mapping"),
        ("task: parsing\ndata_dir: [[a]]\n", "is a list; write one text"),
        ("task: parsing\nlerning_rate: [1]\n", "did you mean learning_rate"),
        ("- task: parsing\n", "must hold a mapping"),
        ("task: [\n", "cannot read the sweep"),
        ("task: parsing\nlerning_rate: [1]\n", "'lerning_rate' is no argument"),
        ("task: parsing\nlerning_rate: 1\n", "'lerning_rate' is no argument"),
        ("task: parsing\nseed: []\n", "'seed' is empty"),
        ("task: parsing\nname: {}\ndata_dir: '{name}'\n", "'name' is empty"),
        ("task: parsing\nseed: [1, 1]\n", "holds a value twice"),
        ("task: parsing\nname: [A]\ndata_dir: data/{nam}\n", r"placeholder \{nam\} has no axis.*name"),
        ("task: parsing\nname: '{name}'\n", "stands for itself"),
        ("task: parsnig\n", "no task 'parsnig'; the tasks are parsing"),
        ("seed: [1]\n", "task is missing"),
        ("task: parsing\noutput_dir: x\n", "output_dir is set by the sweep"),
        ("task: parsing\nblocks: [{seed: [0]}, {seed: [0]}]\n", "share the folder parsing/seed=0"),
        ("task: parsing\nblocks: 3\n", "blocks must be a list of mappings"),
        ("task: parsing\nseed: [0]\ntable: {row: seed}\n", "table must be a mapping"),
        ("task: parsing\nseed: [0]\ntable: {rows: sede}\n", "no axis 'sede'; the axes are seed"),
        ("task: parsing\nseed: [0]\ntable: {rows: seed}\n", "several roles"),
        ("task: parsing\nmodel: {a: x, b: y}\ntable: {difference: [a, c]}\n", "two of the columns a, b"),
        (
            "task: parsing\nname: [A]\ndata_dir: '{name}'\nmax_steps: [1, 2]\ntable: {rows: name}\n",
            "max_steps must be in one of",
        ),
    ],
)
def test_mistakes_are_named(read, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        read(text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot read the sweep .*none\.yaml"):
        read_sweep(tmp_path / "none.yaml")


def test_changes_of_the_recipe_file_change_the_digest(read, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("max_steps: 1\n")
    text = f"task: parsing\nconfig: {recipe}\n"
    first = read(text).runs[0].digest
    assert read(text).runs[0].digest == first
    recipe.write_text("max_steps: 2\n")
    assert read(text).runs[0].digest != first


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_sweeps_can_be_read(file: Path) -> None:
    try:
        sweep = read_sweep(file)
    except ValueError as error:
        if re.search("no task '(ner|classification)'", str(error)):
            pytest.skip(str(error))
        raise
    assert len(sweep.runs) >= 4


def test_published_sweeps() -> None:
    sweep = read_sweep(CONFIGS / "ud.yaml")
    assert {run.axes["seed"] for run in sweep.runs} == set("01234567")
    assert {run.group for run in sweep.runs} == {"Latin", "Arabic", "Brahmic", "CJK", "other"}
