"""Whether a device computes what the CPU does, trains, goes on, and is never waited for. See `gpu.py`.

A check returns what it found, and raises AssertionError if that is wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file
from transformers import TrainerCallback

from gpu_data import (
    HEADS,
    TREEBANK,
    Place,
    batch_of,
    corpus,
    gradients,
    half,
    logits_of,
    loss_of,
    model_of,
    moved,
    off,
    without_tf32,
)
from pixel_m4.finetune.arguments import parse_arguments as parse_finetuning
from pixel_m4.finetune.run import finetune
from pixel_m4.model.layers import takes_varlen
from pixel_m4.pretrain.arguments import parse_arguments as parse_pretraining
from pixel_m4.pretrain.run import pretrain
from pixel_m4.tasks.parsing import Parsing
from pixel_m4.training.saving import last_whole

ROOT = Path(__file__).resolve().parents[1]
Found = dict[str, Any]
# How far results may be off, relative to their size.
FLOAT32, BFLOAT16, GRADIENTS, RESUMED = 1e-4, 2e-2, 2e-2, 1e-2


def below(found: dict[str, float], bar: float) -> Found:
    """The numbers, none of which may be larger than a bar.

    Raises:
        AssertionError: Names those that are.
    """
    wrong = {name: value for name, value in found.items() if not value <= bar}
    assert not wrong, f"more than {bar:g} off: {wrong}"
    return {**found, "bar": bar}


def float32_parity(place: Place) -> Found:
    """Logits, losses and gradients of every head are the CPU's, in float32 without TF32."""
    found = {}
    without_tf32(place)
    for name in HEADS:
        ours, theirs = model_of(name, place.size), model_of(name, place.size, unpad_inputs=False)
        ours.to(place.device)
        for count in (1, 5):
            batch = batch_of(name, count)
            there = moved(batch, place.device)
            if count == 1:  # what stands on padding, or scores it, has no meaning
                found[f"{name}, logits"] = off(logits_of(ours, there), logits_of(theirs, batch))
            (loss, grads), (expected, wanted) = gradients(ours, there), gradients(theirs, batch)
            found[f"{name}, loss, {count}"] = off(loss, expected)
            assert off(grads, wanted) < 10 * FLOAT32, f"{name}: gradients {off(grads, wanted):g} off"
    return below(found, FLOAT32)


def bfloat16_parity(place: Place) -> Found:
    """Losses of every head in bfloat16 are those of float32 on the CPU, to its precision."""
    found = {}
    for name in HEADS:
        model, batch = model_of(name, place.size), batch_of(name, 5)
        expected, _ = gradients(model, batch)
        loss, _ = gradients(model.to(place.device), moved(batch, place.device), bf16=True)
        found[name] = off(loss, expected)
    return below(found, BFLOAT16)


def without_padding(place: Place) -> Found:
    """Attention over sequences of many lengths is that with a mask, in bfloat16, and both are the CPU's."""
    found: dict[str, float] = {}
    for name in ("encoder", "pretraining", "parsing"):
        batch = batch_of(name, 8)
        expected, wanted = gradients(model_of(name, place.size, unpad_inputs=False), batch)
        for way, unpad in (("mask", False), ("lengths", None), ("unpadded", True)):
            model = model_of(name, place.size, unpad_inputs=unpad).to(place.device)
            if place.cuda and torch.cuda.get_device_capability(place.device) >= (8, 0):
                with half(place):
                    assert takes_varlen(model.base_model.encoder.layer), "the kernel is not used"
            loss, grads = gradients(model, moved(batch, place.device), bf16=True)
            found[f"{name}, {way}, loss"] = off(loss, expected)
            assert off(grads, wanted) < GRADIENTS, f"{name}, {way}: gradients {off(grads, wanted):g} off"
    return below(found, BFLOAT16)


def never_waited_for(place: Place) -> Found:
    """A step of every head in bfloat16 makes the host wait nowhere.

    Without a GPU on the device `meta`, which has no values to wait for.
    """
    device = place.device if place.cuda else torch.device("meta")
    for name in HEADS:
        model = model_of(name, place.size).to(device)
        batch = moved(batch_of(name, 5), device)
        for step in range(2):  # the first one may set things up
            if place.cuda:
                torch.cuda.synchronize()
                torch.cuda.set_sync_debug_mode("error" if step else "default")
            try:
                with half(place) if place.cuda else nullcontext():
                    loss = loss_of(model, batch)
                loss.backward()
            finally:
                if place.cuda:
                    torch.cuda.set_sync_debug_mode("default")
    return {"heads": len(HEADS), "device": device.type}


def compiled(place: Place) -> Found:
    """Compiled as one graph, pretraining and parsing have the same loss and gradients."""
    found = {}
    without_tf32(place)
    for name in ("pretraining", "parsing"):
        torch.compiler.reset()
        model = model_of(name, place.size, num_hidden_layers=2).to(place.device)
        batch = moved(batch_of(name, 5), place.device)
        expected, wanted = gradients(model, batch)
        backend = "inductor" if place.cuda else "aot_eager"
        loss, grads = gradients(torch.compile(model, fullgraph=True, backend=backend), batch)
        found[f"{name}, loss"], found[f"{name}, gradients"] = off(loss, expected), off(grads, wanted)
        if place.cuda:
            loss, _ = gradients(torch.compile(model, fullgraph=True), batch, bf16=True)
            assert off(loss, expected) < BFLOAT16, f"{name} in bfloat16: {off(loss, expected):g} off"
    torch.compiler.reset()
    return below(found, 10 * FLOAT32)


# Runs


def pretraining_words(place: Place, name: str, steps: int, more: str = "") -> list[str]:
    """A command line of pretraining."""
    size = place.pick("--config_name small --max_seq_length 256", "--config_name nano --max_seq_length 64")
    words = f"{size} --total_batch_size 16 --learning_rate 1e-3 --dropout_prob 0 --validation_blocks 0 "
    words += f"--max_steps {steps} --logging_steps 1 --report_to none --disable_tqdm true {more} "
    words += "" if place.cuda else "--use_cpu true "
    return ["--data_dir", str(corpus(place)), "--output_dir", str(place.scratch / name), *words.split()]


def losses(folder: Path) -> list[float]:
    """The loss of each step of a run, from its last checkpoint."""
    last = last_whole(folder)
    assert last is not None, f"no whole checkpoint in {folder}"
    history = json.loads((last / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def falls(found: Sequence[float]) -> Found:
    """First and last losses; they must fall."""
    count = max(len(found) // 10, 1)
    first, last = sum(found[:count]) / count, sum(found[-count:]) / count
    assert last < first, f"the loss does not fall: {first:.4f} → {last:.4f}"
    return {"steps": len(found), "first": first, "last": last}


def pretrains(place: Place) -> Found:
    """`pixel-m4 pretrain` with the defaults of the device: the loss falls in 50 steps."""
    words = pretraining_words(place, "pretrained", place.pick(50, 20))
    pretrain(*parse_pretraining(words), quiet=True)
    settings = json.loads((place.scratch / "pretrained" / "settings.json").read_text())["training"]
    names = ("bf16", "tf32", "torch_compile", "dataloader_num_workers", "dataloader_pin_memory")
    return {**falls(losses(place.scratch / "pretrained")), **{name: settings[name] for name in names}}


def finetunes(place: Place) -> Found:
    """`pixel-m4 finetune parsing` with the defaults of the device: the loss falls in 50 steps."""
    size = place.pick("--config_name small", "--config_name nano --max_train_samples 100")
    words = f"{size} --max_steps {place.pick(50, 20)} --warmup_steps 5 --learning_rate 1e-3 "
    words += (
        "--logging_steps 1 --per_device_train_batch_size 16 --do_train --save_steps 1000 --report_to none "
    )
    words += "--disable_tqdm true "
    words += "" if place.cuda else "--use_cpu true "
    output = place.scratch / "finetuned"
    places = ["--data_dir", str(TREEBANK), "--output_dir", str(output)]
    arguments, training, options = parse_finetuning("gpu", Parsing, [*words.split(), *places])
    history = History()
    finetune(Parsing, arguments, training, options, [history], quiet=True)
    return {**falls(history.losses), "bf16": training.bf16, "workers": training.dataloader_num_workers}


class History(TrainerCallback):
    """Keeps the losses that are reported."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Keep the loss."""
        if "loss" in (logs or {}):
            self.losses.append(logs["loss"])


class Cut(Exception):
    """Stands for the end of a process."""


class CutAt(TrainerCallback):
    """Ends a run in the middle."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End at the step."""
        if state.global_step == self.step:
            raise Cut


def goes_on(place: Place) -> Found:
    """A run that was killed goes on: on the CPU to the same bits, elsewhere losses are 1 % off at most.

    Sums on a GPU come in no fixed order, so two runs differ there without any stop, too.
    """
    more = "--save_steps 4 --torch_compile false"
    whole, killed = place.scratch / "whole", place.scratch / "killed"
    pretrain(*parse_pretraining(pretraining_words(place, "whole", 12, more)), quiet=True)
    words = pretraining_words(place, "killed", 12, more)
    try:
        pretrain(*parse_pretraining(words), [CutAt(6)], quiet=True)
    except Cut:
        pass
    else:
        raise AssertionError("the run was not cut")
    pretrain(*parse_pretraining(words), quiet=True)
    weights = [load_file(folder / "model.safetensors") for folder in (whole, killed)]
    rows = [torch.cat([value.flatten() for value in row.values()]) for row in weights]
    apart = max(abs(a - b) / a for a, b in zip(losses(whole), losses(killed), strict=True))
    assert place.cuda or torch.equal(*rows), "the weights are not the same bits"
    return {**below({"losses": apart}, RESUMED), "weights": off(*rows)}


def sharded(place: Place) -> Found:
    """FSDP2 on one device, by configs/accelerate-fsdp2.yaml, has the losses of a run without it."""
    more = "--save_steps 4 --torch_compile false --dataloader_num_workers 0 --bf16 true"  # as the file says
    pretrain(*parse_pretraining(pretraining_words(place, "alone", 4, more)), quiet=True)
    script = place.scratch / "fsdp.py"
    script.write_text(("" if place.cuda else ON_THE_CPU) + RUN, encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "1"]
    words = [w for w in pretraining_words(place, "sharded", 4, more) if w != "--use_cpu"]
    words = words if place.cuda else words[:-1]  # its value
    done = subprocess.run(
        [*launch, str(script), "pretrain", *words],
        env={**os.environ, **fsdp_environment(place)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"FSDP2 failed: {done.stderr[-2000:]}"
    assert (place.scratch / "sharded" / "checkpoint-4" / "pytorch_model_fsdp.bin").is_file(), "not sharded"
    pairs = zip(losses(place.scratch / "alone"), losses(place.scratch / "sharded"), strict=True)
    return below({"losses": max(abs(a - b) / a for a, b in pairs)}, RESUMED)


RUN = "import sys\nfrom pixel_m4.cli.main import main\nsys.exit(main(sys.argv[1:]))\n"
# accelerate keeps FSDP for accelerators, so gloo's process is passed off as one of theirs.
ON_THE_CPU = """import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType
PartialState._prepare_backend = lambda self, *a, **k: ("gloo", DistributedType.MULTI_GPU)
torch.accelerator.is_available = lambda: True
import transformers.training_args
transformers.training_args.is_torch_bf16_gpu_available = lambda: True
"""


def fsdp_environment(place: Place) -> dict[str, str]:
    """What `accelerate launch` makes of the file."""
    config = yaml.safe_load((ROOT / "configs" / "accelerate-fsdp2.yaml").read_text(encoding="utf-8"))
    renamed = {"fsdp_transformer_layer_cls_to_wrap": "fsdp_transformer_cls_to_wrap"}
    options = {renamed.get(key, key).upper(): str(value) for key, value in config["fsdp_config"].items()}
    options |= {key: value.lower() for key, value in options.items() if value in ("True", "False")}
    options |= {"ACCELERATE_USE_FSDP": "true", "OMP_NUM_THREADS": "1"}
    options["ACCELERATE_MIXED_PRECISION"] = config["mixed_precision"]
    return options if place.cuda else {**options, "ACCELERATE_TORCH_DEVICE": "cpu"}


CHECKS: tuple[Callable[[Place], Found], ...] = (
    float32_parity,
    bfloat16_parity,
    without_padding,
    never_waited_for,
    compiled,
    pretrains,
    finetunes,
    goes_on,
    sharded,
)
