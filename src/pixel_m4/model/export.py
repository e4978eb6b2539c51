"""ONNX: the encoder or a model with its head as one file, checked against PyTorch, and in eight bits.

Inputs are grey pixels uint8 [B, 16, 16 * P], attention_mask int64 [B, P] and, for parsing, word_starts int64
[B, W + 1]; B, P and W may vary from call to call. Outputs have the names that they have in PyTorch. A
pretraining checkpoint gives its encoder, as nothing else of it is of use without masks.

Needs the extra `export` (onnx, onnxscript, onnxruntime).

Dimensions: B batch, P patches, W words.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pixel_m4.console.errors import UserError
from pixel_m4.model.checks import IGNORED
from pixel_m4.model.heads import (
    PixelForBiaffineParsing,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    labels_words,
)
from pixel_m4.model.mae import PixelForPreTraining
from pixel_m4.model.vit import PixelModel, PixelPreTrainedModel

Array = NDArray[Any]
Arrays = dict[str, Array]

OUTPUTS: Mapping[type[PixelPreTrainedModel], tuple[str, ...]] = {
    PixelModel: ("last_hidden_state",),
    PixelForTokenClassification: ("logits",),
    PixelForBiaffineParsing: ("arc_logits", "rel_logits"),
    PixelForSequenceClassification: ("logits",),
    PixelForQuestionAnswering: ("start_logits", "end_logits"),
}
INPUTS = ("pixel_values", "attention_mask", "word_starts")
TOLERANCE = 1e-4  # of the largest value, or absolute below 1


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far an output is from that of PyTorch.

    Args:
        mean: Mean absolute difference.
        largest: Largest absolute difference.
        scale: Largest absolute value of PyTorch's output.
        agreement: Share of the places where both choose the same; None where nothing is chosen.
    """

    mean: float
    largest: float
    scale: float
    agreement: float | None

    @property
    def close(self) -> bool:
        """Whether rounding explains it; not so for NaN."""
        return self.largest <= TOLERANCE * max(1.0, self.scale)


def extra(package: str) -> Any:
    """A package of the extra `export`.

    Raises:
        ValueError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"export needs {error.name}: pip install 'pixel-m4[export]'") from error


def check_extra() -> None:
    """Refuse to start without the packages that export needs, before minutes are spent.

    Raises:
        ValueError: Names a missing one.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        extra(package)


def load_for_export(name: str, model_class: type[PixelPreTrainedModel]) -> PixelPreTrainedModel:
    """The model of a checkpoint with the head that it has, or the encoder of a pretraining one.

    Raises:
        FileNotFoundError, OSError, ValueError: As `from_pretrained`.
    """
    model_class = PixelModel if model_class is PixelForPreTraining else model_class
    model: PixelPreTrainedModel = model_class.from_pretrained(name, dtype=torch.float32)
    return model.eval()


def to_onnx(model: PixelPreTrainedModel, facts: Mapping[str, str] | None = None) -> bytes:
    """Turn a model into ONNX, with names for the dimensions that vary and the labels as metadata.

    Args:
        model: The model.
        facts: Further metadata.

    Raises:
        ValueError: This kind of model cannot be exported.
    """
    outputs, onnx = outputs_of(model), extra("onnx")
    batch, boundaries = torch.export.Dim("batch"), torch.export.Dim("boundaries", min=3)
    patches = torch.export.Dim("patches", max=model.config.max_patches)
    size = model.config.patch_size
    dims = {
        "pixel_values": {0: batch, 2: size * patches},
        "attention_mask": {0: batch, 1: patches},
        "word_starts": {0: batch, 1: boundaries},
    }
    # Sizes other than 0 and 1, which PyTorch takes for constants.
    example = random_inputs(model, batch=3, patches=min(12, model.config.max_patches), words=4)
    tensors = tuple(torch.from_numpy(value) for value in example.values())
    with quiet():
        # strict: the other way takes the batch of the example for a constant.
        program = torch.export.export(
            Outputs(model.eval(), outputs),
            tensors,
            dynamic_shapes=(tuple(dims[name] for name in example),),
            strict=True,
        )
        exported = torch.onnx.export(
            program, dynamo=True, input_names=list(example), output_names=list(outputs), verbose=False
        )
    assert exported is not None
    proto = exported.model_proto
    name_dimensions(proto.graph)
    facts = {
        **(facts or {}),
        "architecture": type(model).__name__,
        "max_seq_length": str(model.config.max_patches),
        "id2label": json.dumps(model.config.id2label, ensure_ascii=False),
    }
    onnx.helper.set_model_props(proto, facts)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


class Outputs(nn.Module):
    """A model that takes a list of tensors and returns chosen outputs as a tuple, as ONNX wants it."""

    def __init__(self, model: PixelPreTrainedModel, names: Sequence[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs in the order of the model → outputs in the order of the names."""
        outputs = self.model(**dict(zip(INPUTS, inputs, strict=False)))
        return tuple(getattr(outputs, name) for name in self.names)


def outputs_of(model: PixelPreTrainedModel) -> tuple[str, ...]:
    """The names of the outputs that are exported.

    Raises:
        ValueError: This kind of model cannot be exported.
    """
    if type(model) not in OUTPUTS:
        raise UserError(
            f"{type(model).__name__} cannot be exported; there are: "
            f"{', '.join(kind.__name__ for kind in OUTPUTS)}"
        )
    tags = ("tag_logits",) if isinstance(model, PixelForBiaffineParsing) and model.tagger is not None else ()
    return (*OUTPUTS[type(model)], *tags)


def needs_words(model: PixelPreTrainedModel) -> bool:
    """Whether the model must be told where words begin."""
    if isinstance(model, PixelForTokenClassification):
        return labels_words(model.config)
    return isinstance(model, PixelForBiaffineParsing)


def name_dimensions(graph: Any) -> None:
    """Give the varying dimensions of an ONNX graph names that a reader understands, instead of s27."""
    inputs = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
    names = {
        inputs["pixel_values"][0].dim_param: "batch",
        inputs["attention_mask"][1].dim_param: "patches",
    }
    if "word_starts" in inputs:
        names[inputs["word_starts"][1].dim_param] = "boundaries"
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda word: names.get(word[0], word[0]), dim.dim_param)


def quantise(onnx_model: bytes) -> bytes:
    """Matrix products in eight bits: weights in advance, by column; activations when it runs.

    The patch embedding, attention and the biaffine products stay in float.
    """
    quantization = extra("onnxruntime.quantization")
    with tempfile.TemporaryDirectory() as folder, quiet():
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(onnx_model)
        # Seven bits of the eight: without VNNI, x86 sums two products in 16 bits, which overflow.
        quantization.quantize_dynamic(
            source,
            target,
            per_channel=True,
            reduce_range=True,
            weight_type=quantization.QuantType.QInt8,
        )
        return target.read_bytes()


def random_inputs(model: PixelPreTrainedModel, batch: int, patches: int, words: int, seed: int = 0) -> Arrays:
    """Noise as pixels, padding of several lengths, and for parsing words of several lengths and numbers."""
    rng = np.random.default_rng(seed)
    size = model.config.patch_size
    lengths = rng.integers(1, patches + 1, batch)
    lengths[0] = patches
    inputs: Arrays = {
        "pixel_values": rng.integers(0, 256, (batch, size, size * patches), dtype=np.uint8),
        "attention_mask": (np.arange(patches) < lengths[:, None]).astype(np.int64),
    }
    if needs_words(model):
        starts = np.sort(rng.integers(0, lengths[:, None] + 1, (batch, words + 1)), axis=1)
        starts[:, :-1] = np.minimum(starts[:, :-1], lengths[:, None] - 1)  # no word begins on padding
        starts[1:, rng.integers(2, max(words + 1, 3)) :] = IGNORED
        inputs["word_starts"] = starts.astype(np.int64)
    return inputs


def check_against_pytorch(model: PixelPreTrainedModel, onnx_model: bytes) -> Mapping[str, float]:
    """Run both on random inputs of several shapes, the smallest and the longest among them.

    Returns:
        The largest difference of each output

    Raises:
        ValueError: An output differs by more than 1e-4 (of its largest value, where that is above 1).
    """
    longest, largest = model.config.max_patches, dict.fromkeys(outputs_of(model), 0.0)
    session = open_session(onnx_model)
    for seed, (batch, patches, words) in enumerate([(1, 1, 1), (3, min(7, longest), 4), (2, longest, 9)]):
        inputs = random_inputs(model, batch, patches, words, seed)
        for name, difference in compare(model, session, inputs).items():
            if not difference.close:
                raise UserError(
                    f"the ONNX model differs from PyTorch: {name} by {difference.largest:.2g} with "
                    f"{batch} x {patches} patches, where values go up to {difference.scale:.2g}"
                )
            largest[name] = max(largest[name], difference.largest)
    return largest


def compare(model: PixelPreTrainedModel, session: Any, inputs: Arrays) -> Mapping[str, Difference]:
    """The outputs of an ONNX session and of PyTorch, where they mean something: not on padding."""
    names = outputs_of(model)
    with torch.inference_mode():
        outputs = Outputs(model, names)(*(torch.from_numpy(value) for value in inputs.values()))
    expected = {name: output.numpy() for name, output in zip(names, outputs, strict=True)}
    found = dict(zip(names, session.run(list(names), inputs), strict=True))
    differences = {}
    for name in names:
        theirs, ours = expected[name], found[name]
        if ours.shape != theirs.shape:
            raise UserError(f"{name} of the ONNX model is {list(ours.shape)}, not {list(theirs.shape)}")
        real = real_places(name, inputs, theirs)
        gap = np.abs(ours - theirs)[real]
        agreement = None
        if name.endswith("logits") and theirs.shape[-1] > 1:
            counted = real.any(-1)
            if name == "rel_logits":  # a relation is chosen for one head
                heads = real_places("arc_logits", inputs, expected["arc_logits"])
                chosen = np.where(heads, expected["arc_logits"], -np.inf).argmax(-1)
                counted &= np.arange(theirs.shape[2]) == chosen[:, :, None]
            choices = (np.where(real, logits, -np.inf).argmax(-1) for logits in (ours, theirs))
            agreement = float(np.equal(*choices)[counted].mean())
        differences[name] = Difference(
            mean=float(gap.mean()),
            largest=float(gap.max()),
            scale=float(np.abs(theirs[real]).max()),
            agreement=agreement,
        )
    return differences


def real_places(name: str, inputs: Arrays, output: Array) -> Array:
    """Which values of an output are no padding: bool of its shape."""
    attended = inputs["attention_mask"] != 0  # [B, P]
    if name in ("arc_logits", "rel_logits", "tag_logits") or (name == "logits" and "word_starts" in inputs):
        starts = inputs["word_starts"]
        real = (starts[:, :-1] >= 0) & (starts[:, 1:] >= 0)  # [B, W]
        if name in ("arc_logits", "rel_logits"):  # heads that are no words are no choice
            real = real[:, :, None] & np.pad(real, ((0, 0), (1, 0)), constant_values=True)[:, None, :]
    elif name == "last_hidden_state":
        real = np.pad(attended, ((0, 0), (1, 0)), constant_values=True)
    elif name in ("start_logits", "end_logits"):
        real = np.pad(attended, ((0, 0), (0, 1)), constant_values=True)
    elif output.ndim == 3:  # labels of patches
        real = attended
    else:
        real = np.ones(len(output), bool)
    missing = output.ndim - real.ndim
    return np.broadcast_to(real.reshape(*real.shape, *[1] * missing), output.shape)


def open_session(onnx_model: bytes) -> Any:
    """An ONNX runtime session on the CPU, with the threads that PyTorch has."""
    onnxruntime = extra("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(onnx_model, options, providers=["CPUExecutionProvider"])


@contextmanager
def quiet() -> Iterator[None]:
    """Without the exporters' warnings, which are about packages and types that we do not use."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
