from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModel,
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    ElectraConfig,
    ElectraModel,
    ModernBertConfig,
    RobertaForQuestionAnswering,
    RobertaForTokenClassification,
)

from pixel_m4.model import (
    PixelConfig,
    PixelForTokenClassification,
    TextConfig,
    TextForBiaffineParsing,
    TextForQuestionAnswering,
    TextForSequenceClassification,
    TextForTokenClassification,
    TextModel,
)
from pixel_m4.model.initialisation import shrink
from pixel_m4.model.text_config import is_text_model, positions_of, read_config
from pixel_m4.model.text_heads import TEXT_HEADS, head_for

TEXTS = 20 * ["the cat sleeps on the mat", "a dog barks"]
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    save_encoder: Callable[..., Path],
) -> Path:
    return save_encoder(tmp_path_factory.mktemp(request.param), TEXTS, request.param)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory, save_encoder: Callable[..., Path]) -> Path:
    return save_encoder(tmp_path_factory.mktemp("only"), TEXTS)


def inputs(config: TextConfig, length: int = 9) -> tuple[Tensor, Tensor]:
    """Two sequences, the second one padded; ids and the mask without CLS."""
    torch.manual_seed(1)
    ids = torch.randint(5, config.vocab_size, (2, length))
    mask = torch.ones(2, length - 1, dtype=torch.long)
    ids[1, -3:] = config.encoder_config.pad_token_id
    mask[1, -3:] = 0
    return ids, mask


def whole(mask: Tensor) -> Tensor:
    """The mask as transformers takes it, with CLS."""
    return nn.functional.pad(mask, (1, 0), value=1)


def same_weights(ours: nn.Module, theirs: nn.Module, encoder: str, *heads: str) -> None:
    """Copy the weights of a model of transformers."""
    ours.text.encoder.load_state_dict(getattr(theirs, encoder).state_dict())
    for head in heads:
        getattr(ours, head).load_state_dict(getattr(theirs, head).state_dict())
    ours.eval()
    theirs.eval()


def test_labels_are_those_of_transformers(folder: Path) -> None:
    config = read_config(folder, num_labels=5)
    kind = config.encoder_config.model_type
    theirs = {"bert": BertForTokenClassification, "roberta": RobertaForTokenClassification}[kind]
    config.encoder_config.num_labels = 5
    theirs, ours = theirs(config.encoder_config), TextForTokenClassification(config)
    same_weights(ours, theirs, kind, "classifier")
    ids, mask = inputs(config)
    labels = torch.randint(0, 5, mask.shape).masked_fill(mask == 0, -100)
    found = ours(ids, mask, labels)
    expected = theirs(ids, whole(mask), labels=nn.functional.pad(labels, (1, 0), value=-100))
    assert torch.allclose(found.logits[mask > 0], expected.logits[:, 1:][mask > 0], atol=1e-6)
    assert torch.allclose(found.loss, expected.loss, atol=1e-6)


def test_answers_are_those_of_transformers(folder: Path) -> None:
    """As published, padding up to the maximum competes, as it does where a data set is padded to it."""
    config = read_config(folder, max_seq_length=20)
    kind = config.encoder_config.model_type
    theirs = {"bert": BertForQuestionAnswering, "roberta": RobertaForQuestionAnswering}[kind]
    theirs, ours = theirs(config.encoder_config), TextForQuestionAnswering(config)
    same_weights(ours, theirs, kind, "qa_outputs")
    ids, mask = inputs(config)
    found = ours(ids, mask, torch.tensor([2, 8]), torch.tensor([4, 8]))  # 8 places: 8 is CLS
    padding = config.encoder_config.pad_token_id
    long = nn.functional.pad(ids, (0, 11), value=padding)
    expected = theirs(
        long,
        nn.functional.pad(whole(mask), (0, 11), value=0),
        start_positions=torch.tensor([3, 0]),
        end_positions=torch.tensor([5, 0]),
    )
    assert torch.allclose(found.loss, expected.loss, atol=1e-5)
    short = theirs(ids, whole(mask))
    for name in ("start_logits", "end_logits"):
        logits, other = getattr(ours(ids, mask), name), getattr(short, name)
        assert torch.allclose(logits[:, -1], other[:, 0], atol=1e-5)
        assert torch.allclose(logits[:, :-1][mask > 0], other[:, 1:][mask > 0], atol=1e-5)
    config.padding_competes = False
    only = TextForQuestionAnswering(config).eval()
    only.load_state_dict(ours.state_dict())
    real = found.start_logits[0].log_softmax(-1)[2] + found.end_logits[0].log_softmax(-1)[4]
    alone = only(ids[:1], mask[:1], torch.tensor([2]), torch.tensor([4]))
    assert torch.allclose(alone.loss, -real / 2, atol=1e-5)


def test_labels_of_texts_are_those_of_transformers(bert: Path) -> None:
    config = read_config(bert, num_labels=3)
    config.encoder_config.num_labels = 3
    theirs, ours = BertForSequenceClassification(config.encoder_config), TextForSequenceClassification(config)
    same_weights(ours, theirs, "bert", "classifier")
    ids, mask = inputs(config)
    types = torch.zeros_like(ids)
    types[:, 4:] = 1
    expected = theirs(ids, whole(mask), token_type_ids=types).logits
    assert torch.allclose(ours(ids, mask, token_type_ids=types).logits, expected, atol=1e-6)
    assert not torch.allclose(ours(ids, mask).logits, expected, atol=1e-6)  # which text it is matters
    config.pooling_mode = "mean"
    pooled = TextForSequenceClassification(config)
    assert pooled.text.pooler is None
    assert pooled(ids, mask, torch.tensor([0, 2])).loss.isfinite()


@pytest.mark.parametrize("head", TEXT_HEADS.values())
def test_heads_begin_on_an_encoder_and_come_back(
    folder: Path, tmp_path: Path, head: type[nn.Module], caplog: pytest.LogCaptureFixture
) -> None:
    options = {"num_labels": 4, "num_tags": 3, "mix_layers": True, "word_pooling": "first_last_mean"}
    config = read_config(folder, **options, num_word_layers=1, word_rope_theta=20)
    model = head.from_pretrained(folder, config=config).eval()
    assert "new weights, not from" in caplog.text
    trained = load_file(folder / "model.safetensors")
    prefix = config.encoder_config.model_type + "."
    for name, weight in model.text.encoder.state_dict().items():
        assert name.startswith("pooler") or torch.equal(weight, trained[prefix + name])
    assert ("pooler.dense" in caplog.text) == (
        head in (TextForBiaffineParsing, TextForSequenceClassification)
    )
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [head.__name__]
    caplog.clear()
    again = head.from_pretrained(tmp_path)
    assert "new weights" not in caplog.text
    assert isinstance(again.config, TextConfig)
    ids, mask = inputs(config)
    words = (
        {}
        if head not in (TextForTokenClassification, TextForBiaffineParsing)
        else {"word_starts": torch.tensor([[0, 2, 3, 7], [0, 1, 4, -100]])}
    )
    for one, other in zip(
        model(ids, mask, **words).to_tuple(), again(ids, mask, **words).to_tuple(), strict=True
    ):
        assert torch.equal(one, other)


def test_words_are_parsed_from_their_own_sub_words(bert: Path) -> None:
    config = read_config(bert, num_labels=4)
    model = TextForBiaffineParsing.from_pretrained(bert, config=config)
    for scores in (model.biaffine_arcs, model.biaffine_rels):  # new ones are zero
        nn.init.normal_(scores.weight)
    ids, mask = inputs(config)
    starts = torch.tensor([[0, 2, 5, 7], [0, 1, 4, -100]])
    arcs = torch.tensor([[2, 0, 2], [0, 1, -100]])
    loss = model(ids, mask, starts, arcs, arcs.clamp(min=0).masked_fill(arcs < 0, -100)).loss
    loss.backward()
    assert model.text.encoder.embeddings.word_embeddings.weight.grad.abs().sum() > 0
    assert model.text.encoder.pooler.dense.weight.grad is not None  # the root
    model.eval()
    changed = ids.clone()
    changed[1, -3:] = 7  # what stands on padding
    assert torch.equal(model(ids, mask, starts).arc_logits[1], model(changed, mask, starts).arc_logits[1])


def test_the_pooler_of_an_encoder_is_taken_along(tmp_path: Path) -> None:
    theirs = BertModel(BertConfig(vocab_size=50, **SIZES))
    theirs.save_pretrained(tmp_path)
    model = TextForBiaffineParsing.from_pretrained(tmp_path)
    assert torch.equal(model.text.encoder.pooler.dense.weight, theirs.pooler.dense.weight)
    ElectraModel(ElectraConfig(vocab_size=50, embedding_size=32, **SIZES)).save_pretrained(tmp_path / "e")
    model = TextForBiaffineParsing.from_pretrained(tmp_path / "e")  # has none: ours
    ids, mask = inputs(model.config)
    states = model.text(ids, mask)
    dense = model.text.pooler.dense
    assert torch.allclose(states.pooler_output, dense(states.last_hidden_state[:, 0]).tanh())


def test_another_head_is_left_out(bert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    TextForSequenceClassification.from_pretrained(bert).save_pretrained(tmp_path)
    caplog.clear()
    model = TextForTokenClassification.from_pretrained(tmp_path)
    assert "new weights, not from" in caplog.text  # its classifier is another one
    assert torch.equal(
        model.text.encoder.embeddings.word_embeddings.weight,
        load_file(tmp_path / "model.safetensors")["text.encoder.embeddings.word_embeddings.weight"],
    )


def test_hidden_states_and_a_mean_of_all_layers(bert: Path) -> None:
    config = read_config(bert, mix_layers=True)
    plain, mixed = (
        TextModel.from_pretrained(bert).eval(),
        TextModel.from_pretrained(bert, config=config).eval(),
    )
    ids, mask = inputs(config)
    states = plain(ids, mask, output_hidden_states=True).hidden_states
    assert len(states) == 3
    assert plain(ids, mask).hidden_states is None
    found = mixed(ids, mask)
    assert torch.allclose(found.last_hidden_state, torch.stack(states).mean(0), atol=1e-6)
    assert found.hidden_states is None


def test_dropout_and_length_are_set(bert: Path) -> None:
    config = read_config(bert, hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.2, max_seq_length=20)
    model = TextForTokenClassification.from_pretrained(bert, config=config)
    rates = {module.p for module in model.modules() if isinstance(module, nn.Dropout)}
    assert rates == {0.3, 0.2}
    model.resize_positions(66)
    assert (model.config.max_seq_length, model.config.max_patches) == (66, 65)
    with pytest.raises(ValueError, match="max_seq_length 67: the model has positions for 66 sub-words"):
        model.resize_positions(67)
    with pytest.raises(ValueError, match="max_seq_length 67: the model has positions for 66"):
        read_config(bert, max_seq_length=67)
    assert positions_of(ModernBertConfig(num_hidden_layers=1).to_json_string()) == 8192


def test_layers_can_be_shrunk(bert: Path) -> None:
    model = TextModel.from_pretrained(bert)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    shrink(model, 0.5)
    for name, weight in model.named_parameters():
        changed = "layer." in name and weight.ndim == 2
        assert torch.equal(weight, before[name] * (0.5 if changed else 1)), name


def test_auto_classes_know_text_models(bert: Path, tmp_path: Path) -> None:
    TextForTokenClassification.from_pretrained(bert).save_pretrained(tmp_path)
    assert type(AutoModel.from_pretrained(tmp_path)) is TextModel
    assert is_text_model(tmp_path)
    assert is_text_model(bert)
    assert not is_text_model("pixel-m4-tiny")
    assert head_for(PixelForTokenClassification, PixelConfig.named("nano")) is PixelForTokenClassification


def test_pickles_are_refused(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((bert / "config.json").read_bytes())
    torch.save(load_file(bert / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin is a pickle, which can run code"):
        TextForTokenClassification.from_pretrained(tmp_path)


def test_code_of_a_checkpoint_is_not_run(bert: Path, tmp_path: Path) -> None:
    content = json.loads((bert / "config.json").read_text())
    content["auto_map"] = {"AutoConfig": "trap.Trap", "AutoModel": "trap.Trap"}
    (tmp_path / "config.json").write_text(json.dumps(content))
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Trap: pass\n")
    (tmp_path / "model.safetensors").write_bytes((bert / "model.safetensors").read_bytes())
    TextForTokenClassification.from_pretrained(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_other_models_are_refused(tmp_path: Path) -> None:
    for kind, what in (
        ("vit_mae", "which is neither a pixel model nor an encoder of text"),
        ("gpt2", "which is neither a pixel model nor an encoder of text"),
        ("bart", "with a decoder is no encoder of text"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
        with pytest.raises(ValueError, match=f"{tmp_path}.*{kind!r} model.*{what}"):
            read_config(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is no JSON"):
        read_config(tmp_path)


def test_incomplete_weights_are_refused(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((bert / "config.json").read_bytes())
    weights = load_file(bert / "model.safetensors")
    key = "bert.encoder.layer.0.attention.self.query.weight"
    save_file(
        {name: weight for name, weight in weights.items() if name != key}, tmp_path / "model.safetensors"
    )
    with pytest.raises(
        ValueError, match=r"lacks 1 weights of the encoder, such as text\.encoder\.encoder\.layer\.0"
    ):
        TextForTokenClassification.from_pretrained(tmp_path)
    weights[key] = torch.zeros(3, 3)
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="has another size than the configuration says"):
        TextForTokenClassification.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="is truncated or damaged"):
        TextForTokenClassification.from_pretrained(tmp_path)


def test_bad_inputs_are_named(bert: Path) -> None:
    model = TextModel.from_pretrained(bert)
    ids, mask = inputs(model.config)
    for given, seen, message in (
        (ids.float(), mask, "input_ids must be whole numbers"),
        (ids[:, :1], None, "input_ids must be whole numbers"),
        (ids, whole(mask), "attention_mask must be .* without CLS"),
        (ids.repeat(1, 8), None, "input_ids are 72 long, but the model has positions for 66"),
        (ids + 1000, mask, "input_ids must lie between 0 and"),
    ):
        with pytest.raises(ValueError, match=message):
            model(given, seen)
