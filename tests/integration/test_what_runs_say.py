"""What a run says about itself, beside what it did: card, run.json, results, log, TensorBoard."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import TrainerCallback

from pixel_m4.cli.main import main
from pixel_m4.finetune.arguments import parse_arguments
from pixel_m4.finetune.run import finetune
from pixel_m4.tasks.parsing import Parsing

SENTENCE = "1\tthe\t_\tX\t_\t_\t2\tdet\t_\t_\n2\tcat{}\t_\tX\t_\t_\t0\troot\t_\t_\n\n"
TRAIN, BATCH = 10, 4  # two full batches and a small one an epoch


@dataclass
class Watch(TrainerCallback):
    """What happens in training, seen from outside."""

    groups: list[list[dict[str, Any]]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    samples: int = 0
    evaluations: int = 0

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        optimizer = kwargs["optimizer"]
        self.groups.append(
            [{"lr": group["lr"], "adamw": "betas" in group} for group in optimizer.param_groups]
        )
        inner = getattr(optimizer, "optimizer", optimizer)
        self.kinds[type(inner).__name__] += 1

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.evaluations += 1


@dataclass
class Done:
    """A run that has ended."""

    folder: Path
    watch: Watch
    results: dict[str, float]

    @property
    def card(self) -> str:
        return (self.folder / "README.md").read_text(encoding="utf-8")

    @property
    def text(self) -> str:
        """The card in one line."""
        return " ".join(self.card.split())

    @property
    def settings(self) -> dict[str, str]:
        return dict(re.findall(r"^- (\w[\w ]*): (.+)$", self.card, re.MULTILINE))

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text(encoding="utf-8"))

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.folder / "trainer_state.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "UD_[b]Odd-Name[/x]"
    folder.mkdir(parents=True)  # [/x] stops rich where it reads markup
    for split, size in (("train", TRAIN), ("dev", 3), ("test", 3)):
        lines = "".join(SENTENCE.format("abcdefghijkl"[i]) for i in range(size))
        (folder / f"ta_made-ud-{split}.conllu").write_text(lines, encoding="utf-8")
    return folder


def run(data: Path, folder: Path, *options: str) -> Done:
    common = ["--data_dir", str(data), "--output_dir", str(folder), "--disable_tqdm", "true"]
    common += ["--per_device_train_batch_size", str(BATCH), "--max_seq_length", "64", "--warmup_steps", "1"]
    arguments = parse_arguments("test", Parsing, [*common, *options])
    watch = Watch()
    return Done(folder, watch, finetune(Parsing, *arguments, callbacks=[watch], quiet=True))


@pytest.fixture(scope="module")
def muon(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Random weights, Muon, dev, no better score after the first evaluations."""
    folder = tmp_path_factory.mktemp("runs") / "[/muon]"
    options = ["--config_name", "nano", "--muon_learning_rate", "1e-9", "--learning_rate", "1e-8"]
    options += ["--max_steps", "40", "--eval_steps", "2", "--early_stopping_patience", "2"]
    return run(data, folder, *options, "--logging_steps", "1", "--save_total_limit", "9")


@pytest.fixture(scope="module")
def shipped(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """From the package's checkpoint, AdamW, without dev, by epochs."""
    folder = tmp_path_factory.mktemp("runs") / "shipped"
    options = ["--model_name_or_path", "pixel-m4-tiny", "--shrink", "0.8", "--num_train_epochs", "2"]
    options += [
        "--max_steps",
        "-1",
        "--logging_steps",
        "1",
        "--do_train",
        "--do_predict",
        "--optim",
        "adamw_torch",
    ]
    return run(data, folder, *options)


def test_random_weights_and_muon(muon: Done) -> None:
    assert "from random weights (nano)." in muon.text
    assert "base_model" not in muon.card
    optimizer = "Muon for the matrices of the layers, learning rate 1e-09; AdamW for everything else, "
    optimizer += "learning rate 1e-08"
    assert muon.settings["optimizer"] == muon.record["optimizer"] == optimizer
    assert muon.record["training"]["optim"] == "muon"
    assert set(muon.watch.kinds) == {"MuonWithAdamW"}
    assert "shrink" not in muon.settings
    assert muon.record["start"] == "random weights (nano)"


def test_both_rates_are_logged_as_they_were(muon: Done) -> None:
    logged = [entry for entry in muon.state["log_history"] if "loss" in entry]
    assert len(logged) == len(muon.watch.groups) == muon.results["train_steps"]
    for entry, groups in zip(logged, muon.watch.groups, strict=True):
        assert {entry["learning_rate"]} == {group["lr"] for group in groups if group["adamw"]}
        assert {entry["muon_learning_rate"]} == {group["lr"] for group in groups if not group["adamw"]}
    events = EventAccumulator(str(next((muon.folder / "tensorboard").rglob("events*")).parent)).Reload()
    for name in ("learning_rate", "muon_learning_rate"):
        shown = [event.value for event in events.Scalars(f"train/{name}")]
        assert shown == pytest.approx([entry[name] for entry in logged], rel=1e-5)


def test_the_kept_checkpoint_and_early_stopping(muon: Done) -> None:
    state, best = muon.state, muon.state["best_global_step"]
    assert muon.results["train_steps"] == state["global_step"] == best + 4 < 40
    assert (
        f"The weights are those of step {best} of {state['global_step']}: the highest las on dev" in muon.text
    )
    assert f"of {muon.watch.evaluations} evaluations" in muon.text
    assert muon.settings["steps done"].startswith(f"{state['global_step']}, stopped early of 40")
    assert muon.record["kept"] == {"step": best, "best_metric": state["best_metric"]}
    assert muon.results["eval_las"] == pytest.approx(state["best_metric"])


@pytest.mark.slow
def test_numbers_of_the_results(muon: Done, shipped: Done) -> None:
    for done, epochs in ((muon, muon.results["train_steps"] / 3), (shipped, 2)):
        results = done.results
        assert results == json.loads((done.folder / "all_results.json").read_text()) == done.record["results"]
        assert results["train_steps"] == len(done.watch.groups)
        assert results["epoch"] == pytest.approx(epochs, abs=0.01)
        assert f"({results['epoch']:.4g} epochs)" in done.settings["steps done"]
        speed = results["train_samples_per_second"] * results["train_runtime"]
        assert speed == pytest.approx(epochs * TRAIN, rel=0.05)  # not 4 samples in every step
        assert results["train_steps_per_second"] * results["train_runtime"] == pytest.approx(
            results["train_steps"], rel=0.05
        )


@pytest.mark.slow
def test_a_shipped_start_without_dev(shipped: Done) -> None:
    assert "from pixel-m4-tiny, a checkpoint of the package pixel-m4." in shipped.text
    assert "random weights" not in shipped.card
    assert shipped.settings["shrink"] == "0.8"
    assert shipped.settings["num_train_epochs"] == "2.0"
    assert "max_steps" not in shipped.settings
    assert shipped.settings["optimizer"].startswith("adamw_torch, learning rate")
    assert "muon" not in shipped.card.lower()
    assert set(shipped.watch.kinds) == {"AdamW"}
    assert "muon_learning_rate" not in {key for entry in shipped.state["log_history"] for key in entry}
    assert "last step, 6; no checkpoint was chosen on dev." in shipped.text
    assert "Predictions for test lie beside it." in shipped.text
    assert {path.stem for path in shipped.folder.glob("*_predictions*")} == {"test_predictions"}


@pytest.mark.slow
def test_a_folder_as_start(shipped: Done, data: Path, tmp_path: Path) -> None:
    done = run(
        data, tmp_path / "next", "--model_name_or_path", str(shipped.folder), "--max_steps", "2", "--do_train"
    )
    assert "from the checkpoint shipped." in done.text
    assert str(tmp_path) not in done.card
    assert "None: the model was evaluated neither on dev nor on test." in done.text
    assert "Predictions" not in done.text


@pytest.mark.slow
def test_what_is_left_behind(muon: Done, shipped: Done) -> None:
    for done in (muon, shipped):
        assert not list(done.folder.rglob("training_args.bin"))  # a pickle
        assert set(done.record["data"]) == {str(path) for path in _data(done)}
        assert "Checksums of the data, versions" in done.text
        assert done.settings["max_seq_length"] == "64 patches of 16 × 16"


def _data(done: Done) -> list[Path]:
    folder = Path(done.record["arguments"]["data_dir"])
    training = done.record["training"]
    wanted = {"train": "do_train", "dev": "do_eval", "test": "do_predict"}
    return [folder / f"ta_made-ud-{split}.conllu" for split, name in wanted.items() if training[name]]


def test_names_in_brackets_are_shown_as_they_are(
    muon: Done, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "[b]Odd-Name[/x]" in str(data)
    assert main(["info", str(muon.folder)]) == 0
    assert "[/muon]" in capsys.readouterr().out
    results = tmp_path / "[/out]"
    evaluated = ["evaluate", str(muon.folder), "--data_dir", str(data), "--output_dir", str(results)]
    assert main(evaluated) == 0
    assert "[/x],test" in "".join(capsys.readouterr().out.split())
    assert (results / "eval_results.json").is_file()
    text = tmp_path / "[b]text"
    text.write_text("a [/x] :cat: [b]\n", encoding="utf-8")
    assert main(["predict", str(muon.folder), str(text), "--output", str(tmp_path / "[/p]")]) == 0
    assert "[/x]" in (tmp_path / "[/p]").read_text(encoding="utf-8")
