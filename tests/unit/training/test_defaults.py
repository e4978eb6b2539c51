from __future__ import annotations

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pixel_m4.finetune.arguments import parse_arguments as parse_finetuning
from pixel_m4.finetune.checks import check_training
from pixel_m4.pretrain.arguments import (
    PretrainArguments,
    PretrainTrainingArguments,
)
from pixel_m4.pretrain.arguments import (
    parse_arguments as parse_pretraining,
)
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.training.defaults import Device, defaults_on, settle_device, settle_tf32, use_one_gpu
from pixel_m4.training.reporting import ReportingTrainer
from pixel_m4.training.settings import Settings, SettingsParser

H100 = Device(kind="cuda", name="NVIDIA H100", capability=(9, 0), compiler=True, cores=16)
T4 = replace(H100, name="Tesla T4", capability=(7, 5), cores=4)
ALL = {
    "dataloader_num_workers": 8,
    "logging_nan_inf_filter": False,
    "bf16": True,
    "tf32": True,
    "torch_compile": True,
}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ALL.items() if name not in names}


def test_the_processor_decides_nothing() -> None:
    for kind in ("cpu", "mps", "xpu"):
        for pretraining in (True, False):
            assert defaults_on(Device(kind=kind, cores=64), pretraining=pretraining) == {}


@pytest.mark.parametrize(
    ("device", "pretraining", "expected"),
    [
        (H100, True, ALL),
        (H100, False, {**without("torch_compile"), "dataloader_num_workers": 2}),
        (replace(H100, capability=(8, 0)), True, ALL),
        (T4, True, {"dataloader_num_workers": 3, "logging_nan_inf_filter": False}),
        (replace(H100, compiler=False), True, without("torch_compile")),
        (replace(H100, sharded=True), True, without("torch_compile")),
        (replace(H100, cores=1), True, {**ALL, "dataloader_num_workers": 1}),
    ],
)
def test_what_a_gpu_decides(device: Device, pretraining: bool, expected: dict[str, Any]) -> None:
    assert defaults_on(device, pretraining=pretraining) == expected


def read(*argv: str, device: Device = H100) -> Settings:
    chosen = defaults_on(device, pretraining=True)
    parser = SettingsParser("x", (PretrainArguments, PretrainTrainingArguments), chosen)
    settings = parser.read(["--output_dir", "o", "--data_dir", "d", *argv])
    settle_device(settings, device, chosen)
    return settings


def chosen_of(settings: Settings) -> dict[str, Any]:
    return {name: settings[name] for name in ALL}


def test_what_the_user_writes_wins(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert chosen_of(read()) == ALL
    assert [record.getMessage() for record in caplog.records] == [
        "on NVIDIA H100 by default: --dataloader_num_workers 8 --logging_nan_inf_filter false --bf16 true "
        "--tf32 true --torch_compile true (write an option to choose otherwise)"
    ]
    caplog.clear()
    words = [word for name in without("dataloader_num_workers") for word in (f"--{name}", "false")]
    words += ["--dataloader_num_workers", "0"]
    with caplog.at_level(logging.WARNING):
        assert not any(chosen_of(read(*words)).values())
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        assert chosen_of(read("--bf16", "false")) == {**ALL, "bf16": False}
    assert "--bf16" not in caplog.text
    assert "--tf32 true" in caplog.text


def test_float16_and_the_processor_rule_things_out(caplog: pytest.LogCaptureFixture) -> None:
    assert chosen_of(read("--fp16", "true")) == {**ALL, "bf16": False}
    caplog.clear()
    off = {**dict.fromkeys(ALL, False), "dataloader_num_workers": 0, "tf32": None}
    off["logging_nan_inf_filter"] = True
    assert chosen_of(read("--use_cpu", "true")) == off
    assert not caplog.records
    assert chosen_of(read("--use_cpu", "true", "--bf16", "true")) == {**off, "bf16": True}


def test_one_process_of_many_tells(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("RANK", "3")
    assert chosen_of(read()) == ALL
    assert not caplog.records


def test_both_commands_ask_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "found", lambda: T4)  # what it decides works here, too
    words = ["--config_name", "nano", "--data_dir", "d", "--output_dir", "o", "--use_cpu", "false"]
    assert parse_pretraining(words)[1].dataloader_num_workers == 3
    assert parse_finetuning("x", Parsing, words)[1].dataloader_num_workers == 2
    assert (
        parse_finetuning("x", Parsing, [*words, "--dataloader_num_workers", "0"])[1].dataloader_num_workers
        == 0
    )


@pytest.mark.parametrize("pinned", [True, False])
def test_copies_from_pinned_memory_are_not_waited_for(pinned: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--config_name", "nano", "--data_dir", "d", "--output_dir", "o"]
    words += ["--dataloader_pin_memory", str(pinned).lower(), "--use_cpu", "false"]
    arguments, training, _ = parse_finetuning("x", Parsing, words)
    assert training.accelerator_config.non_blocking is pinned
    check_training(Parsing, arguments, training)  # which refused it, and with it all training on CUDA
    seen: list[dict[str, Any]] = []

    class Somewhere(torch.Tensor):
        def is_pinned(self, *args: Any, **kwargs: Any) -> bool:
            return pinned

        def to(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(kwargs)
            return self

    trainer = object.__new__(ReportingTrainer)
    trainer.args = SimpleNamespace(device=torch.device("cpu"))
    trainer.is_deepspeed_enabled = False
    trainer._prepare_input({"a": [torch.ones(2).as_subclass(Somewhere)]})
    assert [kwargs.get("non_blocking", False) for kwargs in seen] == [pinned]


def test_the_facts_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("is_available", True),
        ("device_count", 4),
        ("get_device_name", "NVIDIA H100"),
        ("get_device_capability", (9, 0)),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    monkeypatch.setattr("pixel_m4.training.defaults.processors", lambda: 32)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    found = Device.found()
    assert (found.kind, found.name, found.capability) == ("cuda", "NVIDIA H100", (9, 0))
    assert (found.sharded, found.cores) == (True, 8)


def test_tf32_is_not_asked_of_amd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "hip", "7.0")
    chosen = defaults_on(replace(H100, name="AMD Instinct MI300X", capability=(9, 4)), pretraining=False)
    assert chosen["bf16"]
    assert "tf32" not in chosen


def test_one_of_many_visible_gpus(caplog: pytest.LogCaptureFixture) -> None:
    words = ["--config_name", "nano", "--data_dir", "d", "--output_dir", "o", "--use_cpu", "true"]
    training = parse_finetuning("x", Parsing, words)[1]
    use_one_gpu(training)
    assert not caplog.records
    assert training.device.type == "cpu"
    training._n_gpu = 4
    batch = training.per_device_train_batch_size
    assert training.train_batch_size == 4 * batch
    use_one_gpu(training)
    assert (training.n_gpu, training.train_batch_size) == (1, batch)
    assert "this process sees 4 GPUs and trains on one; torchrun --nproc_per_node 4" in caplog.text


@pytest.mark.parametrize("wanted", [True, False])
def test_tf32_is_as_the_option_says_wherever_it_is_asked(wanted: bool) -> None:
    before = torch.backends.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    try:
        torch.backends.fp32_precision = "tf32"
        torch.backends.cuda.matmul.allow_tf32 = not wanted  # as accelerate does
        settle_tf32(SimpleNamespace(tf32=wanted, device=torch.device("cuda")))
        found = torch.backends.cuda.matmul.fp32_precision, torch.get_float32_matmul_precision()
    finally:
        torch.backends.fp32_precision, torch.backends.cuda.matmul.fp32_precision = before
    assert found == (("tf32", "high") if wanted else ("ieee", "highest"))
