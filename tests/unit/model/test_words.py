"""States of words: pooling against a slow oracle, layers over words, parts of speech beside the tree."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from pixel_m4.model import PixelConfig, PixelForBiaffineParsing, PixelForTokenClassification
from pixel_m4.model.config import WORD_POOLING
from pixel_m4.model.flops import parameters
from pixel_m4.model.layers import run_layers
from pixel_m4.model.positions import rotation_of
from pixel_m4.model.words import WordEncoder, real_words
from pixel_m4.tasks.base import WordOptions

STARTS = torch.tensor([[0, 2, 3, 6], [1, 1, 4, -100], [0, 5, -100, -100]])


def nano(**changes: Any) -> PixelConfig:
    sizes = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "max_seq_length": 16}
    return PixelConfig.named("nano", **{**sizes, **changes})


def inputs(lengths: list[int], patches: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    pixels = torch.randint(0, 256, (len(lengths), 16, 16 * patches), dtype=torch.uint8)
    mask = (torch.arange(patches) < torch.tensor(lengths)[:, None]).long()
    return {"pixel_values": pixels, "attention_mask": mask}


def words_of(starts: torch.Tensor) -> list[list[range]]:
    rows = [[place for place in row if place >= 0] for row in starts.tolist()]
    return [[range(a, max(b, a + 1)) for a, b in pairwise(row)] for row in rows]


@pytest.mark.parametrize("pooling", WORD_POOLING)
def test_pooling_is_what_its_name_says(pooling: str) -> None:
    torch.manual_seed(0)
    config = nano(word_pooling=pooling)
    encoder = WordEncoder(config, "mean")
    states = torch.randn(3, 6, config.hidden_size)
    found = encoder(states, STARTS)
    for text, words in enumerate(words_of(STARTS)):
        for number, patches in enumerate(words):
            of_word = states[text, list(patches)]
            if pooling == "first":
                expected = of_word[0]
            elif pooling == "mean":
                expected = of_word.mean(0)
            elif pooling == "first_last_mean":
                assert encoder.projection is not None
                expected = encoder.projection(torch.cat([of_word[0], of_word[-1], of_word.mean(0)]))
            else:
                assert encoder.weight is not None
                expected = encoder.weight(of_word).softmax(0).mT @ of_word
            torch.testing.assert_close(found[text, number], expected.flatten())


@pytest.mark.parametrize("pooling", ["mean", "first_last_mean", "attention"])
def test_new_weights_begin_as_the_mean(pooling: str) -> None:
    model = PixelForTokenClassification(nano(word_pooling=pooling))
    mean = WordEncoder(nano(), "mean")
    states = torch.randn(3, 6, model.config.hidden_size)
    assert model.words is not None
    real = STARTS[:, 1:] >= 0
    torch.testing.assert_close(
        model.words(states, STARTS)[real], mean(states, STARTS)[real], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(
    "changes", [{"word_pooling": "attention"}, {"word_pooling": "first_last_mean", "num_word_layers": 2}]
)
def test_a_label_a_word_does_not_depend_on_the_batch(changes: dict[str, Any]) -> None:
    model = PixelForTokenClassification(nano(num_labels=3, **changes)).eval()
    batch = inputs([6, 4, 5], 6)
    labels = torch.tensor([[0, 1, 2], [2, 1, -100], [1, -100, -100]])
    together = model(**batch, word_starts=STARTS, labels=labels)
    assert together.logits.shape == (3, 3, 3)
    total = 0.0
    for text, (length, count) in enumerate([(6, 3), (4, 2), (5, 1)]):
        alone = model(
            pixel_values=batch["pixel_values"][text : text + 1, :, : 16 * length],
            word_starts=STARTS[text : text + 1, : count + 1],
            labels=labels[text : text + 1, :count],
        )
        torch.testing.assert_close(alone.logits[0], together.logits[text, :count], atol=1e-5, rtol=1e-5)
        total += alone.loss * count
    torch.testing.assert_close(together.loss, total / 6, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="labels of words need word_starts"):
        model(**batch)


def test_the_parser_tells_parts_of_speech_and_words_see_words() -> None:
    config = nano(num_labels=4, num_tags=5, num_word_layers=1, word_pooling="first_last_mean")
    model = PixelForBiaffineParsing(config).eval()
    torch.nn.init.normal_(model.biaffine_arcs.weight)
    batch = inputs([6, 4, 5], 6)
    heads = torch.tensor([[0, 1, 1], [2, 0, -100], [0, -100, -100]])
    tags = torch.tensor([[4, 0, 1], [2, 3, -100], [1, -100, -100]])
    rels = heads.clamp(max=1)
    outputs = model(**batch, word_starts=STARTS, arc_labels=heads, rel_labels=rels, tag_labels=tags)
    assert outputs.tag_logits.shape == (3, 3, 5)
    without = model(**batch, word_starts=STARTS, arc_labels=heads, rel_labels=rels)
    expected = torch.nn.functional.cross_entropy(outputs.tag_logits.flatten(0, 1), tags.flatten())
    torch.testing.assert_close(outputs.loss, without.loss + expected)
    # Words of other texts change nothing, those of the own text do.
    changed = batch["pixel_values"].clone()
    changed[1] = 255 - changed[1]
    again = model(**{**batch, "pixel_values": changed}, word_starts=STARTS)
    torch.testing.assert_close(again.arc_logits[0], outputs.arc_logits[0])
    assert not torch.allclose(again.tag_logits[1], outputs.tag_logits[1])
    with pytest.raises(ValueError, match="this parser tells no parts of speech"):
        PixelForBiaffineParsing(nano(num_labels=4))(**batch, word_starts=STARTS, tag_labels=tags)


def test_published_heads_have_no_further_weights() -> None:
    for kind in (PixelForBiaffineParsing, PixelForTokenClassification):
        names = [name for name, _ in kind(nano(num_labels=3)).named_parameters()]
        assert not any(name.startswith(("words.", "tagger.")) for name in names)


@pytest.mark.parametrize("pooling", [None, *WORD_POOLING])
@pytest.mark.parametrize("layers", [0, 2])
def test_parameters_are_counted(pooling: str | None, layers: int) -> None:
    mix = pooling == "mean"
    config = nano(num_labels=3, num_tags=5, word_pooling=pooling, num_word_layers=layers, mix_layers=mix)
    for kind in (PixelForBiaffineParsing, PixelForTokenClassification):
        cost = parameters(config, kind)
        assert cost.encoder + cost.decoder + cost.head == sum(p.numel() for p in kind(config).parameters())


def test_saved_and_loaded(tmp_path: Path) -> None:
    config = nano(num_labels=3, num_tags=5, word_pooling="attention", num_word_layers=1)
    model = PixelForBiaffineParsing(config).eval()
    model.save_pretrained(tmp_path)
    loaded = PixelForBiaffineParsing.from_pretrained(tmp_path).eval()
    batch = inputs([6, 4, 5], 6)
    torch.testing.assert_close(
        loaded(**batch, word_starts=STARTS).tag_logits, model(**batch, word_starts=STARTS).tag_logits
    )
    with pytest.raises(ValueError, match="have no place"):
        PixelForBiaffineParsing.from_pretrained(tmp_path, num_word_layers=0, word_pooling=None)
    with pytest.raises(ValueError, match=r"word_pooling must be one of first, mean.*got 'middle'"):
        nano(word_pooling="middle")


@pytest.mark.parametrize("theta", [None, 20])
def test_the_order_of_words_counts_where_they_have_positions(theta: float | None) -> None:
    """Without, the layers see a set of words: swapped words swap their states, and all else stays."""
    torch.manual_seed(0)
    config = nano(num_word_layers=2, word_pooling="first", word_rope_theta=theta, initializer_range=0.5)
    encoder = WordEncoder(config, "first").eval()
    states, starts = torch.randn(1, 5, config.hidden_size), torch.arange(6)[None]
    order = [0, 3, 2, 1, 4]
    swapped = encoder(states[:, order], starts)[:, order]
    difference = (swapped - encoder(states, starts)).abs().max()
    assert difference > 0.1 if theta else difference < 1e-5


def test_only_distances_of_words_count() -> None:
    """All words seven places further on give the same states."""
    torch.manual_seed(0)
    config = nano(num_word_layers=1, word_pooling="first", word_rope_theta=20, initializer_range=0.5)
    encoder = WordEncoder(config, "first").eval()
    states, starts = torch.randn(1, 4, config.hidden_size), torch.arange(5)[None]
    shifted = run_layers(
        *(encoder.layer, states, None),
        rotation=rotation_of(torch.arange(7, 11)[None], config.hidden_size // config.num_attention_heads, 20),
    )[0]
    assert encoder.layernorm is not None
    torch.testing.assert_close(encoder.layernorm(shifted), encoder(states, starts), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("theta", "message"),
    [(1, "above 1, got 1"), (True, "above 1, got True"), ("x", "above 1, got 'x'"), (9, "12 / 4 = 3")],
)
def test_positions_of_words_that_are_none(theta: Any, message: str) -> None:
    sizes = {"hidden_size": 12, "num_attention_heads": 4} if theta == 9 else {}
    with pytest.raises(ValueError, match=message):
        nano(word_rope_theta=theta, **sizes)
    with pytest.raises(ValueError, match="--word_rope_theta 20 is for layers over words, and there are none"):
        WordOptions(word_rope_theta=20).settled(nano())


@pytest.mark.parametrize("theta", [None, 20])
def test_layers_over_words_give_the_same_packed_and_padded(theta: float | None) -> None:
    """Also where a text has no word at all, which cannot be packed."""
    config = nano(num_word_layers=2, word_pooling="mean", word_rope_theta=theta)
    torch.manual_seed(0)
    encoder = WordEncoder(config, "mean").eval()
    states, root = torch.randn(3, 6, config.hidden_size), torch.randn(3, config.hidden_size)
    empty = STARTS.clone()
    empty[2] = -100
    for starts in (STARTS, empty):
        real = real_words(starts)
        for head, seen in ((None, real), (root, torch.nn.functional.pad(real, (1, 0), value=True))):
            found = []
            for unpad in (True, False):
                config.unpad_inputs = unpad
                found.append(encoder(states, starts, head)[seen])
            torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)
