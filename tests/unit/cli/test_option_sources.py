from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable

import pytest
from transformers import HfArgumentParser, TrainingArguments

from pixel_m4.cli.main import main
from pixel_m4.cli.sources import finetune_options, pretrain_options, task_options, unknown_option
from pixel_m4.console.spelling import did_you_mean
from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.pretrain.arguments import PretrainArguments, PretrainTrainingArguments
from pixel_m4.tasks.registry import TASKS


def real(*groups: type) -> set[str]:
    """The options that there are."""
    actions = HfArgumentParser(groups)._actions
    words = {word[2:].replace("-", "_") for action in actions for word in action.option_strings}
    return {word for word in words if word} | {"config"}


@pytest.mark.parametrize("task", TASKS)
def test_options_of_tasks_are_read_from_the_sources(task: str) -> None:
    assert finetune_options(task) == real(FinetuneArguments, TrainingArguments, TASKS[task].options_class)


def test_options_of_other_commands() -> None:
    assert pretrain_options() == real(PretrainArguments, PretrainTrainingArguments)
    every = [real(task.options_class) for task in TASKS.values()]
    assert task_options() == set().union(*every)
    assert finetune_options(None) == set().union(*(finetune_options(task) for task in TASKS))


def test_unknown_options() -> None:
    known = {"data_dir", "max_steps", "x"}
    assert (
        unknown_option(["--data_dir", "a", "--max-steps=5", "-1", "--max", "3", "--", "--y"], known) is None
    )
    assert unknown_option(["--datadir", "x"], known) == "unknown option --datadir; did you mean --data_dir?"
    assert unknown_option(["--qqq=1"], known) == "unknown option --qqq"
    assert did_you_mean("pars", ["parsing"]) == "; did you mean parsing?"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predct", "x"], "no command 'predct'; did you mean predict?"),
        (["finetune", "parsng"], "no task 'parsng'; did you mean parsing?"),
        (["finetune", "parsing", "--learning_rat3", "1"], "--learning_rat3; did you mean --learning_rate?"),
        (["finetune", "--confog=x", "--seed", "3"], "--confog; did you mean --config?"),
        (["pretrain", "--total_batchsize", "3"], "--total_batchsize; did you mean --total_batch_size?"),
        (["evaluate", "m", "--max_answer_len9", "3"], "did you mean --max_answer_length?"),
        (["predict", "m", "--devise", "cpu"], "unknown option --devise; did you mean --device?"),
        (["data", "prepare", "--outputdir", "x"], "unknown option --outputdir; did you mean --output_dir?"),
        (["data", "ftech"], "no action 'ftech'; did you mean fetch?"),
        (["sweep", "x.yaml", "--dryrun"], "unknown option --dryrun; did you mean --dry_run?"),
    ],
)
def test_what_is_misspelled_is_told(
    words: Iterable[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(words))
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


def test_nothing_slow_is_imported_before() -> None:
    code = (
        "import sys, pixel_m4.cli.main as c\n"
        "try: c.main(['finetune', 'qa', '--data_dri', 'x'])\n"
        "except SystemExit: pass\n"
        "print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert "did you mean --data_dir?" in done.stderr
