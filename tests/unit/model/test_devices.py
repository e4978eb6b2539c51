"""On another device than the CPU nothing waits for values; compiled, nothing breaks the graph.

The device `meta` has shapes and no values, so whatever looks at one (item, tolist, nonzero, a truth value, a
boolean index, a copy to the CPU) raises.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixel_m4.model import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForPreTraining,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
    PixelModel,
    PixelPreTrainedModel,
    attention,
    layers,
)
from pixel_m4.model.checks import check_batch, checked_on_device
from pixel_m4.pretrain.patch_classes import PatchClasses, PixelWithPatchClasses

Model = type[PixelPreTrainedModel]
Batch = dict[str, Any]

P = 12
MASK = (torch.arange(P) < torch.tensor([12, 7, 1])[:, None]).long()
HIDDEN = (torch.arange(P) % 4 == 0).expand(3, -1)
STARTS = torch.tensor([[0, 2, 5, 7], [0, 3, 6, -100], [0, 1, -100, -100]])
ARCS = torch.tensor([[2, 0, 2], [0, 1, -100], [0, -100, -100]])
RELATIONS = torch.tensor([[1, 2, 3], [4, 2, -100], [3, -100, -100]])
PARSES = {"word_starts": STARTS, "arc_labels": ARCS, "rel_labels": RELATIONS}
ANSWERS = {"start_positions": torch.tensor([1, 2, P]), "end_positions": torch.tensor([3, 2, P])}
CASES: dict[str, tuple[Model, dict[str, Any], Batch]] = {
    "encoder": (PixelModel, {}, {}),
    "rotary": (PixelModel, {"position_embedding_type": "rotary"}, {}),
    "places": (PixelModel, {}, {"first_position": torch.tensor([0, 1, 4])}),
    "layers": (
        PixelForTokenClassification,
        {"mix_layers": True},
        {"labels": torch.where(MASK == 1, 2, -100)},
    ),
    "pretraining": (PixelForPreTraining, {}, {"patch_mask": HIDDEN, "mask_ratio": 2.5 / P}),
    "random masks": (PixelForPreTraining, {}, {}),
    "tags": (PixelForTokenClassification, {}, {"labels": torch.where(MASK == 1, 2, -100)}),
    "words": (
        PixelForTokenClassification,
        {"num_word_layers": 1},
        {"word_starts": STARTS, "labels": RELATIONS},
    ),
    "parser": (PixelForBiaffineParsing, {}, PARSES),
    "parser and tagger": (
        PixelForBiaffineParsing,
        {"num_tags": 5, "num_word_layers": 1, "word_pooling": "first_last_mean", "padding_competes": False},
        {**PARSES, "tag_labels": RELATIONS},
    ),
    **{
        mode: (PixelForSequenceClassification, {"pooling_mode": mode}, {"labels": torch.tensor([0, 4, 2])})
        for mode in ("mean", "max", "cls", "pma4")
    },
    "scores": (PixelForSequenceClassification, {"problem_type": "regression"}, {"labels": torch.ones(3, 5)}),
    "answers": (PixelForQuestionAnswering, {}, ANSWERS),
    "answers on text": (PixelForQuestionAnswering, {"padding_competes": False}, ANSWERS),
}


def pixels() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 16, 16 * P), dtype=torch.uint8, generator=generator)


def make(name: str, **more: Any) -> tuple[PixelPreTrainedModel, Batch]:
    """A model whose every weight matters, and a batch."""
    model, options, batch = CASES[name]
    torch.manual_seed(0)
    config = PixelConfig.named("nano", max_seq_length=16, num_labels=5, **{**options, **more})
    made = model(config)
    for key, parameter in made.named_parameters():
        if "biaffine" in key:
            torch.nn.init.normal_(parameter, std=0.1)
    return made, {"pixel_values": pixels(), "attention_mask": MASK, **batch}


def on_device(batch: Batch) -> Batch:
    return {key: value.to("meta") if isinstance(value, Tensor) else value for key, value in batch.items()}


def test_this_device_has_no_values() -> None:
    values = torch.ones(3, device="meta")
    for look in (Tensor.item, Tensor.tolist, Tensor.nonzero, bool, lambda x: x[x > 0], Tensor.cpu):
        with pytest.raises((RuntimeError, NotImplementedError)):
            look(values)  # type: ignore[operator]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_nothing_waits_for_the_device(name: str, training: bool) -> None:
    model, batch = make(name)
    model.to("meta").train(training)
    outputs = model(**on_device(batch))
    if outputs.get("loss") is not None and training:
        outputs.loss.backward()
        assert model.base_model.encoder.layer[0].output.dense.weight.grad is not None
    else:
        model(**on_device({**batch, "pixel_values": pixels() / 255}))


def test_naming_patches_does_not_wait() -> None:
    objective = PatchClasses(number=9, visible=True, blank=True)
    config = PixelConfig.named("nano", max_seq_length=16)
    model = PixelWithPatchClasses(config, objective).to("meta")
    labels = torch.where(HIDDEN, 3, -100)
    batch = {"pixel_values": pixels(), "attention_mask": MASK, "patch_mask": HIDDEN, "mask_ratio": 2.5 / P}
    model(**on_device({**batch, "class_labels": labels})).loss.backward()


def test_what_is_asked_for_may_wait() -> None:
    """Packing must know how long sequences are, and a mask of any share how much it hides."""
    model, batch = make("encoder", unpad_inputs=True)
    with pytest.raises((RuntimeError, NotImplementedError)):
        model.to("meta")(**on_device(batch))
    model, batch = make("pretraining")
    batch.pop("mask_ratio")
    with pytest.raises((RuntimeError, NotImplementedError)):
        model.to("meta")(**on_device(batch))


@pytest.mark.parametrize("name", ["parser", "parser and tagger"])
def test_uncounted_words_do_not_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The losses of all words with labels that do not count, as elsewhere, are those of the counted ones."""
    model, batch = make(name)
    model.eval()
    results = []
    for device in (False, True):
        if device:
            monkeypatch.setattr("pixel_m4.model.heads.readable", lambda _: False)
        model.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        results.append({key: p.grad.clone() for key, p in model.named_parameters() if p.grad is not None})
        results[-1]["loss"] = loss.detach()
    for key, expected in results[0].items():
        torch.testing.assert_close(results[1][key], expected, atol=1e-6, rtol=1e-4, msg=key)


@pytest.mark.parametrize("name", CASES)
def test_checked_before_the_copy(name: str) -> None:
    model, batch = make(name)
    check_batch(model.config, {key: value for key, value in batch.items() if isinstance(value, Tensor)})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("encoder", {"pixel_values": pixels() / 100}, "must lie between 0 and 1"),
        ("places", {"first_position": torch.tensor([0, 1, 5])}, "first_position must lie between 0 and 4"),
        ("tags", {"labels": torch.full((3, P), 5)}, r"labels must be below 5 \(num_labels\)"),
        ("mean", {"labels": torch.tensor([0, 9, 1])}, r"labels must be below 5 .* got 9"),
        ("words", {"word_starts": STARTS + 9}, "word_starts must lie between 0 and the 12 patches"),
        ("parser", {"arc_labels": ARCS + 9}, "arc_labels must be below 4"),
        ("parser", {"rel_labels": RELATIONS + 9}, "rel_labels must be below 5"),
        ("parser", {"arc_labels": ARCS.clamp(min=0)}, "arc_labels has a word that is not there"),
        ("parser and tagger", {"tag_labels": RELATIONS + 9}, "tag_labels must be below 5"),
        ("answers", {"end_positions": torch.tensor([1, 2, 13])}, "end_positions must be below 13"),
        ("answers on text", {"end_positions": torch.tensor([1, 9, 0])}, "must not lie on padding, got 9"),
    ],
)
def test_bad_values_are_refused_before_the_copy(name: str, change: Batch, message: str) -> None:
    model, batch = make(name)
    with pytest.raises(ValueError, match=message):
        check_batch(model.config, {**batch, **change})


def test_the_way_to_a_device_checks() -> None:
    model, batch = make("parser")
    copied = checked_on_device(model.config, batch, torch.device("meta"))
    assert {values.device.type for values in copied.values()} == {"meta"}
    with pytest.raises(ValueError, match="word_starts must lie"):
        checked_on_device(model.config, {**batch, "word_starts": STARTS + 9}, torch.device("meta"))


def varlen_in_one(
    query: Tensor, key: Tensor, value: Tensor, bounds: Tensor, _: Tensor, longest: int, __: int, scale: float
) -> Tensor:
    """The kernel for sequences of many lengths, without a look at their lengths: [N, H, d] → [N, H, d]."""
    sequence = torch.bucketize(torch.arange(len(query)), bounds[1:], right=True)
    q, k, v = (states.transpose(0, 1) for states in (query, key, value))
    mask = sequence[:, None] == sequence
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale).transpose(0, 1)


@pytest.fixture
def like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the CPU take the way of a GPU, in float32; returns the batches' longest sequences, a call each."""
    calls: list[int] = []

    def counted(*states: Any, scale: float) -> Tensor:
        calls.append(states[-1])
        return varlen_in_one(*states, scale=scale)

    monkeypatch.setattr(attention, "varlen_attn", counted)
    for name, answer in (("has_varlen", True), ("varlen_takes", True), ("in_chunks", False)):
        monkeypatch.setattr(layers, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(layers, "readable", lambda _: False)
    return calls


WITHOUT_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def losses_and_gradients(name: str, **more: Any) -> dict[str, Tensor]:
    model, batch = make(name, **WITHOUT_DROPOUT, **more)
    torch.manual_seed(1)
    outputs = model(**batch)
    loss = outputs.get("loss")
    seen = F.pad(MASK, (1, 0), value=1)[..., None]
    loss = (outputs.last_hidden_state * seen).square().mean() if loss is None else loss
    loss.backward()
    grads = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **grads}


@pytest.mark.parametrize("name", CASES)
def test_the_way_of_a_gpu_computes_the_same(name: str, request: pytest.FixtureRequest) -> None:
    expected = losses_and_gradients(name, unpad_inputs=False)
    calls: list[int] = request.getfixturevalue("like_a_gpu")
    found = losses_and_gradients(name)
    assert calls or name == "answers"  # which reads what stands on padding
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=2e-5, rtol=1e-3, msg=key)


def test_when_a_gpu_takes_its_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "has_varlen", lambda _: True)
    model, _ = make("encoder", attention_probs_dropout_prob=0.1)
    stack = model.eval().encoder.layer
    assert not layers.takes_varlen(stack)  # float32
    with torch.autocast("cpu", torch.bfloat16):
        assert layers.takes_varlen(stack)
        assert not layers.takes_varlen(model.train().encoder.layer)  # dropout
        monkeypatch.setattr(layers, "has_varlen", lambda _: False)
        assert not layers.takes_varlen(model.eval().encoder.layer)
    monkeypatch.setattr(layers, "has_varlen", lambda _: True)
    assert layers.takes_varlen(model.bfloat16().encoder.layer)


@pytest.mark.parametrize("name", [name for name in CASES if name != "answers"])
def test_that_kernel_waits_for_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own operation knows shapes on the device `meta`, forward and backward."""
    calls: list[int] = []

    def counted(*states: Any, scale: float) -> Tensor:
        calls.append(states[-1])
        return kernel(*states, scale=scale)

    kernel = attention.varlen_attn
    monkeypatch.setattr(attention, "varlen_attn", counted)
    for function in ("takes_varlen", "has_varlen"):
        monkeypatch.setattr(layers, function, lambda _: True)
    model, batch = make(name, **WITHOUT_DROPOUT)
    model.to("meta", torch.bfloat16)
    outputs = model(**on_device(batch))
    if outputs.get("loss") is not None:
        outputs.loss.backward()
        assert model.base_model.encoder.layer[0].output.dense.weight.grad is not None
    assert calls


def assert_one_graph(name: str, dynamic: bool | None, backend: str = "eager") -> None:
    """Compile a training step as one graph, and compare its loss with that of the model as it is."""
    torch.compiler.reset()
    model, batch = make(name, num_hidden_layers=1, decoder_num_hidden_layers=1, **WITHOUT_DROPOUT)
    compiled = torch.compile(model, fullgraph=True, backend=backend, dynamic=dynamic)
    results = []
    for one in (model, compiled):
        torch.manual_seed(1)
        outputs = one(**batch)
        seen = F.pad(MASK, (1, 0), value=1)[..., None]
        loss = outputs.get("loss")
        results.append(outputs.last_hidden_state * seen if loss is None else loss)
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-5)


def test_training_of_a_parser_is_one_graph() -> None:
    assert_one_graph("parser", dynamic=False)


def test_the_way_of_a_gpu_is_one_graph(like_a_gpu: list[int]) -> None:
    assert_one_graph("pretraining", dynamic=False)
    assert like_a_gpu


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_every_model_is_one_graph_for_all_shapes(name: str) -> None:
    assert_one_graph(name, dynamic=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name != "answers"])
def test_the_way_of_a_gpu_is_one_graph_for_all_shapes(name: str, like_a_gpu: list[int]) -> None:
    assert_one_graph(name, dynamic=True)
    assert like_a_gpu


@pytest.mark.slow
def test_naming_patches_is_one_graph() -> None:
    torch.compiler.reset()
    objective = PatchClasses(number=9, visible=True, blank=True)
    model = PixelWithPatchClasses(PixelConfig.named("nano", max_seq_length=16, **WITHOUT_DROPOUT), objective)
    batch = {"pixel_values": pixels(), "attention_mask": MASK, "patch_mask": HIDDEN, "mask_ratio": 2.5 / P}
    batch["class_labels"] = torch.where(HIDDEN, 3, -100)
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    results = []
    for one in (model, compiled):
        torch.manual_seed(1)
        results.append(one(**batch).loss)
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-5)
