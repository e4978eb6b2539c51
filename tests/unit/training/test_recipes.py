from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from pixel_m4.finetune.arguments import FinetuneArguments
from pixel_m4.training.recipes import check_names, from_text, option_types, read_mapping, typed
from pixel_m4.training.settings import read_value


@dataclass
class _Lists:
    languages: list[str] | None = None
    maybe: bool | None = None


TYPES = option_types((FinetuneArguments, TrainingArguments, _Lists))


def read(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "r.yaml"
    file.write_text(text, encoding="utf-8")
    nodes = read_mapping(file, "recipe")
    check_names(nodes, TYPES)
    return {name: read_value(node, TYPES[name]) for name, node in nodes.items()}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        # Text is what was written, whatever YAML takes it for.
        ("run_name: no", "no"),
        ("run_name: ON", "ON"),
        ("run_name: 012", "012"),
        ("run_name: 1e-3", "1e-3"),
        ("run_name: 2026-01-01", "2026-01-01"),
        ("run_name: 12:30", "12:30"),
        ("run_name: .inf", ".inf"),
        ("run_name: 'null'", "null"),
        ("run_name: null", None),
        ("run_name:", None),
        ("run_name: ''", ""),
        ("eval_strategy: no", "no"),
        ("resume_from_checkpoint: true", "true"),
        # Numbers are those that people mean.
        ("learning_rate: 1e-3", 1e-3),
        ("learning_rate: 1.0e-3", 1e-3),
        ("learning_rate: 1", 1.0),
        ("max_steps: 1_000", 1000),
        ("eval_steps: null", None),
        ("muon_learning_rate: ~", None),
        # Truth values.
        ("bf16: true", True),
        ("bf16: no", False),
        ("maybe: off", False),
        ("maybe: null", None),
        # Lists and mappings, where options have them.
        ("languages: [en, no]", ["en", "no"]),
        ("languages: en", ["en"]),
        ("lr_scheduler_kwargs: {min_lr: 1e-6, names: [a, true]}", {"min_lr": 1e-6, "names": ["a", True]}),
    ],
)
def test_values_have_the_types_of_their_options(tmp_path: Path, line: str, value: Any) -> None:
    found = next(iter(read(tmp_path, line).values()))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rate: [1e-5, 2e-5]", r"r\.yaml:1: learning_rate: \[1e-05, 2e-05\] is a list; write one"),
        ("learning_rate: {a: 1}", "is a mapping; write one number"),
        ("learning_rate: '1e-3'", "leave the quotation marks out"),
        ("learning_rate: fast", "fast is no number"),
        ("learning_rate: .inf", r"\.inf is no number"),
        ("learning_rate: 1e999", "is no number"),
        ("learning_rate: true", "true is no number"),
        ("max_steps: 1e3", "1e3 is no whole number; write one such as 1000"),
        ("max_steps: 15000.0", "write one such as 15000"),
        ("max_steps: 010", "it could mean 8"),
        ("max_steps: 0x10", "it could mean 16"),
        ("max_steps: 1:30", "it could mean 90"),
        ("max_steps: true", "true is no whole number"),
        ("max_steps: 2026-01-01", "is no whole number"),
        ("max_steps: null", "there is no value; write one, or leave the line out"),
        ("max_steps: 0", "must be at least 1, or -1"),
        ("bf16: 'false'", "no truth value; write true or false, without quotation marks"),
        ("bf16: 0", "0 is no truth value"),
        ("bf16: [true]", "is a list; write true or false"),
        ("run_name: [a]", "is a list; write one text"),
        ("run_name: {a: b}", "is a mapping; write one text"),
        ("languages: [[en]]", "is a list; write one text"),
        ("languages: {en: 1}", "is a mapping"),
        ("eval_strategy: epochs", "epochs is none of no, steps, epoch"),
        ("dropout_prob: 1.5", r"r\.yaml:1: dropout_prob: must be at least 0 and less than 1, got 1.5"),
        ("max_seq_length: 250", "perfect square such as 225 or 256, as patches lie on a square, got 250"),
        ("\n\nseed: 1\nseed: 2", r"r\.yaml:4: seed stands in line 3 already"),
        ("a: {b: 1, b: 2}", "b stands in line 1 already"),
        ("lerning_rate: 1", r"r\.yaml:1: no such argument: lerning_rate; did you mean learning_rate\?"),
        ("run_name: !!binary aGk=", "are not read"),
        ("? [a]\n: b", "a name is a single word"),
        ("lr_scheduler_kwargs: &x {a: *x}", "nested too deep"),
        ("- 1", "must hold a mapping.*holds a list"),
        ("", "holds nothing"),
        ("a: [", r"cannot read the recipe .*r\.yaml"),
        ("a: 1\n---\na: 2", "cannot read the recipe"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, line)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_bytes(b"run_name: \xff")
    for path in (file, tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ValueError, match="cannot read the recipe"):
            read_mapping(path, "recipe")
    file.write_bytes(b"\xef\xbb\xbfrun_name: x")
    assert list(read_mapping(file, "recipe")) == ["run_name"]


def test_text_that_was_put_together_is_read_alike() -> None:
    assert typed(from_text("x", "1e-3"), float) == 1e-3
    assert typed(from_text("x", "no"), bool) is False
    assert typed(from_text("x", "no"), str) == "no"
    with pytest.raises(ValueError, match="x: a is no whole number"):
        typed(from_text("x", "a"), int)


def test_merged_mappings(tmp_path: Path) -> None:
    text = "lr_scheduler_kwargs: &a {x: 1, y: 2}\nfsdp_config: {<<: *a, y: 3}"
    assert read(tmp_path, text)["fsdp_config"] == {"x": 1, "y": 3}


def test_names_of_earlier_versions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("num_pieces: 12\nmax_steps: 5\n", encoding="utf-8")
    found = read_mapping(path, "recipe")
    assert {name: node.plain() for name, node in found.items()} == {"patch_classes": 12, "max_steps": 5}
    assert "num_pieces is called patch_classes now" in caplog.text
    path.write_text("num_pieces: 12\npatch_classes: 5\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"recipe.yaml:1: num_pieces is called patch_classes now, which is"):
        read_mapping(path, "recipe")
