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
from pixel_m4.model.heads import AttentionPooler, Biaffine, cross_entropy
from pixel_m4.model.words import pool_words

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


def parser(**options: Any) -> PixelForBiaffineParsing:
    model = PixelForBiaffineParsing(config(**options)).eval()
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


def test_labels_on_padding_do_not_count() -> None:
    model = PixelForTokenClassification(config()).eval()
    labels = torch.randint(0, 5, (2, 20), generator=torch.Generator().manual_seed(0))
    on_text = labels.masked_fill(MASK == 0, -100)
    expected = model(pixels(), MASK, labels=on_text).loss
    assert torch.equal(model(pixels(), MASK, labels=labels).loss, expected)
    alone = model(pixels()[1:, :, : 9 * 16], labels=labels[1:, :9]).loss
    torch.testing.assert_close(alone, model(pixels()[1:], MASK[1:], labels=on_text[1:]).loss)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.full((2, 20), 0.5), r"labels must be whole numbers, got torch.float32"),
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


@pytest.mark.parametrize("competes", [True, False])
def test_parser_shapes_and_loss(competes: bool) -> None:
    """Published losses have 64 words and the root as candidates; absent ones score 0."""
    model = parser(padding_competes=competes)
    outputs = model(pixels(), MASK, WORD_STARTS, ARCS, RELATIONS)
    assert outputs.arc_logits.shape == (2, 3, 4)
    assert outputs.rel_logits.shape == (2, 3, 4, 5)
    words = [(0, 0), (0, 1), (0, 2), (1, 0)]
    candidates = [outputs.arc_logits[text, word, : 4 if text == 0 else 2] for text, word in words]
    if competes:
        candidates = [F.pad(scores, (0, 65 - len(scores))) for scores in candidates]
    arcs = [F.cross_entropy(c, ARCS[w]) for c, w in zip(candidates, words, strict=True)]
    relations = [F.cross_entropy(outputs.rel_logits[w][ARCS[w]], RELATIONS[w]) for w in words]
    torch.testing.assert_close(outputs.loss, torch.stack(arcs).mean() + torch.stack(relations).mean())


def padded(tensor: Tensor, length: int, value: int) -> Tensor:
    return F.pad(tensor, (0, length - tensor.shape[1]), value=value)


@pytest.mark.parametrize("competes", [True, False])
def test_the_loss_of_a_sentence_does_not_depend_on_its_batch(competes: bool) -> None:
    """Alone, beside a longer sentence, and padded otherwise: the same loss and the same gradients."""
    model = parser(padding_competes=competes)
    text, starts = pixels()[1:, :, : 9 * 16], torch.tensor([[0, 3, 5, 9]])
    arcs, relations = torch.tensor([[2, 0, 2]]), torch.tensor([[1, 2, 3]])
    nothing = torch.full((1, 3), -100)

    def found(*inputs: Tensor) -> tuple[Tensor, ...]:
        loss = model(*inputs).loss
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return loss, *torch.autograd.grad(loss, weights)

    alone = found(text, None, starts, arcs, relations)
    white = torch.full((1, 16, 11 * 16), 255, dtype=torch.uint8)
    wide = found(
        torch.cat([text, white], dim=2),
        MASK[1:],
        padded(starts, 90, -100),  # more than there are positions
        padded(arcs, 89, -100),
        padded(relations, 89, -100),
    )
    beside = found(
        torch.cat([pixels()[:1], torch.cat([text, white], dim=2)]),
        MASK,
        torch.cat([torch.tensor([[0, 2, 3, 5, 7, 9, 20]]), padded(starts, 7, -100)]),
        padded(torch.cat([nothing, arcs]), 6, -100),
        padded(torch.cat([nothing, relations]), 6, -100),
    )
    for other in (wide, beside):
        for ours, theirs in zip(alone, other, strict=True):
            torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def test_a_batch_is_the_mean_of_its_words() -> None:
    model = parser()
    both = model(pixels(), MASK, WORD_STARTS, ARCS, RELATIONS).loss
    first = model(pixels()[:1], MASK[:1], WORD_STARTS[:1], ARCS[:1], RELATIONS[:1]).loss
    second = model(pixels()[1:], MASK[1:], WORD_STARTS[1:], ARCS[1:], RELATIONS[1:]).loss
    torch.testing.assert_close(both, (3 * first + second) / 4)


def test_a_full_sentence_has_no_absent_candidates() -> None:
    """As many words as positions, and more: nothing is left to compete."""
    starts = torch.arange(21)[None].expand(2, -1).clone()
    arcs = torch.zeros(2, 20, dtype=torch.long)
    scored = [
        parser(padding_competes=competes, max_seq_length=length)(
            pixels()[:, :, : 16 * 16], None, starts.clamp(max=15), arcs, arcs + 1
        ).loss
        for competes in (True, False)
        for length in (16,)
    ]
    torch.testing.assert_close(*scored)


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
        (
            {
                "word_starts": WORD_STARTS,
                "arc_labels": torch.where(RELATIONS == 2, -100, ARCS),
                "rel_labels": RELATIONS,
            },
            "rel_labels has a relation to no head.* got 2 for word 2 of text 0",
        ),
        (
            {
                "word_starts": WORD_STARTS,
                "arc_labels": ARCS.masked_fill(RELATIONS == 4, 2),
                "rel_labels": RELATIONS,
            },
            "arc_labels has a head that is not there: got 2 for word 1 of text 1, which has 1 words",
        ),
        (
            {"word_starts": WORD_STARTS, "arc_labels": ARCS.clamp(min=0), "rel_labels": RELATIONS},
            "arc_labels has a word that is not there: got 0 for word 2 of text 1",
        ),
        (
            {"word_starts": WORD_STARTS, "arc_labels": ARCS.float(), "rel_labels": RELATIONS},
            "arc_labels must be whole numbers, got torch.float32",
        ),
        ({"word_starts": torch.tensor([[0, 3, 2], [0, 1, 2]])}, r"go back at word 2 of text 0: got \[3, 2\]"),
        ({"word_starts": torch.tensor([[0, 3, 4], [-100, 1, 2]])}, "must come last at word 1 of text 1"),
        (
            {"word_starts": torch.tensor([[0, 3, 4], [0, 5, 10]])},
            r"padding at word 2 of text 1: got \[5, 10\]",
        ),
        ({"word_starts": torch.tensor([[0, 20, 20], [0, 5, 9]])}, r"padding at word 2 of text 0"),
        ({"word_starts": torch.tensor([[0.0, 3.0], [0.0, 1.0]])}, "word_starts must be whole numbers"),
    ],
)
def test_bad_words(inputs: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelForBiaffineParsing(config())(pixels(), MASK, **inputs)


# Sequence classification


@pytest.mark.parametrize("mode", ["mean", "max", "cls", "pma1", "pma5"])
def test_pooling_ignores_padding(mode: str) -> None:
    model = PixelForSequenceClassification(config(pooling_mode=mode)).eval()
    changed = pixels()
    changed[1, :, 9 * 16 :] = 0
    logits = model(pixels(), MASK).logits
    assert logits.shape == (2, 5)
    torch.testing.assert_close(model(changed, MASK).logits, logits, atol=1e-5, rtol=0)
    short = model(pixels()[1:, :, : 9 * 16]).logits
    torch.testing.assert_close(short, logits[1:], atol=1e-5, rtol=0)


@pytest.mark.parametrize(("mode", "width"), [("pma1", 48), ("pma4", 48), ("pma5", 50), ("pma8", 48)])
def test_pooling_by_attention_against_one_head_at_a_time(mode: str, width: int) -> None:
    """Queries plus what each head finds, and a layer with ReLU: written down without batches."""
    torch.manual_seed(0)
    pooler = AttentionPooler(config(pooling_mode=mode)).eval()
    torch.nn.init.normal_(pooler.seed)
    torch.nn.init.normal_(pooler.ln.weight)
    states = torch.randn(2, 20, 48)
    found = pooler(states, MASK)
    heads = int(mode[3:])
    assert found.shape == (2, width)
    for text, real in enumerate(MASK.bool()):
        normed = pooler.ln(states[text][real])
        query, keys, values = pooler.query(pooler.seed)[0], pooler.key(normed), pooler.value(normed)
        parts = []
        for part in torch.arange(width).chunk(heads):
            weights = (keys[:, part] @ query[part] / width**0.5).softmax(0)
            parts.append(query[part] + weights @ values[:, part])
        pooled = torch.cat(parts)
        torch.testing.assert_close(found[text], pooled + F.relu(pooler.output(pooled)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pooler(states[:1], None), pooler(states[:1], torch.ones(1, 20)))


def test_pooling_by_attention_of_nothing_is_finite_and_learns() -> None:
    torch.manual_seed(0)
    model = PixelForSequenceClassification(config(pooling_mode="pma3"))
    assert model.pooler.seed.std() > 0
    nothing = MASK.clone()
    nothing[1] = 0
    output = model(pixels(), nothing, labels=torch.tensor([1, 4]))
    assert output.logits.isfinite().all()
    alone = model.pooler(torch.randn(1, 20, 48), torch.zeros(1, 20))
    query = model.pooler.query(model.pooler.seed)
    torch.testing.assert_close(alone, query + F.relu(model.pooler.output(query)))
    output.loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.pooler.parameters())
    assert "ln.weight" not in dict(
        AttentionPooler(config(pooling_mode="pma3", pooler_add_layer_norm=False)).named_parameters()
    )


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


def test_a_text_of_which_nothing_is_attended() -> None:
    model = PixelForSequenceClassification(config(pooling_mode="max")).eval()
    assert model(pixels(), MASK * torch.tensor([[1], [0]])).logits.isfinite().all()


def test_a_label_that_is_no_number() -> None:
    model = PixelForSequenceClassification(config(num_labels=1))
    with pytest.raises(ValueError, match="labels for regression must be finite, got"):
        model(pixels(), MASK, labels=torch.tensor([0.5, float("nan")]))


# Question answering


def test_cls_is_last_in_answers() -> None:
    model = PixelForQuestionAnswering(config()).eval()
    outputs = model(pixels(), MASK)
    states = model.vit(pixels(), MASK).last_hidden_state
    start, end = model.qa_outputs(torch.cat([states[:, 1:], states[:, :1]], dim=1)).unbind(-1)
    assert outputs.start_logits.shape == outputs.end_logits.shape == (2, 21)
    torch.testing.assert_close(outputs.start_logits, start)
    torch.testing.assert_close(outputs.end_logits, end)


@pytest.mark.parametrize("shape", ["grey", "colour", "float"])
def test_answer_loss(shape: str) -> None:
    """Published losses let white patches up to the longest text compete; CLS is behind them."""
    model = PixelForQuestionAnswering(config()).eval()
    strip = {
        "grey": pixels(),
        "colour": pixels().unsqueeze(-1).expand(-1, -1, -1, 3),
        "float": pixels().unsqueeze(1).expand(-1, 3, -1, -1) / 255,
    }[shape]
    start, end = torch.tensor([3, 20]), torch.tensor([6, 20])
    outputs = model(strip, MASK, start_positions=start, end_positions=end, output_hidden_states=True)
    assert outputs.start_logits.shape == (2, 21)
    assert outputs.hidden_states[0].shape == (2, 21, 48)
    whole = F.pad(pixels(), (0, 44 * 16), value=255)
    longest = model(whole, padded(MASK, 64, 0))
    start, end = torch.tensor([3, 64]), torch.tensor([6, 64])
    expected = F.cross_entropy(longest.start_logits, start) + F.cross_entropy(longest.end_logits, end)
    torch.testing.assert_close(outputs.loss, expected / 2)
    real = F.pad(MASK, (0, 1), value=1) == 1
    torch.testing.assert_close(outputs.end_logits[real], model(strip, MASK).end_logits[real])


@pytest.mark.parametrize("unpad", [False, None])
def test_answer_loss_of_what_is_there(unpad: bool | None) -> None:
    model = PixelForQuestionAnswering(config(padding_competes=False, unpad_inputs=unpad)).eval()
    start, end = torch.tensor([3, 20]), torch.tensor([6, 20])
    outputs = model(pixels(), MASK, start_positions=start, end_positions=end)
    real = F.pad(MASK, (0, 1), value=1) == 0
    expected = sum(
        F.cross_entropy(logits.masked_fill(real, -torch.inf), gold)
        for logits, gold in ((outputs.start_logits, start), (outputs.end_logits, end))
    )
    torch.testing.assert_close(outputs.loss, expected / 2)
    with pytest.raises(ValueError, match="end_positions must not lie on padding, got 9 for text 1"):
        model(pixels(), MASK, start_positions=start, end_positions=torch.tensor([6, 9]))


@pytest.mark.parametrize("competes", [True, False])
def test_the_loss_of_a_question_does_not_depend_on_its_batch(competes: bool) -> None:
    model = PixelForQuestionAnswering(config(padding_competes=competes)).eval()
    text, answer = pixels()[1:, :, : 9 * 16], torch.tensor([4])
    alone = model(text, start_positions=answer, end_positions=answer).loss
    white = F.pad(text, (0, 11 * 16), value=255)
    wide = model(white, MASK[1:], start_positions=answer, end_positions=answer).loss
    torch.testing.assert_close(wide, alone)
    beside = torch.tensor([-100, 4])  # the other question does not count
    both = model(torch.cat([pixels()[:1], white]), MASK, start_positions=beside, end_positions=beside).loss
    torch.testing.assert_close(both, alone)


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
