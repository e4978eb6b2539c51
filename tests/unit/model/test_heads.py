from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pixel_m4.model import (
    PixelConfig,
    PixelForBiaffineParsing,
    PixelForQuestionAnswering,
    PixelForSequenceClassification,
    PixelForTokenClassification,
)
from pixel_m4.model.heads import Biaffine, cross_entropy, pool_words

WORD_STARTS = torch.tensor([[0, 2, 5, 6], [0, 3, -100, -100]])
ARCS = torch.tensor([[2, 0, 2], [0, -100, -100]])
RELATIONS = torch.tensor([[1, 2, 3], [4, -100, -100]])


def config(**options: Any) -> PixelConfig:
    torch.manual_seed(0)
    return PixelConfig.named("nano", **{"max_seq_length": 64, "num_labels": 5, **options})


def pixels(patches: int = 20) -> Tensor:
    return torch.randint(
        0, 256, (2, 16, 16 * patches), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


MASK = (torch.arange(20) < torch.tensor([20, 9])[:, None]).long()


def parser() -> PixelForBiaffineParsing:
    model = PixelForBiaffineParsing(config()).eval()
    with torch.no_grad():
        model.biaffine_arcs.weight.normal_()
        model.biaffine_rels.weight.normal_()
    return model


# Token classification


def test_token_shapes_and_loss() -> None:
    model = PixelForTokenClassification(config()).eval()
    labels = torch.full((2, 20), -100)
    labels[0, 3], labels[1, 0] = 4, 2
    outputs = model(pixels(), MASK, labels=labels)
    assert outputs.logits.shape == (2, 20, 5)
    expected = F.cross_entropy(
        torch.stack([outputs.logits[0, 3], outputs.logits[1, 0]]), torch.tensor([4, 2])
    )
    torch.testing.assert_close(outputs.loss, expected)


def test_no_labels_no_loss_and_no_counted_label_no_nan() -> None:
    model = PixelForTokenClassification(config()).eval()
    assert model(pixels(), MASK).loss is None
    assert model(pixels(), MASK, labels=torch.full((2, 20), -100)).loss == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.full((2, 20), 5), r"labels must be below 5 \(num_labels\) or -100, got 5"),
        (torch.full((2, 20), -1), "got -1"),
        (torch.zeros(2, 19, dtype=torch.long), r"labels must be \[2, 20\], got \[2, 19\]"),
    ],
)
def test_bad_token_labels(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelForTokenClassification(config())(pixels(), labels=labels)


# Parsing


def test_word_means_against_one_word_at_a_time() -> None:
    torch.manual_seed(0)
    states = torch.randn(3, 12, 8)
    starts = torch.tensor([[0, 2, 5, 6, -100], [4, 4, 4, 12, 12], [1, 11, -100, -100, -100]])
    found = pool_words(states, starts)
    for row in range(3):
        for word in range(4):
            start, stop = starts[row, word].item(), starts[row, word + 1].item()
            if start < 0 or stop < 0:
                expected = torch.zeros(8)
            else:
                expected = states[row, start : max(stop, start + 1)]
                expected = expected.mean(0) if len(expected) else torch.zeros(8)
            torch.testing.assert_close(found[row, word], expected)


@pytest.mark.parametrize(("bias_x", "bias_y"), [(True, False), (True, True)])
def test_biaffine_against_one_pair_at_a_time(bias_x: bool, bias_y: bool) -> None:
    torch.manual_seed(0)
    layer = Biaffine(6, 3, bias_x, bias_y)
    layer.weight.data.normal_()
    x, y = torch.randn(2, 4, 6), torch.randn(2, 5, 6)
    scores, paired = layer(x, y), layer.paired(x, y[:, :4])
    one = torch.ones(1)
    for row in range(2):
        for i in range(4):
            for j in range(5):
                left = torch.cat([x[row, i], one]) if bias_x else x[row, i]
                right = torch.cat([y[row, j], one]) if bias_y else y[row, j]
                for relation in range(3):
                    expected = left @ layer.weight[relation] @ right
                    torch.testing.assert_close(scores[row, i, j, relation], expected, atol=1e-4, rtol=1e-4)
                    if i == j:
                        torch.testing.assert_close(paired[row, i, relation], expected, atol=1e-4, rtol=1e-4)


def test_parser_shapes_and_loss() -> None:
    outputs = parser()(pixels(), MASK, WORD_STARTS, ARCS, RELATIONS)
    assert outputs.arc_logits.shape == (2, 3, 4)
    assert outputs.rel_logits.shape == (2, 3, 4, 5)
    words = [(0, 0), (0, 1), (0, 2), (1, 0)]
    arcs = [F.cross_entropy(outputs.arc_logits[w], ARCS[w]) for w in words]
    relations = [F.cross_entropy(outputs.rel_logits[w][ARCS[w]], RELATIONS[w]) for w in words]
    torch.testing.assert_close(outputs.loss, torch.stack(arcs).mean() + torch.stack(relations).mean())


def test_training_scores_relations_of_gold_heads_only() -> None:
    model = parser()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    model.config.attention_probs_dropout_prob = 0.0
    for layer in model.vit.encoder.layer:
        layer.attention.attention.dropout = 0.0
    inputs = (pixels(), MASK, WORD_STARTS)
    evaluated = model(*inputs, ARCS, RELATIONS)
    trained = model.train()(*inputs, ARCS, RELATIONS)
    assert trained.rel_logits is None
    torch.testing.assert_close(trained.loss, evaluated.loss)
    assert model(*inputs).rel_logits is not None


def test_a_new_parser_scores_everything_alike() -> None:
    outputs = PixelForBiaffineParsing(config()).eval()(pixels(), MASK, WORD_STARTS)
    assert outputs.loss is None
    assert not outputs.arc_logits.any()
    assert not outputs.rel_logits.any()


def test_a_parser_learns() -> None:
    model = PixelForBiaffineParsing(config()).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    losses = []
    for _ in range(15):
        loss = model(pixels(), MASK, WORD_STARTS, ARCS, RELATIONS).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2


def test_a_batch_without_gold_words_has_a_loss_of_zero() -> None:
    nothing = torch.full((2, 3), -100)
    loss = parser().train()(pixels(), MASK, WORD_STARTS, nothing, nothing).loss
    assert loss == 0
    loss.backward()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "needs word_starts"),
        ({"word_starts": torch.tensor([[0, 21], [0, 3]])}, "the 20 patches, or be -100; got 21"),
        ({"word_starts": torch.tensor([[0, -1], [0, 3]])}, "got -1"),
        ({"word_starts": torch.tensor([[0, 1, 3]])}, r"B = 2 .* got \[1, 3\]"),
        ({"word_starts": torch.tensor([[0], [0]])}, "at least one word"),
        ({"word_starts": WORD_STARTS, "arc_labels": ARCS}, "go together"),
        (
            {"word_starts": WORD_STARTS, "arc_labels": ARCS + 2, "rel_labels": RELATIONS},
            "arc_labels .* got -98|4",
        ),
        (
            {"word_starts": WORD_STARTS, "arc_labels": ARCS, "rel_labels": RELATIONS * 2},
            "rel_labels .* below 5",
        ),
        (
            {"word_starts": WORD_STARTS, "arc_labels": ARCS[:, :2], "rel_labels": RELATIONS},
            r"arc_labels must be \[2, 3\], got \[2, 2\]",
        ),
    ],
)
def test_bad_words(inputs: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelForBiaffineParsing(config())(pixels(), MASK, **inputs)


# Sequence classification


@pytest.mark.parametrize("mode", ["mean", "max", "cls"])
def test_pooling_ignores_padding(mode: str) -> None:
    model = PixelForSequenceClassification(config(pooling_mode=mode)).eval()
    changed = pixels()
    changed[1, :, 9 * 16 :] = 0
    logits = model(pixels(), MASK).logits
    assert logits.shape == (2, 5)
    torch.testing.assert_close(model(changed, MASK).logits, logits, atol=1e-5, rtol=0)
    short = model(pixels()[1:, :, : 9 * 16]).logits
    torch.testing.assert_close(short, logits[1:], atol=1e-5, rtol=0)


def test_poolers_have_only_the_weights_they_need() -> None:
    def poolers(mode: str) -> set[str]:
        model = PixelForSequenceClassification(config(pooling_mode=mode))
        return {name for name, _ in model.named_parameters() if "pooler" in name}

    assert poolers("cls") == {"vit.pooler.dense.weight", "vit.pooler.dense.bias"}
    linear = {"pooler.linear.weight", "pooler.linear.bias"}
    assert poolers("mean") == poolers("max") == linear | {"pooler.ln.weight", "pooler.ln.bias"}


@pytest.mark.parametrize(
    ("options", "labels", "loss"),
    [
        ({}, torch.tensor([1, 4]), F.cross_entropy),
        ({"num_labels": 1}, torch.tensor([0.5, 3.0]), lambda x, y: F.mse_loss(x.squeeze(1), y)),
        ({"problem_type": "regression", "num_labels": 2}, torch.rand(2, 2), F.mse_loss),
        ({}, torch.tensor([[1.0, 0, 0, 1, 0]] * 2), F.binary_cross_entropy_with_logits),
        (
            {"problem_type": "multi_label_classification"},
            torch.tensor([[1, 0, 0, 1, 0]] * 2),
            lambda x, y: F.binary_cross_entropy_with_logits(x, y.float()),
        ),
    ],
)
def test_problem_types(options: dict, labels: Tensor, loss: Any) -> None:
    model = PixelForSequenceClassification(config(**options)).eval()
    outputs = model(pixels(), MASK, labels=labels)
    torch.testing.assert_close(outputs.loss, loss(outputs.logits, labels))


@pytest.mark.parametrize(
    ("options", "labels", "message"),
    [
        ({}, torch.tensor([1, 5]), "below 5 .* got 5"),
        ({}, torch.tensor([1, 2, 3]), r"labels must be \[2\], got \[3\]"),
        ({"num_labels": 1}, torch.rand(3), r"regression must be \[2, 1\], got \[3\]"),
    ],
)
def test_bad_text_labels(options: dict, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelForSequenceClassification(config(**options))(pixels(), MASK, labels=labels)


# Question answering


def test_cls_is_last_in_answers() -> None:
    model = PixelForQuestionAnswering(config()).eval()
    outputs = model(pixels(), MASK)
    states = model.vit(pixels(), MASK).last_hidden_state
    start, end = model.qa_outputs(torch.cat([states[:, 1:], states[:, :1]], dim=1)).unbind(-1)
    assert outputs.start_logits.shape == outputs.end_logits.shape == (2, 21)
    torch.testing.assert_close(outputs.start_logits, start)
    torch.testing.assert_close(outputs.end_logits, end)


def test_answer_loss() -> None:
    model = PixelForQuestionAnswering(config()).eval()
    start, end = torch.tensor([3, 20]), torch.tensor([6, 20])
    outputs = model(pixels(), MASK, start_positions=start, end_positions=end)
    expected = (F.cross_entropy(outputs.start_logits, start) + F.cross_entropy(outputs.end_logits, end)) / 2
    torch.testing.assert_close(outputs.loss, expected)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"start_positions": torch.tensor([0, 0])}, "go together"),
        (
            {"start_positions": torch.tensor([21, 0]), "end_positions": torch.tensor([0, 0])},
            "start_.* below 21",
        ),
        ({"start_positions": torch.tensor([0, 0]), "end_positions": torch.tensor([0, -5])}, "end_.* got -5"),
        ({"start_positions": torch.tensor([0]), "end_positions": torch.tensor([0, 0])}, r"\[2\], got \[1\]"),
    ],
)
def test_bad_answers(inputs: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelForQuestionAnswering(config())(pixels(), MASK, **inputs)


def test_cross_entropy_is_torch_s() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 4, 5), torch.randint(0, 5, (3, 4))
    labels[0] = -100
    torch.testing.assert_close(cross_entropy(logits, labels), F.cross_entropy(logits.mT, labels))


@pytest.mark.parametrize(
    "head",
    [PixelForTokenClassification, PixelForSequenceClassification, PixelForQuestionAnswering],
)
def test_heads_compile_without_a_break(head: type) -> None:
    model = head(config()).eval()
    expected = model(pixels(), MASK)
    found = torch.compile(model, fullgraph=True, backend="eager")(pixels(), MASK)
    for name in expected:  # a compiled model has other values on padding
        real = MASK == 1 if expected[name].shape[:2] == MASK.shape else ...
        torch.testing.assert_close(found[name][real], expected[name][real], atol=1e-5, rtol=0)
